# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching logs of a real cluster: every line that tells of trouble is seen, each once, whatever happens to the log."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs import LogWatch, Options, Report
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.run import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Gap, Lines
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes import KubernetesTransport
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes_api import Api
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.seam import stamp_of
from deploy import manifests
from deploy.apply import Cluster
from lablib.core import wait_for
from test_access import inventory, ssh_host
from test_soak import moment_of
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
# Writes as fast as it can for so many seconds, and between blocks of lines says that a task was lost, with a number;
# then that alone.
FLOOD_SECONDS, BLOCK_BYTES = 30, 1 << 20
# So much the watching of a flood may take, and whatever else this process does meanwhile.
MEMORY_BYTES = 100 << 20
# Numbers a line, a hundred times in a second, each longer than what fits into the buffers on the way in a stall.
STALL_SECONDS = 40
COUNTER = """
pad=$(head -c 10000 /dev/zero | tr '\\0' x); n=0
while true; do echo "$pad #$n" >&2; n=$((n + 1)); usleep 10000; done
"""
FLOOD = """
cd /said; line="[info 2026-11-25 10:00:00 flood.go:1] $(head -c 900 /dev/zero | tr '\\0' x)"
yes "$line" | head -c {block} > block; n=0; end=$(($(date +%s) + {seconds}))
while [ $(date +%s) -lt $end ]; do
  cat block >&2
  echo "\n[error 2026-11-25 10:00:00 appsrv.(*W).Run(workers.go:266)]P: queue full, task dropped #$n" >&2
  n=$((n + 1))
done
echo $n > n
while true; do
  echo "[error 2026-11-25 10:00:00 appsrv.(*W).Run(workers.go:266)]P: queue full, task dropped #$n" >&2
  n=$((n + 1)); sleep 1
done
"""


class Watching:
    """A watch on a thread. said: the numbers in the hits, in the order in which they came; heard: the same of each
    instance, with the moments when they were written and heard."""

    def __init__(self, world: World, folder: Path, since: int = 60, namespace: str = NAMESPACE) -> None:
        self.said: list[int] = []
        self.heard: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
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

    def _note(self, instance, hit) -> None:
        number = int(NUMBER.search(hit.message)[1])
        self.said.append(number)
        self.heard[instance.name].append((number, hit.moment, time.time()))

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
        self.run(name, SPEAKER.format(total=total, each=each or total, pause=pause, pad="x" * pad), **more)

    def run(self, name: str, script: str, **more) -> None:
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
    assert [
        (row.instance, row.reason, row.details["evidence"]) for row in report.rows if row.reason != "recorded"
    ] == []
    assert {row.instance for row in report.rows} == {"region-d", "region-late"}
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


def read_with_a_stall(transport: KubernetesTransport) -> tuple[list[tuple[int, float]], list[Gap]]:
    """The only log there is: its numbers with their moments, and its gaps. Once nothing is read for a while."""
    said: list[tuple[int, float]] = []
    gaps: list[Gap] = []
    (instance,) = discover(transport, select("", ["region"]), Deadline(60)).instances
    begun, stalled = time.monotonic(), False
    with transport.follow_log(instance, 0, lambda _deadline: instance, Deadline(240)) as follower:
        for event in follower.events():
            if isinstance(event, Gap):
                gaps.append(event)
            if isinstance(event, Lines):
                lines = event.data.splitlines()
                said += [(int(NUMBER.search(line.decode())[1]), stamp_of(line).moment) for line in lines]
            elapsed = time.monotonic() - begun
            if not stalled and elapsed > 5:
                stalled = True
                time.sleep(STALL_SECONDS)  # the fault is that nothing is read for so long
            if elapsed > 5 + STALL_SECONDS + 25:
                break
    return said, gaps


