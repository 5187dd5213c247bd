# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dump as it comes out of a log that ends, breaks, is opened again, or has no dump: what is kept, what is said."""

from __future__ import annotations

import datetime
import json
import threading
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.collector import ImageClaims
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.job import StackJob
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.live_dump import LiveDump
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.fanout import CapacityLimiter
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, utc_now
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import LogStream
from capturing import DUMP, HALF, answers, capture, with_facts
from fake_transport import LOG_LINE, FakeTransport, dump_text, raises

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
def test_a_dump_is_whole_however_it_comes(logs):
    dump, outcome, left = read(*logs)
    assert (outcome.reason, dump.reader.dump) == (Reason.PROVEN, DUMP)
    assert "40 goroutines" in outcome.message
    assert left == []
    assert all(log is None or log.closed for log in logs)


# What the logs give -> reason, words of the message, goroutines read of 40 (None: no dump at all), the window.
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
def test_what_there_is_of_a_dump_is_kept(logs, reason, words, counted, window):
    dump, outcome, left = read(*logs)
    assert outcome.reason.value == reason
    assert words in outcome.message
    assert (dump.reader.counted if dump.reader.total else None) == counted
    assert dump.window == window
    assert left == []


def test_without_any_of_the_dump_the_transports_reason_is_the_verdict():
    dump = LiveDump(1 << 20)
    with pytest.raises(CaptureError) as failed:
        dump.read(Reopenings(), INSTANCE, Script(NOISE, BROKEN), utc_now(), Deadline(patience()))
    assert failed.value is BROKEN
    assert dump.window == NOISE


def test_a_log_window_is_bounded():
    endless = Script(*[LOG_LINE * 10] * 1000)
    dump, outcome, _left = read(endless, max_bytes=2000)
    assert outcome.reason is Reason.NO_DUMP
    assert "cloudpods_max_bytes" in outcome.message
    assert 2000 < len(dump.window) <= 2000 + len(LOG_LINE * 10)
    assert endless.closed


def test_a_dump_larger_than_the_window_is_partial():
    large = dump_text(goroutines=4000, groups=400)
    pieces = [large[at : at + 100] for at in range(0, len(large), 100)]
    dump, outcome, _left = read(Script(*pieces), max_bytes=2000)
    assert outcome.reason is Reason.TOO_LARGE
    assert 0 < dump.reader.counted < dump.reader.total == 4000
    assert len(dump.window) <= 2100


def test_a_damaged_dump_is_not_complete():
    at = DUMP.index(b"#")
    dump, outcome, _left = read(Script(DUMP[:at] + DUMP[at + 40 :], b"", LATE), None)
    assert outcome.reason in (Reason.DAMAGED, Reason.CUT_SHORT, Reason.STREAM_ENDED)
    assert dump.window


def test_the_dump_of_somebody_else_is_not_taken():
    other = OLD.replace(b"runtime/pprof.old", b"main.talk")
    dump, outcome, _left = read(Script(other + DUMP))
    assert (outcome.reason, dump.reader.dump) == (Reason.PROVEN, DUMP)


# In a run


def test_a_log_that_could_not_be_proved_open_is_opened_again(tmp_path):
    transport = FakeTransport()
    transport.lose_log_starts = True
    service = transport.add("region", log=b"", on_signal=answers(DUMP))
    ran = capture(transport, tmp_path)
    assert (ran.only().reason, ran.artifact(ran.only())) == ("proven", DUMP)
    assert transport.done_to(service.instance.name)[:4] == ["open_log", "open_process", "signal", "reopen_log"]


@pytest.mark.parametrize(("ends", "reason"), [(False, "cut_short"), (True, "stream_ended")])
def test_half_a_dump_is_kept_and_parsed(tmp_path, ends, reason):
    transport = FakeTransport()
    transport.add("region", on_signal=answers(NOISE, HALF, end=ends))
    ran = capture(transport, tmp_path)
    row = ran.only()
    assert (row.status, row.reason) == ("partial", reason)
    assert (row.details["goroutines"], row.details["total"], row.details["groups"]) == (38, 40, 2)
    assert HALF in ran.artifact(row, ".log")
    assert ran.artifact(row).startswith(b"goroutine profile: total 40\n37 @")
    assert json.loads(ran.artifact(row, ".json"))["complete"] == "false"


def test_a_log_without_a_dump_is_kept_as_it_is(tmp_path):
    transport = FakeTransport()
    transport.add("region", on_signal=answers(NOISE))
    ran = capture(transport, tmp_path)
    row = ran.only()
    assert (row.reason, row.path.rsplit("/", 1)[1]) == ("no_dump", "stack-1.log")
    assert ran.artifact(row) == NOISE
    assert "total" not in row.details


