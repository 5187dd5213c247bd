# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking profiles from every instance of an access point, written against the transport interface.

Of one instance, one profile after the other, the cheapest first. What says that more would only hurt (no answer, a full
queue) ends it. CPU profiles and traces come after all snapshots, of so many replicas of a component at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

from ...bounds import check_bounds
from ...bundle.store import Store
from ...catalog import PPROF_EXACT, PPROF_NONE, Http, Selection, component_of, http_of
from ...deadline import Deadline, DeadlineExceeded
from ...fanout import Caps, run
from ...model import Instance, LedgerRow, row, utc_now, utc_text
from ...pprof import KINDS, Kind, profile_path
from ...profiles.symbols import batches
from ...progress import Progress
from ...reasons import Reason, Status, Verdict, verdict
from ...transports.base import Discovery, Transport
from ..engine.discovery import discovery_rows
from ..engine.refusals import refuse_by_state
from ..engine.run import unfinished
from . import load_guard as cost
from .fetch import Taker, look_at_pool
from .job import Subject, captures_of

# Longer ones have to be forced.
LONGEST = {"cpu": 60, "trace": 10}
# After these there is no use in further questions, or harm.
_STOPS = frozenset(
    (Reason.NO_ANSWER, Reason.QUEUE_FULL, Reason.PROCESS_TIMEOUT, Reason.GONE, Reason.CONNECTION_REFUSED)
)
INDEX = KINDS["index"]


@dataclass(frozen=True)
class Options:
    """What to take. timeout: of one profile, in seconds, besides those that it runs for.

    delta_seconds: over which time to take differences, 0 for none. addresses: to name by symbol. force: ask also where
    it may hurt, and for longer. max_replicas_at_once: of a component, for CPU profiles and traces. max_bytes bounds one
    profile. ValueError says what is wrong with an option.
    """

    kinds: Sequence[str]
    cpu_seconds: int = 10
    trace_seconds: int = 1
    delta_seconds: int = 0
    gc: bool = False
    addresses: Sequence[int] = ()
    force: bool = False
    max_replicas_at_once: int = 1
    timeout: float = 30.0
    concurrency: int = 40
    node_concurrency: int = 20
    max_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        numbers = ("max_replicas_at_once", "concurrency", "node_concurrency", "max_bytes", "cpu_seconds",
                   "trace_seconds", "delta_seconds")  # fmt: skip
        check_bounds({name: getattr(self, name) for name in numbers})
        for kind, most in LONGEST.items():
            if self.seconds[kind] > most and not self.force:
                raise ValueError(f"{kind}_seconds over {most} slow a service down for long: they have to be forced")
        for kind in self.kinds:
            profile_path(kind, self.seconds.get(kind, 0))
        list(batches(self.addresses))

    @property
    def seconds(self) -> dict[str, int]:
        """How long each kind runs that runs for a time."""
        deltas = {name: self.delta_seconds for name, kind in KINDS.items() if kind.delta and self.delta_seconds}
        return {**deltas, "cpu": self.cpu_seconds, "trace": self.trace_seconds}

    @property
    def wanted(self) -> list[Kind]:
        """The kinds that are asked for, each once, in their order. The index always: it tells whether there is more."""
        return [kind for name, kind in KINDS.items() if name in self.kinds or kind is INDEX]

    def path(self, kind: Kind) -> str:
        """Where the kind is asked for."""
        return profile_path(kind.name, self.seconds.get(kind.name, 0), self.gc and kind.name == "heap")


@dataclass
class Report:
    """What a run did. touched: of how many instances a CPU profile or trace was begun, or garbage collected."""

    rows: list[LedgerRow] = field(default_factory=list)
    touched: int = 0
    names: list[dict[str, str]] = field(default_factory=list)


def take_all(
    transport: Transport,
    found: Discovery,
    selection: Selection,
    store: Store,
    options: Options,
    deadline: Deadline,
    progress: Progress | None = None,
) -> Report:
    """Take the profiles of every instance found. Each has a row for each kind, whatever came of it."""
    progress = progress or Progress()
    cluster = found.cluster_or(transport.cluster)
    store.record(discovery_rows(found, selection, cluster))
    subjects = []
    for instance in found.instances:
        http, kinds, refused = _asked(instance, options)
        store.record(refused)
        if http is not None:
            subjects.append(Subject(instance, http, kinds, bool(options.addresses), store))
    session = _Session(transport, store, options, deadline)
    work = [(subject, False) for subject in subjects]
    work += [(subject, True) for subject in _in_turns(subjects)]
    progress.expect("readings", len(work))
    for outcome in run(work, progress.counting("readings", session.turn), options.concurrency, deadline):
        subject, timed = outcome.target
        if outcome.error is not None or not outcome.finished:
            subject.end(subject.captures(timed), unfinished(outcome.error, outcome.started))
    store.finish(store.rows)
    return Report(store.rows, sum(subject.touched for subject in subjects), session.names)


def would_take(
    found: Discovery, selection: Selection, options: Options, cluster: str, deadline: float
) -> tuple[list[LedgerRow], cost.Plan]:
    """The rows of a check mode run, and the plan; deadline: of the run, in seconds. Touches nothing."""
    rows = discovery_rows(found, selection, cluster)
    asked = []
    for instance in found.instances:
        http, kinds, refused = _asked(instance, options)
        rows += refused
        if http is not None:
            outcome = verdict(Reason.CHECK_MODE, "it would be asked for")
            rows += [row(instance, capture, outcome) for capture in captures_of(kinds, bool(options.addresses))]
            asked.append((instance, kinds))
    return rows, cost.plan(asked, options.seconds, options.max_replicas_at_once, options.gc, deadline)


