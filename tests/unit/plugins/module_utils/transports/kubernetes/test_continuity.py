# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LogContinuity in simulated time: whatever happens to a log, each line is given once and missing ones are a gap."""

from __future__ import annotations

import dataclasses
import functools

import hypothesis.strategies as st
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.timestamps import timestamp_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import (
    Ended,
    Gap,
    Lines,
    Opened,
    WriterChanged,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity_steps import (
    NORMAL_LIMITS,
    FindInstance,
    PodFollowLimits,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import (
    NOT_READABLE,
    ROTATION_MISSED,
    SKIPPED,
    STREAM_LOST,
    State,
)
from hypothesis import given
from kubelet import Kubelet, Log, SimulatedClock, log_line
from simulated_follower import POD, SimulatedFollower, second_of


@pytest.fixture
def kubelet() -> Kubelet:
    return Kubelet(clock=SimulatedClock())


@pytest.fixture
def follow(kubelet):
    return functools.partial(SimulatedFollower, kubelet)


@pytest.fixture
def followed(kubelet, follow) -> SimulatedFollower:
    """A follower that has given a first line, and whose stream waits for more."""
    kubelet.say("first")
    made = follow()
    made.until("first")
    made.until_quiet()
    return made


def numbers(first: int, end: int) -> list[str]:
    return [f"line {number}" for number in range(first, end)]


def test_gives_history_and_new_lines_once(kubelet, follow):
    kubelet.say("too old", ago=100)
    kubelet.say(*numbers(0, 450), ago=10)
    followed = follow(60)
    followed.until("line 449")
    assert followed.continuity.caught_up
    kubelet.say(*numbers(450, 1000))
    followed.until("line 999")
    events = followed.end()
    assert followed.texts == numbers(0, 1000)
    assert isinstance(events[0], Opened)
    assert (events[0].is_empty, [type(event) for event in events[1:] if not isinstance(event, Lines)]) == (False, [])


def test_opens_empty_log_and_gives_its_first_line(kubelet, follow):
    followed = follow()
    followed.await_true(lambda: followed.of(Opened))
    assert followed.of(Opened)[0].is_empty
    followed.await_true(lambda: followed.continuity.caught_up)
    kubelet.say("at last")
    followed.until("at last")
    assert not followed.of(Gap)


@pytest.mark.parametrize("broken", [False, True])
def test_continues_cut_stream_where_it_ended(kubelet, follow, broken):
    kubelet.say(*numbers(0, 10), ago=5)
    followed = follow()
    for number in range(10, 60, 10):
        followed.until_quiet()
        # The beginning of a line that comes whole with the next stream.
        kubelet.cut(broken, after=b"2026-11-25T10:00:00.000000000Z hal")
        kubelet.say(*numbers(number, number + 10))
        followed.until(f"line {number + 9}")
    followed.end()
    assert followed.texts == numbers(0, 60)
    assert not followed.of(Gap)
    assert len(kubelet.followed) >= 6
    # What was seen is not read again from its beginning.
    assert kubelet.followed[-1]["sinceTime"] > kubelet.followed[0]["sinceTime"]


def test_reports_gap_for_rotation_during_outage(kubelet, follow):
    kubelet.say(*numbers(0, 10), ago=5)
    followed = follow()
    followed.until("line 9")
    followed.until_quiet()
    last = kubelet.log.lines[-1]
    kubelet.refuse(500)
    kubelet.cut()
    kubelet.say("lost")
    kubelet.rotate()
    kubelet.say("after")
    kubelet.refusal = None
    followed.until("after")
    kubelet.say("more")
    followed.until("more")
    followed.end()
    assert followed.texts == [*numbers(0, 10), "after", "more"]
    (gap,) = followed.of(Gap)
    assert (gap.kind, gap.since) == (ROTATION_MISSED, timestamp_of(last).moment)
    assert gap.since < gap.until <= kubelet.time()


def test_waits_for_container_to_start(kubelet, follow):
    kubelet.refuse(400, "container is waiting to start: ContainerCreating")
    followed = follow()
    followed.await_true(lambda: len(kubelet.asked) > 3)
    assert followed.events == []
    kubelet.refusal = None
    kubelet.say("hello")
    followed.until("hello")
    followed.end()
    assert not followed.of(Gap)


def test_pauses_longer_and_longer_while_container_does_not_start(kubelet, follow):
    kubelet.refuse(400)
    followed = follow(limits=PodFollowLimits(first_pause=0.01, tolerated_outage=0.0))
    followed.await_true(lambda: len(followed.waits) == 15)
    followed.continuity.stop()
    assert followed.join() == []
    assert followed.waits[:4] == [0.02, 0.04, 0.08, 0.16]
    assert followed.waits[-1] == 5.0


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("when", ["at once", "later"])
def test_ends_when_log_is_forbidden(kubelet, follow, code, when):
    if when == "at once":
        kubelet.refuse(code, "pods/log is forbidden")
    kubelet.say("seen")
    followed = follow()
    if when == "later":
        followed.until("seen")
        kubelet.refuse(code, "pods/log is forbidden")
        kubelet.cut()
    *_before, gap, ended = followed.join()
    assert (gap.kind, gap.message) == (NOT_READABLE, "pods/log is forbidden")
    assert (type(ended), ended.outcome.reason) == (Ended, Reason.FORBIDDEN)


def test_ends_when_pod_is_deleted(kubelet, follow):
    kubelet.say("seen")
    followed = follow()
    followed.until("seen")
    followed.instance = None
    kubelet.refuse(404)
    kubelet.cut()
    ended = followed.join()[-1]
    assert (type(ended), ended.outcome.reason) == (Ended, Reason.GONE)
    assert not followed.of(Gap)


def test_reports_gap_when_pod_is_deleted_during_outage(kubelet, follow):
    kubelet.say("seen")
    followed = follow()
    followed.until("seen")
    kubelet.refuse(503)
    kubelet.cut(broken=True)
    followed.until_asked(1)
    followed.instance = None
    ended = followed.join()[-1]
    assert ended.outcome.reason is Reason.GONE
    assert [gap.kind for gap in followed.of(Gap)] == [STREAM_LOST]


@pytest.mark.parametrize(("broken", "gaps"), [(False, []), (True, [STREAM_LOST])])
def test_terminating_pod_has_gap_at_end_of_watch_only_if_its_stream_broke(kubelet, follow, broken, gaps):
    kubelet.say("seen")
    followed = follow()
    followed.until("seen")
    followed.instance = dataclasses.replace(POD, state=State.TERMINATING)
    kubelet.refuse(404, "its container was removed")
    kubelet.cut(broken=broken)
    followed.until_asked(1)
    followed.until_passed(2 * NORMAL_LIMITS.tolerated_outage)
    followed.end()
    assert [gap.kind for gap in followed.of(Gap)] == gaps


def test_continues_when_lookup_fails(kubelet, follow):
    kubelet.say("seen")
    followed = follow()
    followed.until("seen")
    followed.instance = CaptureError(Reason.UNREACHABLE, "no answer")
    kubelet.cut()
    kubelet.say("still there")
    followed.until("still there")
    assert not followed.of(Ended)


# Containers


def test_restart_loses_no_line(kubelet, follow):
    kubelet.say(*numbers(0, 10))
    followed = follow()
    followed.until("line 9")
    followed.until_quiet()
    kubelet.deafen()
    kubelet.say(*numbers(10, 20))
    followed.restart(*numbers(20, 30))
    followed.until("line 29")
    followed.end()
    assert followed.texts == numbers(0, 30)
    assert followed.of(WriterChanged) == [WriterChanged("containerd://2", 1)]
    assert not followed.of(Gap)


def test_reads_previous_container_that_ended_in_window_first(kubelet, follow):
    kubelet.say(*numbers(0, 10))
    kubelet.restart(*numbers(10, 20))
    now = second_of(kubelet.time())
    followed = follow(
        instance=dataclasses.replace(POD, container_id="containerd://2", restarts=1, started=now, last_ended=now)
    )
    followed.until("line 19")
    followed.end()
    assert followed.texts == numbers(0, 20)
    assert (followed.of(WriterChanged), followed.of(Gap)) == ([WriterChanged("containerd://2", 1)], [])


def test_reports_gap_for_containers_between_lookups(kubelet, follow):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    followed.restart("fourth", times=3)
    followed.until("fourth")
    followed.end()
    (gap,) = followed.of(Gap)
    assert gap.kind == STREAM_LOST
    assert "2 containers" in gap.message


def test_reports_gap_when_previous_log_was_removed(kubelet, followed):
    kubelet.deafen()
    kubelet.say("last words")
    followed.restart("second", kept=False)
    followed.until("second")
    followed.end()
    (gap,) = followed.of(Gap)
    assert (gap.kind, followed.texts) == (STREAM_LOST, ["first", "second"])


@pytest.mark.parametrize(
    ("began", "gaps"), [(0.5, []), (2.999, []), (3.001, [ROTATION_MISSED]), (60.0, [ROTATION_MISSED])]
)
def test_reports_gap_when_log_begins_long_after_its_container(kubelet, follow, began, gaps):
    """began: seconds between the start of the container and the oldest line of its log."""
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    started = int(kubelet.time()) - 61.0
    with kubelet.changed:
        followed.restart(started=started)
        kubelet.log.lines.append(log_line("second", started + began))
    followed.until("second")
    followed.end()
    found = followed.of(Gap)
    assert [gap.kind for gap in found] == gaps
    for gap in found:
        assert gap.since == started
        assert gap.until == pytest.approx(started + began, abs=1e-5)


@pytest.fixture
def before_stream(kubelet, monkeypatch):
    """Let something happen once, after the first look into the log and before its next stream begins."""

    def set_up(*happens) -> None:
        new_stream, left = kubelet.new_stream, list(happens)

        def begin(query):
            while "follow" in query and left:
                left.pop(0)()
            return new_stream(query)

        monkeypatch.setattr(kubelet, "new_stream", begin)

    return set_up


def test_reports_gap_for_rotation_between_first_look_and_stream(kubelet, follow, before_stream):
    kubelet.say("lost", "lost as well", ago=10)
    before_stream(kubelet.rotate, lambda: kubelet.say("after"))
    followed = follow()
    followed.until("after")
    followed.end()
    (gap,) = followed.of(Gap)
    assert (gap.kind, gap.since) == (ROTATION_MISSED, followed.of(Opened)[0].since)
    assert gap.since < gap.until <= kubelet.time()


def test_reports_gap_for_rotation_before_first_stream_of_new_container(kubelet, followed, before_stream):
    began = kubelet.time()
    before_stream(kubelet.rotate, lambda: kubelet.say("after"))
    followed.restart("lost")
    followed.until("after")
    followed.end()
    (gap,) = followed.of(Gap)
    assert gap.kind == ROTATION_MISSED
    assert began <= gap.since < gap.until <= kubelet.time()


def test_tells_restart_before_first_stream_from_rotation(kubelet, follow, before_stream):
    kubelet.say("first", ago=10)
    before_stream(lambda: kubelet.restart("second"))
    followed = follow()
    followed.await_true(lambda: followed.lookups > 2)
    followed.instance = dataclasses.replace(
        POD, restarts=1, container_id="containerd://2", started=second_of(kubelet.time())
    )
    followed.until("second")
    followed.end()
    assert followed.texts == ["first", "second"]
    assert [event.restarts for event in followed.of(WriterChanged)] == [1]
    assert not followed.of(Gap)


def test_silent_new_container_is_no_gap(kubelet, follow):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    followed.restart()
    followed.await_true(lambda: followed.of(WriterChanged))
    asked = len(kubelet.followed)
    followed.await_true(lambda: len(kubelet.followed) > asked + 1)
    kubelet.clock.advance(60)
    asked = len(kubelet.followed)
    followed.await_true(lambda: len(kubelet.followed) > asked + 2)
    kubelet.say("second")
    followed.until("second")
    followed.end()
    assert not followed.of(Gap)


def test_reports_gap_when_end_of_previous_log_was_rotated_away(kubelet, followed):
    kubelet.deafen()
    kubelet.say("unseen")
    kubelet.rotate()
    kubelet.say("last words")
    followed.restart("second")
    followed.until("second")
    followed.end()
    (gap,) = followed.of(Gap)
    assert (gap.kind, followed.texts) == (STREAM_LOST, ["first", "last words", "second"])


def test_tells_restart_that_cluster_reports_late_from_rotation(followed):
    now = followed.instance
    followed.restart("second")
    later, followed.instance = followed.instance, now
    looks = followed.lookups
    followed.await_true(lambda: followed.lookups > looks + 3)
    followed.instance = later
    followed.until("second")
    followed.end()
    assert followed.texts == ["first", "second"]
    assert (followed.of(Gap), followed.of(WriterChanged)) == ([], [WriterChanged("containerd://2", 1)])


# Floods and silence


@pytest.fixture
def flooded(kubelet, follow) -> SimulatedFollower:
    """A follower that reads twenty lines a second, while a hundred were written at the beginning of a second."""
    kubelet.chunk_lines = 1
    kubelet.say("first", ago=2)
    followed = follow(600, limits=PodFollowLimits(lag=0.5, catch_up=0.2))
    followed.until("first")
    followed.until_quiet()
    kubelet.pace = lambda: kubelet.clock.advance(0.05)
    # It gives up 0.7 s later, within the same second: sinceTime does not tell what it has read from what it skipped.
    kubelet.clock.advance(1 - kubelet.time() % 1)
    kubelet.say(*(f"late {number}" for number in range(100)))
    return followed


def read_late(followed: SimulatedFollower) -> list[str]:
    """Return the lines of the flood that were read: its beginning, and nothing twice."""
    read = [text for text in followed.texts if text.startswith("late")]
    assert read == [f"late {number}" for number in range(len(read))]
    assert 1 <= len(read) < 100
    return read


def test_skips_to_newest_line_when_it_cannot_keep_up(kubelet, flooded):
    kubelet.say("newest", ago=-1)
    newest = timestamp_of(kubelet.log.lines[-1])
    flooded.await_true(lambda: flooded.of(Gap))
    kubelet.pace = lambda: None
    kubelet.say("after", ago=-2)  # later than the newest, however soon the gap was seen
    flooded.until("after")
    flooded.end()
    (gap,) = flooded.of(Gap)
    read = read_late(flooded)
    assert flooded.texts == ["first", *read, "after"]
    last = timestamp_of(kubelet.log.lines[len(read)])
    assert (gap.kind, gap.since, gap.until) == (SKIPPED, last.moment, newest.moment)


@pytest.mark.parametrize("fails", [False, True])
def test_skips_to_next_line_when_there_is_no_newest(kubelet, flooded, fails):
    """The file was rotated at that moment, or the API server does not answer."""
    asked, begun = len(kubelet.asked), kubelet.time()
    kubelet.rotate()
    if fails:
        kubelet.refuse(500)
    flooded.await_true(lambda: flooded.of(Gap))
    jumped = kubelet.time()
    kubelet.pace = lambda: None
    kubelet.log.oldest = 0  # nothing that was read or skipped comes again, though it still is in the file
    kubelet.refusal = None
    flooded.await_true(lambda: len(kubelet.followed) > 1)
    assert len(kubelet.asked) > asked
    kubelet.say("after")
    flooded.until("after")
    flooded.end()
    (gap,) = flooded.of(Gap)
    assert flooded.texts == ["first", *read_late(flooded), "after"]
    assert gap.kind == SKIPPED
    assert begun <= gap.until <= jumped


def test_does_not_skip_when_it_catches_up(kubelet, follow):
    kubelet.say("first", ago=101)
    followed = follow(600, limits=PodFollowLimits(catch_up=5.0))
    followed.until("first")
    for number in range(300):
        kubelet.say(f"late {number}", ago=100 - number / 3)
    kubelet.say("last")
    followed.until("last")
    followed.end()
    assert not followed.of(Gap)
    assert len(followed.texts) == 302


def test_does_not_take_clock_difference_for_lag(kubelet, follow):
    for number in range(50):
        kubelet.say(f"line {number}", ago=3600)
    followed = follow(7200, limits=PodFollowLimits(catch_up=0.0))
    followed.until("line 49")
    kubelet.say("line 50", ago=3600)
    followed.until("line 50")
    assert not followed.of(Gap)


@pytest.fixture
def late(kubelet, follow) -> SimulatedFollower:
    """A follower that has received nothing for ten seconds."""
    followed = follow()
    followed.await_true(lambda: kubelet.followed)
    kubelet.say("first")
    followed.until("first")
    followed.until_quiet()
    kubelet.clock.advance(10)
    return followed


def say_five(kubelet, kind: str, ago: float) -> list[str]:
    """Write five lines from that long ago on, a tenth of a second apart, and return their texts."""
    texts = [f"{kind} {number}" for number in range(5)]
    for number, text in enumerate(texts):
        kubelet.say(text, ago=ago - number / 10)
    return texts


@pytest.mark.parametrize("answers", [True, False])
def test_reports_gap_for_file_that_living_stream_left_out(kubelet, late, answers):
    with kubelet.changed:
        a = say_five(kubelet, "a", 9.2)
        kubelet.reopen(len(kubelet.log.lines))
        say_five(kubelet, "lost", 6)
        kubelet.rotate()
        c = say_five(kubelet, "c", 2)
        if not answers:
            kubelet.refuse(500)
    late.until("c 4")
    kubelet.refusal = None
    kubelet.say("after")
    late.until("after")
    late.end()
    assert late.texts == ["first", *a, *c, "after"]
    (gap,) = late.of(Gap)
    moments = {line.split(b" ", 1)[1]: timestamp_of(line).moment for line in kubelet.log.lines}
    assert (gap.kind, gap.since, gap.until) == (ROTATION_MISSED, moments[b"a 4\n"], moments[b"c 0\n"])


def test_reports_gap_between_streams_once(kubelet, late):
    with kubelet.changed:
        kubelet.rotate()
        c = say_five(kubelet, "c", 6)
        kubelet.cut()
    late.until("c 4")
    with kubelet.changed:
        d = say_five(kubelet, "d", 2)
    late.until("d 4")
    late.end()
    assert late.texts == ["first", *c, *d]
    assert [gap.kind for gap in late.of(Gap)] == [ROTATION_MISSED]


def test_pause_of_writer_is_no_gap(kubelet, late):
    with kubelet.changed:
        a, c = say_five(kubelet, "a", 9.2), say_five(kubelet, "c", 1.2)
    late.until("c 4")
    kubelet.say("after")
    late.until("after")
    late.end()
    assert late.texts == ["first", *a, *c, "after"]
    assert not late.of(Gap)
    assert len([query for query in kubelet.asked if "follow" not in query]) == 3, "once at its hole, twice at first"


def test_pause_in_log_that_is_read_in_time_costs_no_request(kubelet, follow):
    kubelet.say("long ago", ago=30)
    kubelet.say("before", ago=15)
    followed = follow()
    followed.until("before")
    kubelet.say("now")
    followed.until("now")
    kubelet.clock.advance(20)
    kubelet.say("and later")
    followed.until("and later")
    assert len([query for query in kubelet.asked if "follow" not in query]) == 2
    assert not followed.of(Gap)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_gives_file_once_that_kubelet_sends_again(kubelet, late, chunk):
    """The kubelet does so once for each rotation that it missed."""
    kubelet.chunk_lines = chunk
    with kubelet.changed:
        a = say_five(kubelet, "a", 9.2)
        kubelet.rotate()
        c = say_five(kubelet, "c", 8.5)
        kubelet.reopen(len(kubelet.log.lines))
        d = say_five(kubelet, "d", 7.9)
    late.until("d 4")
    kubelet.reopen(len(kubelet.log.lines))
    kubelet.say("after")
    late.until("after")
    late.end()
    assert late.texts == ["first", *a, *c, *d, "after"]
    assert not late.of(Gap)


@pytest.mark.parametrize("chunk", [1, 100])
def test_gives_file_once_that_new_stream_begins_with_and_kubelet_sends_again(kubelet, late, chunk):
    kubelet.chunk_lines = chunk
    with kubelet.changed:
        kubelet.rotate()
        c = say_five(kubelet, "c", 6)
        kubelet.cut()
    late.until("c 4")
    kubelet.reopen(len(kubelet.log.lines))
    kubelet.say("after")
    late.until("after")
    late.end()
    assert late.texts == ["first", *c, "after"]
    assert [gap.kind for gap in late.of(Gap)] == [ROTATION_MISSED]


def test_stop_during_lookup_is_no_gap(kubelet, follow):
    kubelet.say("first")
    followed = follow(limits=PodFollowLimits(tolerated_outage=0.0))
    followed.until("first")
    kubelet.cut()
    followed.await_true(lambda: isinstance(followed.next_step, FindInstance))
    followed.continuity.stop()
    followed.instance = CaptureError(Reason.RUN_DEADLINE)
    followed.join()
    assert followed.texts == ["first"]
    assert not followed.of(Gap)


def test_gives_lines_after_clock_was_set_back(kubelet, late):
    with kubelet.changed:
        a, back = say_five(kubelet, "a", 9.2), say_five(kubelet, "back", 500)
    late.until("back 4")
    kubelet.say("after")
    late.until("after")
    late.end()
    assert late.texts == ["first", *a, *back, "after"]


def test_gives_lines_out_of_order(kubelet, late):
    ago = [9.2, 9.0, 9.3, 8.9, 9.4, 8.1, 8.0]
    with kubelet.changed:
        for number, seconds in enumerate(ago):
            kubelet.say(f"line {number}", ago=seconds)
    late.until("line 6")
    late.end()
    assert late.texts == ["first", *numbers(0, 7)]
    assert not late.of(Gap)


@pytest.mark.parametrize("empty", [False, True])
def test_reopens_silent_stream_without_lookup(kubelet, follow, empty):
    if not empty:
        kubelet.say("once")
    followed = follow()
    followed.await_true(lambda: len(kubelet.followed) > 4)
    kubelet.say("again")
    followed.until("again")
    assert followed.lookups == 0
    followed.end()
    assert followed.texts == (["again"] if empty else ["once", "again"])
    assert not followed.of(Gap)


def test_replaces_dead_stream(kubelet, follow):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    followed.until_quiet()
    kubelet.deafen()
    kubelet.say("second")
    followed.until("second")
    assert not followed.of(Gap)


def test_reports_gap_for_outage_at_end_of_watch(kubelet, follow):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    kubelet.refuse(0, "connection refused")
    kubelet.cut()
    followed.until_asked(5)
    followed.end()
    (gap,) = followed.of(Gap)
    assert (gap.kind, gap.since) == (STREAM_LOST, timestamp_of(kubelet.log.lines[0]).moment)
    assert "connection refused" in gap.message


def test_outage_without_lost_lines_is_no_gap(kubelet, followed):
    kubelet.refuse(503)
    kubelet.cut()
    kubelet.say("meanwhile")
    followed.until_passed(2 * NORMAL_LIMITS.tolerated_outage)
    kubelet.refusal = None
    followed.until("meanwhile")
    followed.end()
    assert not followed.of(Gap)


# A text of the kubelet in place of the log

NO_FILE = 'failed to try resolving symlinks in path "/var/log/pods/x/region/0.log": lstat /var/log/pods/x: no such file'
ends = pytest.mark.parametrize("end", ["", "\n"], ids=["as it is", "with an end of line"])


def check_gaps_of(followed) -> None:
    """Check that the error text is no line of the log, and is reported once."""
    assert not any(NO_FILE[:20] in text for text in followed.texts)
    assert [(gap.kind, gap.message) for gap in followed.of(Gap)] == [(NOT_READABLE, NO_FILE)]


@ends
def test_reports_gap_for_error_text_in_place_of_log(kubelet, follow, end):
    kubelet.error_text = (NO_FILE + end).encode()
    followed = follow()
    followed.until_asked(5)
    assert followed.of(Opened) == followed.of(Lines) == []
    followed.end()
    check_gaps_of(followed)


@ends
def test_reports_gap_when_file_disappears(kubelet, followed, end):
    kubelet.error_text = (NO_FILE + end).encode()
    kubelet.cut()
    followed.until_asked(5)
    followed.end()
    check_gaps_of(followed)
    (gap,) = followed.of(Gap)
    assert gap.since == timestamp_of(kubelet.log.lines[0]).moment
    assert followed.texts == ["first"]


@ends
def test_error_text_after_last_line_is_no_line(kubelet, followed, end):
    kubelet.cut(after=(NO_FILE + end).encode())
    kubelet.say("second")
    followed.until("second")
    followed.end()
    assert (followed.texts, followed.of(Gap)) == (["first", "second"], [])


def test_continues_after_error_text(kubelet, followed):
    kubelet.error_text = NO_FILE.encode()
    kubelet.cut()
    followed.await_true(lambda: followed.of(Gap))
    kubelet.error_text = b""
    kubelet.say("second")
    followed.until("second")
    kubelet.error_text = NO_FILE.encode()
    kubelet.cut()
    followed.await_true(lambda: len(followed.of(Gap)) == 2)
    assert followed.texts == ["first", "second"]


@ends
def test_reports_gap_for_error_text_in_place_of_previous_log(kubelet, followed, end):
    with kubelet.changed:
        followed.restart("new")
        kubelet.before = Log([(NO_FILE + end).encode()])
    followed.until("new")
    gaps = followed.of(Gap)
    assert [gap.kind for gap in gaps] == [NOT_READABLE]
    assert NO_FILE in gaps[0].message
    assert followed.texts == ["first", "new"]


# Any split, any end, any order


def many(*texts: str) -> tuple[Kubelet, SimulatedFollower]:
    """Return a log with these lines, one in 0.3 s, and a follower at its beginning."""
    kubelet = Kubelet(clock=SimulatedClock())
    for number, text in enumerate(texts):
        kubelet.say(text, ago=10 - 0.3 * number)
    return kubelet, SimulatedFollower(kubelet)


@pytest.mark.parametrize("broken", [False, True])
def test_stream_may_end_at_any_byte(broken):
    size = len(b"".join(many("one", "two", "three")[0].log.lines))
    for place in range(size + 1):
        _kubelet, followed = many("one", "two", "three")
        followed.stream_ends.append((place, broken))
        followed.until("three")
        followed.end()
        assert followed.texts == ["one", "two", "three"]
        assert not followed.of(Gap)


stream_ends = st.lists(st.tuples(st.integers(0, 700), st.booleans()), max_size=5)


@given(ends=stream_ends, part_bytes=st.integers(1, 200))
def test_splits_and_ends_of_streams_change_nothing(ends, part_bytes):
    texts = numbers(0, 20)
    _kubelet, followed = many(*texts)
    followed.part_bytes = part_bytes
    followed.stream_ends.extend(ends)
    followed.until(texts[-1])
    followed.end()
    assert followed.texts == texts
    assert not followed.of(Gap)


actions = st.one_of(
    st.tuples(st.just("say"), st.integers(1, 5)),
    st.tuples(st.just("steps"), st.integers(1, 6)),
    st.tuples(st.just("cut"), st.booleans()),
    st.tuples(st.just("advance"), st.sampled_from((0.01, 1.0, 5.0, 70.0))),
    st.tuples(st.sampled_from(("rotate", "restart")), st.none()),
)


def act(kubelet: Kubelet, followed: SimulatedFollower, action: str, value, said: list[str]) -> None:
    """Let something happen to the log, or the follower take some steps."""
    if action == "say":
        texts = numbers(len(said), len(said) + value)
        kubelet.say(*texts)
        said += texts
    elif action == "steps":
        for _number in range(value):
            followed.take_step()
    elif action == "cut":
        kubelet.cut(value)
    elif action == "advance":
        kubelet.clock.advance(value)
    elif action == "rotate":
        # A kubelet checks no more often than every 3 s whether to rotate a file.
        kubelet.clock.advance(4)
        kubelet.rotate()
    elif set(followed.texts) & {line.split(b" ", 1)[1].decode().strip() for line in kubelet.log.lines}:
        # A kubelet waits ten seconds before it starts a container for the second time, so the first one was seen.
        said.append(f"line {len(said)}")
        followed.restart(said[-1])


@given(ends=stream_ends, script=st.lists(actions, max_size=25), part_bytes=st.integers(1, 500))
def test_every_missing_line_is_within_a_gap_and_none_comes_twice(ends, script, part_bytes):
    kubelet, followed = many("line 0")
    followed.part_bytes = part_bytes
    followed.until("line 0")
    followed.stream_ends.extend(ends)
    said, moments = ["line 0"], {}
    for action, value in [*script, ("say", 1)]:
        act(kubelet, followed, action, value, said)
        for log in filter(None, (kubelet.before, kubelet.log)):
            moments.update((line.split(b" ", 1)[1].strip().decode(), timestamp_of(line).moment) for line in log.lines)
    followed.until(said[-1])
    followed.end()
    given_texts = followed.texts
    assert given_texts == [text for text in said if text in given_texts]
    gaps = [(gap.since, gap.until) for gap in followed.of(Gap)]
    for text in set(said) - set(given_texts):
        assert any(since <= moments[text] <= until for since, until in gaps), (text, gaps)
