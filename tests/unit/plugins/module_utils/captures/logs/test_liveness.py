# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of life of watched services: a frozen one is healthy for no transport."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import FollowLimits, LogWatchOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.liveness import ping, ping_all
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import LogWatch
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpAnswer
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Lines, Opened
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness, liveness_of
from capturing import stuck
from fake_transport import FakeTransport, hang, no_answer, raises
from scripted import FULL, Cloud

from patience import patience, wait_until

SHORT = 0.2


LIMITS = FollowLimits(listing=0.05, shortest_listing=0.01, ping=SHORT)


def answers(status: int, body: bytes = b"pong"):
    return lambda _target: HttpAnswer(status, {}, body)


def refused(reason: Reason):
    return {"/ping": raises(CaptureError(reason))}


def asked(transport: FakeTransport, **known) -> Liveness:
    (service,) = transport.services
    return ping(transport, service.instance, Liveness(**known), Deadline(patience()), SHORT)


@pytest.mark.parametrize(
    ("fields", "ping", "ready", "says"),
    [
        ({}, True, None, "was answered (HTTP 200)"),
        ({"answer": answers(403, b"Forbidden")}, True, None, "HTTP 403"),
        ({"answer": answers(400, b"scheduler is not ready")}, True, False, "says HTTP 400: scheduler is not ready"),
        ({"answer": answers(502, b"\x1b[2J")}, True, False, "says HTTP 502: ?[2J"),
        ({"faults": {"/ping": no_answer}}, False, None, "was not answered within"),
        ({"faults": {"/ping": hang}}, False, None, "was not answered within"),
        ({"faults": refused(Reason.CONNECTION_BROKEN)}, False, None, "the connection broke"),
        ({"faults": refused(Reason.CONNECTION_REFUSED), "ports": (30888,)}, False, None, "nothing listens"),
        # It may listen on a port that is not declared.
        ({"faults": refused(Reason.CONNECTION_REFUSED)}, None, None, ""),
        ({"faults": refused(Reason.FORBIDDEN)}, None, None, ""),
        ({"faults": refused(Reason.UNREACHABLE)}, None, None, ""),
        ({"faults": refused(Reason.TLS_FAILED)}, None, None, ""),
    ],
)
def test_what_comes_of_a_ping(fields, ping, ready, says):
    transport = FakeTransport()
    transport.add("region", **fields)
    found = asked(transport)
    assert (found.ping, found.ready) == (ping, ready)
    assert says in found.ping_result
    assert bool(found.ping_result) == bool(says)


def test_a_component_without_ping_is_not_asked():
    transport = FakeTransport()
    transport.add("host-deployer")
    assert asked(transport) == Liveness()
    assert transport.asked == []


def test_without_the_time_for_an_answer_nothing_is_asked():
    """A question that is cut off early would say of a service that it hangs."""
    transport = FakeTransport()
    service = transport.add("region")
    assert ping(transport, service.instance, Liveness(), Deadline(SHORT / 2), SHORT) == Liveness()
    assert transport.asked == []


def test_all_are_asked_at_once():
    """No question returns before all of them were put."""
    everybody = threading.Barrier(41)

    def meet(_deadline: Deadline) -> None:
        everybody.wait(patience())
        raise CaptureError(Reason.NO_ANSWER)

    transport = FakeTransport()
    for number in range(everybody.parties):
        transport.add("region", f"frozen-{number}", faults={"/ping": meet})
    known = [(service.instance, Liveness()) for service in transport.services]
    limits = FollowLimits(ping=patience(), pings=2 * patience())
    found = ping_all(transport, known, Deadline(2 * patience()), limits)
    assert [each.ping for each in found] == [False] * everybody.parties


def test_who_minds_no_deadline_is_left_behind():
    limits = replace(LIMITS, pings=2 * SHORT)
    transport = FakeTransport()
    with stuck() as fault:
        service = transport.add("region", faults={"/ping": fault})
        (found,) = ping_all(transport, [(service.instance, Liveness())], Deadline(patience()), limits)
        assert found.ping is False


def test_an_error_of_ours_is_said_and_is_no_answer():
    transport = FakeTransport()
    service = transport.add("region", faults={"/ping": raises(KeyError("x"))})
    (found,) = ping_all(transport, [(service.instance, Liveness())], Deadline(patience()), LIMITS)
    assert (found.ping, found.ping_result) == (None, "could not be asked: 'x'")


