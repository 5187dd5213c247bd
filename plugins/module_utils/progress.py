# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report the progress of a module in a small file that its action plugin shows on the terminal.

The file is one JSON document: {"seconds": 600.0, "counts": {"streams": 12, "dumps": [3, 40]}}. seconds: the time that
the module may take. A pair is (done, total).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import Callable, Iterator, Tuple, TypeVar, Union

# The path of the file. An environment variable rather than an option, so that it does not change results. If it is
# unset, as without the action plugins of this collection, nothing is written.
FILE_VARIABLE = "CLOUDPODS_PROGRESS_FILE"

Count = Union[int, Tuple[int, int]]
Target = TypeVar("Target")


class Progress:
    """Counts of one run, safe to use from any thread. Setting one costs only a lock; see shown()."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Count] = {}

    def report(self, **counts: Count) -> None:
        """Set counts to a number or to (done, total), as in lines=18234, dumps=(3, 40)."""
        with self._lock:
            self._counts.update(counts)

    def expect(self, name: str, number: int) -> None:
        """Add to the total of a count."""
        self._change(name, 0, number)

    def step(self, name: str) -> None:
        """Count one more as done."""
        self._change(name, 1, 0)

    def counting(self, name: str, work: Callable[[Target], None]) -> Callable[[Target], None]:
        """Wrap work so that each call counts as done, even if it raises."""

        def counted(target: Target) -> None:
            try:
                work(target)
            finally:
                self.step(name)

        return counted

    def counts(self) -> dict[str, Count]:
        """Return all counts, in the order in which they were first set."""
        with self._lock:
            return dict(self._counts)

    def _change(self, name: str, done: int, expected: int) -> None:
        with self._lock:
            before = self._counts.get(name, (0, 0))
            if isinstance(before, int):
                raise ValueError(f"{name} is not counted to an end")
            self._counts[name] = (before[0] + done, before[1] + expected)


@contextlib.contextmanager
def shown(progress: Progress, seconds: float, interval: float = 1.0) -> Iterator[None]:
    """Write the counts to the file that FILE_VARIABLE names, at this interval in seconds, until the block ends."""
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        yield
        return
    ended = threading.Event()
    writer = threading.Thread(
        target=_keep, args=(path, progress, seconds, interval, ended), name="progress", daemon=True
    )
    writer.start()
    try:
        yield
    finally:
        # Not joined: a file system that hangs must not hold up the end of the capture.
        ended.set()


def _keep(path: str, progress: Progress, seconds: float, interval: float, ended: threading.Event) -> None:
    written: dict[str, Count] | None = None
    while not ended.is_set():
        counts = progress.counts()
        if counts != written:
            try:
                _write(path, {"seconds": seconds, "counts": counts})
            except OSError:
                # The capture goes on without progress; the terminal shows only the time.
                return
            written = counts
        ended.wait(interval)


def _write(path: str, document: dict[str, object]) -> None:
    fresh = path + ".new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    os.replace(fresh, path)
