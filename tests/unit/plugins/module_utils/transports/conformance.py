# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every transport must do, and every fake of one: tests against the interface, transports/base.py.

A test module makes them its own:

    from conformance import *          # the test functions
    @pytest.fixture(params=[...])
    def world(request): ...            # yields a World

They know nothing of the transport; a World starts services for them.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import Selection, component_of, select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, State
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.reader import DumpReader, ReaderState
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import LogStream, Transport
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import (
    Ended,
    Gap,
    Lines,
    LogFollow,
    Opened,
)

USR1 = 1 << 9
HEADER = b"goroutine profile: total "
ENDED = b"(the log ended)"
PLENTY = 8 << 20


class World(abc.ABC):
    """Somewhere services run, and the transport that reaches them.

    patience: seconds in which anything that is expected has happened. slack: seconds by which a call may come back
    later than its deadline. moment: seconds in which a dump that should not come would have come.
    has_runtime: commands can be run where the services are. gone: what is said of the port of a service that has ended.
    """

    transport: Transport
    patience = 15.0
    slack = 3.0
    moment = 1.5
    has_runtime = True
    gone: tuple[Reason, ...] = (Reason.GONE,)

    @abc.abstractmethod
    def start(self, component: str, behaviour: str = "") -> Any:
        """Start a service and wait until it has its signal handlers.

        behaviour: what STANDIN means to the stand-in services; used here are "log_rate=N", "usr1=ignore", and in
        conformance_http.py "http=…", "http_fault=…" and "version_branch=…".
        """

    @abc.abstractmethod
    def end(self, service: Any) -> None:
        """End it (for good: nothing starts it again)."""

    @abc.abstractmethod
    def is_alive(self, service: Any) -> bool:
        """Whether it still is what was started: not ended, not restarted."""

    @abc.abstractmethod
    def is_it(self, service: Any, instance: Instance) -> bool:
        """Whether this instance is that service."""

    def deadline(self, seconds: float = 0.0) -> Deadline:
        return Deadline(seconds or self.patience, "test")


def instance_of(world: World, service: Any, component: str) -> Instance:
    found = world.transport.discover(select(components=[component]), world.deadline())
    (instance,) = [one for one in found.instances if world.is_it(service, one)]
    return instance


def started(world: World, component: str = "region", behaviour: str = "") -> tuple[Any, Instance]:
    service = world.start(component, behaviour)
    return service, instance_of(world, service, component)


def signal(world: World, instance: Instance, deadline: Deadline):
    """Signal the one process of the instance; the time."""
    with world.transport.open_process(instance, deadline) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
        return session.signal(process)


def read_dump(log: LogStream) -> DumpReader:
    """Read on until the dump is whole, or the log ends."""
    reader = DumpReader(skip_first_line=log.old_first_line)
    while not reader.done:
        reader.feed(log.read())
    return reader


def read_to_end(log: LogStream) -> None:
    while log.read():
        pass


def take_dump(world: World, instance: Instance) -> DumpReader:
    deadline = world.deadline()
    log = world.transport.open_log(instance, deadline)
    sent = signal(world, instance, deadline)
    log = log or world.transport.reopen_log(instance, sent, deadline)
    assert log is not None
    with log:
        return read_dump(log)


def hear(world: World, instances: Sequence[Instance], act: Callable[[], object], dumps: int = 0) -> list[bytes]:
    """What these instances write into their logs from before the act until so many dumps and a moment after it."""
    deadline = world.deadline()
    heard, more = [b""] * len(instances), threading.Condition()

    def listen(number: int, log: LogStream) -> None:
        with log, contextlib.suppress(DeadlineExceeded):
            while data := log.read():
                with more:
                    heard[number] += data
                    more.notify()
            heard[number] += ENDED

    logs = [world.transport.open_log(instance, deadline) for instance in instances]
    assert all(logs), "a service had written nothing at all"
    threads = [threading.Thread(target=listen, args=each, daemon=True) for each in enumerate(logs)]
    for thread in threads:
        thread.start()
    act()
    with more:
        more.wait_for(lambda: sum(map(dumps_in, heard)) >= dumps, deadline.remaining())
        # More dumps than there should be.
        more.wait_for(lambda: sum(map(dumps_in, heard)) > dumps, world.moment)
    deadline.cancel()
    for thread in threads:
        thread.join(world.slack)
    assert not [data for data in heard if data.endswith(ENDED)], "a log ended"
    return heard


