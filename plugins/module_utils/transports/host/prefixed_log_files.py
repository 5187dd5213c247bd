# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log files that a service writes itself, as set by its option log_file_prefix.

It writes to <prefix>; at 100 MiB that becomes <prefix>.1, .1 becomes .2, and so on up to .9.
Source: cloudpods pkg/cloudcommon/options (SetupLogger) and its rotating file hook.

Standard library only, Python >= 3.7: this runs on nodes.
"""

from __future__ import annotations

import contextlib
import os

from ...model import Process
from ...reasons import CaptureError, Reason
from .log_files import LogFiles
from .procfs import ProcFs
from .safe_open import open_log

ROTATED = 9


class PrefixedLogFiles(LogFiles):
    """The log files of one process, opened in its root and with its rights."""

    def __init__(self, procfs: ProcFs, process: Process, prefix: str) -> None:
        self._procfs = procfs
        self._process = process
        self._root = procfs.path(process.pid, "root")
        self._rights = procfs.rights(process.pid)
        self._prefix = prefix

    def open_current(self) -> int:
        try:
            return self._open(0)
        except FileNotFoundError as error:
            raise CaptureError(Reason.LOG_UNAVAILABLE, f"{self._prefix} does not exist in the container") from error

    def open_all(self) -> list[int]:
        newest = self.open_current()
        older: list[int] = []
        for number in range(ROTATED, 0, -1):
            with contextlib.suppress(OSError):
                older.append(self._open(number))
        if older and os.path.sameopenfile(older[-1], newest):
            os.close(older.pop())
        return [*older, newest]

    def following(self, descriptor: int) -> int | None:
        try:
            rotation = self._rotation(descriptor)
            if rotation == 0:
                return None
            opened = self._open(rotation - 1 if rotation else 0)
        except OSError:
            # In the middle of a rotation; the next attempt will see more.
            return None
        self.missed += rotation is None
        return opened

    def has_ended(self) -> bool:
        return not self._procfs.is_alive(self._process)

    def _rotation(self, descriptor: int) -> int | None:
        """Return how often this file was rotated, None if it is gone. Raise OSError without a current file."""
        own = os.fstat(descriptor)
        for number in range(ROTATED + 1):
            try:
                opened = self._open(number)
            except FileNotFoundError:
                if not number:
                    raise
                continue
            try:
                if os.path.samestat(own, os.fstat(opened)):
                    return number
            finally:
                os.close(opened)
        return None

    def _open(self, number: int) -> int:
        path = f"{self._prefix}.{number}" if number else self._prefix
        opened = open_log(self._root, path, self._rights)
        if self.has_ended():
            # The pid, and so the root, may belong to another process by now.
            os.close(opened)
            raise OSError("the process has ended")
        return opened
