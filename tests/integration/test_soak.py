# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Soak test of the log watch: log rotations, killed containers and API server outages.

Every matching line must be found exactly once, and lost lines must be in a reported gap. The nodes keep every file, and
the test keeps every byte of a log that the API server sends. So for each missing line the test can tell whether the
watch lost it. If the container runtime writes lines into the old file while it creates the new one, the kubelet never
sends them to followers (docs/watching.md).

SOAK_SECONDS sets the duration, by default a minute; `make soak` uses ten. Whatever the duration, every log is rotated,
every container is killed, and the API server is stopped twice. On a slow machine the test takes longer.
"""

from __future__ import annotations

import functools
import gc
import itertools
import json
import os
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import LogWatchOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import (
    LogWatch,
    LogWatchReport,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.gaps import GAP_SECONDS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)
from deploy import manifests
from deploy.apply import Cluster
from watching import CountingApi, api_server_away, moment_of
from world import World

from patience import patience, wait_until

SECONDS = float(os.environ.get("SOAK_SECONDS") or 60)
NAMESPACE = "soaked"
# Small, so that each speaker's log is rotated every ten or twenty seconds.
LOG_SIZE = "64Ki"
SECONDS_A_ROTATION = 10  # the sum over all speakers must reach at least one in this time
FAILURES = 2  # requests for logs that fail before the API server is restarted
CUTS = (0.3, 0.7)  # when the API server is stopped, as a part of the whole time
# Limits of a gap around a fault. The last line may be this old when the fault begins. After the fault, the log may be
# unavailable for this long: the pauses between retries, and a list of pods.
BEFORE_SECONDS, BACK_SECONDS = patience(10), patience(30)
# Kills of each container, one in two minutes: the kubelet waits longer each time before it restarts a container.
KILLS = max(1, min(4, int(SECONDS // 120)))
SPEAKERS = {
    # name: microseconds between its lines, and the length of each
    "region-few": (1_500_000, 10_000),
    "region-many": (30_000, 50),
    "region-long": (100_000, 1000),
    "region-short": (50_000, 200),
    "region-parts": (1_000_000, 20_000),  # longer than the part that the runtime writes as one line
    "region-rest": (100_000, 500),
}
# Logs lost tasks, with the number of the container's run and a number within that run, until the file `stop` exists.
SCRIPT = """
cd /said; life=$(($(cat life 2>/dev/null || echo 0) + 1)); echo $life > life; n=0
pad=$(head -c {length} /dev/zero | tr '\\0' x)
while [ ! -e stop ]; do
  echo "[error 2026-11-25 10:00:00 appsrv.(*W).Run(workers.go:266)]P: queue full, task dropped $pad #$life.$n" >&2
  n=$((n + 1)); usleep {pause}
done
echo "$life.$((n - 1))" > new; mv new stopped
while true; do sleep 1; done
"""
STOP = "cd /said; touch stop; until [ -s stopped ]; do usleep 20000; done; cat stopped"
NUMBER = re.compile(r"#(\d+)\.(\d+)$", re.MULTILINE)
# A line as the runtime writes it on the node: its timestamp, and its numbers at the end.
WRITTEN = re.compile(r"^(\S+) #(\d+)\.(\d+)$", re.MULTILINE)
# Prints the timestamp and the numbers of each line of a container, file by file, the oldest file first.
READ_ALL = """
cd {folder}
for file in $(ls | grep '^{restarts}[.]log[.]') {restarts}.log; do
  echo "file $file"
  case $file in *.gz) zcat $file ;; *) cat $file ;; esac | sed -n 's/^\\([^ ]*\\) .*\\(#[0-9.]*\\)$/\\1 \\2/p'
