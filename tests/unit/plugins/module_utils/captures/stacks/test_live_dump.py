# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a dump out of a log that ends, breaks, is opened again, or has no dump."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.live_dump import LiveDump
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, utc_now
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import LogStream
from capturing import DUMP, HALF
from fake_transport import LOG_LINE, dump_text

from patience import patience

INSTANCE = Instance("c1", "region", "region-1")


LATE = DeadlineExceeded("instance")


BROKEN = CaptureError(Reason.UNREACHABLE, "connection reset")


GONE = CaptureError(Reason.GONE, "pod")


OLD = b"goroutine profile: total 1\n1 @ 0x1 0x9001\n#\t0x0\truntime/pprof.old+0x1\t/src/main.go:1\n\n"


OLD_HEADER = OLD[: OLD.index(b"\n") + 1]


NOISE = LOG_LINE * 3


class Script(LogStream):
    """A log that gives these pieces, one at a time; an exception among them is raised."""

    def __init__(self, *pieces: bytes | Exception, old_first_line: bool = False) -> None:
        self._pieces = list(pieces)
        self.old_first_line = old_first_line
        self.closed = False

    def read(self) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece  # pylint: disable=raising-bad-type
        return piece

    def close(self) -> None:
        self.closed = True


class Reopenings:
    """Just reopen_log(): one after the other of what it was given."""

    def __init__(self, *answers: LogStream | Exception | None) -> None:
        self.answers = list(answers)

    def reopen_log(self, instance, since, deadline):
        del instance, since, deadline
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def read(first: LogStream | None, *later: LogStream | Exception | None, max_bytes: int = 1 << 20):
    """The dump, the verdict, and the reopenings that were not needed."""
    dump, transport = LiveDump(max_bytes), Reopenings(*later)
    outcome = dump.read(transport, INSTANCE, first, utc_now(), Deadline(patience()))
    return dump, outcome, transport.answers


WHOLE = {
    "at once": (Script(DUMP),),
    "in pieces": (Script(*(DUMP[at : at + 7] for at in range(0, len(DUMP), 7))),),
    "after an old first line": (Script(b"old line\n" + DUMP, old_first_line=True),),
    "opened after the signal": (None, Script(NOISE + DUMP)),
    "the stream ended before": (Script(NOISE), Script(NOISE + DUMP)),
    "the stream ended within": (Script(HALF), Script(NOISE + DUMP)),
    "ended twice": (Script(HALF), Script(b""), Script(DUMP)),
}


@pytest.mark.parametrize("logs", WHOLE.values(), ids=WHOLE)
def test_reads_a_complete_dump_across_streams(logs):
    dump, outcome, left = read(*logs)
    assert (outcome.reason, dump.reader.dump) == (Reason.PROVEN, DUMP)
    assert "40 goroutines" in outcome.message
    assert left == []
    assert all(log is None or log.closed for log in logs)


UNFINISHED = {
    "deadline in the middle": ((Script(HALF, LATE),), "cut_short", "38 of 40 goroutines", 38, HALF),
    "deadline before": ((Script(NOISE, LATE),), "no_dump", "before the deadline", None, NOISE),
    "an old header as the first line": (
        (Script(OLD_HEADER + NOISE, LATE, old_first_line=True),),
        "no_dump",
        "before the deadline",
        None,
        OLD_HEADER + NOISE,
    ),
    "ended, and nothing more": ((Script(HALF), None), "stream_ended", "38 of 40 goroutines", 38, HALF),
    "ended three times": ((Script(HALF), Script(HALF), Script(HALF)), "stream_ended", "38 of 40", 38, HALF),
    "ended without": ((Script(NOISE), None), "no_dump", "the log stream ended before", None, NOISE),
    "broken in the middle": ((Script(HALF, BROKEN),), "stream_ended", "the target does not answer", 38, HALF),
    "gone when opened again": ((Script(HALF), GONE), "stream_ended", "the instance disappeared", 38, HALF),
    "late when opened again": ((Script(HALF), LATE), "cut_short", "38 of 40", 38, HALF),
    "the new container has none": ((Script(HALF), Script(NOISE), Script(b"")), "stream_ended", "38 of 40", 38, HALF),
    "less when opened again": (
        (Script(NOISE + HALF), Script(HALF[:-60], LATE)),
        "cut_short",
        "38 of 40",
        38,
        NOISE + HALF,
    ),
    "more when opened again": ((Script(HALF[:-60]), Script(HALF, LATE)), "cut_short", "38 of 40", 38, HALF),
}


@pytest.mark.parametrize(("logs", "reason", "words", "counted", "window"), UNFINISHED.values(), ids=UNFINISHED)
def test_keeps_the_best_part_of_an_incomplete_dump(logs, reason, words, counted, window):
    dump, outcome, left = read(*logs)
    assert outcome.reason.value == reason
    assert words in outcome.message
    assert (dump.reader.counted if dump.reader.total else None) == counted
    assert dump.window == window
    assert left == []


def test_raises_the_reason_of_the_transport_without_a_dump():
    dump = LiveDump(1 << 20)
    with pytest.raises(CaptureError) as failed:
        dump.read(Reopenings(), INSTANCE, Script(NOISE, BROKEN), utc_now(), Deadline(patience()))
    assert failed.value is BROKEN
    assert dump.window == NOISE


def test_bounds_the_log_window():
    endless = Script(*[LOG_LINE * 10] * 1000)
    dump, outcome, _left = read(endless, max_bytes=2000)
    assert outcome.reason is Reason.NO_DUMP
    assert "cloudpods_max_bytes" in outcome.message
    assert 2000 < len(dump.window) <= 2000 + len(LOG_LINE * 10)
    assert endless.closed


def test_dump_beyond_the_window_is_partial():
    large = dump_text(goroutines=4000, groups=400)
    pieces = [large[at : at + 100] for at in range(0, len(large), 100)]
    dump, outcome, _left = read(Script(*pieces), max_bytes=2000)
    assert outcome.reason is Reason.TOO_LARGE
    assert 0 < dump.reader.counted < dump.reader.total == 4000
    assert len(dump.window) <= 2100


def test_damaged_dump_is_incomplete():
    at = DUMP.index(b"#")
    dump, outcome, _left = read(Script(DUMP[:at] + DUMP[at + 40 :], b"", LATE), None)
    assert outcome.reason in (Reason.DAMAGED, Reason.CUT_SHORT, Reason.STREAM_ENDED)
    assert dump.window


def test_ignores_a_dump_from_an_older_signal():
    other = OLD.replace(b"runtime/pprof.old", b"main.talk")
    dump, outcome, _left = read(Script(other + DUMP))
    assert (outcome.reason, dump.reader.dump) == (Reason.PROVEN, DUMP)
