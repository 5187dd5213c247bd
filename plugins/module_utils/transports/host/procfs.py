# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader of /proc.

A process may end at any moment, so every method may raise OSError (FileNotFoundError, ProcessLookupError) and callers
expect it. Formats: proc(5). Paths that a process names are untrusted and opened by safe_open.py only.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Container, Iterable, Iterator, Sequence

from ...model import Process
from ...reasons import CaptureError, Reason
from .guarded_reads import READ_SECONDS, GuardedReads
from .rights import Rights
from .safe_open import open_in_root, open_named

DELETED = " (deleted)"
CONFIG_BYTES = 1 << 20
# Limits of what is read of a process: any user can start one with more, which would take minutes to read.
READ_BYTES, ARGUMENTS, CONFIG_FILES = 1 << 18, 1000, 16

_LOG_FILE_OPTIONS = ("--log-file-prefix", "-log-file-prefix")
_CONFIG_OPTIONS = ("--config", "-config", "--common-config-file", "-common-config-file")
_LOG_FILE_LINE = re.compile(rb"^[ \t]*log_file_prefix[ \t]*:[ \t]*[\"']?([^\"'#\s]+)", re.MULTILINE)


@contextlib.contextmanager
def translated(otherwise: Reason = Reason.ERROR) -> Iterator[None]:
    """Translate errors of the operating system into CaptureError."""
    try:
        yield
    except PermissionError as error:
        raise CaptureError(Reason.FORBIDDEN, f"{error}; root is needed on this machine (become: true)") from error
    except (FileNotFoundError, ProcessLookupError) as error:
        raise CaptureError(Reason.GONE, str(error)) from error
    except OSError as error:
        raise CaptureError(otherwise, str(error)) from error


def without_deleted(path: str) -> str:
    """Return a link's target without the suffix that /proc adds to the name of a deleted file."""
    return path[: -len(DELETED)] if path.endswith(DELETED) else path


def parse_stat(text: bytes) -> tuple[str, int]:
    """Parse the state letter and the start time (ticks since boot) of /proc/PID/stat. The name may contain ")"."""
    fields = text.rpartition(b")")[2].split()
    return fields[0].decode("ascii"), int(fields[19])


def parse_status(text: bytes) -> dict[str, str]:
    """Parse the "Key: value" lines of /proc/PID/status."""
    # Not splitlines(): a process name may contain other line separators.
    pairs = (line.partition(":") for line in text.decode("utf-8", "replace").split("\n"))
    return {key: value.strip() for key, colon, value in pairs if colon}


