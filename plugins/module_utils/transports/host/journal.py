# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a process whose standard error is the systemd journal, by way of journalctl.

The journal is a stream of entries with cursors: the cursor of the process's newest entry, taken before the signal, is
the place from which it is followed. Sources: journalctl(1), systemd.exec(5) on $JOURNAL_STREAM.

A line that a service writes while journald accepts its stream, at its start, has no _PID and is not found.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from typing import Any, Callable

from ...deadline import Deadline
from ...logtext.tail import TailBuffer
from ...model import Process
from ...reasons import CaptureError, Reason
from ...stacks.journal_blank_lines import BlankLineRestorer, JournalctlOutput
from ..base import LogStream
from .log_files import CHUNK, LogPosition, describe_sink
from .procfs import ProcFs, translated
from .programs import ENVIRONMENT, find_program, run_bounded, stop

# How often a silent journal makes us look whether the process still lives, how long it has been silent when the last
# words of one that does not are read, and how much later than its start it may have begun to write. In seconds.
LIFE_CHECK_SECONDS = 0.5
LAST_WORDS_SECONDS = 2.0
CLOCK_SLACK = 1.0


class JournalPosition(LogPosition):
    """The process's newest entry, when this was made. CaptureError where there is no journal for the process."""

    def __init__(self, procfs: ProcFs, process: Process, deadline: Deadline) -> None:
        program = find_program("journalctl")
        if program is None:
            raise CaptureError(Reason.LOG_UNAVAILABLE, "its log is the journal, and journalctl is not installed")
        self._program = program
        self._procfs = procfs
        self._process = process
        self._command = [program, "--quiet", "--no-pager", "--output=cat", "--all"]
        self._own = [f"_PID={process.pid}", "_TRANSPORT=stdout"]
        if not self._is_journal(deadline):
            raise CaptureError(Reason.STDERR_LOST, f"stderr is {describe_sink(process.stderr)}")
        # One of the process's own: after the cursor of another entry, journalctl leaves out the first that matches.
        newest = self._newest(["--boot", *self._own], deadline)
        self._place = ["--after-cursor=" + newest["__CURSOR"]] if newest else ["--boot"]

    def _is_journal(self, deadline: Deadline) -> bool:
        """By what systemd told the process at its start, else by what it has written there before."""
        with translated():
            sink = os.stat(self._procfs.path(self._process.pid, "fd", "2"))
            told = self._procfs.variable(self._process.pid, "JOURNAL_STREAM")
        if told == f"{sink.st_dev}:{sink.st_ino}":
            return True
        written = self._newest(["--boot", *self._own], deadline)
        started = self._process.start_time / os.sysconf("SC_CLK_TCK")
        return int(written.get("__MONOTONIC_TIMESTAMP", 0)) / 1e6 >= started - CLOCK_SLACK

    def _newest(self, matches: list[str], deadline: Deadline) -> dict[str, Any]:
        """The newest entry that matches; empty without."""
        command = [self._program, "--quiet", "--no-pager", "--lines=1", "--output=json", *matches]
        with translated(Reason.LOG_UNAVAILABLE):
            ran = run_bounded(command, deadline)
        if ran.code != 0:
            raise CaptureError(Reason.LOG_UNAVAILABLE, "journalctl: " + ran.errors.decode("utf-8", "replace").strip())
        try:
            return dict(json.loads(ran.output)) if ran.output.strip() else {}
        except (ValueError, RecursionError) as error:
            raise CaptureError(Reason.LOG_UNAVAILABLE, f"journalctl does not print JSON: {error}") from error

    def follow(self, deadline: Deadline) -> LogStream:
        return self._follow(self._place, BlankLineRestorer(), deadline)

    def history(self, since: float, deadline: Deadline) -> JournalHistory:
        """What the process has written since then (seconds since 1970), to the newest entry that there is."""
        place = f"--since=@{max(0.0, since):.6f}"
        with translated(Reason.LOG_UNAVAILABLE):
            return JournalHistory([*self._command, "--show-cursor", place, *self._own], place, deadline)

    def follow_on(self, history: JournalHistory, deadline: Deadline) -> JournalStream:
        """What comes after a history that was read to its end. CaptureError if that was not all."""
        return self._follow([history.end()], history.text.text, deadline)

    def _follow(self, place: list[str], text: BlankLineRestorer, deadline: Deadline) -> JournalStream:
        command = [*self._command, "--follow", "--no-tail", *place, *self._own]
        with translated(Reason.LOG_UNAVAILABLE):
            return JournalStream(command, deadline, text, self.has_ended)

    def has_ended(self) -> bool:
        """Whether nobody is left to write."""
        return not self._procfs.is_alive(self._process)

    def read_tail(self, seconds: int, deadline: Deadline, max_bytes: int) -> bytes:
        """What the process wrote in the last so many seconds, the newest max_bytes of it."""
        # With --since, --lines would mean the oldest ones to some versions.
        newest = TailBuffer(max_bytes)
        log = self.history(time.time() - seconds, deadline)
        with translated(Reason.LOG_UNAVAILABLE), log:
            data = log.read()
            while data:
                newest.add(data)
                data = log.read()
        log.end()
        return newest.text()

    def close(self) -> None:
        """A cursor holds nothing."""


class JournalStream(LogStream):
    """What journalctl prints, until nobody is left to write (if that is asked) and nothing more comes, or it ends."""

    def __init__(
        self,
        command: list[str],
        deadline: Deadline,
        text: BlankLineRestorer | JournalctlOutput,
        has_ended: Callable[[], bool] | None = None,
    ) -> None:
        self.text = text
        self._deadline = deadline
        self._has_ended = has_ended
        self._program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        self._poll = select.poll()
        if self._program.stdout is not None:
            self._poll.register(self._program.stdout, select.POLLIN)

    def read(self) -> bytes:
        while self._program.stdout is not None and not self._program.stdout.closed:
            self._deadline.check()
            # Looked at before waiting: what the process wrote last comes within the wait after its end.
            ended = self._has_ended is not None and self._has_ended()
            wait = LAST_WORDS_SECONDS if ended else LIFE_CHECK_SECONDS
            if self._poll.poll(1000 * min(wait, self._deadline.remaining())):
                data = os.read(self._program.stdout.fileno(), CHUNK)
                text = self.text.feed(data)
                if text or not data:
                    return text
            elif ended and not self._deadline.expired:
                break
        return self.text.feed(b"")

    def stop(self) -> None:
        """Let read() end soon. From any thread."""
        self._program.terminate()

    def close(self) -> None:
        stop(self._program)


class JournalHistory(JournalStream):
    """What there is in the journal by now. begin: the argument of journalctl that tells where it begins."""

    text: JournalctlOutput

    def __init__(self, command: list[str], begin: str, deadline: Deadline) -> None:
        super().__init__(command, deadline, JournalctlOutput())
        self._begin = begin

    def end(self) -> str:
        """The argument of journalctl that tells where it ends. CaptureError if it was not read to its end."""
        if self.text.cursor:
            return "--after-cursor=" + self.text.cursor
        if self.text.is_empty:
            return self._begin
        raise CaptureError(Reason.LOG_UNAVAILABLE, "journalctl ended before it had printed all that there is")
