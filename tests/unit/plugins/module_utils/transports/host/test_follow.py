# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following logs on a node: Docker's files and the journal, through rotation, restarts and floods."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import types
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Gap, Lines, WriterChanged
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.follow import (
    HostFollowLimits,
    HostLogFollower,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.journal import (
    JournalPosition,
    JournalTimes,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.log_files import (
    ContainerLog,
    StderrFile,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import NOT_READABLE, SKIPPED
from journal import Journal, needs_journal
from standins import Machine, await_arguments

from patience import patience, wait_until

PROCFS = ProcFs()
HURRIED = HostFollowLimits(poll=0.02, pause=0.05)
NAME = "4f2b" * 16


class Process:
    """An idle process that stands for the writer."""

    def __init__(self, stderr=subprocess.DEVNULL) -> None:
        self._program = subprocess.Popen(["sleep", "600"], stderr=stderr)
        await_arguments(self._program)
        self.found = PROCFS.process(self._program.pid)

    def end(self) -> None:
        self._program.kill()
        self._program.wait()


class Followed:
    """A follower on a thread. It looks up `instance` when a process has ended."""

    def __init__(self, process: Process, find, container_id: str = "") -> None:
        self.events: list = []
        self.instance = Instance(
            "c1", "region", "region-a", container_id=container_id, process=process.found, restarts=0
        )
        self.follower = HostLogFollower(
            self.instance, 60, lambda _deadline: self.instance, find, Deadline(patience()), HURRIED
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for event in self.follower.events():
            self.events.append(event)

    def becomes(self, process: Process, **more) -> None:
        self.instance = dataclasses.replace(
            self.instance, process=process.found, restarts=self.instance.restarts + 1, **more
        )

    @property
    def texts(self) -> list[str]:
        lines = b"".join(event.data for event in list(self.events) if isinstance(event, Lines)).decode().splitlines()
        return [line.partition(" ")[2] if self.follower.timestamped else line for line in lines]

    def of(self, kind: type) -> list:
        return [event for event in list(self.events) if isinstance(event, kind)]

    def until(self, text: str) -> None:
        wait_until(f"'{text}' in {self.texts[-5:]}", lambda: text in self.texts)

    def end(self) -> None:
        self.follower.stop()
        self._thread.join(patience())
        assert not self._thread.is_alive()


class Docker:
    """The log of one container as Docker writes and rotates it."""

    def __init__(self, folder) -> None:
        self.path = folder / f"{NAME}-json.log"
        self.path.touch()

    def say(self, *texts: str, path: Path | None = None) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        with open(path or self.path, "a", encoding="utf-8") as file:
            for text in texts:
                file.write(json.dumps({"log": text + "\n", "stream": "stderr", "time": now}) + "\n")

    def rotate(self) -> None:
        for number in (2, 1):
            older = self.path.with_name(f"{self.path.name}.{number - 1}" if number > 1 else self.path.name)
            if older.exists():
                older.rename(self.path.with_name(f"{self.path.name}.{number}"))
        self.path.touch()

    def log_of(self, process) -> ContainerLog:
        return ContainerLog(PROCFS, process, str(self.path))


@pytest.fixture
def docker(tmp_path) -> Docker:
    return Docker(tmp_path)


@pytest.fixture
def started():
    made: list[Process] = []

    def start(*arguments, **options) -> Process:
        made.append(Process(*arguments, **options))
        return made[-1]

    yield start
    for process in made:
        process.end()


def numbers(first: int, end: int) -> list[str]:
    return [f"line {number}" for number in range(first, end)]


def test_follows_docker_log_through_rotation(docker, started):
    docker.say(*numbers(0, 10))
    followed = Followed(started(), lambda instance, _deadline: docker.log_of(instance.process), f"docker://{NAME}")
    followed.until("line 9")
    for number in range(10, 60, 10):
        docker.say(*numbers(number, number + 5))
        docker.rotate()
        docker.say(*numbers(number + 5, number + 10))
        followed.until(f"line {number + 9}")
    followed.end()
    assert followed.texts == numbers(0, 60)
    assert not followed.of(Gap)


def test_waits_for_a_runtime_that_still_writes_the_old_file(docker, started):
    docker.say(*numbers(0, 10))
    looks: list[int] = []

    def find(instance, _deadline):
        log = docker.log_of(instance.process)
        following = log.following
        log.following = lambda descriptor: (looks.append(descriptor), following(descriptor))[1]
        return log

    followed = Followed(started(), find, f"docker://{NAME}")
    followed.until("line 9")
    old = docker.path.with_name(f"{docker.path.name}.1")
    docker.rotate()
    seen = len(looks)
    wait_until("many looks at the new file", lambda: len(looks) > seen + 10)
    docker.say(*numbers(10, 20), path=old)
    followed.until("line 19")
    docker.say(*numbers(20, 30))
    followed.until("line 29")
    followed.end()
    assert followed.texts == numbers(0, 30)
    assert not followed.of(Gap)


def test_follows_restarted_container_in_the_same_file(docker, started):
    first, second = started(), started()
    docker.say(*numbers(0, 10))
    followed = Followed(first, lambda instance, _deadline: docker.log_of(instance.process), f"docker://{NAME}")
    followed.until("line 9")
    docker.say(*numbers(10, 20))
    followed.becomes(second)
    first.end()
    wait_until("another process", lambda: followed.of(WriterChanged))
    docker.say(*numbers(20, 30))
    followed.until("line 29")
    followed.end()
    assert followed.texts == numbers(0, 30)
    assert (followed.of(WriterChanged), followed.of(Gap)) == ([WriterChanged(f"docker://{NAME}", 1)], [])


def test_follows_restarted_process_in_the_same_file(tmp_path, started):
    log = tmp_path / "log"
    with open(log, "ab", buffering=0) as file:
        first, second = started(stderr=file), started(stderr=file)
        followed = Followed(first, lambda instance, _deadline: StderrFile(PROCFS, instance.process))
        file.write("".join(f"{text}\n" for text in numbers(0, 10)).encode())
        followed.until("line 9")
        followed.becomes(second)
        first.end()
        wait_until("another process", lambda: followed.of(WriterChanged))
        file.write("".join(f"{text}\n" for text in numbers(10, 20)).encode())
        followed.until("line 19")
        followed.end()
    assert followed.texts == numbers(0, 20)


@pytest.fixture
def made_journal(tmp_path, monkeypatch):
    machine = Machine(tmp_path)
    made = Journal(machine)
    monkeypatch.setenv("PATH", f"{made.tools}{os.pathsep}{os.environ['PATH']}")
    yield made
    machine.stop()
    made.close()


def in_journal(instance, deadline):
    return JournalPosition(PROCFS, instance.process, deadline, JournalTimes(life_check=0.05))


@pytest.mark.slow  # what a process wrote last is awaited for two seconds of silence
@needs_journal
def test_follows_journal_into_the_next_process(made_journal):
    services = [made_journal.start("region", "log_rate=50", ("--port", "0")) for _again in range(2)]
    processes = [PROCFS.process(service.pid) for service in services]
    shown = Instance("c1", "region", "region-a", process=processes[0])
    following = dataclasses.replace(shown, restarts=1, process=processes[1])
    follower = HostLogFollower(shown, 60, lambda _deadline: following, in_journal, Deadline(patience()), HURRIED)
    data, changed = [b"", b""], []
    for event in follower.events():
        if isinstance(event, Lines):
            data[len(changed)] += event.data
        if isinstance(event, WriterChanged):
            changed.append(event)
        assert not isinstance(event, Gap)
        if len(data[0]) > 2000:
            services[0].stop()
        if len(data[1]) > 2000:
            break
    follower.stop()
    assert changed == [WriterChanged("", 1)]
    assert len(data[1]) > 2000
    for seen, service in zip(data, services, strict=True):
        assert made_journal.of(service).startswith(seen)
    assert data[0] == made_journal.of(services[0]), "its last words are missing"


@needs_journal
@pytest.mark.slow
def test_ignores_journal_of_an_earlier_process_with_the_same_pid(made_journal):
    services = [made_journal.start("region", "log_rate=50", ("--port", "0")) for _again in range(2)]
    older = made_journal.of(services[1])
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    shown = Instance("c1", "region", "region-a", process=PROCFS.process(services[0].pid))
    following = dataclasses.replace(shown, started=started, process=PROCFS.process(services[1].pid))
    data, changed = b"", []
    for event in HostLogFollower(
        shown, 60, lambda _deadline: following, in_journal, Deadline(patience()), HURRIED
    ).events():
        services[0].stop()
        changed += [event] if isinstance(event, WriterChanged) else []
        data += event.data if isinstance(event, Lines) and changed else b""
        if data:
            break
    assert data, "nothing of the next process was seen"
    assert data in made_journal.of(services[1])
    assert not [line for line in older.splitlines() if line in data]


@needs_journal
def test_reports_a_gap_when_journalctl_dies_and_repeats_nothing(made_journal):
    service = made_journal.start("region", "log_rate=50", ("--port", "0"))
    followed = Followed(types.SimpleNamespace(found=PROCFS.process(service.pid)), in_journal)
    wait_until("the present", followed.follower.caught_up.is_set)
    seen = len(followed.texts)
    wait_until("what is new", lambda: len(followed.texts) > seen)
    made_journal.kill_readers()
    wait_until("the gap", lambda: followed.of(Gap))
    seen = len(followed.texts)
    wait_until("what is new after the gap", lambda: len(followed.texts) > seen)
    followed.end()
    assert [gap.kind for gap in followed.of(Gap)] == [NOT_READABLE]
    numbered = [int(number) for number in re.findall(r"server (\d+) not found", "\n".join(followed.texts))]
    assert numbered == sorted(set(numbered))


# Write records as containerd does, many at a time with the same timestamp, and the numbers of their blocks. After the
# first block, wait for a line or the end of standard input. At the end, print the CPU seconds of the writing: wall time
# depends on the load of the machine.
FLOOD = """
import sys, time
text = b"x" * 900
with open(sys.argv[1], "ab", buffering=0) as log:
    for number in range(int(sys.argv[2])):
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e9):09d}Z"
        head = f"{stamp} stderr F ".encode()
        log.write((head + text + b"\\n") * 5000 + head + b"block %d\\n" % number)
        if number == 0:
            sys.stdin.readline()
    log.write(head + b"end\\n")
print(time.process_time())
"""
BLOCKS = 60


@pytest.fixture
def in_memory():
    """A folder in memory, independent of the speed of the disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


class Flood:
    """A flooded log of one instance, and the block numbers and gaps that a follower saw.

    is_held: nothing is written after the first block until go_on().
    """

    def __init__(self, folder: Path, process, is_held: bool = False) -> None:
        path = folder / "0.log"
        path.touch()
        self.path = path
        self.numbers: list[int] = []
        self.gaps: list[Gap] = []
        self._instance = Instance("c1", "region", "region-a", container_id="containerd://1", process=process)
        self._log = ContainerLog(PROCFS, process, str(path))
        command = [sys.executable, "-c", FLOOD, str(path), str(BLOCKS)]
        held = subprocess.PIPE if is_held else subprocess.DEVNULL
        self.writer = subprocess.Popen(command, stdin=held, stdout=subprocess.PIPE, text=True)

    def go_on(self) -> None:
        """Let the writer finish, and wait for it."""
        self.writer.stdin.write("\n")
        self.writer.stdin.flush()
        self.writer.wait(patience())

    def read(self, until, limits=HURRIED) -> float:
        """Read until that holds of an event's data. Return the MB read per second of this thread's CPU time."""
        size, begun = 0, time.thread_time()
        deadline = Deadline(patience(120))
        follower = HostLogFollower(
            self._instance, 60, lambda _deadline: self._instance, lambda *_: self._log, deadline, limits
        )
        with follower:
            for event in follower.events():
                if isinstance(event, Gap):
                    self.gaps.append(event)
                data = event.data if isinstance(event, Lines) else b""
                size += len(data)
                self.numbers += [int(number) for number in re.findall(rb" block (\d+)\n", data)]
                if until(data):
                    break
        return size / 1e6 / (time.thread_time() - begun)

    def written(self) -> float:
        """Return the MB written per second of the writer's CPU time."""
        return self.path.stat().st_size / 1e6 / float(self.writer.communicate(timeout=patience())[0])


def test_reads_a_flood_completely(in_memory, started):
    flood = Flood(in_memory, started().found)
    read = flood.read(lambda data: data.endswith(b" end\n"))
    assert (flood.numbers, flood.gaps) == (list(range(BLOCKS)), [])
    written = flood.written()
    print(f"MB a CPU second: {written:.0f} written, {read:.0f} read")
    assert read > written / 8


def test_slow_reader_skips_and_reports_a_gap(in_memory, started):
    limits = dataclasses.replace(HURRIED, lag=0.1)
    flood = Flood(in_memory, started().found, is_held=True)

    parts = 0

    def fall_behind(data):
        nonlocal parts
        parts += bool(data)
        if data and parts == 2:
            # It has read the first part in time. It goes on after all was written.
            flood.go_on()
            time.sleep(2 * limits.lag)  # the delay itself makes the reader late
        return bool(flood.gaps)

    flood.read(fall_behind, limits)
    flood.written()
    assert {gap.kind for gap in flood.gaps} == {SKIPPED}
    assert flood.numbers == sorted(set(flood.numbers))
    assert len(flood.numbers) < BLOCKS
