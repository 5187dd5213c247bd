# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod's log followed through everything that happens to its streams: each line once, and what was missed is named."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.timestamps import timestamp_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import (
    NOT_READABLE,
    ROTATION_MISSED,
    SKIPPED,
    STREAM_LOST,
    Instance,
    State,
    utc_now,
    utc_text,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import (
    Changed,
    Ended,
    Gap,
    Lines,
    Opened,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity import (
    LogContinuity,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity_steps import (
    FindInstance,
    FollowLimits,
    Now,
    ReadNewestLine,
    Wait,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.follow import PodFollow
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.problem import ApiProblem
from kubelet import Kubelet, Log, stamped

from patience import patience, wait_until

POD = Instance("c1", "region", "region-a", "cloud", container="region", container_id="containerd://1")


# Limits that keep the tests short.
QUICK = FollowLimits(first_pause=0.01, longest_pause=0.05, restart_visible=0.2, tolerated_outage=0.1)


def quick(**limits: float) -> FollowLimits:
    return dataclasses.replace(QUICK, **limits)


@pytest.fixture
def kubelet() -> Kubelet:
    return Kubelet()


class Followed:
    """A follower on a thread. instance: how the cluster shows it, None where it is gone, an error where it does not."""

    def __init__(
        self, kubelet: Kubelet, seconds: int = 60, instance: Instance = POD, limits: FollowLimits = QUICK
    ) -> None:
        self.kubelet = kubelet
        self.instance: Instance | Exception | None = instance
        self.looks = 0
        self.events: list = []
        self.follower = PodFollow(kubelet, instance, seconds, self._look, Deadline(patience()), limits, kubelet.clock)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _look(self, _deadline: Deadline) -> Instance | None:
        self.looks += 1
        if isinstance(self.instance, Exception):
            raise self.instance
        return self.instance

    def _run(self) -> None:
        for event in self.follower.events():
            self.events.append(event)

    def restart(self, *texts: str, times: int = 1, started: float = 0.0, **options) -> None:
        """Its container ends, and another one, which started at that moment (0: now), has said that."""
        restarts = self.instance.restarts + times
        begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started or time.time()))
        self.instance = dataclasses.replace(
            self.instance, restarts=restarts, container_id=f"containerd://{restarts + 1}", started=begun
        )
        self.kubelet.restart(*texts, **options)

    @property
    def texts(self) -> list[str]:
        data = b"".join(event.data for event in list(self.events) if isinstance(event, Lines))
        assert data.endswith(b"\n") or not data
        return [line.partition(b" ")[2].decode() for line in data.splitlines()]

    def of(self, kind: type) -> list:
        return [event for event in list(self.events) if isinstance(event, kind)]

    def await_true(self, holds) -> None:
        wait_until(f"it, after {self.events[-5:]}", holds)

    def until(self, text: str) -> None:
        self.await_true(lambda: text in self.texts)

    def until_quiet(self) -> None:
        """Until its stream has nothing more to give, and is waited for."""
        self.await_true(lambda: [stream for stream in self.kubelet.streams if not stream.has_something])

    def end(self) -> list:
        self.follower.stop()
        return self.join()

    def join(self) -> list:
        self._thread.join(patience())
        assert not self._thread.is_alive()
        return self.events


@pytest.fixture
def follow(kubelet):
    made: list[Followed] = []

    def begin(*arguments, **options) -> Followed:
        made.append(Followed(kubelet, *arguments, **options))
        return made[-1]

    yield begin
    for followed in made:
        followed.follower.stop()


def follow_first_line(kubelet, follow, limits: FollowLimits = QUICK) -> Followed:
    """Return a follower that has given a first line, and whose stream waits for more."""
    kubelet.say("first")
    made = follow(limits=limits)
    made.until("first")
    made.until_quiet()
    return made


@pytest.fixture
def followed(kubelet, follow) -> Followed:
    return follow_first_line(kubelet, follow)


def numbers(first: int, end: int) -> list[str]:
    return [f"line {number}" for number in range(first, end)]


def test_what_was_written_before_and_what_comes_are_given_once(kubelet, follow):
    kubelet.say("too old", ago=100)
    kubelet.say(*numbers(0, 450), ago=10)
    followed = follow(60)
    followed.until("line 449")
    assert followed.follower.present.is_set()
    kubelet.say(*numbers(450, 1000))
    followed.until("line 999")
    events = followed.end()
    assert followed.texts == numbers(0, 1000)
    assert isinstance(events[0], Opened)
    assert (events[0].is_empty, [type(event) for event in events[1:] if not isinstance(event, Lines)]) == (False, [])


def test_an_empty_log_is_open_and_its_first_line_is_seen(kubelet, follow):
    followed = follow()
    followed.await_true(lambda: followed.of(Opened))
    assert followed.of(Opened)[0].is_empty
    followed.await_true(followed.follower.present.is_set)
    kubelet.say("at last")
    followed.until("at last")
    assert not followed.of(Gap)


@pytest.mark.parametrize("broken", [False, True])
def test_a_stream_that_is_cut_is_taken_up_where_it_ended(kubelet, follow, broken):
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


def test_lines_that_were_rotated_away_while_nobody_read_are_a_gap(kubelet, follow):
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
    assert gap.since < gap.until <= time.time()


def test_a_container_that_waits_is_awaited(kubelet, follow):
    kubelet.refuse(400, "container is waiting to start: ContainerCreating")
    followed = follow()
    followed.await_true(lambda: len(kubelet.asked) > 3)
    assert followed.events == []
    kubelet.refusal = None
    kubelet.say("hello")
    followed.until("hello")
    followed.end()
    assert not followed.of(Gap)


def test_a_container_that_never_starts_is_asked_less_and_less_often():
    continuity = LogContinuity(POD, 0.0, FollowLimits(first_pause=0.01, longest_pause=5.0, tolerated_outage=0.0))
    replies = {ReadNewestLine: ApiProblem(400, "no"), FindInstance: POD, Wait: None}
    waits: list[float] = []
    step = continuity.step(Now(100.0, 0.0))
    while step is not None:
        if isinstance(step, Wait):
            waits.append(step.seconds)
        if len(waits) == 15:
            continuity.stop()
        step = continuity.step(Now(100.0, sum(waits)), replies[type(step)])
    assert waits[:4] == [0.02, 0.04, 0.08, 0.16]
    assert waits[-1] == 5.0


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("when", ["at once", "later"])
def test_what_is_forbidden_ends_it(kubelet, follow, code, when):
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


def test_a_pod_that_goes_ends_it(kubelet, follow):
    kubelet.say("seen")
    followed = follow()
    followed.until("seen")
    followed.instance = None
    kubelet.refuse(404)
    kubelet.cut()
    ended = followed.join()[-1]
    assert (type(ended), ended.outcome.reason) == (Ended, Reason.GONE)
    assert not followed.of(Gap)


def test_a_pod_that_goes_while_its_log_cannot_be_read_leaves_a_gap(kubelet, follow):
    kubelet.say("seen")
    followed = follow()
    followed.until("seen")
    kubelet.refuse(503)
    kubelet.cut(broken=True)
    asked = len(kubelet.asked)
    followed.await_true(lambda: len(kubelet.asked) > asked + 1)
    followed.instance = None
    ended = followed.join()[-1]
    assert ended.outcome.reason is Reason.GONE
    assert [gap.kind for gap in followed.of(Gap)] == [STREAM_LOST]


@pytest.mark.parametrize(("broken", "gaps"), [(False, []), (True, [STREAM_LOST])])
def test_a_pod_that_is_going_when_the_watching_ends_was_read_if_its_stream_was_whole(kubelet, follow, broken, gaps):
    kubelet.say("seen")
    followed = follow()
    followed.until("seen")
    followed.instance = dataclasses.replace(POD, state=State.TERMINATING)
    kubelet.refuse(404, "its container was removed")
    away = time.monotonic()
    kubelet.cut(broken=broken)
    asked = len(kubelet.asked)
    followed.await_true(lambda: len(kubelet.asked) > asked + 1)
    followed.await_true(lambda: time.monotonic() - away > 2 * QUICK.tolerated_outage)
    followed.end()
    assert [gap.kind for gap in followed.of(Gap)] == gaps


def test_that_the_cluster_does_not_show_it_is_no_end(kubelet, follow):
    kubelet.say("seen")
    followed = follow()
    followed.until("seen")
    followed.instance = CaptureError(Reason.UNREACHABLE, "no answer")
    kubelet.cut()
    kubelet.say("still there")
    followed.until("still there")
    assert not followed.of(Ended)


# Containers


def test_a_restart_is_followed_from_the_last_line_to_the_first(kubelet, follow):
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
    assert followed.of(Changed) == [Changed("containerd://2", 1)]
    assert not followed.of(Gap)


def test_the_container_before_is_read_first(kubelet, follow):
    kubelet.say(*numbers(0, 10))
    kubelet.restart(*numbers(10, 20))
    now = utc_text(utc_now())
    followed = follow(
        instance=dataclasses.replace(POD, container_id="containerd://2", restarts=1, started=now, last_ended=now)
    )
    followed.until("line 19")
    followed.end()
    assert followed.texts == numbers(0, 20)
    assert (followed.of(Changed), followed.of(Gap)) == ([Changed("containerd://2", 1)], [])


def test_containers_that_came_and_went_unseen_are_a_gap(kubelet, follow):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    followed.restart("fourth", times=3)
    followed.until("fourth")
    followed.end()
    (gap,) = followed.of(Gap)
    assert gap.kind == STREAM_LOST
    assert "2 containers" in gap.message


def test_the_log_before_that_was_removed_is_a_gap(kubelet, followed):
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
def test_the_log_of_a_new_container_that_does_not_begin_with_it_is_a_gap(kubelet, follow, began, gaps):
    """began: so many seconds after its container its oldest line was written."""
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    started = int(time.time()) - 61.0
    with kubelet.changed:
        followed.restart(started=started)
        kubelet.log.lines.append(stamped("second", started + began))
    followed.until("second")
    followed.end()
    found = followed.of(Gap)
    assert [gap.kind for gap in found] == gaps
    for gap in found:
        assert gap.since == started
        assert gap.until == pytest.approx(started + began, abs=1e-5)


@pytest.fixture
def before_stream(kubelet, monkeypatch):
    """Lets something happen once, after the log was looked into and before the next stream of it begins."""

    def set_up(*happens) -> None:
        opened, left = kubelet.open_stream, list(happens)

        def open_stream(path, query, *limits):
            while "follow" in query and left:
                left.pop(0)()
            return opened(path, query, *limits)

        monkeypatch.setattr(kubelet, "open_stream", open_stream)

    return set_up


def test_a_file_that_is_rotated_just_when_it_is_opened_is_a_gap(kubelet, follow, before_stream):
    kubelet.say("lost", "lost as well", ago=10)
    before_stream(kubelet.rotate, lambda: kubelet.say("after"))
    followed = follow()
    followed.until("after")
    followed.end()
    (gap,) = followed.of(Gap)
    assert (gap.kind, gap.since) == (ROTATION_MISSED, followed.of(Opened)[0].since)
    assert gap.since < gap.until <= time.time()


def test_the_file_of_a_new_container_that_is_rotated_just_when_it_is_opened_is_a_gap(kubelet, followed, before_stream):
    began = time.time()
    before_stream(kubelet.rotate, lambda: kubelet.say("after"))
    followed.restart("lost")
    followed.until("after")
    followed.end()
    (gap,) = followed.of(Gap)
    assert gap.kind == ROTATION_MISSED
    assert began <= gap.since < gap.until <= time.time()


def test_a_container_that_restarts_just_when_it_is_opened_is_no_rotation(kubelet, follow, before_stream):
    kubelet.say("first", ago=10)
    before_stream(lambda: kubelet.restart("second"))
    followed = follow(limits=quick(restart_visible=patience()))
    followed.await_true(lambda: followed.looks > 2)
    followed.instance = dataclasses.replace(POD, restarts=1, container_id="containerd://2", started=utc_text(utc_now()))
    followed.until("second")
    followed.end()
    assert followed.texts == ["first", "second"]
    assert [event.restarts for event in followed.of(Changed)] == [1]
    assert not followed.of(Gap)


def test_a_new_container_that_says_nothing_for_long_has_lost_nothing(kubelet, follow):
    kubelet.say("first")
    followed = follow(limits=quick(silence=0.05))
    followed.until("first")
    followed.restart()
    followed.await_true(lambda: followed.of(Changed))
    asked = len(kubelet.followed)
    followed.await_true(lambda: len(kubelet.followed) > asked + 1)
    kubelet.ahead += 60
    asked = len(kubelet.followed)
    followed.await_true(lambda: len(kubelet.followed) > asked + 2)
    kubelet.say("second")
    followed.until("second")
    followed.end()
    assert not followed.of(Gap)


def test_last_words_that_were_rotated_away_are_a_gap(kubelet, followed):
    kubelet.deafen()
    kubelet.say("unseen")
    kubelet.rotate()
    kubelet.say("last words")
    followed.restart("second")
    followed.until("second")
    followed.end()
    (gap,) = followed.of(Gap)
    assert (gap.kind, followed.texts) == (STREAM_LOST, ["first", "last words", "second"])


def test_a_new_container_is_no_rotation_though_the_cluster_shows_it_late(kubelet, follow):
    followed = follow_first_line(kubelet, follow, quick(restart_visible=patience()))
    now = followed.instance
    followed.restart("second")
    later, followed.instance = followed.instance, now
    looks = followed.looks
    followed.await_true(lambda: followed.looks > looks + 3)
    followed.instance = later
    followed.until("second")
    followed.end()
    assert followed.texts == ["first", "second"]
    assert (followed.of(Gap), followed.of(Changed)) == ([], [Changed("containerd://2", 1)])


# Floods and silence


@pytest.fixture
def flooded(kubelet, follow) -> Followed:
    """Of lines that were written all at once, as a second began, it reads twenty in a second."""
    kubelet.chunk_lines = 1
    kubelet.say("first", ago=2)
    followed = follow(600, limits=quick(lag=0.5, catch_up=0.2))
    followed.until("first")
    followed.until_quiet()
    kubelet.pace = lambda: threading.Event().wait(0.05)
    # It gives up 0.7 s later, within the same second: sinceTime does not tell what it has read from what it skipped.
    kubelet.ahead += 1 - kubelet.time() % 1
    kubelet.say(*(f"late {number}" for number in range(100)))
    return followed


def read_late(followed: Followed) -> list[str]:
    """What it has read of the flood; from its beginning, and nothing twice."""
    read = [text for text in followed.texts if text.startswith("late")]
    assert read == [f"late {number}" for number in range(len(read))]
    assert 1 <= len(read) < 100
    return read


def test_who_cannot_keep_up_goes_on_with_the_newest_line(kubelet, flooded):
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
def test_who_cannot_keep_up_and_finds_no_newest_line_goes_on_with_what_comes(kubelet, flooded, fails):
    """The file was rotated just then, or the API server does not answer."""
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


def test_who_catches_up_after_a_stall_has_missed_nothing(kubelet, follow):
    kubelet.say("first", ago=101)
    followed = follow(600, limits=quick(catch_up=5.0))
    followed.until("first")
    for number in range(300):
        kubelet.say(f"late {number}", ago=100 - number / 3)
    kubelet.say("last")
    followed.until("last")
    followed.end()
    assert not followed.of(Gap)
    assert len(followed.texts) == 302


def test_a_clock_that_is_wrong_is_no_flood(kubelet, follow):
    for number in range(50):
        kubelet.say(f"line {number}", ago=3600)
    followed = follow(7200, limits=quick(catch_up=0.0))
    followed.until("line 49")
    kubelet.say("line 50", ago=3600)
    followed.until("line 50")
    assert not followed.of(Gap)


@pytest.fixture
def late(kubelet, follow) -> Followed:
    """It has got nothing for ten seconds."""
    followed = follow()
    followed.await_true(lambda: kubelet.followed)
    kubelet.say("first")
    followed.until("first")
    followed.until_quiet()
    kubelet.ahead += 10
    return followed


def said(kubelet, kind: str, ago: float) -> list[str]:
    """Five lines that were written from that long ago on, a tenth of a second apart."""
    texts = [f"{kind} {number}" for number in range(5)]
    for number, text in enumerate(texts):
        kubelet.say(text, ago=ago - number / 10)
    return texts


@pytest.mark.parametrize("answers", [True, False])
def test_a_file_that_was_rotated_away_while_its_stream_lived_is_a_gap(kubelet, late, answers):
    with kubelet.changed:
        a = said(kubelet, "a", 9.2)
        kubelet.reopen(len(kubelet.log.lines))
        said(kubelet, "lost", 6)
        kubelet.rotate()
        c = said(kubelet, "c", 2)
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


def test_what_lies_between_two_streams_is_named_once(kubelet, late):
    with kubelet.changed:
        kubelet.rotate()
        c = said(kubelet, "c", 6)
        kubelet.cut()
    late.until("c 4")
    with kubelet.changed:
        d = said(kubelet, "d", 2)
    late.until("d 4")
    late.end()
    assert late.texts == ["first", *c, *d]
    assert [gap.kind for gap in late.of(Gap)] == [ROTATION_MISSED]


def test_that_nothing_was_written_for_some_seconds_is_no_gap(kubelet, late):
    with kubelet.changed:
        a, c = said(kubelet, "a", 9.2), said(kubelet, "c", 1.2)
    late.until("c 4")
    kubelet.say("after")
    late.until("after")
    late.end()
    assert late.texts == ["first", *a, *c, "after"]
    assert not late.of(Gap)
    assert len([query for query in kubelet.asked if "follow" not in query]) == 3, "once at its hole, twice at first"


def test_pauses_of_a_log_that_is_read_in_time_are_asked_for_nothing(kubelet, follow):
    kubelet.say("long ago", ago=30)
    kubelet.say("before", ago=15)
    followed = follow()
    followed.until("before")
    kubelet.say("now")
    followed.until("now")
    kubelet.ahead += 20
    kubelet.say("and later")
    followed.until("and later")
    assert len([query for query in kubelet.asked if "follow" not in query]) == 2
    assert not followed.of(Gap)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_a_file_that_is_sent_once_more_is_given_once(kubelet, late, chunk):
    """As often as it was rotated while it was not read."""
    kubelet.chunk_lines = chunk
    with kubelet.changed:
        a = said(kubelet, "a", 9.2)
        kubelet.rotate()
        c = said(kubelet, "c", 8.5)
        kubelet.reopen(len(kubelet.log.lines))
        d = said(kubelet, "d", 7.9)
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
        c = said(kubelet, "c", 6)
        kubelet.cut()
    late.until("c 4")
    kubelet.reopen(len(kubelet.log.lines))
    kubelet.say("after")
    late.until("after")
    late.end()
    assert late.texts == ["first", *c, "after"]
    assert [gap.kind for gap in late.of(Gap)] == [ROTATION_MISSED]


def test_who_is_told_to_end_while_it_looks_for_its_container_has_lost_nothing(kubelet, follow):
    followed = follow_first_line(kubelet, follow, quick(tolerated_outage=0.0))

    def look(_deadline):
        followed.follower.stop()
        raise CaptureError(Reason.RUN_DEADLINE)

    followed.follower._look = look
    kubelet.cut()
    followed.join()
    assert followed.texts == ["first"]
    assert not followed.of(Gap)


def test_a_clock_that_is_set_back_loses_nothing(kubelet, late):
    with kubelet.changed:
        a, back = said(kubelet, "a", 9.2), said(kubelet, "back", 500)
    late.until("back 4")
    kubelet.say("after")
    late.until("after")
    late.end()
    assert late.texts == ["first", *a, *back, "after"]


def test_lines_out_of_order_are_given_all_the_same(kubelet, late):
    ago = [9.2, 9.0, 9.3, 8.9, 9.4, 8.1, 8.0]
    with kubelet.changed:
        for number, seconds in enumerate(ago):
            kubelet.say(f"line {number}", ago=seconds)
    late.until("line 6")
    late.end()
    assert late.texts == ["first", *numbers(0, 7)]
    assert not late.of(Gap)


@pytest.mark.parametrize("empty", [False, True])
def test_a_silent_log_is_opened_anew_and_nothing_else(kubelet, follow, empty):
    if not empty:
        kubelet.say("once")
    followed = follow(limits=quick(silence=0.05))
    followed.await_true(lambda: len(kubelet.followed) > 4)
    kubelet.say("again")
    followed.until("again")
    assert followed.looks == 0
    followed.end()
    assert followed.texts == (["again"] if empty else ["once", "again"])
    assert not followed.of(Gap)


def test_a_stream_that_is_dead_is_no_silence_for_long(kubelet, follow):
    kubelet.say("first")
    followed = follow(limits=quick(silence=0.3))
    followed.until("first")
    followed.until_quiet()
    kubelet.deafen()
    kubelet.say("second")
    followed.until("second")
    assert not followed.of(Gap)


def test_it_ends_in_the_middle_of_a_read(kubelet, followed):
    begun = time.monotonic()
    followed.end()
    assert time.monotonic() - begun < patience() / 2  # its deadline would end it only then
    assert not followed.of(Gap)
    assert kubelet.streams == []


def test_what_is_lost_until_the_end_is_a_gap(kubelet, follow):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    kubelet.refuse(0, "connection refused")
    kubelet.cut()
    asked = len(kubelet.asked)
    followed.await_true(lambda: len(kubelet.asked) > asked + 5)
    followed.end()
    (gap,) = followed.of(Gap)
    assert (gap.kind, gap.since) == (STREAM_LOST, timestamp_of(kubelet.log.lines[0]).moment)
    assert "connection refused" in gap.message


def test_what_was_away_and_came_back_whole_is_no_gap(kubelet, followed):
    kubelet.refuse(503)
    kubelet.cut()
    away = time.monotonic()
    kubelet.say("meanwhile")
    followed.await_true(lambda: time.monotonic() - away > 2 * QUICK.tolerated_outage)
    kubelet.refusal = None
    followed.until("meanwhile")
    followed.end()
    assert not followed.of(Gap)


# A text of the kubelet in place of the log

NO_FILE = 'failed to try resolving symlinks in path "/var/log/pods/x/region/0.log": lstat /var/log/pods/x: no such file'
ends = pytest.mark.parametrize("end", ["", "\n"], ids=["as it is", "with an end of line"])


def check_gaps_of(followed) -> None:
    """Nothing of the text is taken for the log, and it is told once."""
    assert not any(NO_FILE[:20] in text for text in followed.texts)
    assert [(gap.kind, gap.message) for gap in followed.of(Gap)] == [(NOT_READABLE, NO_FILE)]


def until_asked(followed, times: int) -> None:
    asked = len(followed.kubelet.asked)
    followed.await_true(lambda: len(followed.kubelet.asked) > asked + times)


@ends
def test_a_text_in_place_of_the_log_is_a_gap(kubelet, follow, end):
    kubelet.error_text = (NO_FILE + end).encode()
    followed = follow()
    until_asked(followed, 5)
    assert followed.of(Opened) == followed.of(Lines) == []
    followed.end()
    check_gaps_of(followed)


@ends
def test_a_log_whose_file_goes_while_it_is_followed_is_a_gap(kubelet, followed, end):
    kubelet.error_text = (NO_FILE + end).encode()
    kubelet.cut()
    until_asked(followed, 5)
    followed.end()
    check_gaps_of(followed)
    (gap,) = followed.of(Gap)
    assert gap.since == pytest.approx(time.time(), abs=patience())
    assert followed.texts == ["first"]


@ends
def test_a_text_behind_the_last_line_of_a_stream_is_no_line(kubelet, followed, end):
    kubelet.cut(after=(NO_FILE + end).encode())
    kubelet.say("second")
    followed.until("second")
    followed.end()
    assert (followed.texts, followed.of(Gap)) == (["first", "second"], [])


def test_a_log_that_can_be_read_again_goes_on(kubelet, followed):
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
def test_a_text_in_place_of_the_log_of_the_container_before_is_a_gap(kubelet, followed, end):
    with kubelet.changed:
        followed.restart("new")
        kubelet.before = Log([(NO_FILE + end).encode()])
    followed.until("new")
    gaps = followed.of(Gap)
    assert [gap.kind for gap in gaps] == [NOT_READABLE]
    assert NO_FILE in gaps[0].message
    assert followed.texts == ["first", "new"]
