# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of stand-in services of each release, watched while they are written."""

from __future__ import annotations

import os
import pty
import signal
import time

import pytest
import standins
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher

from patience import wait_until

POOL = "HttpGetRequestWorkerManager"
# A small version of a real incident, with a timeout of five seconds and two rounds of the watchdog a second. Eight
# requests have a worker, 640 wait, and the others are dropped: fewer than 112 if the first requests have timed out
# before the last one comes, on a busy machine.
REQUESTS = 760
STORM = f"db_latency=forever http_storm={REQUESTS} http_timeout=5s watchdog=500ms log_rate=20"


@pytest.fixture
def machine(tmp_path):
    machine = standins.Machine(tmp_path)
    yield machine
    machine.stop()


class Following:
    """A watcher that reads a log while it is written."""

    def __init__(self, log, timestamped: bool = False) -> None:
        self.watcher = LogWatcher(load_patterns(), timestamped)
        self.watcher.opened(time.time())
        self.data = b""
        self._log = log

    def until(self, holds) -> None:
        wait_until("what the log should tell", lambda: self._read() or holds(self.watcher.document()))

    def _read(self) -> None:
        with open(self._log, "rb") as file:
            file.seek(len(self.data))
            while data := file.read(70_001):
                self.data += data
                self.watcher.feed(data)

    def pool(self, name: str) -> dict:
        (pool,) = [pool for pool in self.watcher.document()["pools"] if pool["name"] == name]
        return pool


def cycles(document: dict) -> int:
    return max((pool["cycles"]["most"] for pool in document["pools"] if "cycles" in pool), default=0)


def lost_requests(document: dict) -> int:
    """Return the number of requests that were dropped or timed out."""
    return sum(counts(document).get(name, 0) for name in ("queue_full", "detached"))


def counts(document: dict) -> dict:
    return {pattern["id"]: pattern["count"] for pattern in document["patterns"]}


@pytest.mark.slow  # all requests of the storm must arrive before the first of them times out
@pytest.mark.parametrize("release", ["3.8", "3.10", "3.11"])
def test_request_storm_on_a_stuck_database_drops_tasks(machine, release):
    service = machine.start("region", f"{STORM} release={release}", ("--port", "0"))
    follow = Following(service.log)
    follow.until(lambda document: counts(document).get("queue_full", 0))
    found = follow.watcher.verdict(time.time())
    assert (found.verdict, found.rule) == ("dropping", "tasks_lost")
    assert follow.watcher.is_certain(time.time())
    # A dump in the middle.
    service.process.send_signal(signal.SIGUSR1)
    follow.until(lambda document: lost_requests(document) == REQUESTS and cycles(document) >= 6)
    document = follow.watcher.document()
    seen = counts(document)
    assert follow.data.count(b"goroutine profile: total ") == 1
    for name, text in {"queue_full": b"queue full, task dropped", "stucking": b"stucking for a while",
                       "detached": b" due to reason timeout", "busy": b"BUSY activeWork"}.items():  # fmt: skip
        assert seen.get(name, 0) == follow.data.count(text), name
    # Releases before 3.11 never log the oldest task.
    assert ("stucking" in seen) == (release == "3.11")
    lost, late = seen["queue_full"], seen["detached"]
    assert 0 < lost <= 112
    assert follow.pool(POOL)["lost"]["count"] == lost
    unnamed = follow.pool("")
    assert unnamed["detached"]["count"] == late
    assert unnamed["detached"]["reasons"] == {"timeout": late}
    assert document["watchdog_seconds"] == pytest.approx(0.5, abs=0.25)
    parts = {part.name: part for part in follow.watcher.verdict(time.time()).parts}
    assert {name: part.verdict for name, part in parts.items()} == {POOL: "dropping", "": "dropping"}
    assert any(f"{late} workers detached" in said for said in parts[""].evidence)


def test_repeated_oldest_task_is_one_finding(machine):
    # Its tasks start before the fixture knows that it is up.
    began = time.time()
    service = machine.start("region", "pool=TaskWorkerManager pool_tasks=70 watchdog=150ms", ("--port", "0"))
    follow = Following(service.log)
    follow.until(lambda document: cycles(document) >= 4)
    (task,) = follow.pool("")["oldest_tasks"]["tasks"]
    assert task["count"] == counts(follow.watcher.document())["stucking"] > 1
    assert task["task"]
    started = time.mktime(time.strptime(task["started"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert began - 1 <= started <= time.time()  # in whole seconds
    found = follow.watcher.verdict()
    assert (found.verdict, found.over) == ("busy", False)
    # For twenty rounds it counts as a start.
    follow.until(lambda document: cycles(document) >= 10)
    assert follow.watcher.verdict().verdict == "busy"
    follow.until(lambda document: cycles(document) >= 24)
    stuck = {part.name: part.rule for part in follow.watcher.verdict().parts if part.verdict == "stuck"}
    assert stuck == {"TaskWorkerManager": "cycles_grow"}


@pytest.mark.slow
def test_drained_pool_is_busy_and_over(machine):
    service = machine.start(
        "region", "pool=TaskWorkerManager pool_tasks=40 pool_time=300ms watchdog=200ms", ("--port", "0")
    )
    follow = Following(service.log)
    follow.until(lambda document: cycles(document) >= 10)
    # At the last line, because header dates have whole seconds, which are long for this watchdog.
    found = {part.name: part for part in follow.watcher.verdict().parts}["TaskWorkerManager"]
    assert (found.verdict, found.rule) == ("busy", "starts")
    assert "started" in found.evidence[0]
    answers = Liveness(ping=True)
    follow.until(lambda _document: follow.watcher.verdict(time.time(), liveness=answers).over)
    found = follow.watcher.verdict(time.time(), liveness=answers)
    assert (found.verdict, found.rule) == ("busy", "cycles_grow")
    assert all("over since" in text for text in found.evidence)
    # Silence alone proves nothing.
    assert not follow.watcher.verdict(time.time()).over


def test_healthy_service_is_quiet(machine):
    service = machine.start("region", "log_rate=200 log_hostile=true http_rate=50", ("--port", "0"))
    follow = Following(service.log)
    follow.until(lambda document: document["lines"] > 600)
    assert [pattern["id"] for pattern in follow.watcher.document()["patterns"]] == ["started"]
    assert follow.watcher.verdict(time.time()).rule == "too_short"
    assert follow.watcher.verdict(time.time() + 60, liveness=Liveness(ping=True)).verdict == "healthy"
    assert follow.watcher.verdict(time.time() + 65).rule == "no_sign_of_life"


def test_reads_terminal_output(machine):
    leader, follower = pty.openpty()
    try:
        machine.start("region", STORM, ("--port", "0"), stderr=follower)
        os.close(follower)
        watcher, data = LogWatcher(load_patterns(), timestamped=False), b""
        while not counts(watcher.document()).get("queue_full", 0):
            data += (part := os.read(leader, 65536))
            watcher.feed(part)
        assert b"\x1b[0;33m[W " in data
        assert [pool["name"] for pool in watcher.document()["pools"] if "lost" in pool] == [POOL]
    finally:
        os.close(leader)
