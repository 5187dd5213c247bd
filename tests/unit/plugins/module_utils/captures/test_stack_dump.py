# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs: everything is accounted for, nobody holds up the others, and the wrong process is never signalled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time

import capturing
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import StackOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import preview
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.collector import StackCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import ProbeFacts
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from capturing import DUMP, TIMEOUT, Crowd, answers, capture, sent, stuck, taken, with_facts, with_state
from fake_transport import USR1, VERSION, FakeTransport, JumpingClock, hang, raises

from patience import patience


@pytest.fixture
def transport():
    return FakeTransport()


# What a good run leaves


def test_healthy_replica_leaves_dump_log_parsed_form_and_version(transport, tmp_path):
    service = transport.add("region", on_signal=answers(DUMP))
    ran = capture(transport, tmp_path)
    row = ran.only()
    process = capturing.process_of(service)
    assert (row.status, row.reason) == ("complete", "proven")
    assert (row.cluster, row.namespace, row.node, row.container) == ("c1", "onecloud", "n1", "region")
    assert row.path == f"c1/region/{service.instance.name}/stack-1.txt"
    dump = ran.artifact(row)
    assert dump == DUMP
    assert (row.bytes, row.sha256) == (len(dump), hashlib.sha256(dump).hexdigest())
    assert DUMP in ran.artifact(row, ".log")
    assert row.details["total"] == row.details["goroutines"] == 40
    assert row.details["groups"] == len(json.loads((tmp_path / row.details["parsed"]).read_text())["groups"]) == 4
    assert (row.details["pid"], row.details["start_time_ticks"]) == (process.pid, process.start_time)
    assert row.details["restarted"] is False
    version = ran.only("version")
    assert (version.status, version.reason) == ("complete", "recorded")
    assert version.details["version"]["gitVersion"] == "v4.0.1"
    assert json.loads(ran.artifact(version)) == version.details["version"]
    assert ran.artifact(version, ".txt") == VERSION
    assert ran.ledger == ran.report.rows
    assert (ran.report.signals, ran.report.spread) == (1, [0.0])


def test_opens_the_log_before_the_signal(transport, tmp_path):
    service = transport.add("region")
    capture(transport, tmp_path)
    assert transport.done_to(service.instance.name) == ["open_log", "open_process", "signal", "version"]


def test_makes_all_checks_before_the_first_signal(transport, tmp_path):
    for _number in range(5):
        transport.add("region")
    ran = capture(transport, tmp_path, barrier_timeout=patience())
    calls = [call for call, _name in transport.calls if call in ("open_process", "signal")]
    assert calls == ["open_process"] * 5 + ["signal"] * 5
    assert ran.report.spread == [pytest.approx(max(map(sent, ran.rows())) - min(map(sent, ran.rows())), abs=0.002)]


# Check mode


def check(transport, found, selection, options):
    """Return the rows of check mode."""
    collectors = [StackCollector(transport, options)]
    return preview(collectors, found, selection, transport.cluster, Deadline(patience()), options.timeout)


def test_check_mode_only_discovers(transport):
    transport.add("region")
    transport.add("scheduler")
    with_state(State.PENDING)(transport.add("keystone"))
    selection = capturing.everything(transport)
    found = discover(transport, selection, Deadline(patience()))
    rows = check(transport, found, selection, StackOptions(count=2))
    assert {call for call, _name in transport.calls} == {"discover"}
    assert {(row.component, row.sequence): (row.status, row.reason) for row in rows} == {
        (component, sequence): outcome
        for component, outcome in {
            "region": ("skipped", "check_mode"),
            "scheduler": ("refused", "never_dumps"),
            "keystone": ("refused", "pending"),
        }.items()
        for sequence in (1, 2)
    }
    assert not any(row.path or row.details for row in rows)


def test_check_mode_refuses_where_only_http_is_reached(transport):
    transport.reaches_processes = False
    transport.add("region")
    selection = capturing.everything(transport)
    found = discover(transport, selection, Deadline(patience()))
    (row,) = check(transport, found, selection, StackOptions())
    assert row.reason == "http_only"