class ProcFs:
    """One mounted /proc. read_timeout: seconds for a read that may hang."""

    def __init__(self, root: str = "/proc", read_timeout: float = READ_SECONDS) -> None:
        self.root = root
        self._guarded = GuardedReads(read_timeout)

    def path(self, pid: int, *parts: str) -> str:
        return os.path.join(self.root, str(pid), *parts)

    def _read(self, pid: int, name: str) -> bytes:
        with open(self.path(pid, name), "rb") as stream:
            return stream.read(READ_BYTES)

    def _read_memory(self, pid: int, name: str) -> bytes:
        """Read a file whose content comes from the memory of the process. Raise TimeoutError if that hangs."""
        return self._guarded.read(self.path(pid, name), lambda: self._read(pid, name))

    def pids(self) -> list[int]:
        """Return the pids of all processes in order. Threads have no entries of their own."""
        return sorted(int(name) for name in os.listdir(self.root) if name.isdigit())

    def executable(self, pid: int) -> str:
        """Return the path of the executable as seen inside the process's own root."""
        return without_deleted(os.readlink(self.path(pid, "exe")))

    def arguments(self, pid: int) -> list[str]:
        """Return the command line up to a limit; empty for kernel threads and zombies. Raise TimeoutError."""
        text = self._read_memory(pid, "cmdline").decode("utf-8", "surrogateescape")
        return text.rstrip("\0").split("\0", ARGUMENTS)[:ARGUMENTS] if text else []

    def arguments_in_time(self, pid: int) -> list[str]:
        """Return the command line; empty also if reading it hangs."""
        try:
            return self.arguments(pid)
        except TimeoutError:
            return []

    def start_time(self, pid: int) -> int:
        """Return the start time in clock ticks since boot. Raise ProcessLookupError for a zombie."""
        try:
            state, ticks = parse_stat(self._read(pid, "stat"))
        except (IndexError, ValueError) as error:
            raise ProcessLookupError(f"the status of process {pid} is not readable") from error
        if state in "ZX":
            raise ProcessLookupError(f"process {pid} has ended")
        return ticks

    def is_alive(self, process: Process) -> bool:
        """Return whether this very process still runs, and not a later one with its pid."""
        try:
            return self.start_time(process.pid) == process.start_time
        except OSError:
            return False

    def status(self, pid: int) -> dict[str, str]:
        return parse_status(self._read(pid, "status"))

    def handlers(self, pid: int) -> tuple[int, int]:
        """Return the masks of the signals that a process ignores and catches (SigIgn, SigCgt)."""
        status = self.status(pid)
        return int(status.get("SigIgn", "0"), 16), int(status.get("SigCgt", "0"), 16)

    def state(self, pid: int) -> tuple[str, str]:
        """Return the letter of a process's state, and the kernel function that it sleeps in ("" unknown or none)."""
        letter = self.status(pid).get("State", "")[:1]
        # "0" without the right to read it, and if the process runs (proc_pid_wchan in fs/proc/base.c).
        with contextlib.suppress(PermissionError, FileNotFoundError):
            waits_in = self._read(pid, "wchan").decode("ascii", "replace")
            return letter, "" if waits_in == "0" else waits_in
        return letter, ""

    def rights(self, pid: int) -> Rights:
        """Return the process's rights to open files."""
        status = self.status(pid)
        # Real, effective, saved, and the one for files.
        uid, gid = int(status["Uid"].split()[3]), int(status["Gid"].split()[3])
        groups = tuple(int(group) for group in status.get("Groups", "").split())
        return Rights(uid, gid, groups, int(status.get("CapEff", "0"), 16))

    def cgroup(self, pid: int) -> str:
        return self._read(pid, "cgroup").decode("utf-8", "replace")

    def own_cgroup(self) -> str:
        """Return the cgroup of this process."""
        with open(os.path.join(self.root, "self", "cgroup"), encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def own_namespace(self, kind: str) -> str:
        """Return the namespace of this process."""
        return os.readlink(os.path.join(self.root, "self", "ns", kind))

    def stderr(self, pid: int) -> str:
        return os.readlink(self.path(pid, "fd", "2"))

    def namespace(self, pid: int, kind: str) -> str:
        return os.readlink(self.path(pid, "ns", kind))

    def variable(self, pid: int, name: str) -> str:
        """Return one variable of the environment at the start of the process, or "". The others are not kept."""
        prefix = name.encode() + b"="
        values = (
            item[len(prefix) :] for item in self._read_memory(pid, "environ").split(b"\0") if item.startswith(prefix)
        )
        return next(values, b"").decode("utf-8", "replace")

    def boot_time(self) -> int:
        """Return when the machine started, in seconds since 1970."""
        with open(os.path.join(self.root, "stat"), "rb") as stream:
            line = next(line for line in stream if line.startswith(b"btime "))
        return int(line.split()[1])

    def runs(self, pid: int, paths: Container[str]) -> str | None:
        """Return the path that the process runs, "" for an impostor that only has its argv[0], None for neither.

        The executable decides; if it may not be read, argv[0] does. Raise PermissionError if neither may be read.
        """
        try:
            executable = self.executable(pid)
        except FileNotFoundError:
            # A kernel thread, or a process that has just ended.
            return None
        except PermissionError:
            arguments = self.arguments_in_time(pid)
            return arguments[0] if arguments and arguments[0] in paths else None
        if executable in paths:
            return executable
        arguments = self.arguments_in_time(pid)
        if not arguments or arguments[0] not in paths:
            return None
        return arguments[0] if self._is_executable(pid, arguments[0]) else ""

    def _is_executable(self, pid: int, path: str) -> bool:
        """Return whether this path leads, by symbolic links in the process's root, to its executable."""
        with contextlib.suppress(OSError), open_in_root(self.path(pid, "root"), path) as descriptor:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path(pid, "exe")))
        return False

    def process(self, pid: int, same_by: str = "", configs: Iterable[str] = ()) -> Process:
        """Return the facts that decide whether a process may be signalled. configs: more files to search."""
        start_time = self.start_time(pid)
        try:
            executable = self.executable(pid)
        except PermissionError:
            executable = ""
        arguments = self.arguments_in_time(pid)
        ignored, caught = self.handlers(pid)
        state, waits_in = self.state(pid)
        return Process(
            pid=pid,
            start_time=start_time,
            executable=executable,
            argv0=arguments[0] if arguments else "",
            same_container=True,
            same_by=same_by,
            ignored=ignored,
            caught=caught,
            stderr=self._stderr_or_nothing(pid),
            log_file=self.log_file(pid, arguments, configs),
            state=state,
            waits_in=waits_in,
        )

    def _stderr_or_nothing(self, pid: int) -> str:
        try:
            return self.stderr(pid)
        except (PermissionError, FileNotFoundError):
            return ""

    def log_file(self, pid: int, arguments: Sequence[str], configs: Iterable[str]) -> str:
        """Return what redirects the log to files, so that a dump is lost: "option …", "file …", or "".

        Source: cloudpods pkg/cloudcommon/options, SetupLogger: with log_file_prefix set, the log's writer is discarded.
        """
        option, files = read_arguments(arguments)
        if option:
            return f"option {option}"
        for file in _first(configs, files):
            # An unreadable file is no evidence: either the service cannot read it, or it runs with other rights than
            # ours, and then the signal will be refused anyway.
            with contextlib.suppress(OSError):
                if _LOG_FILE_LINE.search(self._read_inside(pid, file)):
                    return f"file {file}"
        return ""

    def log_prefix(self, pid: int, configs: Iterable[str]) -> str:
        """Return the log file prefix as the process sees it, or "" if it is no longer set."""
        arguments = self.arguments(pid)
        for argument, following in zip(arguments[1:], [*arguments[2:], ""]):
            name, equals, value = argument.partition("=")
            if name in _LOG_FILE_OPTIONS:
                return self._absolute(pid, value if equals else following)
        for file in _first(configs, read_arguments(arguments)[1]):
            with contextlib.suppress(OSError):
                match = _LOG_FILE_LINE.search(self._read_inside(pid, file))
                if match:
                    return self._absolute(pid, os.fsdecode(match.group(1)))
        return ""

    def _absolute(self, pid: int, path: str) -> str:
        """Resolve a path against the working directory of the process; "" stays ""."""
        return os.path.join(os.readlink(self.path(pid, "cwd")), path) if path else ""

    def _read_inside(self, pid: int, path: str) -> bytes:
        descriptor = open_named(self.path(pid, "root"), self._absolute(pid, path), self.rights(pid))
        try:
            return os.read(descriptor, CONFIG_BYTES)
        finally:
            os.close(descriptor)


def _first(configs: Iterable[str], files: Iterable[str]) -> list[str]:
    """Return the configuration files to search, up to the limit."""
    return [*configs, *files][:CONFIG_FILES]


def read_arguments(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the option that sets a log file, or "", and the configuration files that the command line names."""
    option = ""
    files: list[str] = []
    takes_file = False
    for argument in arguments[1:]:
        name, equals, value = argument.partition("=")
        if takes_file:
            files.append(argument)
            takes_file = False
        elif name in _LOG_FILE_OPTIONS and (value or not equals):
            option = option or argument
        elif name in _CONFIG_OPTIONS:
            takes_file = not equals
            files += [value] if value else []
    return option, files