def dumps_in(data: bytes) -> int:
    return data.count(HEADER)


@contextlib.contextmanager
def in_time(world: World, deadline: Deadline) -> Iterator[None]:
    """The block ends by its deadline."""
    allowed = deadline.remaining() + world.slack
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun <= allowed


# Discovery


def test_discovery_finds_what_runs_and_only_what_was_asked_for(world):
    regions = [world.start("region"), world.start("region")]
    world.start("keystone")
    found = world.transport.discover(select(components=["region", "glance"]), world.deadline())
    assert found.problems == []
    assert [one.component for one in found.instances] == ["region", "region"]
    for service in regions:
        assert sum(world.is_it(service, one) for one in found.instances) == 1


def test_an_instance_says_where_and_what_it_is(world):
    _service, instance = started(world)
    assert instance.state is State.RUNNING
    assert instance.cluster
    assert instance.name
    assert instance.node
    assert time.strptime(instance.started, "%Y-%m-%dT%H:%M:%SZ")
    assert Instance.from_dict(instance.as_dict()) == instance


def test_what_is_not_there_is_not_found(world):
    found = world.transport.discover(select(components=["glance"]), world.deadline())
    assert (found.instances, found.problems) == ([], [])


def test_no_component_is_taken_for_another_whose_name_contains_its_own(world):
    names = ["host", "host-image", "host-deployer", "host-health"]
    services = {name: world.start(name) for name in names}
    for name in names:
        found = world.transport.discover(Selection((component_of(name),)), world.deadline())
        (instance,) = found.instances
        assert world.is_it(services[name], instance)
        with world.transport.open_process(instance, world.deadline()) as session:
            (process,) = [one for one in session.facts.candidates if one.same_container]
            assert process.executable.rsplit("/", 1)[-1] == name


# The look at the process


def test_the_facts_name_one_process_that_catches_the_signal(world):
    _service, instance = started(world)
    with world.transport.open_process(instance, world.deadline()) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
    assert process.pid > 0
    assert process.start_time > 0
    assert process.same_by
    assert process.stderr
    assert process.log_file == ""
    assert process.caught & USR1
    assert not process.ignored & USR1


def test_an_ignored_signal_shows(world):
    _service, instance = started(world, behaviour="usr1=ignore")
    with world.transport.open_process(instance, world.deadline()) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
    assert process.ignored & USR1


def test_a_look_alone_does_nothing(world):
    service, instance = started(world)

    def look():
        with world.transport.open_process(instance, world.deadline()):
            pass

    assert [dumps_in(data) for data in hear(world, [instance], look)] == [0]
    assert world.is_alive(service)


# Signal and log


def test_a_signal_brings_the_dump_into_the_log(world):
    service, instance = started(world)
    reader = take_dump(world, instance)
    assert reader.state is ReaderState.COMPLETE
    assert world.is_alive(service)


def test_the_log_is_followed_from_now_on(world):
    _service, instance = started(world)
    first = take_dump(world, instance)
    second = take_dump(world, instance)
    assert (first.state, second.state) == (ReaderState.COMPLETE, ReaderState.COMPLETE)
    # The first dump is not in what was read for the second one.
    assert second.superseded == 0


def test_a_signal_reaches_exactly_one_process(world):
    names = ["region", "region", "host", "host-image", "host-deployer"]
    services = [(world.start(name), name) for name in names]
    instances = [instance_of(world, service, name) for service, name in services]
    heard = hear(world, instances, lambda: signal(world, instances[0], world.deadline()), dumps=1)
    assert [dumps_in(data) for data in heard] == [1, 0, 0, 0, 0]
    assert all(world.is_alive(service) for service, _name in services)