def test_check_mode_makes_the_checks_that_run_nothing(transport):
    transport.sees_processes = True
    transport.add("region")
    lost = transport.add("keystone")
    (process,) = lost.facts.candidates
    lost.facts = ProbeFacts((dataclasses.replace(process, stderr="/dev/null"),))
    transport.add("glance", ignored=USR1)
    transport.add("logger").faults["open_log"] = raises(CaptureError(Reason.LOG_UNAVAILABLE, "x"))
    selection = capturing.everything(transport)
    found = discover(transport, selection, Deadline(patience()))
    rows = check(transport, found, selection, StackOptions())
    assert {row.component: row.reason for row in rows} == {
        "region": "check_mode",
        "keystone": "stderr_lost",
        "glance": "usr1_ignored",
        "logger": "log_unavailable",
    }
    assert "signal" not in {call for call, _name in transport.calls}


# Refusals


def other(process: Process, **fields) -> Process:
    return dataclasses.replace(process, pid=process.pid + 50, **fields)


def two_processes(service):
    process = capturing.process_of(service)
    service.facts = ProbeFacts((process, other(process)))


def elsewhere(service):
    process = capturing.process_of(service)
    service.facts = ProbeFacts((other(process, same_container=False, same_by=""),))


def impostor(service):
    service.facts = ProbeFacts((), (capturing.process_of(service).pid,))


REFUSED = {
    "several_processes": two_processes,
    "no_process": elsewhere,
    "usr1_ignored": with_facts(ignored=USR1),
    "usr1_not_caught": with_facts(caught=0),
    "stderr_lost": with_facts(stderr="/dev/null"),
}


@pytest.mark.parametrize(
    ("reason", "trouble"),
    [*REFUSED.items(), ("no_process", impostor), ("stderr_lost", with_facts(log_file="option --log-file-prefix"))],
)
def test_sends_no_signal_to_an_unproven_process(transport, tmp_path, reason, trouble):
    service = transport.add("region")
    trouble(service)
    ran = capture(transport, tmp_path)
    assert (ran.only().status, ran.only().reason) == ("refused", reason)
    assert "Next:" in ran.only().message
    assert transport.done_to(service.instance.name) == ["open_log", "open_process"]
    assert ran.report.signals == 0
    assert ran.only("version").reason == "stack_not_taken"


@pytest.mark.parametrize(
    ("component", "state", "reason"),
    [
        ("scheduler", State.RUNNING, "never_dumps"),
        ("region-dns", State.RUNNING, "reloads"),
        ("etcd", State.RUNNING, "may_die"),
        ("region", State.PENDING, "pending"),
        ("region", State.WAITING, "not_started"),
        ("region", State.INIT, "stuck_in_init"),
        ("region", State.CRASH_LOOP, "crash_loop"),
        ("region", State.TERMINATING, "terminating"),
        ("region", State.TERMINATED, "terminated"),
        ("region", State.NO_CONTAINER, "wrong_container"),
        ("region", State.NODE_LOST, "node_lost"),
        ("region", State.UNTRUSTED, "untrusted"),
    ],
)
def test_early_refusal_touches_nothing(transport, tmp_path, component, state, reason):
    service = transport.add(component)
    with_state(state, "why")(service)
    ran = capture(transport, tmp_path, count=2, interval=0.0)
    assert [(row.status, row.reason, row.sequence) for row in ran.rows()] == [
        ("refused", reason, 1),
        ("refused", reason, 2),
    ]
    assert transport.done_to(service.instance.name) == []
    assert ran.rows("version") == []


def test_signals_only_the_process_of_the_container(transport, tmp_path):
    service = transport.add("host")
    own = capturing.process_of(service)
    service.facts = ProbeFacts((other(own, same_container=False), own), (own.pid + 1,))
    ran = capture(transport, tmp_path)
    assert (ran.only().reason, ran.only().details["pid"]) == ("proven", own.pid)