done; true
"""
EVERY_FILE = 10_000
Line = tuple[int, int]  # number of the container's run, number within it


@dataclass
class Speaker:
    """Pod that writes numbered lines.

    files: the lines of each file on the node, in the order of writing. written: the runtime's timestamp of each line.
    killed: the start and end of each outage.
    """

    name: str
    node: str = ""
    folder: str = ""
    restarts: int = 0
    container: str = ""
    files: list[list[Line]] = field(default_factory=list)
    written: dict[Line, float] = field(default_factory=dict)
    killed: list[tuple[float, float]] = field(default_factory=list)

    @property
    def lines(self) -> list[Line]:
        return [line for file in self.files for line in file]

    @property
    def lives(self) -> int:
        return len({life for life, _number in self.lines})

    @property
    def rotations(self) -> int:
        return len(self.files) - self.lives

    def was_silent(self, since: float, until: float) -> bool:
        """Return whether it wrote nothing between these two whole seconds, for longer than GAP_SECONDS.

        The watch sees timestamps only. If lines come late, it cannot tell such a pause from a lost file.
        """
        moments = sorted(self.written.values())
        return any(
            (before // 1, after // 1) == (since, until) and after - before > GAP_SECONDS
            for before, after in itertools.pairwise(moments)
        )

    def ends_file(self, line: Line, missing: set[Line]) -> bool:
        """Return whether a file was rotated after this line and the rest of that file is missing as well."""
        (file,) = [file for file in self.files if line in file]
        is_rotated = file is not self.files[-1] and self.files[self.files.index(file) + 1][0][0] == line[0]
        return is_rotated and missing.issuperset(file[file.index(line) :])


class Soak:
    """Speakers, and the faults that they are exposed to."""

    def __init__(self, world: World, cluster: Cluster) -> None:
        self.world = world
        self.cluster = cluster
        self.speakers = [Speaker(name) for name in SPEAKERS]

    def begin(self) -> None:
        self.cluster.make_namespace(NAMESPACE)
        self.cluster.apply(manifests.config_map("region", namespace=NAMESPACE))
        for name, (pause, length) in SPEAKERS.items():
            made = manifests.pod(
                "region",
                name=name,
                namespace=NAMESPACE,
                container_extra={
                    "command": ["sh", "-c", SCRIPT.format(pause=pause, length=length)],
                    "volumeMounts": [{"name": "said", "mountPath": "/said"}],
                    "readinessProbe": None,
                },
                pod_extra={"initContainers": [], "terminationGracePeriodSeconds": 1},
            )
            made["spec"]["volumes"].append({"name": "said", "emptyDir": {}})
            self.cluster.apply(made)
        for speaker in self.speakers:
            self.await_next(speaker)

    def await_next(self, speaker: Speaker) -> None:
        wait_until(f"{speaker.name} to run", lambda: self.runs(speaker), 400)

    def runs(self, speaker: Speaker) -> bool:
        """Return whether it runs in another container than at the last call, and remember the container."""
        pod = self.cluster.call("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/{speaker.name}") or {}
        (status,) = pod.get("status", {}).get("containerStatuses") or [{}]
        if "running" not in status.get("state", {}) or status["containerID"] == speaker.container:
            return False
        speaker.node, speaker.container = pod["spec"]["nodeName"], status["containerID"]
        speaker.restarts = status["restartCount"]
        folder = f"{NAMESPACE}_{speaker.name}_{pod['metadata']['uid']}"
        speaker.folder = f"/var/log/pods/{folder}/{status['name']}"
        return True

    def kill(self, speaker: Speaker) -> None:
        """Send SIGKILL to its processes, and wait until the container runs again."""
        container = speaker.container.rpartition("/")[2]
        dead, gone = speaker.restarts, time.time()
        processes = f"$(grep -ls {container} /proc/[0-9]*/cgroup | cut -d/ -f3)"
        # Some of them may end by themselves before the signal. A new running container proves the kill.
        self.shell(speaker, f"for process in {processes}; do kill -KILL $process; done; true")
        self.await_next(speaker)
        speaker.killed.append((gone, time.time()))
        self.record_last_lines(speaker, dead)

    def record_last_lines(self, speaker: Speaker, restarts: int) -> None:
        """Read a container's lines from the node."""
        speaker.files += self.files(speaker, restarts)

    def files(self, speaker: Speaker, restarts: int) -> list[list[Line]]:
        """Return the lines in each file of a container's log, without empty files."""
        shown = self.shell(speaker, READ_ALL.format(folder=speaker.folder, restarts=restarts))
        written = WRITTEN.findall(shown)
        speaker.written.update(((int(life), int(number)), moment_of(stamp)) for stamp, life, number in written)
        return [said for text in shown.split("file ")[1:] if (said := lines_of(text))]

    def is_rotated(self, speaker: Speaker) -> bool:
        """Return whether the log of any of its containers has been rotated."""
        return speaker.rotations > 0 or len(self.files(speaker, speaker.restarts)) > 1

    def shell(self, speaker: Speaker, command: str) -> str:
        return self.world.lab("exec", speaker.node, "--", "sh", "-c", command)

    def cut(self, api: CountingApi) -> tuple[float, float]:
        """Stop the API server, restart it after failed requests of the watch, and return the times of both."""
        gone = time.time()
        with api_server_away(self.world, api, FAILURES):
            pass
        return gone, time.time()

    def end(self) -> None:
        """Stop all speakers, and record their last lines."""
        for speaker in self.speakers:
            shown = self.world.kubectl("-n", NAMESPACE, "exec", speaker.name, "--", "sh", "-c", STOP)
            life, number = map(int, shown.split("."))
            self.await_last(speaker, (life, number))
            self.record_last_lines(speaker, speaker.restarts)

    def await_last(self, speaker: Speaker, last: Line) -> None:
        """Wait until the runtime has written the last line of a speaker."""
        wait_until(f"{last} of {speaker.name}", lambda: last in itertools.chain(*self.files(speaker, speaker.restarts)))


