# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs that services write into files of their own, and rotate themselves."""

from __future__ import annotations

import os
import subprocess
import threading
import time

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Gap, Lines, Opened
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.follow import HostLogFollower
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.prefixed_log_files import (
    PrefixedLogFiles,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.transport import HostTransport
from standins import Machine, await_arguments

from patience import patience, wait_until

PROCFS = ProcFs()


class Service:
    """This process in the part of a service that logs into files below a prefix."""

    def __init__(self, folder) -> None:
        self.prefix = folder / "region.log"
        self.process = PROCFS.process(os.getpid())
        self.files = PrefixedLogFiles(PROCFS, self.process, str(self.prefix))

    def write(self, text: str) -> None:
        with open(self.prefix, "a", encoding="utf-8") as file:
            file.write(text)

    def rotate(self) -> None:
        for number in range(9, 0, -1):
            older = self.prefix.with_name(f"region.log.{number - 1}" if number > 1 else "region.log")
            if older.exists():
                older.rename(self.prefix.with_name(f"region.log.{number}"))


@pytest.fixture
def service(tmp_path):
    return Service(tmp_path)


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


def read(descriptor: int) -> bytes:
    return os.pread(descriptor, 1000, 0)


def test_opens_files_oldest_first(service):
    for text in ("oldest\n", "older\n", "newest\n"):
        service.rotate()
        service.write(text)
    assert [read(descriptor) for descriptor in service.files.open_all()] == [b"oldest\n", b"older\n", b"newest\n"]


def test_finds_successor_of_each_file(service):
    service.write("first\n")
    first = service.files.open_current()
    assert service.files.following(first) is None
    service.rotate()
    assert service.files.following(first) is None, "in the middle of a rotation"
    service.write("second\n")
    service.rotate()
    service.write("third\n")
    second = service.files.following(first)
    assert read(second) == b"second\n"
    third = service.files.following(second)
    assert read(third) == b"third\n"
    assert service.files.following(third) is None
    assert service.files.missed == 0


def test_counts_missed_files(service):
    service.write("first\n")
    first = service.files.open_current()
    for number in range(11):
        service.rotate()
        service.write(f"{number}\n")
    assert read(service.files.following(first)) == b"10\n"
    assert service.files.missed == 1


def test_missing_file_is_log_unavailable(service):
    with pytest.raises(CaptureError) as failed:
        service.files.open_current()
    assert failed.value.verdict.reason is Reason.LOG_UNAVAILABLE


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root and another user")
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_does_not_read_what_the_process_may_not_read(public_path, mode):
    secret = public_path / "secret"
    secret.write_text("root's\n")
    secret.chmod(mode)
    with subprocess.Popen(["sleep", "1000"], user=4711, group=4711, extra_groups=[]) as process:
        try:
            await_arguments(process)
            files = PrefixedLogFiles(PROCFS, PROCFS.process(process.pid), str(secret))
            if mode == 0o644:
                os.close(files.open_current())
            else:
                with pytest.raises(PermissionError):
                    files.open_current()
        finally:
            process.kill()


def test_loses_and_repeats_nothing_through_rotations(service):
    """The follower passes on exactly what was written."""
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    lines = [f"[info {now} main.main(main.go:1)] line {number}\n" for number in range(500)]
    service.write("".join(lines[:100]))
    instance = Instance(cluster="c", component="region", name="region-1", process=service.process)
    follower = HostLogFollower(
        instance, 600, lambda _deadline: instance, lambda *_unused: service.files, Deadline(patience())
    )
    seen, gaps = [], []

    def follow():
        for event in follower.events():
            if isinstance(event, Lines):
                seen.append(event.data)
            elif isinstance(event, Gap):
                gaps.append(event)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    for start in range(100, 500, 100):
        wait_until("what was written before", lambda start=start: b"".join(seen).count(b"\n") >= start)
        service.write("".join(lines[start : start + 50]))
        service.rotate()
        service.write("".join(lines[start + 50 : start + 100]))
    wait_until("all lines", lambda: b"".join(seen).count(b"\n") >= 500)
    follower.stop()
    thread.join(patience())
    assert b"".join(seen).decode() == "".join(lines)
    assert gaps == []


@pytest.mark.parametrize("by", ["option", "two arguments", "file"])
def test_transport_follows_prefixed_files(machine, by):
    prefix = machine.folder / "own.log"
    arguments = {
        "option": (f"--log-file-prefix={prefix}",),
        "two arguments": ("--log-file-prefix", str(prefix)),
        "file": ("--config", str(machine.folder / "region.conf")),
    }[by]
    (machine.folder / "region.conf").write_text("log_file_prefix: own.log\n")
    machine.start("region", "log_rate=100", arguments, wait=False)
    wait_until("its log", lambda: prefix.exists() and prefix.read_bytes().count(b"\n") > 10)
    transport = HostTransport(binary_dirs=[machine.binaries])
    deadline = Deadline(patience())
    (instance,) = transport.discover(select(components=["region"]), deadline).instances
    opened, data = [], b""
    begun = time.time()
    with transport.follow_log(instance, 600, lambda _deadline: instance, deadline) as follower:
        assert not follower.timestamped
        for event in follower.events():
            opened += [event] if isinstance(event, Opened) else []
            data += event.data if isinstance(event, Lines) else b""
            if data.count(b"\n") > 30:
                break
    assert prefix.read_bytes().startswith(data)
    assert opened[0].since <= begun
    assert transport.read_log(instance, 600, deadline, 1 << 20).startswith(data[:1000])