# The version


def test_reads_no_version_without_free_memory(transport, tmp_path):
    service = transport.add("region")
    service.facts = dataclasses.replace(service.facts, memory_room=100 << 20)
    ran = capture(transport, tmp_path)
    assert (ran.only().reason, ran.only("version").reason) == ("proven", "no_memory_room")
    assert "version" not in transport.done_to(service.instance.name)


def test_reads_the_version_in_the_first_round_only(transport, tmp_path):
    service = transport.add("region", image_id="")
    ran = capture(transport, tmp_path, count=3, interval=0.0)
    assert transport.done_to(service.instance.name).count("version") == 1
    assert len(ran.rows("version")) == 1


# Restarts


# Places


# Hung targets

HANGS = {
    "open_log": ("timeout", False),
    "open_process": ("timeout", False),
    "signal": ("timeout", False),
    "version": ("proven", True),
}


@pytest.mark.parametrize(("call", "expected"), HANGS.items())
def test_target_that_hangs_costs_only_its_own_deadline(transport, tmp_path, call, expected):
    reason, was_sent = expected
    transport.add("region", "hung", faults={call: hang}, image_id="own")
    for number in range(3):
        transport.add("region", f"well-{number}")
    clock = JumpingClock(taken("well-0", "well-1", "well-2"))
    ran = capture(transport, tmp_path, clock=clock)
    row = ran.only(instance="hung")
    assert (row.reason, "signal_sent" in row.details) == (reason, was_sent)
    assert [one.reason for one in ran.rows() if one.instance != "hung"] == ["proven"] * 3
    assert clock.jumps == [TIMEOUT]
    if call == "version":
        assert ran.only("version", instance="hung").reason == "no_version"


def test_missing_dump_costs_only_its_own_deadline(transport, tmp_path):
    transport.add("region", "mute", on_signal=lambda _service: None)
    transport.add("region", "well")
    clock = JumpingClock(taken("well"))
    ran = capture(transport, tmp_path, clock=clock)
    assert (ran.only(instance="mute").reason, ran.only(instance="well").reason) == ("no_dump", "proven")
    assert ran.only(instance="mute").details["signal_sent"]
    assert clock.jumps == [TIMEOUT]


@pytest.mark.parametrize("call", ["open_log", "open_process", "signal", "version"])
def test_abandons_a_thread_that_ignores_its_deadline(transport, tmp_path, call):
    with stuck() as fault:
        transport.add("region", "stuck", faults={call: fault}, image_id="own")
        transport.add("region", "well")
        clock = JumpingClock(lambda rows: taken("well")(rows) and fault.entered.is_set())
        ran = capture(transport, tmp_path, fan_out=capturing.give_up, clock=clock)
        assert ran.only(instance="well").reason == "proven"
        row, version = ran.only(instance="stuck"), ran.only("version", instance="stuck")
        if call == "version":
            # What was seen before is kept.
            assert (row.reason, ran.artifact(row)[:9], version.reason) == ("proven", DUMP[:9], "no_version")
        else:
            assert (row.reason, version.reason) == ("timeout", "stack_not_taken")
        assert "left behind" in (version if call == "version" else row).message
        before = sorted(path for path in tmp_path.rglob("*"))
    # Its thread has run to its end by now.
    assert ran.ledger == ran.report.rows
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_abandoned_dump_keeps_the_signal_time(transport, tmp_path, monkeypatch):
    with stuck() as fault:
        transport.add("region", on_signal=lambda _service: None)
        monkeypatch.setattr("fake_transport.FakeLog.read", lambda _log: fault(None) or b"")
        ran = capture(
            transport, tmp_path, fan_out=capturing.give_up, clock=JumpingClock(lambda _rows: fault.entered.is_set())
        )
        row = ran.only()
        assert (row.reason, ran.report.signals) == ("no_dump", 1)
        assert sent(row)
        assert "before the signal was" not in row.message