def test_what_a_kubelet_leaves_out_is_a_gap_and_what_it_sends_again_is_given_once(world, speakers):
    """Who reads slower than the file is rotated is given the newest file after the one that he has, and that again."""
    node = world.nodes[0]["name"]
    world.lab("kubelet", node, "--container-log-max-size", "64Ki")
    transport = KubernetesTransport(Api({"kubeconfig": world.kubeconfig}, 4), "c1", [NAMESPACE])
    try:
        speakers.run("region-stall", COUNTER, nodeName=node)
        speakers.await_running("region-stall")
        said, gaps = read_with_a_stall(transport)
    finally:
        transport.close()
        world.lab("kubelet", node)
    numbers = [number for number, _moment in said]
    assert numbers == sorted(set(numbers)), "some line came twice, or out of order"
    left_out = [(before, after) for before, after in itertools.pairwise(said) if after[0] != before[0] + 1]
    print(f"{len(said)} lines, left out: {left_out}, gaps: {gaps}")
    assert left_out, "nothing was left out: the test shows nothing"
    for (_number, since), (_next, until) in left_out:
        assert any(gap.since <= since and until <= gap.until for gap in gaps), f"{since} to {until}: {gaps}"


def test_a_flood_is_read_or_sampled_and_its_neighbour_is_heard_in_time(world, speakers, tmp_path):
    speakers.speak("region-quiet", 100_000, pause=200_000)
    speakers.await_running("region-quiet")
    watching = Watching(world, tmp_path)
    watching.until(1)
    before = resident()
    speakers.run("region-flood", FLOOD.format(seconds=FLOOD_SECONDS, block=BLOCK_BYTES))
    speakers.await_running("region-flood")
    wait_for("the flood to end", lambda: shell("test -e /said/n && cat /said/n", world), seconds=FLOOD_SECONDS + 60)
    written = int(shell("cat /said/n", world))
    heard = watching.heard["region-flood"]
    wait_for("it to be up to date", lambda: heard and heard[-1][0] >= written, seconds=150)
    grown = resident() - before
    begun = time.monotonic()
    watching.end()
    took = time.monotonic() - begun
    log = json.loads(next(tmp_path.rglob("region-flood/log.json")).read_text(encoding="utf-8"))
    quiet = watching.heard["region-quiet"]
    delay = max(at - moment for _number, moment, at in quiet[len(quiet) // 2 :])
    print(
        f"{written * BLOCK_BYTES / 1e6 / FLOOD_SECONDS:.0f} MB/s for {FLOOD_SECONDS} s; {len(heard)} of {heard[-1][0]}"
        f" hits; memory +{grown / 1e6:.0f} MB; neighbour {delay:.1f} s at most; end {took:.1f} s; {log['gaps']}"
    )
    assert grown < MEMORY_BYTES
    assert [number for number, _moment, _at in quiet] == list(range(quiet[-1][0] + 1))
    assert delay < 5
    assert took < 10
    numbers = [number for number, _moment, _at in heard]
    assert numbers == sorted(set(numbers))
    gaps = [(moment_of(gap["since"]), moment_of(gap["until"])) for gap in log["gaps"]]
    for (number, since, _at), (following, _moment, _heard) in itertools.pairwise(heard):
        # A document tells whole seconds.
        seen = following == number + 1 or any(begin <= since + 1 and since < end for begin, end in gaps)
        assert seen, f"{number} to {following}: {log['gaps']}"


def shell(command: str, world: World) -> str:
    """What a command says in the pod of the flood; nothing where it fails."""
    return world.kubectl("-n", NAMESPACE, "exec", "region-flood", "--", "sh", "-c", command, check=False)


def resident() -> int:
    """Bytes of memory that this process takes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])


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


def test_a_wrong_pattern_is_no_word_on_the_target(world, tmp_path):
    pattern = {"id": "own", "texts": ["offline"], "form": "("}
    run = play(tmp_path, {"kubeconfig": world.kubeconfig, "cloudpods_log_patterns": [pattern]}, playbook=PLAYBOOK)
    assert run.code == 2, run.shown
    (row,) = run.rows
    assert (row["capture"], row["status"], row["reason"]) == ("access", "failed", "no_result")
    assert "own" in row["message"]
    assert "answer" not in row["message"]


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
