# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small clouds for audits: the requested troubles, and no other difference."""

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
PLANTED = tuple(each.name for each in health.TROUBLES if not each.everywhere)


def workloads(names: str) -> dict[str, dict[str, Any]]:
    """Return the workloads of a cloud by their names."""
    made = sets.health("ns", names).manifests
    return {each["metadata"]["name"]: each for each in made if each["kind"] in {"Deployment", "DaemonSet", "Pod"}}


def template(workload: dict[str, Any]) -> dict[str, Any]:
    """Return the pod template of a workload, or the pod itself if it has none."""
    return dict(workload["spec"].get("template", workload))


def in_trouble(workload: dict[str, Any]) -> str | None:
    return template(workload)["metadata"]["labels"].get(health.TROUBLE_LABEL)


def plain() -> dict[str, dict[str, Any]]:
    """Return the workloads of the essential components without any trouble."""
    return {part.workload["metadata"]["name"]: part.workload for part in health.cloud((), "ns") if part.trouble is None}


@pytest.mark.parametrize("name", PLANTED)
def test_only_the_component_in_trouble_differs_from_a_plain_cloud(name: str) -> None:
    made, trouble = workloads(name), health.BY_NAME[name]
    marked = [key for key in made if in_trouble(made[key])]
    assert [in_trouble(made[key]) for key in marked] == ([name] if trouble.replicas is None else [])
    own = {f"default-{trouble.component}", *marked}
    assert {key: each for key, each in made.items() if key not in own} == {
        key: each for key, each in plain().items() if key not in own
    }


@pytest.mark.parametrize("name", PLANTED)
def test_pod_in_trouble_has_replicas_to_compare(name: str) -> None:
    trouble = health.BY_NAME[name]
    fellows = [
        each["spec"].get("replicas", 1)
        for each in workloads(name).values()
        if each["metadata"]["labels"]["app"] == trouble.component and not in_trouble(each)
    ]
    if trouble.replicas is None:
        assert sum(fellows) == trouble.fellows
    else:
        assert fellows == ([] if trouble.replicas == health.NOT_THERE else [0])


def test_only_the_cloud_of_a_missing_component_lacks_an_essential_one() -> None:
    for name in NAMES:
        components = {each["metadata"]["labels"]["app"] for each in workloads(name).values()}
        assert set(health.ESSENTIAL) - components == ({"scheduler"} if name == "missing" else set()), name


def test_cloud_of_another_release_differs_in_every_component() -> None:
    healthy, old = workloads(health.NONE), workloads("old-release")
    assert healthy.keys() == old.keys()
    assert {each["metadata"]["labels"]["app"] for each in old.values()} == set(health.WHOLE)
    assert not [key for key in old if old[key] == healthy[key]]


def test_plants_several_troubles_in_one_cloud() -> None:
    made = workloads("errors,hung,missing")
    assert {in_trouble(each) for each in made.values()} == {None, "errors", "hung"}
    assert "default-scheduler" not in made


@pytest.mark.parametrize("names", ["errors,restarted", "version-of-a-component,answer-html", "none,errors"])
def test_refuses_troubles_that_an_audit_could_not_tell_apart(names: str) -> None:
    with pytest.raises(ValueError, match=r"of the same component|a cloud of its own"):
        sets.health("ns", names)


@pytest.mark.parametrize("name", NAMES)
def test_pods_have_no_init_container(name: str) -> None:
    for each in workloads(name).values():
        if each["kind"] == "Deployment":
            assert not each["spec"]["template"]["spec"].get("initContainers")


@pytest.mark.parametrize("name", NAMES)
def test_only_host_clouds_use_the_nodes_network(name: str) -> None:
    shared = [key for key, each in workloads(name).items() if template(each)["spec"].get("hostNetwork")]
    assert shared == (["default-host"] if name == "host-hung" else [])


@pytest.mark.parametrize("name", NAMES)
def test_workloads_of_a_cloud_select_different_pods(name: str) -> None:
    made = [each for each in workloads(name).values() if each["kind"] != "Pod"]
    selectors = [str(sorted(each["spec"]["selector"]["matchLabels"].items())) for each in made]
    assert len(set(selectors)) == len(selectors)


@pytest.mark.parametrize("name", NAMES)
def test_stand_ins_know_all_behaviours(name: str) -> None:
    for workload in workloads(name).values():
        for container in template(workload)["spec"]["containers"]:
            for variable in container["env"]:
                assert {word.partition("=")[0] for word in variable["value"].split()} <= BEHAVIOUR_KEYS


def test_ready_pods_in_trouble_have_no_probe_that_detects_it() -> None:
    for trouble in health.TROUBLES:
        hidden = {"http_fault", "http"} & set(trouble.behaviour)
        if hidden and trouble.ready and trouble.behaviour.get("http_fault_path") != "/worker_stats":
            assert not COMPONENTS[trouble.component].probe, trouble.name


def test_expectations_match_the_trouble() -> None:
    by_name = {each.name: each for each in sets.health("ns", "restarting,goroutines-many").expectations}
    odd = by_name["default-cloudid-restarting"]
    assert (odd.state, odd.ready, odd.restarts) == ("crash-loop", False, 1)
    assert by_name["default-region"].ready
    assert by_name["default-cloudnet"].count == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["health", "--trouble", "nonsense"], "no trouble 'nonsense'"),
        (["health", "--trouble", "errors,nonsense"], "no trouble 'nonsense'"),
        (["health", "--trouble", "errors,restarted"], "of the same component"),
        (["healthy", "--trouble", "hung"], "only the set health has any"),
    ],
)
def test_refuses_a_trouble_that_cannot_be_planted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    monkeypatch.setattr("sys.argv", ["apply.py", *arguments])
    with pytest.raises(SystemExit, match="2"):
        apply.main()
    assert complaint in capsys.readouterr().err