def test_abandoned_thread_that_wakes_up_changes_nothing(transport, tmp_path, monkeypatch):
    with stuck() as fault:
        transport.add("region", "stuck", faults={"open_log": fault})
        transport.add("region", "well")
        finish = StackCollector.finish

        def late(*arguments):
            fault.let_go()
            return finish(*arguments)

        monkeypatch.setattr(StackCollector, "finish", late)
        clock = JumpingClock(lambda rows: taken("well")(rows) and fault.entered.is_set())
        ran = capture(transport, tmp_path, fan_out=capturing.give_up, clock=clock)
    assert ran.only(instance="stuck").reason == "timeout"
    assert sorted(row.instance for row in ran.rows("version")) == ["stuck", "well"]
    assert ran.ledger == ran.report.rows


def test_skips_instances_that_did_not_start_before_the_run_deadline(transport, tmp_path):
    for _number in range(4):
        transport.add("region", faults={"open_process": hang})
    ran = capture(transport, tmp_path, deadline=0.3, concurrency=1, timeout=10.0)
    assert [row.reason for row in ran.rows()] == ["timeout"] + ["run_deadline"] * 3
    assert {row.status for row in ran.rows(reason="run_deadline")} == {"skipped"}
    assert len(ran.rows("version")) == 4


# Errors that are nobody's to foresee


@pytest.mark.parametrize("call", ["open_log", "open_process", "signal", "version"])
def test_error_of_a_transport_is_a_row(transport, tmp_path, call):
    transport.add("region", "bad", faults={call: raises(ZeroDivisionError("nobody thought of it"))}, image_id="own")
    transport.add("region", "well")
    ran = capture(transport, tmp_path)
    assert ran.only(instance="well").reason == "proven"
    row = ran.only("version" if call == "version" else "stack", instance="bad")
    assert (row.status, row.reason) == ("failed", "error")
    assert "ZeroDivisionError: nobody thought of it" in row.message
    assert len(ran.rows()) == 2
    assert len(ran.rows("version")) == 2


def test_error_after_all_was_recorded_adds_no_row(transport, tmp_path, monkeypatch):
    def broken(_session):
        raise OSError(9, "Bad file descriptor")

    transport.add("region")
    monkeypatch.setattr("fake_transport.FakeSession.close", broken)
    ran = capture(transport, tmp_path)
    assert [(row.capture, row.reason) for row in ran.report.rows] == [("stack", "proven"), ("version", "recorded")]


def test_reports_the_signal_though_the_dump_was_not_written(transport, tmp_path, monkeypatch):
    service = transport.add("region")

    def full(_store, _folders, _name, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "keep", full)
    ran = capture(transport, tmp_path)
    assert (ran.only().reason, ran.report.signals) == ("error", 1)
    assert "No space left on device" in ran.only().message
    assert "signal" in transport.done_to(service.instance.name)
    assert ran.ledger == ran.report.rows


@pytest.mark.parametrize("reason", [Reason.GONE, Reason.NO_SHELL, Reason.UNREACHABLE, Reason.FORBIDDEN])
def test_reason_of_the_transport_is_the_verdict(transport, tmp_path, reason):
    transport.add("region", faults={"open_process": raises(CaptureError(reason, "so"))})
    row = capture(transport, tmp_path).only()
    assert (row.reason, row.message) == (reason.value, verdict(reason, "so").message)


# Fan-out


def test_barrier_opens_for_the_others_when_one_hangs(transport, tmp_path):
    names = [f"well-{number}" for number in range(3)]
    transport.add("region", "hung", faults={"open_process": hang})
    for name in names:
        transport.add("region", name)
    # Its time does not begin to pass before the others have gone through the gate without it.
    ran = capture(transport, tmp_path, clock=JumpingClock(taken(*names)), barrier_timeout=0.1)
    assert {row.instance: row.reason for row in ran.rows()} == {"hung": "timeout", **dict.fromkeys(names, "proven")}


