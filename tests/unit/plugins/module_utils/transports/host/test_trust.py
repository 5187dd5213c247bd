# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that look like services and are not: each test makes one, beside a real one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.transport import HostTransport
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from nodes import RUNS, WHY_NOT, Node, cgroup_base
from standins import Machine, await_arguments
from versioned import versioned

from patience import patience, wait_until

pytestmark = pytest.mark.skipif(not RUNS, reason=WHY_NOT)
USER = 4711


@pytest.fixture
def machine(public_path):
    made = Machine(public_path)
    yield made
    made.stop()


@pytest.fixture
def node(machine):
    made = Node(machine)
    yield made
    made.stop()


def deadline():
    return Deadline(patience())


def transport_of(machine, **options):
    return HostTransport(binary_dirs=[machine.binaries], **options)


def found(transport):
    return {one.process.pid: one for one in transport.discover(select(components=["region"]), deadline()).instances}


def jail_of(machine):
    """A folder that is the root of a process, in which a service's path is a link to another program."""
    jail = machine.folder / "jail"
    path = jail / machine.binaries.lstrip("/") / "region"
    path.parent.mkdir(parents=True)
    shutil.copy(versioned(), jail / "evil")
    path.symlink_to("/evil")
    return jail


@contextlib.contextmanager
def jailed(machine, launcher=()):
    """The pid of a process in a jail, started by root."""
    jail = jail_of(machine)
    with subprocess.Popen([*launcher, "chroot", str(jail), f"{machine.binaries}/region"]) as process:
        try:
            await_jail(process)
            yield process.pid
        finally:
            process.kill()


def await_jail(process):
    wait_until("the program", lambda: os.readlink(f"/proc/{process.pid}/exe").endswith("evil"))
    await_arguments(process)


def assert_refused(transport, instance, word):
    """Nothing is done with it, whatever is asked for."""
    assert instance.state is State.UNTRUSTED
    assert word in instance.state_detail
    assert instance.container_id == ""
    target = HttpTarget("http", 1, "/ping")
    for ask in (
        lambda: transport.open_log(instance, deadline()),
        lambda: transport.open_process(instance, deadline()),
        lambda: transport.read_log(instance, 60, deadline(), 1 << 20),
        lambda: transport.http_get(instance, target, deadline(), 1 << 20),
        lambda: transport.certificate(instance, HttpTarget("https", 1, "/ping"), deadline()),
    ):
        with pytest.raises(CaptureError) as refused:
            ask()
        assert refused.value.verdict.reason is Reason.UNTRUSTED


def test_refuses_process_in_another_root(machine):
    real = machine.start("region")
    transport = transport_of(machine)
    with jailed(machine) as pid:
        instances = found(transport)
        assert instances[real.pid].state is State.RUNNING
        assert_refused(transport, instances[pid], "root directory")


def test_refuses_program_started_by_ordinary_user(machine):
    real = machine.start("region")
    users = machine.start("region", user=USER, group=USER, extra_groups=[])
    transport = transport_of(machine)
    instances = found(transport)
    assert instances[real.pid].state is State.RUNNING
    assert_refused(transport, instances[users.pid], f"user {USER} started it")


def test_trusts_service_that_systemd_started_as_user(machine, monkeypatch, tmp_path):
    users = machine.start("region", user=USER, group=USER, extra_groups=[])
    cgroup = cgroup_base() / f"cloudpods-test-{os.getpid()}.service"
    cgroup.mkdir()
    try:
        (cgroup / "cgroup.procs").write_text(str(users.pid))
        systemctl = tmp_path / "systemctl"
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        for main, state in ((users.pid, State.RUNNING), (users.pid + 1, State.UNTRUSTED)):
            systemctl.write_text(f'#!/bin/sh\n[ "$5" = {cgroup.name} ] && echo {main}\n')
            systemctl.chmod(0o755)
            assert found(transport_of(machine))[users.pid].state is state
    finally:
        machine.stop()
        cgroup.rmdir()


