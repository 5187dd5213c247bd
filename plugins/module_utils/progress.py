# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a module has come, in a small file that its action plugin shows on the terminal meanwhile.

The file is one JSON document: {"seconds": 600.0, "counts": {"streams": 12, "dumps": [3, 40]}}. seconds: how long the
module may take at most; a pair is so many of so many.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import Callable, Iterator, Tuple, TypeVar, Union

# Where the file is to be. A variable of the environment rather than an option, so that results are what they would be
# without it. Unset, as everywhere but under our action plugins, nothing is written.
FILE_VARIABLE = "CLOUDPODS_PROGRESS_FILE"
WRITE_EVERY_SECONDS = 1.0

Count = Union[int, Tuple[int, int]]
Target = TypeVar("Target")


class Progress:
    """The counts of one run, from any thread. Setting them costs a lock only: see shown()."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Count] = {}

    def report(self, **counts: Count) -> None:
        """These counts are so many now, or so many of so many: report(lines=18234, dumps=(3, 40))."""
        with self._lock:
            self._counts.update(counts)

    def expect(self, name: str, number: int) -> None:
        """That so many more are to come."""
        self._change(name, 0, number)

    def step(self, name: str) -> None:
        """That one of the expected is done."""
        self._change(name, 1, 0)

    def counting(self, name: str, work: Callable[[Target], None]) -> Callable[[Target], None]:
        """The same work, whose every end, also by an exception, is a step."""

        def counted(target: Target) -> None:
            try:
                work(target)
            finally:
                self.step(name)

        return counted

    def counts(self) -> dict[str, Count]:
        """All of them, in the order in which they were first named."""
        with self._lock:
            return dict(self._counts)

    def _change(self, name: str, done: int, expected: int) -> None:
        with self._lock:
            before = self._counts.get(name, (0, 0))
            if isinstance(before, int):
                raise ValueError(f"{name} is not counted to an end")
            self._counts[name] = (before[0] + done, before[1] + expected)


@contextlib.contextmanager
def shown(progress: Progress, seconds: float) -> Iterator[None]:
    """Keep the file that FILE_VARIABLE names at most a second behind these counts, until the block ends."""
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        yield
        return
    ended = threading.Event()
    writer = threading.Thread(target=_keep, args=(path, progress, seconds, ended), name="progress", daemon=True)
    writer.start()
    try:
        yield
    finally:
        # Not joined: a file system that hangs must not hold up the capture's own end.
        ended.set()


def _keep(path: str, progress: Progress, seconds: float, ended: threading.Event) -> None:
    written: dict[str, Count] | None = None
    while not ended.is_set():
        counts = progress.counts()
        if counts != written:
            try:
                _write(path, {"seconds": seconds, "counts": counts})
            except OSError:
                # Who captures is not disturbed because nobody can watch it: the terminal shows the time alone.
                return
            written = counts
        ended.wait(WRITE_EVERY_SECONDS)


def _write(path: str, document: dict[str, object]) -> None:
    fresh = path + ".new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    os.replace(fresh, path)
