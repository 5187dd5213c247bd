# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading /proc: parsed texts, and real processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import frozen
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Process, state_words
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import (
    ARGUMENTS,
    ProcFs,
    parse_stat,
    parse_status,
    read_arguments,
    translated,
    without_deleted,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.rights import Rights
from standins import await_arguments

from patience import wait_until

PROCFS = ProcFs()


TAIL = b" 1 2 3 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 4711 123 456"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


@pytest.fixture
def sleeper():
    with spawn(["sleep", "1000"]) as process:
        yield process


@contextlib.contextmanager
def spawn(arguments, **options):
    process = subprocess.Popen(arguments, **options)
    try:
        await_arguments(process)
        yield process
    finally:
        process.kill()
        process.wait()


# Texts


@pytest.mark.parametrize("name", [b"region", b"a b", b"(x)", b") R 1 1", b"", b"\xff)"])
def test_parses_stat_with_any_name(name):
    assert parse_stat(b"42 (" + name + b") S" + TAIL) == ("S", 4711)


def test_parses_status():
    text = b"Name:\tregion\nUid:\t0\t1\t2\t3\nSigIgn:\t0000000000001000\nGroups:\t \nodd line\n"
    status = parse_status(text)
    assert (status["Uid"].split()[1], status["SigIgn"], status["Groups"]) == ("1", "0000000000001000", "")


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_process_name_cannot_forge_status_line(end):
    text = f"Name:\tr{end}CapEff:\t1\nState:\tS\n".encode()
    assert parse_status(text) == {"Name": f"r{end}CapEff:\t1", "State": "S"}


def test_bounds_number_of_arguments():
    with spawn(["sleep", *["1"] * 50000]) as process:
        assert len(PROCFS.arguments(process.pid)) == ARGUMENTS


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/opt/x (deleted)", "/opt/x"),
        ("/opt/x", "/opt/x"),
        ("/opt/x (deleted) (deleted)", "/opt/x (deleted)"),
        ("", ""),
    ],
)
def test_removes_deleted_suffix(target, path):
    assert without_deleted(target) == path


@pytest.mark.parametrize(
    ("arguments", "option", "files"),
    [
        ([], "", []),
        (["--config", "/etc/yunion/region.conf"], "", ["/etc/yunion/region.conf"]),
        (["--config=/a", "-config", "/b", "--common-config-file", "/c"], "", ["/a", "/b", "/c"]),
        (["--log-file-prefix", "/var/log/region"], "--log-file-prefix", []),
        (["--log-file-prefix=/var/log/region"], "--log-file-prefix=/var/log/region", []),
        (["-log-file-prefix=/x", "--config", "/a"], "-log-file-prefix=/x", ["/a"]),
        (["--log-file-prefix="], "", []),
        (["--config"], "", []),
        (["--config", "--log-file-prefix"], "", ["--log-file-prefix"]),
        (["--log-file-prefixes", "x", "--configs", "y"], "", []),
    ],
)
def test_reads_log_options_of_command_line(arguments, option, files):
    assert read_arguments(["/opt/yunion/bin/region", *arguments]) == (option, files)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError("x"), Reason.FORBIDDEN),
        (FileNotFoundError("x"), Reason.GONE),
        (ProcessLookupError("x"), Reason.GONE),
        (OSError("x"), Reason.LOG_UNAVAILABLE),
    ],
)
def test_translates_errors(error, reason):
    with pytest.raises(CaptureError) as failed, translated(Reason.LOG_UNAVAILABLE):
        raise error
    assert failed.value.verdict.reason is reason


# Processes


def test_describes_process(sleeper):
    process = PROCFS.process(sleeper.pid, "process")
    assert process.executable == os.path.realpath(shutil.which("sleep"))
    assert process.argv0 == "sleep"
    assert process.start_time == PROCFS.start_time(sleeper.pid) > 0
    assert process.log_file == ""
    assert PROCFS.is_alive(process)
    assert sleeper.pid in PROCFS.pids()
    own = PROCFS.rights(os.getpid())
    assert PROCFS.rights(sleeper.pid) == own
    assert own == Rights(os.geteuid(), os.getegid(), tuple(sorted(os.getgroups())), own.capabilities)


def test_reads_ignored_and_caught_signals(tmp_path):
    ready = tmp_path / "ready"
    script = f"trap '' USR1; trap : USR2; : > {ready}; while :; do sleep 0.1; done"
    with spawn(["bash", "-c", script]) as shell:
        wait_until("the shell", ready.exists)
        process = PROCFS.process(shell.pid)
    assert process.ignored & 1 << signal.SIGUSR1 - 1
    assert process.caught & 1 << signal.SIGUSR2 - 1
    assert not process.caught & 1 << signal.SIGUSR1 - 1


