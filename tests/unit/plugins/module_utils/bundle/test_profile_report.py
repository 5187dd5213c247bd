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


def test_what_became_of_the_profiles_of_each_component():
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
    assert glance.split() == ["glance", "1", "-", "-", "-", "2", "-", "1", "profiling_off"]
    assert region.split() == [
        "region", "2", "2", "-", "1", "-", "-", "main.hot", "70%", "of", "cpu;", "1", "pool_saturated",
    ]  # fmt: skip
    assert place.startswith("c1/host: ")


def test_the_function_is_that_of_all_instances_and_of_the_most_telling_profile():
    one = profile("cpu", top_function="main.once", top_percent=90.0)
    others = [profile("cpu", name=f"r{n}", top_function="main.hot", top_percent=50.0 + n) for n in (2, 3)]
    heap = profile("heap", top_function="main.cache", top_percent=99.0)
    assert finding(one, *others, heap) == "main.hot 53% of cpu"
    assert finding(heap, profile("goroutine", top_function="main.wait", top_percent=99.0)) == "main.cache 99% of heap"
    assert finding(profile("cpu", top_function="", top_percent=0.0), heap) == "main.cache 99% of heap"


@pytest.mark.parametrize(
    "details",
    [{"top_function": 5, "top_percent": 1.0}, {"top_function": "x", "top_percent": "y"}, {"top_function": "x"}, {}],
)
def test_details_of_any_kind_do_no_harm(details):
    assert finding(profile("cpu", **details)) == ""


def test_names_can_neither_steer_a_terminal_nor_fill_a_page():
    shown = finding(profile("cpu", top_function="\x1b[31m" + "x" * 500, top_percent=1.0))
    assert shown.isprintable()
    assert len(shown) < 100
