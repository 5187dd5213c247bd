# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every collector guarantees, whatever happens to its targets: one row for each owed capture.

To hold another collector to it, derive from Conformance and give its collector, a service, and a call to disturb.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import fanout
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.collector import Collector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import Engine, preview
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import LedgerRow
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from capturing import everything, give_up, stuck
from fake_transport import FakeTransport, JumpingClock, Service, hang, raises
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import examples
from patience import patience

Row = tuple[str, str, int]
FAULTS = {
    "none": None,
    "raises": raises(ZeroDivisionError("nobody thought of it")),
    "hangs": hang,
    "gone": raises(CaptureError(Reason.GONE, "pod")),
    "forbidden": raises(CaptureError(Reason.FORBIDDEN, "pods/proxy")),
}


@dataclasses.dataclass
class Ran:
    """One run: the rows of its plan, its rows, and its folder."""

    collector: Collector[Any]
    owed: list[Row]
    rows: list[LedgerRow]
    folder: Path

    def check(self) -> None:
        """Assert that exactly the owed rows are there, each once, and on disk."""
        additional = self.collector.additional
        planned = [key_of(row) for row in self.rows if row.instance and row.capture not in additional]
        assert collections.Counter(planned) == collections.Counter(self.owed)
        more = [key_of(row) for row in self.rows if row.capture in additional]
        assert len(more) == len(set(more))
        lines = (self.folder / "ledger.jsonl").read_text().splitlines()
        assert [LedgerRow.from_dict(json.loads(line)) for line in lines] == self.rows

    def reasons(self, service: Service) -> set[str]:
        """Return the reasons of the owed rows of a service."""
        additional = self.collector.additional
        return {row.reason for row in self.rows if row.instance == service.instance.name} - {
            row.reason for row in self.rows if row.capture in additional
        }


def key_of(row: LedgerRow) -> Row:
    return row.instance, row.capture, row.sequence