def test_a_process_that_waited_for_a_disk_and_answers_is_well():
    transport = FakeTransport()
    transport.add("region")
    assert asked(transport, process="in uninterruptible sleep in nfs_wait").process == ""
    assert asked(transport, process="stopped (SIGSTOP)").process == "stopped (SIGSTOP)"


def test_what_the_list_of_instances_shows():
    transport = FakeTransport()
    times = {"started": "2026-11-23T00:00:10Z", "last_ended": "2026-11-23T00:00:05Z"}
    state = {"state": State.CRASH_LOOP, "state_detail": "back-off", "last_end": "OOMKilled"}
    pod = transport.add("region", ready=False, **times, **state).instance
    second = 1795392000.0  # 2026-11-23T00:00:00Z
    found = liveness_of(pod, second, None)
    assert (found.ready, found.started, found.ended, found.end) == (False, second + 10, second + 5, "OOMKilled")
    assert (found.state, found.loops) == ("crash_loop: back-off", True)
    assert liveness_of(pod, second + 6, None).ended is None  # before the window
    frozen = replace(transport.services[0].facts.candidates[0], state="T")
    process = replace(pod, process=frozen, state=State.RUNNING)
    found = liveness_of(process, second, 7.0)
    # Nobody knows of a process on a machine whether it is ready.
    assert (found.ready, found.process, found.state, found.heard) == (None, "stopped (SIGSTOP)", "", 7.0)


class Watched:
    """A watch of one service whose log was opened ten minutes ago."""

    def __init__(self, tmp_path, component: str = "region", ago: float = 390.0, **fields) -> None:
        self.cloud = Cloud()
        self.name = self.cloud.add(component, **fields).instance.name
        self.folder = tmp_path / "c1" / component / self.name
        deadline, selection = Deadline(patience()), select("", [component])
        found = discover(self.cloud, selection, deadline)
        options = LogWatchOptions(duration=patience(), until="duration", limits=LIMITS)
        self.watch = LogWatch(self.cloud, found, selection, Store(str(tmp_path)), options, deadline)
        self.reports: list = []
        self.thread = threading.Thread(target=lambda: self.reports.append(self.watch.run()))
        self.thread.start()
        self.script = wait_until("the follower", lambda: self.cloud.follows.get(self.name))
        self.script.written.put(Opened(time.time() - 600))
        self.script.say(" hello", ago=ago)
        wait_until("the line", lambda: any(each.watcher.lines for each in self.watch._watched.values()))
        self.script.caught_up.set()

    def end(self):
        self.watch.stop()
        self.thread.join(patience())
        (report,) = self.reports
        return report

    def judged(self) -> tuple[str, str, list[str]]:
        (row,) = [row for row in self.end().rows if row.capture == "log_watch"]
        log = json.loads((self.folder / "log.json").read_text())
        assert {key: row.details[key] for key in ("verdict", "rule", "evidence", "over")} == {
            key: log[key] for key in ("verdict", "rule", "evidence", "over")
        }
        return row.details["verdict"], row.details["rule"], row.details["evidence"]


def test_a_quiet_service_that_answers_is_healthy(tmp_path):
    verdict_, rule, evidence = Watched(tmp_path).judged()
    assert (verdict_, rule) == ("healthy", "quiet")
    assert "/ping was answered (HTTP 200); ready" in evidence[0]


@pytest.mark.parametrize(
    ("component", "fields", "rule"),
    [
        ("region", {"faults": {"/ping": no_answer}}, "ping_unanswered"),
        ("region", {"faults": {"/ping": no_answer}, "ready": False}, "ping_unanswered"),
        ("region", {"ready": False}, "not_ready"),
        # It may not be asked, or has nothing to ask: then its log alone has to show that it lives.
        ("region", {"faults": refused(Reason.FORBIDDEN)}, "no_sign_of_life"),
        ("host-deployer", {}, "no_sign_of_life"),
    ],
)
def test_a_frozen_service_is_not_healthy(tmp_path, component, fields, rule):
    verdict_, found, evidence = Watched(tmp_path, component, **fields).judged()
    assert (verdict_, found) == ("unknown", rule)
    if fields.get("ready", True) or "faults" in fields:
        assert evidence[0].startswith("silent for 6.5")
    assert ("not ready" in evidence[0]) == (not fields.get("ready", True))


def test_a_frozen_service_with_lines_before_is_not_healthy(tmp_path):
    """The line of a moment ago was written before it froze."""
    verdict_, rule, evidence = Watched(tmp_path, ago=5, faults={"/ping": no_answer}).judged()
    assert (verdict_, rule) == ("unknown", "ping_unanswered")
    assert evidence[0].startswith("/ping was not answered within")


