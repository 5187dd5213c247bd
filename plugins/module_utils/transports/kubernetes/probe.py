# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the probe script, and the parser of its output. Pure.

The script (probe.sh) looks for the service's process inside a container. It reports facts, waits for commands on
standard input, and decides nothing: whether a signal may be sent is decided in one place for all transports, in
captures. Every line of the script begins with a nonce, so that the output of a service binary (`version`) cannot pass
for it.
"""

from __future__ import annotations

import re
from typing import Sequence

from ...model import Process
from ..base import ProbeFacts
from .probe_script import SCRIPT

# A real binary prints its version within a tenth of a second.
VERSION_SECONDS = 10
# More processes than a container has. The bound keeps an untrusted container from filling the memory.
MAX_PROCESSES = 1000
# PATH_MAX of Linux.
MAX_FACT = 4096
_FACTS = (
    "pid", "start", "same", "exe", "argv0", "state", "waits_in", "ignored", "caught", "stderr", "log_file",
    "impostor", "zombie",
)  # fmt: skip
# int() also accepts signs, blanks, underscores, digits of other scripts, and any length.
_NUMBER = re.compile(r"[0-9]{1,20}\Z")
_MASK = re.compile(r"[0-9a-fA-F]{1,16}\Z")
_STATE = re.compile(r"[A-Za-z]?\Z")
# The name of a kernel function.
_FUNCTION = re.compile(r"[A-Za-z0-9_.]{1,128}\Z")


def command(
    nonce: str, timeout: int, configs: Sequence[str], paths: Sequence[str], version_timeout: int = VERSION_SECONDS
) -> list[str]:
    """Return the argument list that runs the script in a container. Both timeouts are whole seconds."""
    return ["/bin/sh", "-c", SCRIPT, "sh", nonce, str(timeout), str(version_timeout), ":".join(configs), *paths]


class ProbeReader:
    """Parser of the script's output, fed with bytes as they arrive.

    events() returns the lines since the last call as [word, rest]: hello, ready, sent, unsent, changed, ignores,
    uncaught, version_ends. `facts` holds the facts so far, `version` the output between version_begins and
    version_ends. `began` is true after the first line of the script. A line longer than `limit` bytes is dropped but
    for its end, so that an untrusted container cannot fill the memory.
    """

    def __init__(self, nonce: str, limit: int = 1 << 20) -> None:
        self._prefix = nonce.encode() + b" "
        self._limit = limit
        self._buffer = b""
        self._events: list[list[str]] = []
        self._processes: list[dict[str, str]] = []
        self._impostors: list[int] = []
        self._zombies: list[int] = []
        self.began = False
        self._memory_room: int | None = None
        self._in_version = False
        self._version: list[bytes] = []
        self._version_size = 0

    def feed(self, data: bytes) -> None:
        """Parse the complete lines in the data and keep the rest for the next call."""
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()[-self._limit :]
        for line in lines:
            if line.startswith(self._prefix):
                self.began = True
                self._add(line[len(self._prefix) :].decode("utf-8", "replace"))
            elif self._in_version and self._version_size < self._limit:
                self._version.append(line)
                self._version_size += len(line) + 1

    def _add(self, text: str) -> None:
        key, _blank, rest = text.partition(" ")
        if key in _FACTS:
            self._add_fact(key, rest)
        elif key == "memory":
            self._add_memory(rest.split())
        elif key == "version_begins":
            self._in_version = True
        else:
            if key == "version_ends":
                self._in_version = False
            self._events.append([key, rest])

    def _add_fact(self, key: str, rest: str) -> None:
        if key in ("impostor", "zombie"):
            pids = self._zombies if key == "zombie" else self._impostors
            if _NUMBER.match(rest) and len(pids) < MAX_PROCESSES:
                pids.append(int(rest))
        elif key == "pid":
            if len(self._processes) < MAX_PROCESSES:
                self._processes.append({"pid": rest[:MAX_FACT]})
        elif self._processes:
            self._processes[-1][key] = rest[:MAX_FACT]

    def _add_memory(self, fields: list[str]) -> None:
        # Limit, usage, inactive page cache. For "no limit", cgroup v2 writes "max", and v1 a number near 2^63.
        if len(fields) == 3 and all(_NUMBER.match(field) for field in fields) and int(fields[0]) < 1 << 60:
            room = int(fields[0]) - (int(fields[1]) - int(fields[2]))
            self._memory_room = room if self._memory_room is None else min(room, self._memory_room)

    def events(self) -> list[list[str]]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    @property
    def version(self) -> bytes:
        """Output of the binary that was asked for its version."""
        return b"\n".join(self._version).rstrip(b"\n")

    @property
    def facts(self) -> ProbeFacts:
        """Facts so far. A malformed block is dropped: a process that is not understood must not be signalled."""
        processes = []
        for fields in self._processes:
            try:
                processes.append(_process(fields))
            except (KeyError, ValueError):
                continue
        return ProbeFacts(tuple(processes), tuple(self._impostors), self._memory_room, tuple(self._zombies))


def _process(fields: dict[str, str]) -> Process:
    same = fields.get("same", "no")
    if not (_NUMBER.match(fields["pid"]) and _NUMBER.match(fields["start"]) and int(fields["pid"])):
        raise ValueError("not a process")
    masks = fields.get("ignored", "0"), fields.get("caught", "0")
    if not all(_MASK.match(mask) for mask in masks):
        raise ValueError("not the signals of a process")
    state, waits_in = fields.get("state", ""), fields.get("waits_in", "")
    if not _STATE.match(state):
        raise ValueError("not the state of a process")
    return Process(
        pid=int(fields["pid"]),
        start_time=int(fields["start"]),
        executable=fields.get("exe", ""),
        argv0=fields.get("argv0", ""),
        same_container=same != "no",
        same_by="" if same == "no" else same,
        ignored=int(masks[0], 16),
        caught=int(masks[1], 16),
        stderr=fields.get("stderr", ""),
        log_file=fields.get("log_file", ""),
        state=state,
        waits_in=waits_in if _FUNCTION.match(waits_in) else "",
    )