@pytest.mark.parametrize(("mode", "owner"), [(0o777, 0), (0o755, USER), (0o775, 0)])
def test_refuses_program_writable_by_others(machine, mode, owner):
    program = machine.install("region")
    program.chmod(mode)
    os.chown(program, owner, USER)
    service = machine.start("region")
    transport = transport_of(machine)
    assert_refused(transport, found(transport)[service.pid], "can be written by another user than root")


def test_refuses_program_in_writable_folder(machine):
    Path(machine.binaries).mkdir()
    os.chown(machine.binaries, USER, USER)
    service = machine.start("region")
    transport = transport_of(machine)
    assert_refused(transport, found(transport)[service.pid], "a folder of")


def test_chroot_in_container_is_refused_and_hides_nothing(machine, node):
    real = node.start("region")
    enter = ("sh", "-c", f'echo $$ > {real.cgroup}/cgroup.procs && exec "$@"', "sh")
    transport = transport_of(machine, paths=node.layout)
    with jailed(machine, enter) as pid:
        instances = found(transport)
        assert_refused(transport, instances[pid], "root directory is not that of its container")
        with transport.open_process(instances[real.pid], deadline()) as session:
            assert [one.pid for one in session.facts.candidates] == [real.pid]
            assert session.facts.impostors == (pid,)


def test_refuses_cgroup_made_by_user(machine, node):
    real = node.start("region")
    folder = cgroup_base() / node.parent / "user" / real.container_id
    folder.mkdir(parents=True)
    os.chown(folder, USER, USER)
    enter = ("sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$@"', "sh")
    fake = machine.start("region", launcher=enter)
    transport = transport_of(machine, paths=node.layout)
    instances = found(transport)
    assert_refused(transport, instances[fake.pid], f"was created by user {USER}")
    with transport.open_process(instances[real.pid], deadline()) as session:
        assert [one.pid for one in session.facts.candidates] == [real.pid]
    fake.stop()


def test_lists_a_limited_number_of_untrusted_processes(machine):
    real = machine.start("region")
    for _number in range(3):
        machine.start("region", user=USER, group=USER, extra_groups=[])
    transport = transport_of(machine, max_untrusted=2)
    discovery = transport.discover(select(components=["region"]), deadline())
    assert sorted(one.state is State.UNTRUSTED for one in discovery.instances) == [False, True, True]
    assert real.pid in [one.process.pid for one in discovery.instances]
    ((_machine, why),) = discovery.problems
    assert why.reason is Reason.UNTRUSTED
    assert "3 processes" in why.message


def test_bounds_time_for_endless_arguments(machine):
    """60,000 configuration files kept root busy for minutes, past any deadline."""
    config = machine.folder / "region.conf"
    config.write_bytes(b"x: y\n" * (200 << 10))
    service = machine.start("region", arguments=tuple(f"--config={config}" for _number in range(4000)), wait=False)
    transport = transport_of(machine)
    opened = []
    real_open = os.open

    def counting(path, *arguments, **options):
        opened.append(path)
        return real_open(path, *arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "open", counting)
        assert service.pid in found(transport)
    assert opened.count("region.conf") <= 16


def test_process_that_ends_during_inspection(machine):
    service = machine.start("region")
    transport = transport_of(machine)
    instance = found(transport)[service.pid]
    service.stop()
    with pytest.raises(CaptureError) as gone:
        transport.open_process(instance, deadline())
    assert gone.value.verdict.reason is Reason.GONE


def test_refuses_process_that_changed_after_discovery(machine):
    """It was root's own service when it was found, and is in a jail when it is looked at again."""
    shell = machine.folder / "bin" / "region"
    shell.parent.mkdir()
    shutil.copy(shutil.which("bash"), shell)
    script = f"read go; exec chroot {jail_of(machine)} {shell}"
    with subprocess.Popen([str(shell), "-c", script], stdin=subprocess.PIPE) as process:
        try:
            await_arguments(process)
            transport = transport_of(machine)
            instance = found(transport)[process.pid]
            assert instance.state is State.RUNNING
            process.stdin.write(b"go\n")
            process.stdin.flush()
            await_jail(process)
            with pytest.raises(CaptureError) as refused:
                transport.open_process(instance, deadline())
            assert refused.value.verdict.reason is Reason.UNTRUSTED
        finally:
            process.kill()
