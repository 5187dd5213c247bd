# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several dumps of each instance: rounds begin in their time although instances hang."""

from __future__ import annotations

import threading
import time

import capturing
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import StackOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import Engine
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks import rounds
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.collector import StackCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery
from capturing import DUMP, answers, capture, stuck
from fake_transport import FakeTransport, JumpingClock

from patience import patience, wait_until


@pytest.fixture
def transport():
    return FakeTransport()


def test_rounds_after_the_run_deadline_are_skipped(transport, tmp_path):
    clock = JumpingClock()

    def pass_the_deadline(_deadline):
        clock.now += 1.0

    transport.add("region", faults={"version": pass_the_deadline})
    ran = capture(transport, tmp_path, deadline=0.3, clock=clock, count=3, interval=10.0)
    assert [(row.sequence, row.reason) for row in ran.rows()] == [
        (1, "proven"),
        (2, "run_deadline"),
        (3, "run_deadline"),
    ]


def test_interval_runs_from_start_to_start(transport, tmp_path, monkeypatch):
    clock, waits = JumpingClock(), []

    def slow(service):
        clock.now += 3.0
        service.write(DUMP)

    def wait(self, seconds):
        if all(attempt.ended.is_set() for attempt in self._newest.values()):
            waits.append(seconds)
            clock.now += seconds
        else:
            self._changed.wait(patience())

    monkeypatch.setattr(rounds.Rounds, "_wait", wait)
    service = transport.add("region", on_signal=slow)
    ran = capture(transport, tmp_path, clock=clock, count=3, interval=10.0)
    assert [(row.sequence, row.reason) for row in ran.rows()] == [(1, "proven"), (2, "proven"), (3, "proven")]
    assert waits == [7.0, 7.0]
    assert {path.name for path in tmp_path.rglob("stack-*.txt")} == {"stack-1.txt", "stack-2.txt", "stack-3.txt"}
    assert len(ran.report.spread) == 3
    assert transport.done_to(service.instance.name).count("signal") == 3


def silent(_service):
    """Takes the signal and writes nothing."""


def test_next_round_begins_without_an_instance_that_hangs(transport, tmp_path):
    """The clock stands until all dumps of the others are there: had they to wait for the first, there would be none."""
    transport.add("region", "hangs", on_signal=silent)
    transport.add("region", "well")
    clock = JumpingClock(lambda rows: [row.sequence for row in rows if row.capture == "stack"] == [1, 2, 3])
    ran = capture(transport, tmp_path, clock=clock, count=3, interval=0.0, barrier_timeout=0.0)
    assert [(row.sequence, row.reason) for row in ran.rows(instance="well")] == [(n, "proven") for n in (1, 2, 3)]
    rows = sorted(ran.rows(instance="hangs"), key=lambda row: row.sequence)
    assert [(row.sequence, row.reason) for row in rows] == [(1, "no_dump"), (2, "dump_awaited"), (3, "dump_awaited")]
    assert transport.done_to("hangs").count("signal") == 1
    assert transport.done_to("well").count("signal") == 3


def test_never_signals_an_instance_whose_dump_is_awaited(transport, tmp_path):
    """Its first dump comes when all of the others are there; its next ones then come as well."""
    others_done, now, most = threading.Event(), [], []

    def slow(service):
        def answer():
            assert others_done.wait(patience())
            now.remove(service)
            service.write(DUMP)

        now.append(service)
        most.append(len(now))
        threading.Thread(target=answer).start()

    def well(service):
        service.write(DUMP)
        if transport.done_to("well").count("signal") == 3:
            others_done.set()

    transport.add("region", "slow", on_signal=slow)
    transport.add("region", "well", on_signal=well)
    ran = capture(transport, tmp_path, clock=time.monotonic, count=3, interval=0.0, timeout=patience())
    assert {(row.instance, row.sequence, row.reason) for row in ran.rows()} == {
        (name, number, "proven") for name in ("slow", "well") for number in (1, 2, 3)
    }
    assert most == [1, 1, 1]


def test_waits_for_all_as_long_as_no_dump_has_come(transport, tmp_path):
    """While no dump has come, nobody is held up; and the dumps of a round belong together."""
    order = []

    def answer(service):
        order.append(service.instance.name)
        if len(order) % 2 == 0:
            for one in transport.services:
                one.write(DUMP)

    for name in ("one", "two"):
        transport.add("region", name, on_signal=answer)
    ran = capture(transport, tmp_path, clock=time.monotonic, count=3, interval=0.0, barrier_timeout=patience())
    assert {row.reason for row in ran.rows()} == {"proven"}
    assert [sorted(order[at : at + 2]) for at in (0, 2, 4)] == [["one", "two"]] * 3


def test_instance_that_hangs_at_the_run_deadline_has_a_row_for_each_round(transport, tmp_path):
    with stuck() as fault:
        transport.add("region", "hangs", faults={"signal": fault})
        transport.add("region", "well")
        clock = JumpingClock(lambda rows: [row.instance for row in rows if row.capture == "stack"] == ["well"] * 2)
        ran = capture(
            transport, tmp_path, fan_out=capturing.give_up, clock=clock, count=2, interval=0.0, barrier_timeout=0.0
        )
        reasons = {row.sequence: row.reason for row in ran.rows(instance="hangs")}
    assert reasons == {1: "timeout", 2: "dump_awaited"}
    assert [row.reason for row in ran.rows(instance="well")] == ["proven"] * 2


def test_cancelled_run_begins_no_further_round(transport, tmp_path):
    service = transport.add("region", on_signal=answers(DUMP))
    store, deadline, progress = Store(str(tmp_path)), Deadline(patience(3600)), Progress()
    collector = StackCollector(transport, StackOptions(count=2, interval=3600.0))
    engine = Engine(transport, select(components=["region"]), store, deadline, progress=progress)
    runs = []

    def run_all():
        runs.append(engine.run([collector], Discovery([service.instance])))

    running = threading.Thread(target=run_all, daemon=True)
    running.start()
    wait_until("the end of the first round", lambda: progress.counts().get("dumps") == (1, 2))
    deadline.cancel()
    running.join(patience())
    (rows,) = runs
    dumps = [(entry.sequence, entry.reason) for entry in rows if entry.capture == "stack"]
    assert dumps == [(1, "proven"), (2, "run_deadline")]
