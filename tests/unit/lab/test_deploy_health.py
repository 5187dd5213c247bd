# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small clouds for audits: one trouble each, and nothing else that differs from the healthy one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from deploy import apply, health, sets
from deploy.components import COMPONENTS

BEHAVIOUR_SOURCE = Path(__file__).parents[2] / "lab/services/pkg/behaviour/behaviour.go"
BEHAVIOUR_KEYS = set(re.findall(r'^\t\t"([a-z0-9_]+)":', BEHAVIOUR_SOURCE.read_text(), re.MULTILINE))
NAMES = (health.NONE, *health.BY_NAME)
ELSEWHERE = {"old-release"}  # what is not in one place


def workloads(name: str) -> dict[str, dict[str, Any]]:
    """The workloads of a cloud by their names."""
    made = sets.health("ns", name).manifests
    return {each["metadata"]["name"]: each for each in made if each["kind"] in {"Deployment", "DaemonSet"}}


def in_trouble(workload: dict[str, Any]) -> str | None:
    return workload["spec"]["template"]["metadata"]["labels"].get(health.TROUBLE_LABEL)


def pods_by_component(name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in workloads(name).values():
        component = each["metadata"]["labels"]["app"]
        found[component] = found.get(component, 0) + each["spec"].get("replicas", 1)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_only_the_workload_in_trouble_differs_from_the_healthy_cloud(name: str) -> None:
    healthy, made = workloads(health.NONE), workloads(name)
    different = [key for key, each in made.items() if each != healthy.get(key)]
    trouble = health.trouble_of(name)
    if trouble.everywhere:
        assert sorted(different) == (sorted(made) if name in ELSEWHERE else [])
        return
    marked = [key for key in made if in_trouble(made[key]) == name]
    assert len(marked) == (1 if trouble.replicas is None else 0)
    own = {f"default-{trouble.component}", f"default-{trouble.component}-{name}"}
    assert set(different) <= own
    assert set(healthy) - set(made) <= own


@pytest.mark.parametrize("name", NAMES)
def test_a_trouble_does_not_change_how_many_pods_there_are_unless_that_is_it(name: str) -> None:
    wanted = dict(pods_by_component(health.NONE))
    trouble = health.trouble_of(name)
    if trouble.component == "host":
        wanted["host"] = 1
    elif trouble.replicas == 0:
        wanted[trouble.component] = 0
    elif trouble.replicas is not None:
        del wanted[trouble.component]
    assert pods_by_component(name) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_clouds_fit_beside_one_another(name: str) -> None:
    shared = [key for key, each in workloads(name).items() if each["spec"]["template"]["spec"].get("hostNetwork")]
    assert shared == (["default-host"] if health.trouble_of(name).component == "host" else [])


@pytest.mark.parametrize("name", NAMES)
def test_no_two_workloads_of_a_cloud_select_the_same_pods(name: str) -> None:
    selectors = [str(sorted(each["spec"]["selector"]["matchLabels"].items())) for each in workloads(name).values()]
    assert len(set(selectors)) == len(selectors)


@pytest.mark.parametrize("name", NAMES)
def test_behaviours_are_ones_that_the_stand_ins_know(name: str) -> None:
    for workload in workloads(name).values():
        for container in workload["spec"]["template"]["spec"]["containers"]:
            for variable in container["env"]:
                assert {word.partition("=")[0] for word in variable["value"].split()} <= BEHAVIOUR_KEYS


def test_a_trouble_that_the_pod_stays_ready_with_has_no_probe_that_would_see_it() -> None:
    for trouble in health.TROUBLES:
        hidden = {"http_fault", "http"} & set(trouble.behaviour)
        if hidden and trouble.ready and trouble.behaviour.get("http_fault_path") != "/worker_stats":
            assert not COMPONENTS[trouble.component].probe, trouble.name


def test_expectations_follow_the_trouble() -> None:
    by_name = {each.name: each for each in sets.health("ns", "restarting").expectations}
    odd = by_name["default-region-restarting"]
    assert (odd.state, odd.ready, odd.restarts) == ("any", None, 2)
    assert by_name["default-region"].ready
    assert by_name["default-region"].count == 2


def test_an_unknown_trouble_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no trouble 'nonsense'"):
        sets.health("ns", "nonsense")
    for arguments in (["health", "--trouble", "nonsense"], ["healthy", "--trouble", "hung"]):
        monkeypatch.setattr("sys.argv", ["apply.py", *arguments])
        with pytest.raises(SystemExit, match="2"):
            apply.main()
        assert "--trouble is one of the set health" in capsys.readouterr().err