class RecordingApi(CountingApi):
    """API client that keeps the log data it receives. sent: streams of each pod."""

    def __init__(self, *configuration: Any) -> None:
        super().__init__(*configuration)
        self.sent: dict[str, list[bytearray]] = defaultdict(list)

    def open_stream(self, path: str, *how: Any) -> Any:
        stream = super().open_stream(path, *how)
        if stream is not None:
            kept, chunks = bytearray(), stream.chunks
            self.sent[path.split("/")[-2]].append(kept)
            stream.chunks = lambda *limits, **more: self._keep(kept, chunks(*limits, **more))
        return stream

    @staticmethod
    def _keep(kept: bytearray, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            kept += chunk
            yield chunk

    def lines(self, name: str) -> set[Line]:
        return {line for sent in list(self.sent[name]) for line in lines_of(sent.decode())}


class Watching:
    """Watch on a thread. heard: (run, number) of the hits of each instance, with times, in the order of arrival."""

    def __init__(self, world: World, folder: Path) -> None:
        self.heard: dict[str, list[tuple[Line, float]]] = defaultdict(list)
        self.report = LogWatchReport()
        self.folder = folder
        self.recording_api = RecordingApi({"kubeconfig": world.kubeconfig}, 40)
        transport = self._transport = KubernetesTransport(self.recording_api, "c1", [NAMESPACE])
        selection, deadline = select("", ["region"]), Deadline(SECONDS + patience(900))
        options = LogWatchOptions(600, SECONDS + patience(900), "duration")
        found = discover(transport, selection, deadline)
        self._watch = LogWatch(transport, found, selection, Store(str(folder)), options, deadline, on_hit=self._note)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.report = self._watch.run()

    def _note(self, instance: Any, hit: Any) -> None:
        (line,) = lines_of(hit.message)
        self.heard[instance.name].append((line, hit.moment))

    def has_hit_since(self, speaker: Speaker, since: float) -> bool:
        """Return whether the watch has found a line that this speaker wrote after `since` (seconds since 1970)."""
        heard = self.heard[speaker.name]
        return bool(heard) and heard[-1][1] > since

    def end(self) -> None:
        self._watch.stop()
        self._thread.join(patience())
        assert not self._thread.is_alive()
        self._transport.close()

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return log.json of each instance."""
        found = [json.loads(path.read_text()) for path in self.folder.rglob("log.json")]
        return {document["instance"]["name"]: document for document in found}


@pytest.fixture
def soak(world: World, cluster: Cluster) -> Iterator[Soak]:
    nodes = [node["name"] for node in world.nodes]
    made = Soak(world, cluster)
    try:
        for node in nodes:
            kept = ("--container-log-max-size", LOG_SIZE, "--container-log-max-files", str(EVERY_FILE))
            world.lab("kubelet", node, *kept)
        made.begin()
        yield made
    finally:
        made.cluster.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
        for node in nodes:
            world.lab("kubelet", node)
        gone = f"/api/v1/namespaces/{NAMESPACE}"
        wait_until("the namespace to go", lambda: made.cluster.call("GET", gone) is None, 180)
        gc.collect()  # as long as the filter for warnings in conftest.py applies


@pytest.mark.timeout(SECONDS + patience(1200))
def test_finds_every_line_once_despite_rotations_restarts_and_outages(soak, world, tmp_path):
    watching = Watching(world, tmp_path / "part")
    begun, cuts, killed = time.monotonic(), [], 0
    left = [share * SECONDS for share in CUTS]
    planned = KILLS * len(soak.speakers)
    # On a busy machine a kill and a cut may take longer than planned.
    while (elapsed := time.monotonic() - begun) < SECONDS or left or killed < planned:
        if left and elapsed >= left[0]:
            left.pop(0)
            cuts.append(soak.cut(watching.recording_api))
        elif killed < planned and elapsed >= killed * SECONDS / planned:
            soak.kill(soak.speakers[killed % len(soak.speakers)])
            killed += 1
        else:
            time.sleep(0.1)  # until the next step of the plan is due: only the clock shows it
    for speaker in soak.speakers:
        wait_until(f"a rotation of {speaker.name}", functools.partial(soak.is_rotated, speaker), 120)
    # The speakers write until the watch has ended. After the very last line a file may be rotated, and the next one,
    # which is empty, does not show the missing lines.
    calm = time.time()
    wait_until("newer lines", lambda: all(watching.has_hit_since(speaker, calm) for speaker in soak.speakers), 120)
    watching.end()
    soak.end()
    documents = watching.documents()
    tell(soak, watching, documents, killed)

    for speaker in soak.speakers:
        check(speaker, watching, documents[speaker.name], cuts)
    assert len(cuts) == len(CUTS)
    assert all(speaker.lives > KILLS for speaker in soak.speakers)
    assert all(speaker.rotations > 0 for speaker in soak.speakers)
    assert sum(speaker.rotations for speaker in soak.speakers) >= SECONDS / SECONDS_A_ROTATION


def tell(soak: Soak, watching: Watching, documents: dict[str, dict[str, Any]], killed: int) -> None:
    """Print a summary for the reader of the test's output."""
    said = sum(len(speaker.lines) for speaker in soak.speakers)
    found = sum(map(len, watching.heard.values()))
    gaps = [gap for document in documents.values() for gap in document["gaps"]]
    rotations = sum(speaker.rotations for speaker in soak.speakers)
    print(f"{SECONDS:.0f} s, {said} lines said, {found} found, {rotations} rotations, {killed} kills, gaps: {gaps}")


def lines_of(text: str) -> list[Line]:
    return [(int(life), int(number)) for life, number in NUMBER.findall(text)]


def check(speaker: Speaker, watching: Watching, document: dict[str, Any], cuts: list) -> None:
    """Check that every line is found once or is in a gap, and that gaps are only at outages."""
    heard = watching.heard[speaker.name]
    twice = [line for line, count in Counter(line for line, _moment in heard).items() if count > 1]
    assert not twice, f"{speaker.name}: came twice: {twice[:10]}"
    lines = [line for line, _moment in heard]
    assert lines == sorted(lines), f"{speaker.name}: not in order"
    assert set(lines) <= set(speaker.lines), f"{speaker.name}: was never said"
    (pool,) = document["pools"]
    assert document["hits"] == document["patterns"][0]["count"] == pool["lost"]["count"] == len(heard)
    assert document["container_changes"] == speaker.lives - 1
    gaps = [(moment_of(gap["since"]), moment_of(gap["until"])) for gap in document["gaps"]]
    for since, until in gaps:
        assert speaker.was_silent(since, until) or any(
            gone - BEFORE_SECONDS <= since and until <= back + BACK_SECONDS for gone, back in [*cuts, *speaker.killed]
        ), f"{speaker.name}: a gap without a reason: {document['gaps']}"
    said = {line for line in speaker.lines if line <= lines[-1]}
    missing, sent = said - set(lines), watching.recording_api.lines(speaker.name)
    for line in sorted(missing):
        moment = speaker.written[line]
        # A document has whole seconds.
        in_gap = any(since <= moment < until + 1 for since, until in gaps)
        if not in_gap:
            told = f"{speaker.name}: {line}, of {moment}, is missing and in no gap of {gaps}"
            assert line not in sent, f"{told}, though it was sent"
            assert speaker.ends_file(line, missing), told
            print(f"{speaker.name}: {line} was written while the file was rotated, and never sent")
