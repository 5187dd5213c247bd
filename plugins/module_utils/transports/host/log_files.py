# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following the log of a process on this machine where it really goes: a file, or the file of its container.

A file has no event that the standard library could wait for (inotify is not in it, and poll() always calls a
regular file ready), so its end is looked at again every POLL_SECONDS; everything ends with the deadline.
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
# A container's output passes through its runtime before it is in the file: what a process wrote last may come
# this much after its end, and a line that the runtime has begun in the old file after the first one in the new.
LINGER_SECONDS = 0.2
DOCKER_SUFFIX = "-json.log"


class LogFiles(abc.ABC):
    """The files that a log consists of, one after the other."""

    linger = 0.0
    # Whether a container's runtime wrote them, with something around each line.
    wrapped = False
    # How often the file that came after another could not be told: what was in between is not seen.
    missed = 0

    @abc.abstractmethod
    def open_current(self) -> int:
        """A descriptor of the file that is written now. OSError, or CaptureError where there is no such file."""

    @abc.abstractmethod
    def following(self, descriptor: int) -> int | None:
        """A descriptor of the file that came after this one; None while this one is the newest."""

    @abc.abstractmethod
    def has_ended(self) -> bool:
        """Whether nobody is left to write."""

    def writes_at(self, descriptor: int) -> int:
        """Where in this file the next byte will be written."""
        return os.fstat(descriptor).st_size

    def open_all(self) -> list[int]:
        """Descriptors of all the files of the log that there are, oldest first. OSError, CaptureError."""
        return [self.open_current()]

    def unwrapper(self, stream: str | None = "stderr", stamped: bool = False) -> Callable[[bytes], bytes]:
        """What makes the process's own bytes (None: of both streams) out of the file's; b"" tells it the end.

        stamped: with the runtime's stamp before each line, where there is a runtime.
        """
        del stream, stamped
        return _as_is


def _nothing() -> None:
    return


def _as_is(data: bytes) -> bytes:
    return data


class StderrFile(LogFiles):
    """A regular file that is the standard error of a process, by whatever name: the descriptor is asked, not a path.

    So a file that was renamed is followed as long as it is written to, and when the process opens another one as its
    standard error, that is the one to go on with.
    """

    def __init__(self, procfs: ProcFs, process: Process) -> None:
        self._procfs = procfs
        self._process = process
        self._path = procfs.path(process.pid, "fd", "2")

    def open_current(self) -> int:
        if not self._is_written():
            raise CaptureError(
                Reason.STDERR_LOST, f"stderr of process {self._process.pid} is not open for writing, so it is no log"
            )
        return open_descriptor(self._path, self._procfs.rights(self._process.pid))

    def following(self, descriptor: int) -> int | None:
        try:
            # A process that has ended has no descriptors, and another one of its number is not our business.
            if os.path.samestat(os.fstat(descriptor), os.stat(self._path)) or not self._procfs.is_alive(self._process):
                return None
            return self.open_current()
        except (OSError, CaptureError):
            return None

    def has_ended(self) -> bool:
        return not self._procfs.is_alive(self._process)

    def writes_at(self, descriptor: int) -> int:
        size = os.fstat(descriptor).st_size
        # Without O_APPEND a process goes on where it was, also after somebody has truncated the file under it.
        with contextlib.suppress(OSError, ValueError, KeyError):
            flags, place = self._descriptor_info()
            if not flags & os.O_APPEND:
                return max(size, place)
        return size

    def _is_written(self) -> bool:
        """Whether the process can write there. Anybody can have a handle (O_PATH) of a file that he may not read."""
        flags, _place = self._descriptor_info()
        return not flags & os.O_PATH and flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)

    def _descriptor_info(self) -> tuple[int, int]:
        """Flags and place of the descriptor. OSError, ValueError, KeyError."""
        with open(self._procfs.path(self._process.pid, "fdinfo", "2"), encoding="ascii") as stream:
            info = dict(line.rstrip("\n").split(":\t", 1) for line in stream if ":\t" in line)
        return int(info["flags"], 8), int(info["pos"])


class ContainerLog(LogFiles):
    """The log file that a container runtime writes: CRI under /var/log/pods, or docker's json-file.

    The kubelet rotates 0.log by renaming it to 0.log.<time>; docker renames x-json.log to x-json.log.1, .1 to .2.
    """

    linger = LINGER_SECONDS
    wrapped = True

    def __init__(self, procfs: ProcFs, process: Process, path: str) -> None:
        self._procfs = procfs
        self._process = process
        # The kubelet makes links where the runtime has its logs elsewhere.
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
            # One may be rotated away at any moment, and the current one may become the last of these.
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
            # Rotated twice meanwhile: the next one has been renamed as well. No longer there: go on with what is.
            following = chain[places[0] + 1] if places else self._path
            # A runtime makes the new file and turns to it then: while that is empty, the old one may still grow.
            if places and not os.stat(following).st_size and not self.has_ended():
                return None
            opened = os.open(following, os.O_RDONLY | os.O_CLOEXEC)
            self.missed += not places
            return opened
        except OSError:
            # In the middle of a rotation; the next look will see more.
            return None

    def _chain(self) -> list[str]:
        """The rotated files that are still there and readable, oldest first, and the current one."""
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

    def unwrapper(self, stream: str | None = "stderr", stamped: bool = False) -> Callable[[bytes], bytes]:
        form = "docker" if self._path.endswith(DOCKER_SUFFIX) else "cri"
        return RuntimeLogUnwrapper(form, stream, stamped).feed


class LogPosition(abc.ABC):
    """A place in a log, from which it can be followed, also more than once."""

    @abc.abstractmethod
    def follow(self, deadline: Deadline) -> LogStream:
        """The log from this place on. CaptureError."""

    @abc.abstractmethod
    def close(self) -> None:
        """Forget it. May be called more than once."""


class FilePosition(LogPosition):
    """Held by an open descriptor, so that it stays readable through rotation and after the process."""

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
    """The log from one place on, through all files that follow. Takes over the descriptor.

    unwrap: what takes the runtime's wrapping away; by default what is left is the process's standard error. poll: how
    often the end of the file is looked at; at_end: called whenever nothing more is there. truncated: how often what was
    read already was cut away. ended: the file in which the log ended (its device and number) and the place there.
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
        """Let read() end soon. From any thread."""
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
        """All of this file is read for now: wait, go on with the next file, or end. What there is left to say."""
        if self._last_look:
            return self._leave()
        self._next = self._files.following(self._descriptor)
        if self._next is not None or self._files.has_ended():
            # Something may have come between the end of the file and the knowledge that this was all.
            self._last_look = True
            self._wait(self._files.linger)
        else:
            # Truncated in place: what comes now comes before the place that was read to.
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
    """Why a standard error of this kind cannot be followed."""
    if link.startswith("pipe:"):
        return f"a pipe to another program ({link})"
    if link.startswith("socket:"):
        return f"a socket that is not the journal's ({link})"
    if link.startswith(("/dev/pts/", "/dev/tty", "/dev/console")):
        return f"a terminal ({link})"
    return without_deleted(link) or "closed"
