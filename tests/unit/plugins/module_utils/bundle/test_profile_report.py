# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.profile_report import profile_table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict


def profile(kind, reason=Reason.PROFILE_WHOLE, name="r1", component="region", **details):
    instance = Instance(cluster="c1", component=component, name=name, namespace="onecloud")
    return row(instance, f"profile:{kind}", verdict(reason), details=details)


def finding(*rows) -> str:
    (_heads, line) = profile_table(rows)
    return line.split(maxsplit=7)[7] if len(line.split(maxsplit=7)) > 7 else ""


def test_counts_profiles_by_component():
    rows = [
        profile("cpu", top_function="main.hot", top_percent=70.0),
        profile("cpu", name="r2", reason=Reason.POOL_SATURATED),
        profile("heap", name="r2", top_function="main.cache", top_percent=50.0),
        profile("heap", Reason.PROFILING_OFF, component="glance"),
        profile("cpu", Reason.PROFILING_OFF, component="glance"),
        row(Instance("c1", "host", ""), "discovery", verdict(Reason.NOT_DEPLOYED, "host")),
    ]
    heads, glance, region, place = profile_table(rows)
    assert heads.split() == [
        "component", "instances", "complete", "partial", "refused", "failed", "skipped", "finding",
    ]  # fmt: skip
    assert glance.split()[:8] == ["glance", "1", "-", "-", "-", "2", "-", "r1"]
    assert glance.endswith("r1 profiling_off: profiling is off in this service, so it has no /debug/pprof")
    assert region.split()[:7] == ["region", "2", "2", "-", "1", "-", "-"]
    assert "main.hot 70% of cpu; r2 pool_saturated: the service's workers for GET requests are busy" in region
    assert place.startswith("c1/host: ")


def test_names_the_most_expensive_function_of_all_instances():
    one = profile("cpu", top_function="main.once", top_percent=90.0)
    others = [profile("cpu", name=f"r{n}", top_function="main.hot", top_percent=50.0 + n) for n in (2, 3)]
    heap = profile("heap", top_function="main.cache", top_percent=99.0)
    assert finding(one, *others, heap) == "main.hot 53% of cpu"
    assert finding(heap, profile("goroutine", top_function="main.wait", top_percent=99.0)) == "main.cache 99% of heap"
    assert finding(profile("cpu", top_function="", top_percent=0.0), heap) == "main.cache 99% of heap"


def busy(text, value, name="r1", top=("main.hot", 70.0)):
    return profile("cpu", name=name, load=text, load_value=value, top_function=top[0], top_percent=top[1])


def test_load_comes_first():
    assert finding(busy("3.2 s of 10 s on 0.32 cores", 3.2)) == "cpu 3.2 s of 10 s on 0.32 cores, main.hot 70% of cpu"
    two = finding(busy("3.2 s of 10 s on 0.32 cores", 3.2), busy("12 s of 10 s on 1.2 cores", 12.0, "r2"))
    assert two == "cpu at most 12 s of 10 s on 1.2 cores, main.hot 70% of cpu"


def test_idle_service_shows_function_of_another_profile():
    idle = busy("0.01 s of 10 s: idle", 0.01, top=("", 0.0))
    assert finding(idle) == "cpu 0.01 s of 10 s: idle"
    heap = profile("heap", load="85MB in use", load_value=85.0, top_function="main.cache", top_percent=50.0)
    assert finding(idle, heap) == "cpu 0.01 s of 10 s: idle; heap 85MB in use, main.cache 50% of heap"


def test_reports_too_few_samples():
    text = "1MB in use; too few to name a function (2 samples)"
    assert finding(profile("heap", load=text, load_value=1.0, top_function="", top_percent=0.0)) == f"heap {text}"


@pytest.mark.parametrize(
    "details",
    [
        {"top_function": 5, "top_percent": 1.0},
        {"top_function": "x", "top_percent": "y"},
        {"top_function": "x"},
        {},
        {"load": 5, "load_value": 1.0},
        {"load": "x", "load_value": "y"},
    ],
)
def test_accepts_details_of_any_type(details):
    assert finding(profile("cpu", **details)) == ""


def test_sanitizes_and_shortens_names():
    shown = finding(profile("cpu", top_function="\x1b[31m" + "x" * 500, top_percent=1.0))
    assert shown.isprintable()
    assert len(shown) < 100
