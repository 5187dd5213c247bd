# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins as ordinary processes: started, ready, signalled, stopped, and no other process touched."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy import processes
from deploy.processes import Process
from lablib.core import LabError

from patience import wait_until

HEADER = re.compile(rb"^goroutine profile: total (\d+)$", re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.stop(tmp_path)


def test_demo_starts_dumps_and_stops(folder: Path) -> None:
    started = {each.name: each for each in processes.start(folder)}
    assert set(started) == {each.label for each in processes.DEMO}
    for each in started.values():
        assert os.readlink(f"/proc/{each.pid}/exe") == each.binary == str(folder / "opt/yunion/bin" / each.component)
        os.kill(each.pid, signal.SIGUSR1)
    dumping = [each for each in started.values() if each.name not in {"scheduler", "notify"}]
    for each in dumping:
        wait_until(f"a dump of {each.name}", lambda each=each: HEADER.search(Path(each.log).read_bytes()))
    assert {each.name for each in processes.running(folder)} == set(started)
    assert not HEADER.search((folder / "log/scheduler.log").read_bytes())
    assert started["notify"].log == os.devnull
    stopped = processes.stop(folder)
    assert {each.pid for each in stopped} == {each.pid for each in started.values()}
    assert not any(each.alive for each in stopped)
    assert processes.stop(folder) == []


def test_second_start_fails_and_stops_nothing(folder: Path) -> None:
    (first,) = processes.start(folder, [Process("region")])
    with pytest.raises(LabError, match="region already running"):
        processes.start(folder, [Process("keystone")])
    assert first.alive


def test_failed_start_stops_all_processes(folder: Path) -> None:
    fleet = [Process("region"), Process("keystone", {"start": "crash"})]
    with pytest.raises(LabError, match=r"(?s)keystone.*ended.*invalid connection"):
        processes.start(folder, fleet)
    assert processes.running(folder) == []
    assert not list((folder / "run").iterdir())


def test_does_not_stop_a_process_with_a_reused_pid(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        began = processes.start_time(other.pid)
        assert began is not None
        stale = processes.Started("region", "region", other.pid, began - 1, "/x", "/y")
        (folder / "run").mkdir()
        processes.record(folder, "region").write_text(json.dumps(vars(stale)))
        assert processes.running(folder) == []
        assert processes.stop(folder) == []
        assert other.poll() is None
        other.communicate(b"\n")


def test_native_process_ends_by_sigusr1(folder: Path) -> None:
    (started,) = processes.start(folder, [Process("cloudnet", native=True)])
    os.kill(started.pid, signal.SIGUSR1)
    wait_until("its end", lambda: not started.alive)


def test_kills_a_process_that_ignores_sigterm(folder: Path) -> None:
    (started,) = processes.start(folder, [Process("region", {"shutdown": "forever"})])
    assert processes.stop(folder, seconds=0.3) == [started]
    assert not started.alive


def test_two_processes_of_a_component_have_separate_logs(folder: Path) -> None:
    one, two = processes.start(folder, [Process("region"), Process("region", name="region-2")])
    assert one.binary == two.binary
    assert one.log != two.log
    assert one.pid != two.pid


@pytest.mark.slow
def test_command_line(tmp_path: Path) -> None:
    def run(act: str) -> str:
        command = [sys.executable, processes.__file__, act, "--dir", str(tmp_path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    try:
        started = run("start")
        assert sorted(run("status").splitlines()) == sorted(started.splitlines())
    finally:
        stopped = run("stop")
    assert sorted(stopped.splitlines()) == sorted(started.splitlines())
    assert run("status") == ""


def test_log_is_coloured_on_a_terminal(folder: Path) -> None:
    """Use a real terminal for the third form of the log, because `go test` has none."""
    ours, theirs = pty.openpty()
    binary = folder / "region"
    processes.install(binary, processes.build())
    environment = {**os.environ, "STANDIN": "http=off"}
    with subprocess.Popen([binary], stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while b"Start listen on" not in shown:
            shown += os.read(ours, 4096)
        process.terminate()
    os.close(ours)
    assert re.search(rb"\x1b\[0;32m\[I \d{4}-\d\d-\d\d [^\]]+\]\x1b\[0m Start listen on", shown)
