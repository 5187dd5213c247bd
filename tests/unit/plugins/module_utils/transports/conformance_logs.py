# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conformance tests of the logs of a transport: read back, followed, and ended. For use see conformance.py."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import DumpReader, ReaderState
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import LogStream
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import (
    Ended,
    Gap,
    Lines,
    LogFollower,
    Opened,
)
from conformance import PLENTY, World, dumps_before, in_time, started, take_dump

from patience import patience, wait_until

SHORT_SECONDS = (0.5, 2.0, 8.0, 32.0)


def read_to_end(log: LogStream) -> None:
    while log.read():
        pass


# The log, read back


def test_reads_log_back(world):
    _service, instance = started(world, behaviour="log_rate=20")
    take_dump(world, instance)
    text = world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    reader = DumpReader()
    reader.feed(text)
    assert reader.state is ReaderState.COMPLETE


def test_reads_newest_part_of_log(world):
    _service, instance = started(world, behaviour="log_rate=50")
    take_dump(world, instance)
    deadline = world.deadline()
    before = b""
    while len(before) <= 1000:
        before = world.transport.read_log(instance, 600, deadline, PLENTY)
    little, after = (world.transport.read_log(instance, 600, deadline, limit) for limit in (1000, PLENTY))
    assert 0 < len(little) <= 1000
    place = after.rindex(little)
    assert after[place - 1 : place] == b"\n"
    assert place + len(little) >= len(before)


def test_reads_log_back_no_further_than_requested(world):
    service, instance = started(world, behaviour="log_rate=20")
    begun = world.transport.read_log(instance, 600, world.deadline(), PLENTY)

    def parts():
        """Return the log of the last second, once that second begins after the first lines."""
        recent = world.transport.read_log(instance, 1, world.deadline(), PLENTY)
        whole = world.transport.read_log(instance, 600, world.deadline(), PLENTY)
        return (recent, whole) if 0 < len(recent) < len(whole) - len(begun) else None

    recent, whole = wait_until("a line that is older than a second", parts)
    assert world.is_alive(service)
    assert whole.startswith(begun)
    assert recent in whole


def test_gone_instance_has_no_log(world):
    service, instance = started(world)
    world.end(service)
    with pytest.raises(CaptureError) as failed:
        world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    assert failed.value.verdict.reason is Reason.GONE


# Deadlines


def read_until_the_deadline(world: World, instance: Instance) -> LogStream | None:
    """Open a log under a short deadline and read until that passes. Return the log, None where it was not open.

    Where the machine is too busy to open it in so short a time, the next longer one is tried.
    """
    for seconds in SHORT_SECONDS:
        deadline = world.deadline(seconds)
        with in_time():
            try:
                log = world.transport.open_log(instance, deadline)
            except (DeadlineExceeded, CaptureError):
                assert deadline.expired
                continue
            if log is not None:
                with log, pytest.raises(DeadlineExceeded):
                    read_to_end(log)
                assert deadline.expired
        return log
    raise AssertionError(f"it was not opened within {seconds} s")


def test_silent_log_ends_with_deadline(world):
    _service, instance = started(world, behaviour="log_rate=0")
    read_until_the_deadline(world, instance)


def test_endless_log_ends_with_deadline(world):
    _service, instance = started(world, behaviour="log_rate=200")
    assert read_until_the_deadline(world, instance) is not None


def test_begins_nothing_after_the_deadline(world):
    service, instance = started(world)
    over = Deadline(0.0, "test")
    for begin in (
        lambda: world.transport.discover(select(components=["region"]), over),
        lambda: world.transport.open_log(instance, over),
        lambda: world.transport.open_process(instance, over),
        lambda: world.transport.read_log(instance, 600, over, PLENTY),
    ):
        with pytest.raises(DeadlineExceeded), in_time():
            begin()
    assert world.is_alive(service)


def test_sends_no_signal_after_the_deadline(world):
    service, instance = started(world)
    deadline = world.deadline()
    with world.transport.open_process(instance, deadline) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
        deadline.cancel()
        with pytest.raises((DeadlineExceeded, CaptureError)):
            session.signal(process)
    assert dumps_before(world, instance) == 0
    assert world.is_alive(service)


# Ends


def without_timestamps(follower: LogFollower, data: bytes) -> bytes:
    """Return those of the lines that the service wrote."""
    return b"".join(
        line.split(b" ", 1)[-1] if follower.timestamped else line for line in data.splitlines(keepends=True)
    )


def test_follows_log_from_the_past_without_loss(world):
    _service, instance = started(world, behaviour="log_rate=20")
    begun = world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    data, before_present = b"", b""
    with world.transport.follow_log(instance, 600, lambda _deadline: instance, world.deadline()) as follower:
        for event in follower.events():
            assert isinstance(event, Opened if not data and isinstance(event, Opened) else Lines), event
            data += event.data if isinstance(event, Lines) else b""
            if follower.caught_up.is_set():
                before_present = before_present or data
                if len(data) > len(before_present) + 1000:
                    break
        else:
            pytest.fail(f"it ended before more came than its past: {data!r}")
    whole = world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    assert data.endswith(b"\n")
    assert without_timestamps(follower, before_present).startswith(begun)
    assert whole.startswith(without_timestamps(follower, data))


def test_follower_stops_when_told(world):
    _service, instance = started(world, behaviour="log_rate=0")
    follower = world.transport.follow_log(instance, 0, lambda _deadline: instance, world.deadline())
    events: list[Any] = []
    thread = threading.Thread(target=lambda: events.extend(follower.events()), daemon=True)
    thread.start()
    assert follower.caught_up.wait(patience()), "a log without new lines is not seen to be read"
    follower.stop()
    thread.join(patience())
    assert not thread.is_alive()
    assert not [event for event in events if isinstance(event, Gap)]


def test_follower_reads_last_lines_then_reports_gone(world):
    service, instance = started(world, behaviour="log_rate=20")
    ended = threading.Event()

    def look(_deadline: Deadline) -> Instance | None:
        return None if ended.is_set() else instance

    with world.transport.follow_log(instance, 600, look, world.deadline()) as follower:
        for event in follower.events():
            if isinstance(event, Lines) and not ended.is_set():
                world.end(service)
                ended.set()
    assert isinstance(event, Ended), event
    assert event.outcome.reason is Reason.GONE


def test_log_stream_ends_with_service(world):
    service, instance = started(world)
    deadline = world.deadline()
    log = world.transport.open_log(instance, deadline)
    assert log is not None
    with log:
        world.end(service)
        read_to_end(log)
        assert log.read() == b""


def test_gone_instance_is_reported(world):
    service, instance = started(world)
    world.end(service)
    for begin in (world.transport.open_log, world.transport.open_process):
        with pytest.raises(CaptureError) as failed:
            begin(instance, world.deadline())
        assert failed.value.verdict.reason is Reason.GONE


def test_service_that_ends_before_the_signal_is_gone(world):
    service, instance = started(world)
    with world.transport.open_process(instance, world.deadline()) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
        world.end(service)
        with pytest.raises(CaptureError) as failed:
            session.signal(process)
    assert failed.value.verdict.reason in (Reason.GONE, Reason.EXEC_FAILED, Reason.PROCESS_CHANGED)


def test_close_may_be_called_twice(world):
    _service, instance = started(world)
    log = world.transport.open_log(instance, world.deadline())
    session = world.transport.open_process(instance, world.deadline())
    for thing in (log, log, session, session, world.transport, world.transport):
        if thing is not None:
            thing.close()
