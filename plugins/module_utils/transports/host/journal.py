# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow the log of a process in the systemd journal with journalctl.

The journal is a stream of entries with cursors. It is followed from the cursor of the process's newest entry, taken
before the signal. Sources: journalctl(1), systemd.exec(5) on $JOURNAL_STREAM.

A line that a service writes at its start, while journald accepts its stream, has no _PID and is not found.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
from dataclasses import dataclass
from typing import Any, Callable

from ...deadline import Deadline
from ...logtext.tail import TailBuffer
from ...model import Process
from ...reasons import CaptureError, Reason, peer_text
from ...stacks.journal_blank_lines import BlankLineRestorer, JournalctlOutput
from ..base import LogStream
from .log_files import CHUNK, HostLogPosition, describe_sink
from .procfs import ProcFs, translated
from .programs import ENVIRONMENT, find_program, run_bounded, stop

# The first entry may be this many seconds older than the start of the process, which is known in clock ticks.
CLOCK_SLACK = 1.0


@dataclass(frozen=True)
class JournalTimes:
    """Times of a journal stream, in seconds.

    life_check: a silent journal is checked this often for the end of the process. final_silence: after its end, the log
    is complete when nothing came for this long.
    """

    life_check: float = 0.5
    final_silence: float = 2.0


NORMAL_TIMES = JournalTimes()


class JournalPosition(HostLogPosition):
    """The position after the process's newest entry. Raise CaptureError if the process has no journal."""

    def __init__(
        self, procfs: ProcFs, process: Process, deadline: Deadline, times: JournalTimes = NORMAL_TIMES
    ) -> None:
        program = find_program("journalctl")
        if program is None:
            raise CaptureError(Reason.LOG_UNAVAILABLE, "its log is the journal, and journalctl is not installed")
        self._program = program
        self._times = times
        self._procfs = procfs
        self._process = process
        self._command = [program, "--quiet", "--no-pager", "--output=cat", "--all"]
        self._own = [f"_PID={process.pid}", "_TRANSPORT=stdout"]
        if not self._is_journal(deadline):
            raise CaptureError(Reason.STDERR_LOST, f"stderr is {describe_sink(process.stderr)}")
        # It has to be the process's own entry: after another's cursor, journalctl leaves out the first match.
        newest = self._newest(["--boot", *self._own], deadline)
        self._place = ["--after-cursor=" + newest["__CURSOR"]] if newest else ["--boot"]

    def _is_journal(self, deadline: Deadline) -> bool:
        """Return whether stderr is the journal, by the environment that systemd set or by earlier entries."""
        with translated():
            sink = os.stat(self._procfs.path(self._process.pid, "fd", "2"))
            told = self._procfs.variable(self._process.pid, "JOURNAL_STREAM")
        if told == f"{sink.st_dev}:{sink.st_ino}":
            return True
        written = self._newest(["--boot", *self._own], deadline)
        started = self._process.start_time / os.sysconf("SC_CLK_TCK")
        return int(written.get("__MONOTONIC_TIMESTAMP", 0)) / 1e6 >= started - CLOCK_SLACK

    def _newest(self, matches: list[str], deadline: Deadline) -> dict[str, Any]:
        """Return the newest entry that matches, empty without one."""
        command = [self._program, "--quiet", "--no-pager", "--lines=1", "--output=json", *matches]
        with translated(Reason.LOG_UNAVAILABLE):
            ran = run_bounded(command, deadline)
        if ran.code != 0:
            raise CaptureError(
                Reason.LOG_UNAVAILABLE, "journalctl: " + peer_text(ran.errors.decode("utf-8", "replace"))
            )
        try:
            return dict(json.loads(ran.output)) if ran.output.strip() else {}
        except (ValueError, RecursionError) as error:
            raise CaptureError(Reason.LOG_UNAVAILABLE, f"journalctl does not print JSON: {error}") from error

    def follow(self, deadline: Deadline) -> LogStream:
        return self._follow(self._place, BlankLineRestorer(), deadline)

    def history(self, since: float, deadline: Deadline) -> JournalHistory:
        """Stream what the process has written since then (seconds since 1970) up to the newest entry."""
        place = f"--since=@{max(0.0, since):.6f}"
        with translated(Reason.LOG_UNAVAILABLE):
            return JournalHistory([*self._command, "--show-cursor", place, *self._own], place, deadline)

    def follow_on(self, history: JournalHistory, deadline: Deadline) -> JournalStream:
        """Follow what comes after a history that was read to its end. Raise CaptureError if it was incomplete."""
        return self._follow([history.end()], history.text.text, deadline)

    def _follow(self, place: list[str], text: BlankLineRestorer, deadline: Deadline) -> JournalStream:
        command = [*self._command, "--follow", "--no-tail", *place, *self._own]
        with translated(Reason.LOG_UNAVAILABLE):
            return JournalStream(command, deadline, text, self.has_ended, self._times)

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return not self._procfs.is_alive(self._process)

    def read_tail(self, since: float, deadline: Deadline, max_bytes: int) -> bytes:
        """Return what the process wrote since then (seconds since 1970), the newest max_bytes."""
        # With --since, some versions take --lines for the oldest lines.
        tail = TailBuffer(max_bytes)
        log = self.history(since, deadline)
        with translated(Reason.LOG_UNAVAILABLE), log:
            data = log.read()
            while data:
                tail.add(data)
                data = log.read()
        log.end()
        return tail.text()

    def close(self) -> None:
        """Do nothing: a cursor holds nothing."""


class JournalStream(LogStream):
    """Output of journalctl until it ends, or until the process (if has_ended is given) has ended and nothing comes."""

    def __init__(
        self,
        command: list[str],
        deadline: Deadline,
        text: BlankLineRestorer | JournalctlOutput,
        has_ended: Callable[[], bool] | None = None,
        times: JournalTimes = NORMAL_TIMES,
    ) -> None:
        self.text = text
        self._deadline = deadline
        self._has_ended = has_ended
        self._times = times
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
            # Checked before waiting: the last output of the process arrives within the wait after its end.
            ended = self._has_ended is not None and self._has_ended()
            wait = self._times.final_silence if ended else self._times.life_check
            if self._poll.poll(1000 * min(wait, self._deadline.remaining())):
                data = os.read(self._program.stdout.fileno(), CHUNK)
                text = self.text.feed(data)
                if text or not data:
                    return text
            elif ended and not self._deadline.expired:
                break
        return self.text.feed(b"")

    def stop(self) -> None:
        """Let read() end soon. Called from any thread."""
        self._program.terminate()

    def close(self) -> None:
        stop(self._program)


class JournalHistory(JournalStream):
    """Existing entries of the journal. begin: the argument of journalctl for its first entry."""

    text: JournalctlOutput

    def __init__(self, command: list[str], begin: str, deadline: Deadline) -> None:
        super().__init__(command, deadline, JournalctlOutput())
        self._begin = begin

    def end(self) -> str:
        """Return the argument of journalctl for the entry after the last. Raise CaptureError if it was interrupted."""
        if self.text.cursor:
            return "--after-cursor=" + self.text.cursor
        if self.text.is_empty:
            return self._begin
        raise CaptureError(Reason.LOG_UNAVAILABLE, "journalctl ended before it had printed all entries")
