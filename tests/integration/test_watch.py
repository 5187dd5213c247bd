# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching logs of a real cluster: every line that tells of trouble is seen, each once, whatever happens to the log."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs import LogWatch, Options, Report
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.run import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes import KubernetesTransport
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes_api import Api
from deploy import manifests
from deploy.apply import Cluster
from lablib.core import wait_for
from test_access import inventory, ssh_host
from world import World, play

NAMESPACE, HEALTH = "watched", "onecloud-health"
PLAYBOOK = "cloudpods.diagnostics.watch_logs"
# Says that a task was lost, with a number: so many times in one life, then it ends and is started again, until all is
# said. The number survives in the pod's volume.
SPEAKER = """
cd /said; n=$(cat n 2>/dev/null || echo 0); end=$((n + {each}))
while [ $n -lt {total} ] && [ $n -lt $end ]; do
  echo "[error 2026-11-25 10:00:00 appsrv.(*W).Run(workers.go:266)]P: queue full, task dropped {pad} #$n" >&2
  n=$((n + 1)); usleep {pause}
done
echo $n > n; [ $n -ge {total} ] || exit 3
while true; do sleep 1; done
"""
NUMBER = re.compile(r"#(\d+)$")


class Watching:
    """A watch on a thread. said: the numbers in the hits, in the order in which they came, with their times."""

    def __init__(self, world: World, folder: Path, since: int = 60, namespace: str = NAMESPACE) -> None:
        self.said: list[int] = []
        self.report = Report()
        transport = self._transport = KubernetesTransport(Api({"kubeconfig": world.kubeconfig}, 40), "c1", [namespace])
        deadline = Deadline(300)
        selection = select("", ["region"])
        found = discover(transport, selection, deadline)
        options = Options(since, 240, "duration")
        store = Store(str(folder / "part"))
        self._watch = LogWatch(transport, found, selection, store, options, deadline, on_hit=self._note)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.report = self._watch.run()

    def _note(self, _instance, hit) -> None:
        self.said.append(int(NUMBER.search(hit.message)[1]))

    def until(self, count: int, seconds: float = 120.0) -> None:
        wait_for(f"{count} hits", lambda: len(self.said) >= count, seconds=seconds)

    def end(self) -> Report:
        self._watch.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._transport.close()
        return self.report