def test_failure_before_the_barrier_does_not_cost_its_timeout(transport, tmp_path):
    transport.add("region", "bad", faults={"open_log": raises(CaptureError(Reason.GONE))})
    transport.add("region", "well")
    begun = time.monotonic()
    ran = capture(transport, tmp_path, barrier_timeout=patience())
    assert ran.only(instance="well").reason == "proven"
    assert time.monotonic() - begun < patience() / 2  # it would take all of it


def test_limits_commands_on_a_node(transport, tmp_path):
    crowd = Crowd(2)
    for number in range(12):
        node = f"n{number % 2}"
        transport.add("region", node=node, faults={"open_process": crowd.visit(node)})
    ran = capture(transport, tmp_path, node_concurrency=2)
    assert {row.reason for row in ran.rows()} == {"proven"}
    assert crowd.most == {"n0": 2, "n1": 2}


def test_limits_instances_at_a_time(transport, tmp_path):
    crowd = Crowd(3)
    for _number in range(9):
        transport.add("region", faults={"open_log": crowd.visit("all")})
    ran = capture(transport, tmp_path, concurrency=3, barrier_timeout=patience())
    assert {row.reason for row in ran.rows()} == {"proven"}
    assert crowd.most == {"all": 3}


# Instances that hang


def test_frozen_replica_does_not_hold_up_the_other(transport, tmp_path):
    """The gate would wait for it without end."""
    with_facts(state="T")(transport.add("region", "frozen"))
    transport.add("region", "well")
    ran = capture(transport, tmp_path, barrier_timeout=1e6)
    assert (ran.only(instance="frozen").reason, ran.only(instance="well").reason) == ("process_stopped", "proven")


# Versions


def test_reads_the_version_once_per_image(transport, tmp_path):
    services = [transport.add("region", image_id="image-a") for _number in range(4)]
    services.append(transport.add("keystone", image_id="image-b"))
    ran = capture(transport, tmp_path)
    asked = [name for call, name in transport.calls if call == "version"]
    assert sorted(name.partition("-")[0] for name in asked) == ["keystone", "region"]
    rows = {row.instance: row for row in ran.rows("version")}
    assert set(rows) == {service.instance.name for service in services}
    source = rows[next(name for name in asked if name.startswith("region"))]
    for name, row in rows.items():
        if name in asked:
            assert row.reason == "recorded"
        else:
            assert (row.reason, row.path, row.sha256) == ("same_image", source.path, source.sha256)
            assert row.details == source.details
            assert source.instance in row.message


def test_reads_the_version_of_each_component_of_an_image(transport, tmp_path):
    for component in ("region", "glance"):
        transport.add(component, image_id="shared")
    ran = capture(transport, tmp_path)
    assert {row.component: row.reason for row in ran.rows("version")} == {"region": "recorded", "glance": "recorded"}


def test_reads_each_version_without_an_image_id(transport, tmp_path):
    for _number in range(2):
        transport.add("region", image_id="")
    assert [row.reason for row in capture(transport, tmp_path).rows("version")] == ["recorded", "recorded"]


def test_versions_without_an_image_id_are_not_shared(transport, tmp_path):
    transport.add("region", "well", image_id="")
    impostor(transport.add("region", "refused", image_id=""))
    ran = capture(transport, tmp_path)
    assert {row.instance: row.reason for row in ran.rows("version")} == {
        "well": "recorded",
        "refused": "stack_not_taken",
    }


def test_failed_version_is_recorded_for_all_replicas_of_the_image(transport, tmp_path):
    for _number in range(2):
        transport.add("region", version=b"panic: no\n")
    ran = capture(transport, tmp_path)
    assert [row.reason for row in ran.rows("version")] == ["no_version", "no_version"]
    assert {row.reason for row in ran.rows()} == {"proven"}
    assert list(tmp_path.rglob("version.*")) == list(tmp_path.rglob("version.txt")) != []