def test_a_line_that_comes_while_it_is_watched_is_a_sign_of_life(tmp_path):
    watched = Watched(tmp_path, "host-deployer")
    watched.script.written.put(Lines(b"2026-11-23T00:00:00Z its clock is another one\n"))
    wait_until("the line", lambda: all(each.heard for each in watched.watch._watched.values()))
    assert watched.judged()[:2] == ("healthy", "quiet")


def test_readiness_is_that_of_the_newest_list(tmp_path):
    watched = Watched(tmp_path)
    (service,) = watched.cloud.services
    service.instance = replace(service.instance, ready=False)
    wait_until("a list", lambda: any(not one.ready for one in watched.watch._cache.instances))
    assert watched.judged()[:2] == ("unknown", "not_ready")


def test_only_where_it_matters_ping_is_asked(tmp_path):
    watched = Watched(tmp_path)
    watched.script.say(FULL.format(pool="P"))
    wait_until("the line", lambda: any(each.watcher.hits for each in watched.watch._watched.values()))
    assert watched.judged()[:2] == ("dropping", "tasks_lost")
    assert watched.cloud.asked == []


def test_text_that_is_no_log_makes_it_unavailable(tmp_path):
    cloud = Cloud()
    name = cloud.add("region").instance.name
    deadline, selection = Deadline(patience()), select("", ["region"])
    store, found = Store(str(tmp_path)), discover(cloud, selection, deadline)
    watch = LogWatch(
        cloud,
        found,
        selection,
        store,
        LogWatchOptions(duration=60.0, limits=LIMITS),
        deadline,
    )
    reports: list = []
    thread = threading.Thread(target=lambda: reports.append(watch.run()))
    thread.start()
    script = wait_until("the follower", lambda: cloud.follows.get(name))
    script.written.put(Lines(b"failed to try resolving symlinks in path x\n"))
    wait_until("the text", lambda: any(each.watcher.foreign for each in watch._watched.values()))
    script.caught_up.set()
    watch.stop()
    thread.join(patience())
    (row,) = reports[0].rows
    assert (row.reason, row.details["verdict"], row.details["lines"]) == ("log_unavailable", "unknown", 0)
    assert "failed to try resolving symlinks" in row.message


def unreachable(tmp_path, problems, *components: str, retrying: float = SHORT):
    cloud = Cloud()
    cloud.problems = problems
    for component in components:
        cloud.add(component)
    deadline, selection = Deadline(3600.0), select("", ["region"])
    options = LogWatchOptions(duration=3000.0, limits=replace(LIMITS, retrying=retrying, reporting=0.01))
    watch = LogWatch(cloud, discover(cloud, selection, deadline), selection, Store(str(tmp_path)), options, deadline)
    return cloud, watch


def test_a_watch_of_what_cannot_be_reached_ends_at_once(tmp_path):
    problem = ("onecloud", verdict(Reason.UNREACHABLE, "connection refused"))
    _cloud, watch = unreachable(tmp_path, [problem])
    reports: list = []
    thread = threading.Thread(target=lambda: reports.append(watch.run()))
    thread.start()
    thread.join(patience())
    (report,) = reports
    assert (report.ended, report.verdict) == ("unreachable", "unknown")
    assert report.table == [f"No log was watched. onecloud: {problem[1].message}"]
    assert [row.reason for row in report.rows] == ["unreachable"]


def test_what_comes_back_within_seconds_is_watched(tmp_path):
    cloud, watch = unreachable(tmp_path, [("", verdict(Reason.UNREACHABLE))], retrying=patience())
    reports: list = []
    thread = threading.Thread(target=lambda: reports.append(watch.run()))
    thread.start()
    cloud.problems = []
    name = cloud.add("region").instance.name
    wait_until("the follower", lambda: cloud.follows.get(name)).caught_up.set()
    watch.stop()
    thread.join(patience())
    assert reports[0].ended == "duration"


def test_what_is_not_deployed_is_said(tmp_path):
    _cloud, watch = unreachable(tmp_path, [])
    watch.stop()
    assert watch.run().table == ["No log was watched: there is no instance of region."]


def test_no_exception_of_a_deadline_gets_out(monkeypatch):
    transport = FakeTransport()
    service = transport.add("region")

    def late(*_arguments):
        raise DeadlineExceeded("ping")

    monkeypatch.setattr(transport, "http_get", late)
    assert ping(transport, service.instance, Liveness(), Deadline(patience()), SHORT).ping is False