def _asked(instance: Instance, options: Options) -> tuple[Http | None, list[Kind], list[LedgerRow]]:
    """Where the instance is asked (None: not at all) and for which kinds, and rows for those that it is not."""
    started = utc_text(utc_now())

    def rows(captures: Sequence[str], outcome: Verdict) -> list[LedgerRow]:
        return [row(instance, capture, outcome, started=started) for capture in captures]

    everything = captures_of(options.wanted, bool(options.addresses))
    http = http_of(component_of(instance.component), instance.ports)
    if http is None or http.pprof == PPROF_NONE:
        return None, [], rows(everything, verdict(Reason.NOT_OFFERED, "it has no /debug/pprof"))
    refusal = refuse_by_state(instance)
    if refusal is not None:
        return None, [], rows(everything, refusal.verdict)
    has = [kind for kind in options.wanted if kind.exact or http.pprof != PPROF_EXACT]
    lacks = [kind.capture for kind in options.wanted if kind not in has]
    return http, has, rows(lacks, verdict(Reason.NOT_REGISTERED))


def _in_turns(subjects: Sequence[Subject]) -> list[Subject]:
    """Those with timed kinds: the first replica of every component before the second of any."""
    seen: dict[tuple[str, str], int] = {}
    numbered: list[tuple[int, int, Subject]] = []
    for subject in subjects:
        if subject.timed:
            key = subject.instance.namespace, subject.instance.component
            seen[key] = seen.get(key, 0) + 1
            numbered.append((seen[key], len(numbered), subject))
    return [subject for _turn, _number, subject in sorted(numbered, key=lambda item: item[:2])]


class _Session:
    """Takes the turns of all instances, on many threads."""

    def __init__(self, transport: Transport, store: Store, options: Options, deadline: Deadline) -> None:
        self._transport = transport
        self._options = options
        self._deadline = deadline
        self._taker = Taker(transport, store, options.max_bytes, deadline)
        self._nodes = Caps(options.node_concurrency)
        self._replicas = Caps(options.max_replicas_at_once)
        self.names: list[dict[str, str]] = []

    def turn(self, work: tuple[Subject, bool]) -> None:
        """The snapshots of an instance, or (when these are over) what runs for a time."""
        subject, timed = work
        try:
            if timed:
                self._timed(subject)
            else:
                self._snapshots(subject)
        except DeadlineExceeded:
            subject.end(subject.captures(timed), verdict(Reason.RUN_DEADLINE))
        finally:
            if not timed:
                subject.looked_at.set()

    def _snapshots(self, subject: Subject) -> None:
        with self._nodes.hold(subject.instance.node, self._deadline):
            pool, problem = self._pool(subject)
            self._refuse(subject, pool, problem, timed=False)
            for kind in subject.snapshots:
                if subject.closed is None:
                    self._ask(subject, kind, pool)
            if subject.closed is None and subject.names:
                self._name(subject)
        if subject.closed is not None:
            subject.end(subject.captures(timed=False), subject.closed)

    def _timed(self, subject: Subject) -> None:
        if not subject.looked_at.wait(self._deadline.remaining()):
            raise DeadlineExceeded("run")
        instance = subject.instance
        pool: cost.Pool | None = None
        if subject.closed is None:
            replicas = self._replicas.hold((instance.namespace, instance.component), self._deadline)
            with replicas, self._nodes.hold(instance.node, self._deadline):
                # Looked at anew, for it may have waited for long.
                pool, problem = self._pool(subject)
                self._refuse(subject, pool, problem, timed=True)
                for kind in subject.timed:
                    if subject.closed is None:
                        self._ask(subject, kind, pool)
        if subject.closed is not None:
            subject.end(subject.captures(timed=True), subject.closed)

    def _pool(self, subject: Subject) -> tuple[cost.Pool | None, Verdict | None]:
        return look_at_pool(self._transport, subject, self._within(self._options.timeout))

    def _refuse(self, subject: Subject, pool: cost.Pool | None, problem: Verdict | None, timed: bool) -> None:
        if cost.has_pool(subject.http) and not self._options.force:
            subject.closed = cost.refusal(pool, problem, timed)

    def _within(self, seconds: float) -> Deadline:
        return self._deadline.child(seconds, "profile")

    def _ask(self, subject: Subject, kind: Kind, pool: cost.Pool | None) -> None:
        """One profile, and its row; where there is no use in more, the instance is closed."""
        seconds = self._options.seconds.get(kind.name, 0)
        if self._deadline.remaining() < seconds:
            # Begun, it would cost the service its time for nothing.
            subject.closed = verdict(Reason.RUN_DEADLINE, f"{kind.name} takes {seconds} s")
            return
        details: dict[str, Any] = {"seconds": seconds} if seconds else {}
        if pool is not None:
            details["pool"] = pool.details
        subject.touched = subject.touched or kind.timed or (self._options.gc and kind.name == "heap")
        deadline = self._within(seconds + self._options.timeout)
        entry = self._taker.take(subject, kind, self._options.path(kind), deadline, details, kind is INDEX)
        subject.record(entry)
        outcome = Verdict(Reason(entry.reason), entry.message)
        if kind is INDEX and outcome.status is Status.FAILED:
            subject.closed = outcome
        elif outcome.reason in _STOPS:
            subject.closed = verdict(outcome.reason, f"{kind.name} was asked for, and nothing more after it")

    def _name(self, subject: Subject) -> None:
        addresses = sorted(set(self._options.addresses))
        entry, names = self._taker.name(subject, addresses, self._within(self._options.timeout))
        subject.record(entry)
        instance = subject.instance
        about = {"cluster": instance.cluster, "component": instance.component, "instance": instance.name}
        self.names += [{**about, "address": f"{address:#x}", "name": name} for address, name in names.items()]
