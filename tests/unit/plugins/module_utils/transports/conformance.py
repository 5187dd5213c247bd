# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conformance tests for every transport and its fakes, against the interface transports/base.py.

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
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import Selection, component_of, select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import DumpReader, ReaderState
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import LogStream, Transport
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State

from patience import patience

USR1 = 1 << 9
HEADER = b"goroutine profile: total "
PLENTY = 8 << 20


class World(abc.ABC):
    """An environment in which services run, and the transport that reaches them.

    has_runtime: commands can be run where the services are. gone: what is said of the port of a service that has ended.
    short: a deadline in seconds within which a service can be asked, for what does not answer.
    """

    transport: Transport
    short = 0.5
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
        """End a service for good; nothing restarts it."""

    @abc.abstractmethod
    def is_alive(self, service: Any) -> bool:
        """Return whether the service runs since its start: not ended, not restarted."""

    @abc.abstractmethod
    def is_it(self, service: Any, instance: Instance) -> bool:
        """Return whether this instance is that service."""

    def deadline(self, seconds: float = 0.0) -> Deadline:
        return Deadline(seconds or patience(), "test")


def instance_of(world: World, service: Any, component: str) -> Instance:
    found = world.transport.discover(select(components=[component]), world.deadline())
    (instance,) = [one for one in found.instances if world.is_it(service, one)]
    return instance


def started(world: World, component: str = "region", behaviour: str = "") -> tuple[Any, Instance]:
    service = world.start(component, behaviour)
    return service, instance_of(world, service, component)


def signal(world: World, instance: Instance, deadline: Deadline):
    """Signal the one process of the instance. Return the time."""
    with world.transport.open_process(instance, deadline) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
        return session.signal(process)


def read_dump(log: LogStream) -> DumpReader:
    """Read until the dump is complete or the log ends."""
    reader = DumpReader(skip_first_line=log.old_first_line)
    while not reader.done:
        reader.feed(log.read())
    return reader


def take_dump(world: World, instance: Instance) -> DumpReader:
    deadline = world.deadline()
    log = world.transport.open_log(instance, deadline)
    sent = signal(world, instance, deadline)
    log = log or world.transport.reopen_log(instance, sent, deadline)
    assert log is not None
    with log:
        return read_dump(log)


def dumps_before(world: World, instance: Instance) -> int:
    """Take one more dump, and return how many there were in the log before it.

    A process handles its signals one after the other: a dump that an earlier signal brought about lies before this one.
    """
    assert take_dump(world, instance).state is ReaderState.COMPLETE
    return world.transport.read_log(instance, 600, world.deadline(), PLENTY).count(HEADER) - 1


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Assert that a deadline of a second or so ends the block.

    The calls in it have real descriptors to wait for, so it is a real deadline; and how much later than this they come
    back is the machine's affair. Without it they would last for as long as the service does.
    """
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < patience()


# Discovery


def test_discovery_finds_selected_instances_only(world):
    regions = [world.start("region"), world.start("region")]
    world.start("keystone")
    found = world.transport.discover(select(components=["region", "glance"]), world.deadline())
    assert found.problems == []
    assert [one.component for one in found.instances] == ["region", "region"]
    for service in regions:
        assert sum(world.is_it(service, one) for one in found.instances) == 1


def test_instance_has_its_attributes(world):
    _service, instance = started(world)
    assert instance.state is State.RUNNING
    assert instance.cluster
    assert instance.name
    assert instance.node
    assert time.strptime(instance.started, "%Y-%m-%dT%H:%M:%SZ")
    assert Instance.from_dict(instance.as_dict()) == instance


def test_absent_component_is_not_found(world):
    found = world.transport.discover(select(components=["glance"]), world.deadline())
    assert (found.instances, found.problems) == ([], [])


def test_component_name_contained_in_another(world):
    names = ["host", "host-image", "host-deployer", "host-health"]
    services = {name: world.start(name) for name in names}
    for name in names:
        found = world.transport.discover(Selection((component_of(name),)), world.deadline())
        (instance,) = found.instances
        assert world.is_it(services[name], instance)
        with world.transport.open_process(instance, world.deadline()) as session:
            (process,) = [one for one in session.facts.candidates if one.same_container]
            assert process.executable.rsplit("/", 1)[-1] == name


# Probing the process


def test_probe_finds_one_process_that_catches_the_signal(world):
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


def test_probe_shows_ignored_signal(world):
    _service, instance = started(world, behaviour="usr1=ignore")
    with world.transport.open_process(instance, world.deadline()) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
    assert process.ignored & USR1


def test_probe_changes_nothing(world):
    service, instance = started(world)
    with world.transport.open_process(instance, world.deadline()):
        pass
    assert dumps_before(world, instance) == 0
    assert world.is_alive(service)


# Signal and log


def test_signal_writes_dump_into_log(world):
    service, instance = started(world)
    reader = take_dump(world, instance)
    assert reader.state is ReaderState.COMPLETE
    assert world.is_alive(service)


def test_log_is_followed_from_now_on(world):
    _service, instance = started(world)
    first = take_dump(world, instance)
    second = take_dump(world, instance)
    assert (first.state, second.state) == (ReaderState.COMPLETE, ReaderState.COMPLETE)
    # The second read does not contain the first dump.
    assert second.superseded == 0


def test_signal_reaches_exactly_one_process(world):
    names = ["region", "region", "host", "host-image", "host-deployer"]
    services = [(world.start(name), name) for name in names]
    instances = [instance_of(world, service, name) for service, name in services]
    take_dump(world, instances[0])
    assert [dumps_before(world, instance) for instance in instances] == [1, 0, 0, 0, 0]
    assert all(world.is_alive(service) for service, _name in services)


def test_does_not_signal_another_process(world):
    service, instance = started(world)
    with world.transport.open_process(instance, world.deadline()) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
        with pytest.raises(CaptureError) as failed:
            session.signal(dataclasses.replace(process, start_time=process.start_time + 1))
    assert failed.value.verdict.reason is Reason.PROCESS_CHANGED
    assert dumps_before(world, instance) == 0
    assert world.is_alive(service)


def test_reopened_log_has_all_lines_since(world):
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


def test_captures_many_at_once(world):
    services = [world.start("region") for _number in range(6)]
    instances = [instance_of(world, service, "region") for service in services]
    states = {}

    def take(instance):
        states[instance.name] = take_dump(world, instance).state

    threads = [threading.Thread(target=take, args=(instance,)) for instance in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience())
    assert states == {instance.name: ReaderState.COMPLETE for instance in instances}


def test_version_is_output_of_binary(world):
    _service, instance = started(world)
    with world.transport.open_process(instance, world.deadline()) as session:
        (process,) = [one for one in session.facts.candidates if one.same_container]
        if world.has_runtime:
            assert b'"gitVersion"' in session.version(process)
            return
        with pytest.raises(CaptureError) as failed:
            session.version(process)
    assert failed.value.verdict.reason is Reason.NO_RUNTIME_CLI


# Workloads


def test_lists_selected_workloads(world):
    started(world)
    wanted = select(components=["region"])
    assert {one.component for one in world.transport.workloads(wanted, world.deadline())} <= {"region"}
    if not world.transport.lists_workloads:
        assert world.transport.workloads(wanted, world.deadline()) == []
