# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing while the trouble is there: what a hit in a log sets off.

The suspects are the instance, the replicas of its component, and the instances of what is suspected together with it:
the other components of the scenario that is watched.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from ...bounds import check_bounds
from ...bundle.nested_store import SharedStore, settled
from ...bundle.store import Store
from ...capture_names import ON_HIT
from ...catalog import Selection, component_of
from ...deadline import Deadline
from ...model import Instance, InstanceKey, LedgerRow, row, utc_now, utc_text
from ...reasons import Reason, verdict
from ...transports.base import Discovery, Transport
from ..engine.run import Engine
from ..profiles.collector import ProfileCollector, ProfileOptions
from ..stacks.collector import StackCollector, StackOptions
from ..stacks.rows import signal_spread
from ..status.collector import StatusCollector, StatusOptions

CAPTURE_STACKS, CAPTURE_PROFILES, STATUS = "capture_stacks", "capture_profiles", "status"
ACTIONS = (CAPTURE_STACKS, CAPTURE_PROFILES, STATUS)
# What costs a service nothing that it would feel.
PROFILE_KINDS = ("goroutine", "heap")
# So many instances at most, the one that was hit first.
MAX_SUSPECTS = 20
# A hit that is older is history: what is captured now would show something else.
FRESH_SECONDS = 60.0


@dataclass(frozen=True)
class TriggerOptions:
    """actions: of ACTIONS. cooldown: seconds in which no instance is captured again, whatever pool or pattern hits.
    timeout: of one instance and capture, in seconds. ValueError says what is wrong."""

    actions: Sequence[str] = ()
    cooldown: float = 300.0
    timeout: float = 30.0
    concurrency: int = 40
    node_concurrency: int = 20

    def __post_init__(self) -> None:
        unknown = sorted(set(self.actions) - set(ACTIONS))
        if unknown:
            raise ValueError(f"on_hit does not know {', '.join(unknown)}; there are {', '.join(ACTIONS)}")
        check_bounds({"cooldown": self.cooldown})


@dataclass
class Done:
    """What one hit set off. delay: seconds from the hit's being seen to the beginning of the capture."""

    instance: str
    pool: str
    pattern: str
    started: str
    delay: float
    signals: int = 0
    touched: int = 0
    error: str = ""

    def document(self) -> dict[str, Any]:
        """For results: what was done, and why."""
        return dict(vars(self))


@dataclass
class Reaction:
    """Captures of one run that hits set off, each on a thread of its own. Safe to use from several threads."""

    transport: Transport
    selection: Selection
    store: Store
    options: TriggerOptions
    deadline: Deadline
    done: list[Done] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        # When an instance was captured last, and those that are being captured.
        self._last: dict[InstanceKey, float] = {}
        self._busy: set[InstanceKey] = set()
        # Two captures at once of the same instance would mix their dumps.
        self._turns: dict[str, threading.Lock] = {}
        self._together = self.selection.names if self.selection.scenario else ()
        self._stores: list[SharedStore] = []
        self._threads: list[threading.Thread] = []

    def hit(
        self, instance: Instance, pool: str, pattern: str, moment: float | None, present: Callable[[], list[Instance]]
    ) -> bool:
        """Capture the instance and its suspects now, unless it had its turn; whether a capture was begun.

        One trouble shows in many lines, with and without a pool's name, and of all replicas: what was captured is not
        captured again before the cool-down has passed. present: all instances that there are.
        """
        seen = time.monotonic()
        if not self.options.actions or (moment is not None and time.time() - moment > FRESH_SECONDS):
            return False
        with self._lock:
            if self._cools(instance.key, seen) or self.deadline.expired:
                return False
        suspects = self._suspects(instance, present())
        with self._lock:
            if self._cools(instance.key, seen):
                return False
            suspects = [one for one in suspects if not self._cools(one.key, seen)]
            self._last.update((one.key, seen) for one in suspects)
            self._busy.update(one.key for one in suspects)
            names = sorted({instance.component, *self._together})
            turns = [self._turns.setdefault(name, threading.Lock()) for name in names]
            done = Done(instance.name, pool, pattern, utc_text(utc_now()), 0.0)
            self.done.append(done)
            number = len(self.done)
            thread = threading.Thread(
                target=self._capture,
                args=(done, number, instance, suspects, seen, turns),
                name=f"hit-{number}",
                daemon=True,
            )
            # Started before anybody can join it.
            thread.start()
            self._threads.append(thread)
        return True

    def _cools(self, key: InstanceKey, now: float) -> bool:
        """Whether an instance is being captured, or was so short a time ago that it is not captured again."""
        last = self._last.get(key)
        return key in self._busy or (last is not None and now - last < self.options.cooldown)

    def wait(self) -> None:
        """Until all that was begun has ended, or the deadline has passed."""
        for thread in list(self._threads):
            thread.join(self.deadline.remaining())

    def rows(self, recorded: Sequence[LedgerRow]) -> list[LedgerRow]:
        """The rows of the run, with those of the captures in their final form."""
        with self._lock:
            return settled(recorded, self._stores)

    def _capture(
        self,
        done: Done,
        number: int,
        instance: Instance,
        suspects: list[Instance],
        seen: float,
        turns: Sequence[threading.Lock],
    ) -> None:
        with contextlib.ExitStack() as stack:
            for turn in turns:
                stack.enter_context(turn)
            self._capture_in_turn(done, number, instance, suspects, seen)
        with self._lock:
            self._busy.difference_update(one.key for one in suspects)

    def _suspects(self, instance: Instance, present: Sequence[Instance]) -> list[Instance]:
        """The instance, its replicas, and what is suspected together with it, in this order."""
        own = [one for one in present if one.key == instance.key] or [instance]
        others = [one for one in present if one.key != instance.key]
        replicas = [one for one in others if one.component == instance.component]
        together = [one for one in others if one.component != instance.component and one.component in self._together]
        return [*own, *replicas, *together][:MAX_SUSPECTS]

    def _capture_in_turn(
        self, done: Done, number: int, instance: Instance, suspects: list[Instance], seen: float
    ) -> None:
        found = Discovery(suspects)
        selection = Selection(tuple(component_of(name) for name in sorted({one.component for one in suspects})))
        done.delay = round(time.monotonic() - seen, 3)
        for step, action in enumerate(self.options.actions):
            store = SharedStore(self.store, number)
            with self._lock:
                self._stores.append(store)
            try:
                self._act(action, done, found, selection, store)
            except Exception as error:  # noqa: BLE001  # pylint: disable=broad-except
                # Kept, not swallowed: the watching goes on, and the ledger says what went wrong.
                done.error = f"{action}: {type(error).__name__}: {error}"
                outcome = verdict(Reason.ERROR, done.error)
                self.store.record([row(instance, ON_HIT, outcome, number + step, started=done.started)])

    def _act(self, action: str, done: Done, found: Discovery, selection: Selection, store: SharedStore) -> None:
        options = self.options
        shared = {name: getattr(options, name) for name in ("timeout", "concurrency", "node_concurrency")}
        engine = Engine(self.transport, selection, store, self.deadline, options.concurrency, options.node_concurrency)
        if action == CAPTURE_STACKS:
            rows = engine.run([StackCollector(self.transport, StackOptions(**shared))], found)
            done.signals += signal_spread(rows)[0]
        elif action == CAPTURE_PROFILES:
            profiles = ProfileCollector(self.transport, ProfileOptions(PROFILE_KINDS, **shared))
            engine.run([profiles], found)
            done.touched += profiles.touched
        else:
            engine.run([StatusCollector(self.transport, selection, store, StatusOptions(**shared))], found)
