# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start captures when a log pattern matches.

Captured are the instance, the other replicas of its component, and the instances of the other components of the
scenario that is watched.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from ...bundle.nested_store import NestedStore, final_rows
from ...bundle.stack_rows import signal_spread
from ...bundle.store import Store
from ...capture_names import ON_HIT
from ...capture_options import (
    CAPTURE_PROFILES,
    CAPTURE_STACKS,
    ProfileOptions,
    StackOptions,
    StatusOptions,
    TriggerOptions,
)
from ...catalog import Selection, component_of
from ...deadline import Deadline
from ...model import Instance, InstanceKey, LedgerRow, row, utc_now, utc_text
from ...reasons import Reason, verdict
from ...transports.base import Discovery, Transport
from ..engine.run import Engine
from ..profiles.collector import ProfileCollector
from ..stacks.collector import StackCollector
from ..status.collector import StatusCollector

# Kinds that cost a service next to nothing.
PROFILE_KINDS = ("goroutine", "heap")
# At most this many instances, the one with the hit first.
MAX_SUSPECTS = 20
# An older hit is history: a capture would show another state.
FRESH_SECONDS = 60.0


@dataclass
class TriggeredCapture:
    """The captures that one hit started. delay: seconds from the hit to their beginning."""

    instance: str
    pool: str
    pattern: str
    started: str
    delay: float
    signals: int = 0
    touched: int = 0
    error: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as plain values, for results."""
        return dict(vars(self))


@dataclass
class Triggers:
    """All captures of one run that hits started, each on a thread. Safe to use from several threads."""

    transport: Transport
    selection: Selection
    store: Store
    options: TriggerOptions
    deadline: Deadline
    done: list[TriggeredCapture] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        # When an instance was captured last, and the instances that are being captured.
        self._last: dict[InstanceKey, float] = {}
        self._busy: set[InstanceKey] = set()
        # Held while a component is captured: two captures of one instance would mix their dumps.
        self._locks: dict[str, threading.Lock] = {}
        self._together = self.selection.names if self.selection.scenario else ()
        self._stores: list[NestedStore] = []
        self._threads: list[threading.Thread] = []

    def hit(
        self, instance: Instance, pool: str, pattern: str, moment: float | None, present: Callable[[], list[Instance]]
    ) -> bool:
        """Capture the instance and its suspects, unless it was captured recently. Return whether a capture began.

        One trouble shows in many lines, with and without a pool's name, and in the logs of all replicas. So no
        instance is captured again before the cool-down has passed. present: returns all instances.
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
            locks = [self._locks.setdefault(name, threading.Lock()) for name in names]
            done = TriggeredCapture(instance.name, pool, pattern, utc_text(utc_now()), 0.0)
            self.done.append(done)
            number = len(self.done)
            thread = threading.Thread(
                target=self._capture,
                args=(done, number, instance, suspects, seen, locks),
                name=f"hit-{number}",
                daemon=True,
            )
            # Started with the lock held, so that only started threads are joined.
            thread.start()
            self._threads.append(thread)
        return True

    def _cools(self, key: InstanceKey, now: float) -> bool:
        """Return whether an instance is being captured, or was during the cool-down."""
        last = self._last.get(key)
        return key in self._busy or (last is not None and now - last < self.options.cooldown)

    def wait(self) -> None:
        """Wait until all captures have ended, or the deadline has passed."""
        for thread in list(self._threads):
            thread.join(self.deadline.remaining())

    def rows(self, recorded: Sequence[LedgerRow]) -> list[LedgerRow]:
        """Return the rows of the run, with those of the captures in their final form."""
        with self._lock:
            return final_rows(recorded, self._stores)

    def _capture(
        self,
        done: TriggeredCapture,
        number: int,
        instance: Instance,
        suspects: list[Instance],
        seen: float,
        locks: Sequence[threading.Lock],
    ) -> None:
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            found = Discovery(suspects)
            selection = Selection(tuple(component_of(name) for name in sorted({one.component for one in suspects})))
            done.delay = round(time.monotonic() - seen, 3)
            for step, action in enumerate(self.options.actions):
                store = NestedStore(self.store, number)
                with self._lock:
                    self._stores.append(store)
                try:
                    self._act(action, done, found, selection, store)
                except Exception as error:  # noqa: BLE001  # pylint: disable=broad-except
                    # Recorded, not swallowed: the watching goes on.
                    done.error = f"{action}: {type(error).__name__}: {error}"
                    outcome = verdict(Reason.ERROR, done.error)
                    self.store.record([row(instance, ON_HIT, outcome, number + step, started=done.started)])
        with self._lock:
            self._busy.difference_update(one.key for one in suspects)

    def _suspects(self, instance: Instance, present: Sequence[Instance]) -> list[Instance]:
        """Return the instance, its replicas, and what is suspected together with it, in this order."""
        own = [one for one in present if one.key == instance.key] or [instance]
        others = [one for one in present if one.key != instance.key]
        replicas = [one for one in others if one.component == instance.component]
        together = [one for one in others if one.component != instance.component and one.component in self._together]
        return [*own, *replicas, *together][:MAX_SUSPECTS]

    def _act(
        self, action: str, done: TriggeredCapture, found: Discovery, selection: Selection, store: NestedStore
    ) -> None:
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