class Conformance:
    """The suite. call: the fault of fake_transport.Service that disturbs the first capture."""

    call = "http_get"
    owes = True
    # Rows of one service, where a full disk fails the run.
    rows_of_full_disk = 0

    def collector(self, transport: FakeTransport, store: Store) -> Collector[Any]:
        """Return a new collector."""
        raise NotImplementedError

    def service(self, transport: FakeTransport, name: str = "", **fields: Any) -> Service:
        """Add a service whose captures are all owed."""
        return transport.add("region", name, **fields)

    def run(self, transport, folder, clock=None, seconds=60.0, concurrency=8, fan_out=fanout.run) -> Ran:
        clock = clock or JumpingClock()
        store, deadline, selection = Store(str(folder)), Deadline(seconds, clock=clock), everything(transport)
        if isinstance(clock, JumpingClock):
            clock.rows = store.rows
        found = discover(transport, selection, Deadline(patience()))
        before = list(transport.calls)
        plans = [self.collector(transport, store).plan(instance) for instance in found.instances]
        assert transport.calls == before, "planning makes no call"
        owed = [(plan.instance.name, capture, number) for plan in plans for capture, number, _why in plan.refused]
        owed += [
            (plan.instance.name, capture, job.sequence_of(capture))
            for plan in plans
            for job in plan.jobs
            for capture in job.owed
        ]
        collector = self.collector(transport, store)
        engine = Engine(transport, selection, store, deadline, concurrency, 4, fan_out=fan_out)
        return Ran(collector, owed, engine.run([collector], found), Path(folder))

    def all_of(self, service: Service, transport: FakeTransport, folder: Path) -> Callable[[list[LedgerRow]], bool]:
        """Return whether all rows of a service are there: for JumpingClock.settled."""
        jobs = self.collector(transport, Store(str(folder / "plan"))).plan(service.instance).jobs
        owed = {(capture, job.sequence_of(capture)) for job in jobs for capture in job.owed}
        name = service.instance.name
        return lambda rows: owed <= {(row.capture, row.sequence) for row in rows if row.instance == name}

    @pytest.fixture
    def transport(self) -> FakeTransport:
        return FakeTransport()

    def test_healthy_instances_have_one_row_for_each_owed_capture(self, transport, tmp_path):
        for _number in range(3):
            self.service(transport)
        ran = self.run(transport, tmp_path)
        ran.check()
        assert bool(ran.owed) is self.owes

    def test_error_of_a_transport_costs_only_its_own_instance(self, transport, tmp_path):
        bad = self.service(transport, "bad", faults={self.call: FAULTS["raises"]})
        well = self.service(transport, "well")
        ran = self.run(transport, tmp_path)
        ran.check()
        if self.owes:
            assert ran.reasons(bad) == {"error"}
            assert "error" not in ran.reasons(well)
            assert any("ZeroDivisionError: nobody thought of it" in row.message for row in ran.rows)

    def test_target_that_hangs_costs_only_its_own_time(self, transport, tmp_path):
        hung = self.service(transport, "hung", faults={self.call: hang})
        well = self.service(transport, "well")
        clock = JumpingClock(self.all_of(well, transport, tmp_path))
        ran = self.run(transport, tmp_path, clock)
        ran.check()
        if self.owes:
            assert ran.reasons(hung) <= {"timeout", "no_answer", "not_asked", "dump_awaited", "recorded"}
            assert not ran.reasons(well) & {"timeout", "no_answer"}

    def test_abandoned_job_has_its_rows_and_changes_nothing_later(self, transport, tmp_path):
        with stuck() as fault:
            self.service(transport, "stuck", faults={self.call: fault})
            is_settled = self.all_of(self.service(transport, "well"), transport, tmp_path)
            clock = JumpingClock(lambda rows: is_settled(rows) and fault.entered.is_set())
            ran = self.run(transport, tmp_path, clock, fan_out=give_up)
            ran.check()
            before = sorted(path for path in tmp_path.rglob("*"))
        # The thread of the job has ended by now.
        ran.check()
        assert sorted(path for path in tmp_path.rglob("*")) == before

    def test_target_that_is_gone_has_all_rows(self, transport, tmp_path):
        gone = self.service(transport, faults={self.call: FAULTS["gone"]})
        ran = self.run(transport, tmp_path)
        ran.check()
        assert not self.owes or "gone" in ran.reasons(gone)

    def test_refused_instance_is_not_touched_and_has_all_rows(self, transport, tmp_path):
        pending = self.service(transport, state=State.PENDING)
        ran = self.run(transport, tmp_path)
        ran.check()
        assert transport.done_to(pending.instance.name) == []
        assert not self.owes or ran.reasons(pending) == {"pending"}

    def test_instances_that_had_no_time_before_the_run_deadline_are_skipped(self, transport, tmp_path):
        for _number in range(3):
            self.service(transport, faults={self.call: hang})
        ran = self.run(transport, tmp_path, seconds=0.0)
        ran.check()
        owed = [row for row in ran.rows if row.instance and row.capture not in ran.collector.additional]
        assert {(row.status, row.reason) for row in owed} == ({("skipped", "run_deadline")} if self.owes else set())

    def test_full_disk_is_an_error_with_rows_for_all(self, transport, tmp_path, monkeypatch):
        def full(*_arguments):
            raise OSError(28, "No space left on device")

        full_service = self.service(transport)
        monkeypatch.setattr(Store, "spool", full)
        monkeypatch.setattr(Store, "keep", full)
        try:
            ran = self.run(transport, tmp_path)
        except OSError:
            # A document of the whole run could not be written, so the run fails. All rows are on disk.
            rows = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
            assert len(rows) == len({(row["capture"], row["sequence"]) for row in rows}) == self.rows_of_full_disk
            return
        ran.check()
        assert not self.owes or ran.reasons(full_service) == {"error"}
        assert not self.owes or any("No space left on device" in row.message for row in ran.rows)

    @settings(max_examples=examples(8), suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors])
    @given(
        faults=st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=5),
        states=st.lists(st.sampled_from([State.RUNNING, State.RUNNING, *State]), min_size=5, max_size=5),
        components=st.lists(st.sampled_from(["region", "scheduler", "etcd", "newone"]), min_size=5, max_size=5),
        seconds=st.sampled_from([0.0, 60.0]),
        concurrency=st.integers(1, 5),
    )
    def test_rows_equal_the_plan(self, faults, states, components, seconds, concurrency):
        transport = FakeTransport()
        for fault, state, component in zip(faults, states, components, strict=False):
            disturbed = {} if FAULTS[fault] is None else {self.call: FAULTS[fault]}
            transport.add(component, faults=disturbed, state=state)
        with tempfile.TemporaryDirectory() as folder:
            self.run(transport, folder, seconds=seconds, concurrency=concurrency).check()

    def test_check_mode_shows_the_captures_of_the_run_and_touches_nothing(self, transport, tmp_path):
        self.service(transport)
        self.service(transport, state=State.PENDING)
        transport.add("scheduler")
        transport.add("etcd")
        selection, deadline = everything(transport), Deadline(patience())
        collector = self.collector(transport, Store(str(tmp_path / "check")))
        found = discover(transport, selection, deadline)
        rows = preview([collector], found, selection, transport.cluster, deadline, 1.0)
        assert {call for call, _name in transport.calls} == {"discover"}
        assert not any(row.path or row.details for row in rows)
        ran = self.run(transport, tmp_path / "run")
        assert collections.Counter(map(key_of, rows)) == collections.Counter(ran.owed)
        ran.check()
