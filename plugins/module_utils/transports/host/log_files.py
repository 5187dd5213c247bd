# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow the log files of a process on this machine: its standard error, or its container's log.

The standard library cannot wait for changes of a file (it has no inotify, and poll() always reports a regular file as
ready). So the end of the file is read again every POLL_SECONDS, until the deadline.
"""

from __future__ import annotations

import abc
import contextlib
import os
import threading
from typing import Any, Callable

from ...deadline import Deadline
from ...logtext.runtime_formats import RuntimeLogUnwrapper
from ...model import Process
from ...reasons import CaptureError, Reason
from ..base import LogStream
from .procfs import ProcFs, translated, without_deleted
from .safe_open import open_descriptor

POLL_SECONDS = 0.02
CHUNK = 1 << 16
# A container's output passes through its runtime before it is in the file. So the last output of a process may arrive
# this many seconds after its end, and the rest of a line in the old file after the first line in the new one.
LINGER_SECONDS = 0.2
DOCKER_SUFFIX = "-json.log"


class LogFiles(abc.ABC):
    """The sequence of files of one log, through rotation."""

    linger = 0.0
    # True if a container runtime wrote the files and wrapped each line.
    wrapped = False
    # Number of rotated files whose successor was not found: lines in between were missed.
    missed = 0

    @abc.abstractmethod
    def open_current(self) -> int:
        """Open the file that is written now. Raise OSError, or CaptureError if there is none."""

    @abc.abstractmethod
    def following(self, descriptor: int) -> int | None:
        """Open the successor of this file; None while this one is the newest."""

    @abc.abstractmethod
    def has_ended(self) -> bool:
        """Return whether the writing process has ended."""

    def writes_at(self, descriptor: int) -> int:
        """Return the offset at which the next byte will be written."""
        return os.fstat(descriptor).st_size

    def open_all(self) -> list[int]:
        """Open all existing files of the log, oldest first. Raise OSError or CaptureError."""
        return [self.open_current()]

    def unwrapper(self, stream: str | None = "stderr", with_timestamps: bool = False) -> Callable[[bytes], bytes]:
        """Return a function that unwraps the bytes of a file; b"" ends its input.

        stream: the process's stream, None for both. with_timestamps: keep the runtime's timestamp before each line.
        """
        del stream, with_timestamps
        return _as_is


def _nothing() -> None:
    return


def _as_is(data: bytes) -> bytes:
    return data


class StderrFile(LogFiles):
    """A regular file that is the standard error of a process, opened by its descriptor instead of a path.

    A renamed file is followed as long as it is written. If the process opens another file as its standard error, that
    file is the successor.
    """

    def __init__(self, procfs: ProcFs, process: Process) -> None:
        self._procfs = procfs
        self._process = process
        self._path = procfs.path(process.pid, "fd", "2")

    def open_current(self) -> int:
        if not self._is_written():
            raise CaptureError(
                Reason.STDERR_LOST, f"stderr of process {self._process.pid} is not open for writing, so it is not a log"
            )
        return open_descriptor(self._path, self._procfs.rights(self._process.pid))

    def following(self, descriptor: int) -> int | None:
        try:
            # A process that has ended has no descriptors, and its pid may belong to another process.
            if os.path.samestat(os.fstat(descriptor), os.stat(self._path)) or not self._procfs.is_alive(self._process):
                return None
            return self.open_current()
        except (OSError, CaptureError):
            return None

    def has_ended(self) -> bool:
        return not self._procfs.is_alive(self._process)

    def writes_at(self, descriptor: int) -> int:
        size = os.fstat(descriptor).st_size
        # Without O_APPEND a process goes on at its own offset, also after the file was truncated.
        with contextlib.suppress(OSError, ValueError, KeyError):
            flags, place = self._descriptor_info()
            if not flags & os.O_APPEND:
                return max(size, place)
        return size

    def _is_written(self) -> bool:
        """Return whether the process can write the file. Its descriptor may be a mere handle (O_PATH)."""
        flags, _place = self._descriptor_info()
        return not flags & os.O_PATH and flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)

    def _descriptor_info(self) -> tuple[int, int]:
        """Return flags and offset of the descriptor. Raise OSError, ValueError or KeyError."""
        with open(self._procfs.path(self._process.pid, "fdinfo", "2"), encoding="ascii") as stream:
            info = dict(line.rstrip("\n").split(":\t", 1) for line in stream if ":\t" in line)
        return int(info["flags"], 8), int(info["pos"])


class ContainerLog(LogFiles):
    """The log files that a container runtime writes: CRI under /var/log/pods, or Docker's json-file.

    The kubelet rotates 0.log by renaming it to 0.log.<time>. Docker renames x-json.log to x-json.log.1, .1 to .2.
    """

    linger = LINGER_SECONDS
    wrapped = True

    def __init__(self, procfs: ProcFs, process: Process, path: str) -> None:
        self._procfs = procfs
        self._process = process
        # If the runtime keeps its logs elsewhere, the kubelet makes links.
        self._path = os.path.realpath(path)

    def open_current(self) -> int:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise CaptureError(Reason.LOG_UNAVAILABLE, f"{self._path} does not exist") from error

    def open_all(self) -> list[int]:
        newest = self.open_current()
        older: list[int] = []
        for path in self._chain()[:-1]:
            # A file may be rotated away at any moment, and the current one may become the last of these.
            with contextlib.suppress(OSError):
                older.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        if older and os.path.sameopenfile(older[-1], newest):
            os.close(older.pop())
        return [*older, newest]

    def following(self, descriptor: int) -> int | None:
        own = os.fstat(descriptor)
        try:
            if os.path.samestat(own, os.stat(self._path)):
                return None
            chain = self._chain()
            places = [place for place, path in enumerate(chain) if os.path.samestat(own, os.stat(path))]
            # After two rotations the successor is renamed as well. If this file is gone, go on with the current one.
            following = chain[places[0] + 1] if places else self._path
            # A runtime creates the new file before it writes there. While that is empty, the old one may still grow.
            if places and not os.stat(following).st_size and not self.has_ended():
                return None
            opened = os.open(following, os.O_RDONLY | os.O_CLOEXEC)
            self.missed += not places
            return opened
        except OSError:
            # In the middle of a rotation; the next attempt will see more.
            return None

    def _chain(self) -> list[str]:
        """Return the paths of the rotated files that are not compressed, oldest first, and of the current one."""
        folder, name = os.path.split(self._path)
        with os.scandir(folder) as entries:
            rotated = [
                (entry.stat().st_mtime_ns, entry.path)
                for entry in entries
                if entry.name.startswith(name + ".") and not entry.name.endswith((".gz", ".tmp"))
            ]
        return [path for _time, path in sorted(rotated)] + [self._path]

    def has_ended(self) -> bool:
        return not self._procfs.is_alive(self._process)

    def unwrapper(self, stream: str | None = "stderr", with_timestamps: bool = False) -> Callable[[bytes], bytes]:
        form = "docker" if self._path.endswith(DOCKER_SUFFIX) else "cri"
        return RuntimeLogUnwrapper(form, stream, with_timestamps).feed


class HostLogPosition(abc.ABC):
    """A position in a log, from which it can be followed more than once."""

    @abc.abstractmethod
    def follow(self, deadline: Deadline) -> LogStream:
        """Follow the log from this position. Raise CaptureError."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release what is held. May be called more than once."""