def test_zombie_is_not_alive(sleeper):
    process = PROCFS.process(sleeper.pid)
    sleeper.kill()
    wait_until("the zombie", lambda: not PROCFS.is_alive(process))
    assert os.path.exists(f"/proc/{sleeper.pid}")
    with pytest.raises(OSError):  # noqa: PT011 (any of its kinds)
        PROCFS.process(sleeper.pid)


def test_reads_process_state(sleeper, tmp_path):
    place = frozen.await_sleep(sleeper.pid, "S")
    assert (PROCFS.process(sleeper.pid).state, PROCFS.process(sleeper.pid).waits_in) == ("S", place)
    with frozen.stopped(sleeper.pid):
        assert state_words(PROCFS.process(sleeper.pid)) == "stopped (SIGSTOP)"
    with frozen.traced(sleeper.pid):
        assert state_words(PROCFS.process(sleeper.pid)) == "stopped by a debugger"
    with frozen.blocked(str(tmp_path / "bin")) as pid:
        place = Path(f"/proc/{pid}/wchan").read_text()
        assert state_words(PROCFS.process(pid)) == f"in uninterruptible sleep in {place}"


def test_reused_pid_is_not_alive(sleeper):
    assert not PROCFS.is_alive(Process(pid=sleeper.pid, start_time=PROCFS.start_time(sleeper.pid) - 1))


def test_runs_by_executable(sleeper):
    real = os.path.realpath(shutil.which("sleep"))
    assert PROCFS.runs(sleeper.pid, [real]) == real
    assert PROCFS.runs(sleeper.pid, [real + "x", real[:-1], os.path.dirname(real)]) is None


def test_runs_deleted_executable(tmp_path):
    copy = tmp_path / "region"
    shutil.copy(shutil.which("sleep"), copy)
    with spawn([str(copy), "1000"]) as process:
        wait_until("exec", lambda: PROCFS.runs(process.pid, [str(copy)]))
        copy.unlink()
        assert PROCFS.runs(process.pid, [str(copy)]) == str(copy)


def test_forged_argv0_is_impostor(tmp_path):
    name = str(tmp_path / "region")
    with spawn(["bash", "-c", f"exec -a {name} sleep 1000"]) as process:
        wait_until("exec", lambda: PROCFS.arguments(process.pid)[:1] == [name])
        assert PROCFS.runs(process.pid, [name]) == ""
        shutil.copy(shutil.which("sleep"), name)
        assert PROCFS.runs(process.pid, [name]) == ""


def test_symbolic_link_to_executable_is_no_impostor(tmp_path):
    name = str(tmp_path / "region")
    os.symlink(shutil.which("sleep"), name)
    with spawn([name, "1000"]) as process:
        wait_until("exec", lambda: PROCFS.arguments(process.pid)[:1] == [name])
        assert PROCFS.runs(process.pid, [name]) == name


def test_kernel_thread_runs_nothing():
    name = Path("/proc/2/comm")
    if not (name.exists() and name.read_text() == "kthreadd\n"):
        pytest.skip("the threads of the kernel are not visible here")
    assert PROCFS.arguments(2) == []
    assert PROCFS.runs(2, ["", "kthreadd"]) is None


def test_reads_one_environment_variable():
    with spawn(["sleep", "1000"], env={"A": "1", "AB": "2", "X": "A=3"}) as process:
        wait_until("exec", lambda: PROCFS.variable(process.pid, "A"))
        assert [PROCFS.variable(process.pid, name) for name in ("A", "AB", "B", "")] == ["1", "2", "", ""]


# Configuration files


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("log_file_prefix: /var/log/region\n", True),
        ("a: b\n  log_file_prefix : '/x'\n", True),
        ('log_file_prefix: "/x"', True),
        ("log_file_prefix:\n", False),
        ("log_file_prefix: ''\n", False),
        ('log_file_prefix: ""\n', False),
        ("log_file_prefix: # /x\n", False),
        ("# log_file_prefix: /x\n", False),
        ("log_file_prefixes: /x\n", False),
        ("my_log_file_prefix: /x\n", False),
        ("log_file_prefix:\nother: x\n", False),
        ("", False),
        ("\x00\xff", False),
    ],
)
def test_log_file_prefix_in_a_configuration_file(sleeper, tmp_path, text, lost):
    config = tmp_path / "region.conf"
    config.write_text(text)
    said = PROCFS.log_file(sleeper.pid, ["region", "--config", str(config)], ["/nonexistent"])
    assert said == (f"file {config}" if lost else "")
    assert PROCFS.log_file(sleeper.pid, ["region"], [str(config)]) == said


def test_relative_configuration_file(tmp_path):
    (tmp_path / "region.conf").write_text("log_file_prefix: /x\n")
    with spawn(["sleep", "1000"], cwd=tmp_path) as process:
        assert PROCFS.log_file(process.pid, ["region", "--config", "region.conf"], []) == "file region.conf"