def test_a_stopped_process_is_refused_at_once_and_not_signalled(tmp_path):
    transport = FakeTransport()
    service = transport.add("region")
    with_facts(state="T")(service)
    ran = capture(transport, tmp_path)
    row = ran.only()
    assert (row.status, row.reason) == ("refused", "process_stopped")
    assert "stopped (SIGSTOP)" in row.message
    assert "kill -CONT" in row.message
    assert transport.done_to(service.instance.name) == ["open_log", "open_process"]
    assert (ran.report.signals, "signal_sent" in row.details) == (0, False)


NOTHING_SEEN = {"state": "S", "waits_in": "ep_poll"}
BLOCKED = {"state": "D", "waits_in": "nfs_wait_bit_killable"}
BLOCKED_WORDS = "before the signal the process was in uninterruptible sleep in nfs_wait_bit_killable"


@pytest.mark.parametrize("ends", [False, True])
def test_no_dump_says_what_was_seen_of_the_process_and_no_more(tmp_path, ends):
    def row_of(name, state):
        transport = FakeTransport()
        with_facts(**state)(transport.add("region", on_signal=answers(NOISE, end=ends)))
        return capture(transport, tmp_path / name).only()

    blocked, other = row_of("blocked", BLOCKED), row_of("other", NOTHING_SEEN)
    assert blocked.reason == other.reason == "no_dump"
    assert BLOCKED_WORDS in blocked.message
    assert (blocked.details["state"], blocked.details["waits_in"]) == ("D", "nfs_wait_bit_killable")
    assert "state" not in other.details
    for word in ("sleep", "starting", "it started", "stuck"):
        assert word not in other.message


def test_only_of_one_that_started_just_now_it_is_said_that_it_may_not_listen(tmp_path):
    def message_of(age):
        transport, moment = FakeTransport(), utc_now() - datetime.timedelta(seconds=age)
        started = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        transport.add("region", on_signal=answers(NOISE), started=started)
        return started, capture(transport, tmp_path / str(age)).only().message

    started, young = message_of(age=5)
    assert f"it started only at {started}" in young
    assert "it started" not in message_of(age=3600)[1]


def test_what_was_seen_is_said_also_of_one_that_was_given_up(tmp_path):
    store = Store(str(tmp_path))
    job = StackJob(INSTANCE, 1)
    job.bind(store, Deadline(patience()), CapacityLimiter(1))
    job.sent, job.seen = utc_now(), BLOCKED_WORDS
    job.abandon()
    (row,) = store.rows
    assert (row.reason, BLOCKED_WORDS in row.message) == ("no_dump", True)


def test_a_log_that_is_lost_after_the_signal_does_not_say_that_none_was_sent(tmp_path):
    transport = FakeTransport()
    transport.lose_log_starts = True
    service = transport.add("region", log=b"")
    service.faults["reopen_log"] = raises(CaptureError(Reason.LOG_UNAVAILABLE, "lstat /var/log/pods/x: no such file"))
    row = capture(transport, tmp_path).only()
    assert row.reason == "no_dump"
    assert "the log cannot be read any more (lstat /var/log/pods/x: no such file)" in row.message
    assert "no signal" not in row.message
    assert row.details["signal_sent"]


def test_without_a_log_that_can_be_read_no_signal_is_sent(tmp_path):
    transport = FakeTransport()
    service = transport.add("region")
    service.faults["open_log"] = raises(CaptureError(Reason.LOG_UNAVAILABLE, "lstat /var/log/pods/x: no such file"))
    row = capture(transport, tmp_path).only()
    assert (row.reason, transport.done_to(service.instance.name)) == ("log_unavailable", ["open_log"])


def test_a_signal_whose_arrival_nobody_tells_is_not_claimed(tmp_path):
    transport = FakeTransport()
    transport.add("region", on_signal=lambda service: service.end(), confirms=False)
    row = capture(transport, tmp_path).only()
    assert (row.reason, "may not have arrived" in row.message) == ("no_dump", True)
    assert row.details["signal_sent"]


def test_a_dump_proves_that_the_signal_arrived(tmp_path):
    transport = FakeTransport()
    transport.add("region", on_signal=answers(DUMP), confirms=False)
    assert capture(transport, tmp_path).only().status == "complete"


# Versions


def test_one_of_many_at_once_gets_an_image():
    region = Instance("c1", "region", "region-1", image_id="image")
    claims, start, got = ImageClaims(), threading.Barrier(16), []

    def claim():
        start.wait()
        got.append(claims.claim(region))

    threads = [threading.Thread(target=claim) for _number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 15 + [True]
    assert claims.claim(replace(region, component="glance"))
    assert claims.claim(replace(region, image_id="other"))
    assert [claims.claim(replace(region, image_id="")) for _time in range(2)] == [True, True]