class FilePosition(HostLogPosition):
    """A position in a file. Its open descriptor stays readable after rotation and after the end of the process."""

    def __init__(self, files: LogFiles) -> None:
        self.files = files
        self.descriptor = files.open_current()
        self.offset = files.writes_at(self.descriptor)

    def follow(self, deadline: Deadline) -> LogStream:
        return HostLogStream(self.files, os.dup(self.descriptor), self.offset, deadline)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class HostLogStream(LogStream):
    """Stream of a log from one position, through rotation. Takes over the descriptor.

    unwrap: removes the runtime's wrapping; by default it leaves standard error only. poll: seconds between reads at the
    end of the file. at_end: called whenever the end is reached. truncated: how often the file was truncated before the
    read position. ended: device, inode and offset at which the log ended.
    """

    def __init__(
        self,
        files: LogFiles,
        descriptor: int,
        offset: int,
        deadline: Deadline,
        unwrap: Callable[[bytes], bytes] | None = None,
        poll: float = POLL_SECONDS,
        at_end: Callable[[], Any] = _nothing,
    ) -> None:
        self._files = files
        self._descriptor = descriptor
        self._offset = offset
        self._deadline = deadline
        self._unwrap = unwrap or files.unwrapper()
        self._poll = poll
        self._tell_end = at_end
        self._next: int | None = None
        self._last_look = False
        self._stopped = threading.Event()
        self.truncated = 0
        self.ended = (0, 0, 0)

    def stop(self) -> None:
        """Let read() end soon. Called from any thread."""
        self._stopped.set()

    def read(self) -> bytes:
        while self._descriptor >= 0 and not self._stopped.is_set():
            self._deadline.check()
            with translated(Reason.LOG_UNAVAILABLE):
                data = os.pread(self._descriptor, CHUNK, self._offset)
                self._offset += len(data)
                text = self._unwrap(data) if data else self._at_end()
            if text:
                return text
        return b""

    def _at_end(self) -> bytes:
        """Wait, go on with the next file, or end. Return the remaining text."""
        if self._last_look:
            return self._leave()
        self._next = self._files.following(self._descriptor)
        if self._next is not None or self._files.has_ended():
            # Something may have been written between reaching the end of the file and learning that it is complete.
            self._last_look = True
            self._wait(self._files.linger)
        else:
            # After a truncation in place, new text comes before the read position.
            end = self._files.writes_at(self._descriptor)
            self.truncated += end < self._offset
            self._offset = min(self._offset, end)
            self._tell_end()
            self._wait(self._poll)
        return b""

    def _leave(self) -> bytes:
        status = os.fstat(self._descriptor)
        self.ended = (status.st_dev, status.st_ino, self._offset)
        os.close(self._descriptor)
        self._last_look = False
        if self._next is None:
            self._descriptor = -1
            return self._unwrap(b"")
        self._descriptor, self._next, self._offset = self._next, None, 0
        return b""

    def _wait(self, seconds: float) -> None:
        self._stopped.wait(min(seconds, self._deadline.remaining()))

    def close(self) -> None:
        for descriptor in (self._descriptor, self._next):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._descriptor, self._next = -1, None


def describe_sink(link: str) -> str:
    """Describe a standard error that cannot be followed."""
    if link.startswith("pipe:"):
        return f"a pipe to another program ({link})"
    if link.startswith("socket:"):
        return f"a socket other than the journal's ({link})"
    if link.startswith(("/dev/pts/", "/dev/tty", "/dev/console")):
        return f"a terminal ({link})"
    return without_deleted(link) or "closed"