def test_a_process_that_is_not_the_one_that_was_seen_gets_nothing(world):
    service, instance = started(world)

    def signal_another():
        with world.transport.open_process(instance, world.deadline()) as session:
            (process,) = [one for one in session.facts.candidates if one.same_container]
            with pytest.raises(CaptureError) as failed:
                session.signal(dataclasses.replace(process, start_time=process.start_time + 1))
        assert failed.value.verdict.reason is Reason.PROCESS_CHANGED

    assert [dumps_in(data) for data in hear(world, [instance], signal_another)] == [0]
    assert take_dump(world, instance).state is ReaderState.COMPLETE
    assert world.is_alive(service)


def test_reopening_gives_all_that_came_since(world):
    _service, instance = started(world, behaviour="log_rate=50")
    deadline = world.deadline()
    log = world.transport.open_log(instance, deadline)
    if log is not None:
        log.close()
    sent = signal(world, instance, deadline)
    for _again in range(2):
        log = world.transport.reopen_log(instance, sent, deadline)
        assert log is not None
        with log:
            assert read_dump(log).state is ReaderState.COMPLETE


def test_many_at_once(world):
    services = [world.start("region") for _number in range(6)]
    instances = [instance_of(world, service, "region") for service in services]
    states = {}

    def take(instance):
        states[instance.name] = take_dump(world, instance).state

    threads = [threading.Thread(target=take, args=(instance,)) for instance in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(world.patience * 2)
    assert states == {instance.name: ReaderState.COMPLETE for instance in instances}


def test_the_version_is_what_the_binary_prints(world):
    _service, instance = started(world)
    with world.transport.open_process(instance, world.deadline()) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
        if world.has_runtime:
            assert b'"gitVersion"' in session.version(process)
            return
        with pytest.raises(CaptureError) as failed:
            session.version(process)
    assert failed.value.verdict.reason is Reason.NO_RUNTIME_CLI


# The log, read back


def test_what_was_written_is_read_back(world):
    _service, instance = started(world, behaviour="log_rate=20")
    take_dump(world, instance)
    text = world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    reader = DumpReader()
    reader.feed(text)
    assert reader.state is ReaderState.COMPLETE


def test_of_a_log_the_newest_is_read_back(world):
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


def test_a_log_is_read_back_so_far_and_no_further(world):
    service, instance = started(world, behaviour="log_rate=5")
    begun = world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    threading.Event().wait(5.0)
    recent = world.transport.read_log(instance, 2, world.deadline(), PLENTY)
    whole = world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    assert world.is_alive(service)
    assert whole.startswith(begun)
    assert 0 < len(recent) < len(whole) - len(begun)


def test_what_is_gone_has_no_log_to_read(world):
    service, instance = started(world)
    world.end(service)
    with pytest.raises(CaptureError) as failed:
        world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    assert failed.value.verdict.reason is Reason.GONE


# Workloads


def test_workloads_are_those_asked_for(world):
    started(world)
    wanted = select(components=["region"])
    assert {one.component for one in world.transport.workloads(wanted, world.deadline())} <= {"region"}
    if not world.transport.lists_workloads:
        assert world.transport.workloads(wanted, world.deadline()) == []


# Deadlines


def test_a_silent_log_costs_the_deadline_and_no_more(world):
    _service, instance = started(world, behaviour="log_rate=0")
    deadline = world.deadline(2.0)
    with in_time(world, deadline):
        log = world.transport.open_log(instance, deadline)
        if log is None:
            return
        with log, pytest.raises(DeadlineExceeded):
            read_to_end(log)
    assert deadline.expired


def test_a_log_that_never_stops_costs_the_deadline_and_no_more(world):
    _service, instance = started(world, behaviour="log_rate=200")
    deadline = world.deadline(2.0)
    with in_time(world, deadline):
        log = world.transport.open_log(instance, deadline)
        assert log is not None
        with log, pytest.raises(DeadlineExceeded):
            read_to_end(log)
    assert deadline.expired


def test_nothing_is_begun_after_the_deadline(world):
    service, instance = started(world)
    over = Deadline(0.0, "test")
    for begin in (
        lambda: world.transport.discover(select(components=["region"]), over),
        lambda: world.transport.open_log(instance, over),
        lambda: world.transport.open_process(instance, over),
        lambda: world.transport.read_log(instance, 600, over, PLENTY),
    ):
        with pytest.raises(DeadlineExceeded), in_time(world, over):
            begin()
    assert world.is_alive(service)


def test_no_signal_is_sent_after_the_deadline(world):
    service, instance = started(world)

    def signal_late():
        deadline = world.deadline()
        with world.transport.open_process(instance, deadline) as session:
            (process,) = [one for one in session.facts.candidates if one.same_container]
            deadline.cancel()
            with pytest.raises((DeadlineExceeded, CaptureError)):
                session.signal(process)

    assert [dumps_in(data) for data in hear(world, [instance], signal_late)] == [0]
    assert take_dump(world, instance).state is ReaderState.COMPLETE
    assert world.is_alive(service)


# Ends


def without_stamps(follower: LogFollow, data: bytes) -> bytes:
    """What the service wrote of these lines."""
    return b"".join(line.split(b" ", 1)[-1] if follower.stamped else line for line in data.splitlines(keepends=True))


def test_a_log_is_followed_for_long_from_back_in_time_without_a_seam(world):
    _service, instance = started(world, behaviour="log_rate=20")
    begun = world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    data, before_present = b"", b""
    with world.transport.follow_log(instance, 600, lambda _deadline: instance, world.deadline()) as follower:
        for event in follower.events():
            assert isinstance(event, Opened if not data and isinstance(event, Opened) else Lines), event
            data += event.data if isinstance(event, Lines) else b""
            if follower.present.is_set():
                before_present = before_present or data
                if len(data) > len(before_present) + 1000:
                    break
        else:
            pytest.fail(f"it ended before more came than its past: {data!r}")
    whole = world.transport.read_log(instance, 600, world.deadline(), PLENTY)
    assert data.endswith(b"\n")
    assert without_stamps(follower, before_present).startswith(begun)
    assert whole.startswith(without_stamps(follower, data))


def test_a_follower_ends_when_it_is_told_to(world):
    _service, instance = started(world, behaviour="log_rate=0")
    follower = world.transport.follow_log(instance, 0, lambda _deadline: instance, world.deadline())
    events: list[Any] = []
    thread = threading.Thread(target=lambda: events.extend(follower.events()), daemon=True)
    thread.start()
    assert follower.present.wait(world.patience), "a log without new lines is not seen to be read"
    follower.stop()
    thread.join(world.slack)
    assert not thread.is_alive()
    assert not [event for event in events if isinstance(event, Gap)]


def test_what_a_service_wrote_last_is_followed_and_then_that_it_is_gone(world):
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


def test_the_end_of_a_service_is_the_end_of_its_log(world):
    service, instance = started(world)
    deadline = world.deadline()
    log = world.transport.open_log(instance, deadline)
    assert log is not None
    with log:
        world.end(service)
        read_to_end(log)
        assert log.read() == b""


def test_what_is_gone_is_said_to_be_gone(world):
    service, instance = started(world)
    world.end(service)
    for begin in (world.transport.open_log, world.transport.open_process):
        with pytest.raises(CaptureError) as failed:
            begin(instance, world.deadline())
        assert failed.value.verdict.reason is Reason.GONE


def test_a_service_that_ends_before_the_signal_is_an_error_of_its_own(world):
    service, instance = started(world)
    with world.transport.open_process(instance, world.deadline()) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
        world.end(service)
        with pytest.raises(CaptureError) as failed:
            session.signal(process)
    assert failed.value.verdict.reason in (Reason.GONE, Reason.EXEC_FAILED, Reason.PROCESS_CHANGED)


def test_everything_may_be_closed_twice(world):
    _service, instance = started(world)
    log = world.transport.open_log(instance, world.deadline())
    session = world.transport.open_process(instance, world.deadline())
    for thing in (log, log, session, session, world.transport, world.transport):
        if thing is not None:
            thing.close()
