# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PodLogFollower on a thread: it performs the steps that LogContinuity asks for, and can be stopped at any time."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import (
    Ended,
    Gap,
    Lines,
    Opened,
    WriterChanged,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity_steps import (
    PodFollowLimits,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.follow import PodLogFollower
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import STREAM_LOST
from kubelet import Kubelet, SimulatedClock
from simulated_follower import POD, second_of

from patience import patience, wait_until

# Limits that keep the tests short.
QUICK = PodFollowLimits(first_pause=0.01, longest_pause=0.05, restart_visible=0.2, tolerated_outage=0.1)


@pytest.fixture
def kubelet() -> Kubelet:
    return Kubelet()


class ThreadedFollower:
    """Follower on a thread. instance: as the cluster shows it, None if gone. lookup_fails: what lookups raise."""

    def __init__(self, kubelet: Kubelet, seconds: float = 60) -> None:
        self.instance: Instance | None = POD
        self.lookup_fails: Exception | None = None
        self.events: list = []
        self.follower = PodLogFollower(kubelet, POD, 60, self._look, Deadline(seconds), QUICK)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _look(self, _deadline: Deadline) -> Instance | None:
        if self.lookup_fails is not None:
            raise self.lookup_fails
        return self.instance

    def _run(self) -> None:
        for event in self.follower.events():
            self.events.append(event)

    @property
    def text(self) -> bytes:
        return b"".join(event.data for event in list(self.events) if isinstance(event, Lines))

    def of(self, kind: type) -> list:
        return [event for event in list(self.events) if isinstance(event, kind)]

    def until(self, text: str) -> None:
        wait_until(f"{text!r} after {self.events[-5:]}", lambda: f"{text}\n".encode() in self.text)

    def join(self) -> list:
        self._thread.join(patience())
        assert not self._thread.is_alive()
        return self.events

    def end(self) -> list:
        self.follower.stop()
        return self.join()


@pytest.fixture
def follow(kubelet):
    made: list[ThreadedFollower] = []

    def begin(**options) -> ThreadedFollower:
        made.append(ThreadedFollower(kubelet, **options))
        return made[-1]

    yield begin
    for follower in made:
        follower.follower.stop()


def until_quiet(kubelet: Kubelet) -> None:
    """Wait until a stream has nothing more to give."""
    wait_until("a quiet stream", lambda: [one for one in kubelet.streams if not one.has_something])


def test_follows_log_across_cut_streams(kubelet, follow):
    kubelet.say("first", ago=5)
    followed = follow()
    for number in range(5):
        until_quiet(kubelet)
        kubelet.cut(broken=number % 2 == 0, after=b"2026-11-25T10:00:00.000000000Z hal")
        kubelet.say(f"line {number}")
        followed.until(f"line {number}")
    events = followed.end()
    lines = [line.partition(b" ")[2] for line in followed.text.splitlines()]
    assert lines == [b"first", *(f"line {number}".encode() for number in range(5))]
    assert isinstance(events[0], Opened)
    assert not followed.of(Gap)
    # A stream begins with the last second seen, not with the window.
    assert kubelet.followed[-1]["sinceTime"] > kubelet.followed[0]["sinceTime"]


def test_reads_previous_log_after_restart(kubelet, follow):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    until_quiet(kubelet)
    kubelet.deafen()
    kubelet.say("last")
    started = second_of(time.time())
    followed.instance = dataclasses.replace(POD, restarts=1, container_id="containerd://2", started=started)
    kubelet.restart("second")
    followed.until("second")
    followed.end()
    assert [line.partition(b" ")[2] for line in followed.text.splitlines()] == [b"first", b"last", b"second"]
    assert (followed.of(WriterChanged), followed.of(Gap)) == ([WriterChanged("containerd://2", 1)], [])
    assert [query["previous"] for query in kubelet.asked if "previous" in query] == ["true"]


def test_sets_present_after_existing_lines_were_taken(kubelet):
    kubelet.say("first")
    follower = PodLogFollower(kubelet, POD, 60, lambda _deadline: POD, Deadline(patience()), QUICK)
    events = follower.events()
    assert isinstance(next(events), Opened)
    while not isinstance(next(events), Lines):
        pass
    assert not follower.caught_up.is_set()
    kubelet.say("second")
    next(events)
    assert follower.caught_up.is_set()
    follower.stop()
    assert list(events) == []


def test_stop_ends_blocked_read(kubelet, follow):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    until_quiet(kubelet)
    begun = time.monotonic()
    followed.end()
    assert time.monotonic() - begun < patience() / 2
    assert not followed.of(Gap)
    assert kubelet.streams == []


def test_deadline_ends_blocked_read(kubelet, follow):
    kubelet.say("first")
    followed = follow(seconds=1)
    followed.join()
    assert not followed.of(Ended)
    assert kubelet.streams == []


def test_closes_stream_when_events_are_no_longer_taken(kubelet):
    kubelet.say("first")
    follower = PodLogFollower(kubelet, POD, 60, lambda _deadline: POD, Deadline(patience()), QUICK)
    events = follower.events()
    while not isinstance(next(events), Lines):
        pass
    assert len(kubelet.streams) == 1
    events.close()
    assert kubelet.streams == []


@pytest.mark.parametrize("error", [CaptureError(Reason.UNREACHABLE, "no answer"), DeadlineExceeded("lookup")])
def test_failed_lookup_does_not_end_it(kubelet, follow, error):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    followed.lookup_fails = error
    kubelet.cut()
    kubelet.say("second")
    followed.until("second")
    assert not followed.of(Ended)


def test_reports_outage_at_end(kubelet, follow):
    kubelet.say("first")
    followed = follow()
    followed.until("first")
    kubelet.refuse(0, "connection refused")
    kubelet.cut()
    away = time.monotonic()
    wait_until("the outage to last", lambda: time.monotonic() - away > 2 * QUICK.tolerated_outage)
    followed.end()
    (gap,) = followed.of(Gap)
    assert gap.kind == STREAM_LOST
    assert "connection refused" in gap.message


def test_counts_window_back_on_its_clock(kubelet):
    clock = SimulatedClock(2_000_000_000)
    kubelet.say("first", ago=5)
    follower = PodLogFollower(kubelet, POD, 60, lambda _deadline: POD, Deadline(patience()), QUICK, clock)
    opened = next(follower.events())
    assert opened.since == pytest.approx(2_000_000_000 - 60, abs=1)
