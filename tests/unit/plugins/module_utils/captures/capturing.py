# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the whole capture against services in memory (fake_transport), and troubles that these can have."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import fanout
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.stack_rows import signal_spread
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import StackOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import Engine
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stack_dump import stack_collectors
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import Selection, component_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Clock, Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import LedgerRow, utc_moment
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from fake_transport import FakeTransport, JumpingClock, Service, dump_text, outlast

from patience import patience

# Seconds of one instance, by a clock that jumps.
TIMEOUT = 20.0
GRACE = 0.05
DUMP = dump_text(goroutines=40, groups=4)
SCHEMAS = Path(__file__).parents[5] / "docs" / "schemas"
HALF = DUMP[: DUMP.index(b"1 @ ", DUMP.index(b"main.work1"))]  # two of the four groups


def schema(name: str) -> jsonschema.Draft202012Validator:
    """What holds documents of this name to their published schema."""
    document = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@dataclasses.dataclass
class Report:
    """What a run of stack captures returns. spread: seconds from the first to the last signal, for each round."""

    rows: list[LedgerRow]
    signals: int
    spread: list[float]


@dataclasses.dataclass
class Ran:
    """One run: its report, and the folder it wrote to."""

    report: Report
    folder: Path

    def rows(self, capture: str = "stack", **wanted) -> list[LedgerRow]:
        found = [row for row in self.report.rows if row.capture == capture]
        return [row for row in found if all(getattr(row, key) == value for key, value in wanted.items())]

    def only(self, capture: str = "stack", **wanted) -> LedgerRow:
        (row,) = self.rows(capture, **wanted)
        return row

    @property
    def ledger(self) -> list[LedgerRow]:
        """The rows as they are on disk."""
        lines = (self.folder / "ledger.jsonl").read_text().splitlines()
        return [LedgerRow.from_dict(json.loads(line)) for line in lines]

    def artifact(self, row: LedgerRow, suffix: str = "") -> bytes:
        path = self.folder / row.path
        return (path.with_suffix(suffix) if suffix else path).read_bytes()


def everything(transport: FakeTransport) -> Selection:
    """A selection of just the components that there are."""
    names = sorted({service.instance.component for service in transport.services})
    return Selection(tuple(component_of(name) for name in names))


def capture(
    transport: FakeTransport,
    folder: Path,
    deadline: float = 60.0,
    clock: Clock | None = None,
    selection: Selection | None = None,
    found: Discovery | None = None,
    fan_out=fanout.run,
    **options,
) -> Ran:
    """Discover and capture, as the module does. clock: by which time passes; without one it stands."""
    clock = clock or JumpingClock()
    run_deadline, store = Deadline(deadline, clock=clock), Store(str(folder))
    if isinstance(clock, JumpingClock):
        clock.rows = store.rows
    selection = selection or everything(transport)
    found = found or discover(transport, selection, run_deadline)
    chosen = StackOptions(**{"timeout": TIMEOUT, "barrier_timeout": 0.25, **options})
    limits = {"concurrency": chosen.concurrency, "node_concurrency": chosen.node_concurrency}
    engine = Engine(transport, selection, store, run_deadline, **limits, fan_out=fan_out)
    rows = engine.run(stack_collectors(transport, chosen), found)
    return Ran(Report(rows, *signal_spread(rows)), folder)


def taken(*instances: str, capture: str = "stack") -> Callable[[list[LedgerRow]], bool]:
    """Whether all of these have a row: for JumpingClock.settled."""
    return lambda rows: set(instances) <= {row.instance for row in rows if row.capture == capture}


class _Given:
    """A run's deadline that passes as soon as nothing but what minds no deadline is at work."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    @property
    def expired(self) -> bool:
        return self._deadline.expired

    def remaining(self) -> float:
        outlast(self._deadline)
        return 0.0


def give_up(targets, work, concurrency, deadline):
    """fanout.run with little grace, for a clock that jumps: what has not ended when it is settled is left behind."""
    return fanout.run(targets, work, concurrency, _Given(deadline), GRACE)


def sent(row: LedgerRow) -> float:
    """When the row's signal was sent, in seconds."""
    return utc_moment(row.details["signal_sent"]).timestamp()


def process_of(service: Service):
    return service.facts.candidates[0]


def with_facts(**fields) -> Callable[[Service], None]:
    """A trouble: the one process is otherwise in these fields."""

    def apply(service: Service) -> None:
        process = dataclasses.replace(process_of(service), **fields)
        service.facts = dataclasses.replace(service.facts, candidates=(process,))

    return apply


def with_state(state: State, detail: str = "") -> Callable[[Service], None]:
    """A trouble: the container is in this state."""

    def apply(service: Service) -> None:
        service.instance = dataclasses.replace(service.instance, state=state, state_detail=detail)

    return apply


def answers(*parts: bytes, end: bool = False) -> Callable[[Service], None]:
    """On the signal: write these, and perhaps end."""

    def act(service: Service) -> None:
        for part in parts:
            service.write(part)
        if end:
            service.end()

    return act


class Crowd:
    """Counts how many visit it at once, by place, and waits for as many as are expected at least."""

    def __init__(self, expected: int) -> None:
        self.most: dict[str, int] = {}
        self._expected = expected
        self._now: dict[str, int] = {}
        self._changed = threading.Condition()

    def visit(self, place: str) -> Callable[[Deadline], None]:
        """A fault that is a visit and nothing else."""

        def fault(_deadline: Deadline) -> None:
            with self._changed:
                self._now[place] = self._now.get(place, 0) + 1
                self.most[place] = max(self.most.get(place, 0), self._now[place])
                self._changed.notify_all()
                assert self._changed.wait_for(lambda: self.most[place] >= self._expected, patience())
                # One too many has no event to wait for: this is its time to come in.
                self._changed.wait(0.01)
                self._now[place] -= 1

        return fault


class Stuck:
    """A fault that does not mind any deadline, until the test lets go of it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._free = threading.Event()

    def __call__(self, _deadline: Deadline) -> None:
        self.entered.set()
        self._free.wait()

    def let_go(self) -> None:
        """Let the threads that hang here run to their ends."""
        self._free.set()
        for thread in threading.enumerate():
            if thread.name.startswith("fanout-"):
                thread.join()


@contextlib.contextmanager
def stuck() -> Iterator[Stuck]:
    fault = Stuck()
    try:
        yield fault
    finally:
        fault.let_go()