class Speakers:
    """Pods that say things in a namespace of their own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        self.cluster.make_namespace(NAMESPACE)
        self.cluster.apply(manifests.config_map("region", namespace=NAMESPACE))

    def speak(self, name: str, total: int, each: int | None = None, pause: int = 5000, pad: int = 0, **more) -> None:
        script = SPEAKER.format(total=total, each=each or total, pause=pause, pad="x" * pad)
        made = manifests.pod(
            "region",
            name=name,
            namespace=NAMESPACE,
            container_extra={
                "command": ["sh", "-c", script],
                "volumeMounts": [{"name": "said", "mountPath": "/said"}],
                "readinessProbe": None,
            },
            pod_extra={"initContainers": [], "terminationGracePeriodSeconds": 1, **more},
        )
        made["spec"]["volumes"].append({"name": "said", "emptyDir": {}})
        self.cluster.apply(made)

    def runs(self, name: str) -> bool:
        pod = self.cluster.call("GET", f"{self.path}/{name}") or {}
        states = [status["state"] for status in pod.get("status", {}).get("containerStatuses", [])]
        return bool(states) and all("running" in state for state in states)

    def await_running(self, name: str) -> None:
        wait_for(f"{name} to run", lambda: self.runs(name), seconds=60)

    def delete(self, name: str) -> None:
        self.cluster.call("DELETE", f"{self.path}/{name}")
        wait_for(f"{name} to go", lambda: self.cluster.call("GET", f"{self.path}/{name}") is None, seconds=180)


@pytest.fixture
def speakers(world: World, cluster: Cluster) -> Iterator[Speakers]:
    made = Speakers(cluster)
    yield made
    for pod in world.pods(NAMESPACE):
        made.delete(pod["metadata"]["name"])


def details(report: Report, name: str) -> dict:
    (row,) = [row for row in report.rows if row.instance == name]
    return row.details


def test_lines_before_and_during_the_watch_are_seen_once(world, speakers, tmp_path):
    speakers.speak("region-a", 2000)
    speakers.await_running("region-a")
    watching = Watching(world, tmp_path)
    watching.until(2000)
    report = watching.end()
    assert watching.said == list(range(2000))
    assert (report.verdict, details(report, "region-a")["gaps"]) == ("dropping", 0)


def test_a_container_that_restarts_is_followed_from_its_last_line_to_its_first(world, speakers, tmp_path):
    speakers.speak("region-b", 600, each=300)
    speakers.await_running("region-b")
    watching = Watching(world, tmp_path)
    watching.until(600)
    report = watching.end()
    assert watching.said == list(range(600))
    found = details(report, "region-b")
    assert (found["container_changes"], found["gaps"]) == (1, 0)


def test_the_log_of_the_container_before_is_looked_at(world, speakers, tmp_path):
    speakers.speak("region-c", 400, each=200)
    wait_for(
        "its restart",
        lambda: any(
            status["restartCount"] and "running" in status["state"]
            for pod in world.pods(NAMESPACE)
            for status in pod["status"].get("containerStatuses", [])
        ),
        seconds=60,
    )
    watching = Watching(world, tmp_path)
    watching.until(400)
    report = watching.end()
    assert watching.said == list(range(400))
    assert details(report, "region-c")["container_changes"] == 1


def test_a_pod_that_appears_is_watched_from_its_first_line_and_may_go(world, speakers, tmp_path):
    speakers.speak("region-d", 10)
    speakers.await_running("region-d")
    watching = Watching(world, tmp_path)
    watching.until(10)
    speakers.speak("region-late", 500)
    watching.until(510)
    speakers.delete("region-d")
    report = watching.end()
    assert sorted(watching.said) == sorted([*range(10), *range(500)])
    assert {row.instance: row.reason for row in report.rows} == {"region-d": "recorded", "region-late": "recorded"}
    assert details(report, "region-late")["gaps"] == 0


def test_an_api_server_that_dies_loses_nothing(world, speakers, tmp_path):
    speakers.speak("region-e", 3000)
    speakers.await_running("region-e")
    watching = Watching(world, tmp_path)
    watching.until(200)
    world.lab("fault", "kill", "cp/kube-apiserver")
    before = len(watching.said)
    time.sleep(3)  # the fault is that it is away for so long
    world.lab("fault", "start", "cp/kube-apiserver")
    watching.until(3000)
    report = watching.end()
    assert before < 3000
    assert watching.said == list(range(3000))
    found = details(report, "region-e")
    assert found["gaps"] == 0, found["evidence"]


def test_an_api_server_that_stays_away_leaves_a_gap(world, speakers, tmp_path):
    speakers.speak("region-f", 100)
    speakers.await_running("region-f")
    watching = Watching(world, tmp_path)
    watching.until(100)
    world.lab("fault", "kill", "cp/kube-apiserver")
    try:
        time.sleep(3)  # until the stream's end is noticed
        report = watching.end()
    finally:
        world.lab("fault", "start", "cp/kube-apiserver")
    (row,) = report.rows
    assert (row.reason, row.details["gaps"]) == ("log_gap", 1)


def test_a_rotated_log_is_followed_or_a_gap_is_named(world, speakers, tmp_path):
    node = world.nodes[0]["name"]
    world.lab("kubelet", node, "--container-log-max-size", "64Ki")
    try:
        speakers.speak("region-g", 4000, pad=100, nodeName=node)
        speakers.await_running("region-g")
        watching = Watching(world, tmp_path)
        wait_for("the last line", lambda: 3999 in watching.said, seconds=120)
        report = watching.end()
    finally:
        world.lab("kubelet", node)
    said = watching.said
    assert said == sorted(set(said)), "some line came twice, or out of order"
    missing = 4000 - len(said)
    assert missing == 0 or details(report, "region-g")["gaps"] > 0, f"{missing} lines are missing, and nothing says so"


@pytest.fixture(scope="module")
def troubled(world: World) -> World:
    """A cloud whose pool of cron jobs is stuck, with a watchdog that looks five times a second."""
    world.deploy("health", "--trouble", "pool-busy")
    return world


def test_the_playbook_says_who_is_stuck_and_captures_it_at_once(troubled, tmp_path):
    variables = {
        "kubeconfig": troubled.kubeconfig,
        "cloudpods_namespace": HEALTH,
        "cloudpods_components": ["region", "keystone"],
        "cloudpods_on_hit": ["capture_stacks"],
    }
    run = play(tmp_path, variables, playbook=PLAYBOOK)
    assert run.code == 2, run.shown
    assert "The logs say: stuck" in run.shown
    verdicts = {row["instance"]: row["details"]["verdict"] for row in run.of("log_watch")}
    (stuck,) = [name for name, verdict in verdicts.items() if verdict == "stuck"]
    assert "pool-busy" in stuck
    assert len(verdicts) == len(troubled.pods(HEALTH, "app in (region,keystone)"))
    stacks = {row["instance"]: row for row in run.of("stack")}
    assert set(stacks) == {name for name in verdicts if "region" in name}
    assert {row["reason"] for row in stacks.values()} == {"proven"}
    kept = {path.name for path in (run.bundle / run.of("log_watch", instance=stuck)[0]["path"]).parent.iterdir()}
    assert {"log.json", "log-windows.txt", "counts.json", "picture.svg", "hit-1"} <= kept


def test_in_check_mode_nothing_is_captured(troubled, tmp_path):
    variables = {
        "kubeconfig": troubled.kubeconfig,
        "cloudpods_namespace": HEALTH,
        "cloudpods_components": ["region"],
        "cloudpods_on_hit": ["capture_stacks"],
        "cloudpods_fail_on_verdict": "none",
    }
    execs = len([entry for entry in troubled.audit() if "/exec" in entry["requestURI"]])
    run = play(tmp_path, variables, "--check", playbook=PLAYBOOK)
    assert run.code == 0, run.shown
    assert "stuck" in run.shown
    assert "changed=0" in run.shown
    assert len([entry for entry in troubled.audit() if "/exec" in entry["requestURI"]]) == execs


def test_on_the_nodes_themselves_it_is_the_same(troubled, tmp_path):
    hosts = {
        node["name"].replace("-", "_"): ssh_host(node, cloudpods_transport="host", cloudpods_cluster="c1")
        for node in troubled.nodes
    }
    variables = {"cloudpods_components": ["region"], "cloudpods_on_hit": "capture_stacks"}
    run = play(tmp_path, variables, inventory=inventory(**hosts), playbook=PLAYBOOK)
    assert run.code == 2, run.shown
    # What other tests left on the nodes is watched as well.
    verdicts = {row["instance"]: row["details"]["verdict"] for row in run.of("log_watch", namespace=HEALTH)}
    assert [name for name, verdict in verdicts.items() if verdict == "stuck"] == [
        pod["metadata"]["name"] for pod in troubled.pods(HEALTH) if "pool-busy" in pod["metadata"]["name"]
    ]
    assert {row["status"] for row in run.of("stack", namespace=HEALTH)} == {"complete"}
