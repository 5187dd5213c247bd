# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading /proc: tables of texts, and real processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
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
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.safe_open import (
    open_in_root,
    open_regular,
)
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
def test_stat_with_any_name(name):
    assert parse_stat(b"42 (" + name + b") S" + TAIL) == ("S", 4711)


def test_status():
    text = b"Name:\tregion\nUid:\t0\t1\t2\t3\nSigIgn:\t0000000000001000\nGroups:\t \nodd line\n"
    status = parse_status(text)
    assert (status["Uid"].split()[1], status["SigIgn"], status["Groups"]) == ("1", "0000000000001000", "")


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_a_name_is_no_line_of_the_status(end):
    text = f"Name:\tr{end}CapEff:\t1\nState:\tS\n".encode()
    assert parse_status(text) == {"Name": f"r{end}CapEff:\t1", "State": "S"}


def test_of_arguments_without_end_only_the_first_are_looked_at():
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
def test_without_deleted(target, path):
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
def test_what_the_command_line_says_about_logs(arguments, option, files):
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
def test_errors_become_verdicts(error, reason):
    with pytest.raises(CaptureError) as failed, translated(Reason.LOG_UNAVAILABLE):
        raise error
    assert failed.value.verdict.reason is reason


# Processes


def test_what_a_process_is(sleeper):
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


def test_an_ignored_and_a_caught_signal(tmp_path):
    ready = tmp_path / "ready"
    script = f"trap '' USR1; trap : USR2; : > {ready}; while :; do sleep 0.1; done"
    with spawn(["bash", "-c", script]) as shell:
        wait_until("the shell", ready.exists)
        process = PROCFS.process(shell.pid)
    assert process.ignored & 1 << signal.SIGUSR1 - 1
    assert process.caught & 1 << signal.SIGUSR2 - 1
    assert not process.caught & 1 << signal.SIGUSR1 - 1


def test_an_ended_process_is_not_alive_even_before_it_is_reaped(sleeper):
    process = PROCFS.process(sleeper.pid)
    sleeper.kill()
    wait_until("the zombie", lambda: not PROCFS.is_alive(process))
    assert os.path.exists(f"/proc/{sleeper.pid}")
    with pytest.raises(OSError):  # noqa: PT011 (any of its kinds)
        PROCFS.process(sleeper.pid)


def test_the_state_of_a_process(sleeper, tmp_path):
    place = frozen.await_sleep(sleeper.pid, "S")
    assert (PROCFS.process(sleeper.pid).state, PROCFS.process(sleeper.pid).waits_in) == ("S", place)
    with frozen.stopped(sleeper.pid):
        assert state_words(PROCFS.process(sleeper.pid)) == "stopped (SIGSTOP)"
    with frozen.traced(sleeper.pid):
        assert state_words(PROCFS.process(sleeper.pid)) == "stopped by a debugger"
    with frozen.blocked(str(tmp_path / "bin")) as pid:
        place = Path(f"/proc/{pid}/wchan").read_text()
        assert state_words(PROCFS.process(pid)) == f"in uninterruptible sleep in {place}"


def test_another_process_of_the_number_is_not_it(sleeper):
    assert not PROCFS.is_alive(Process(pid=sleeper.pid, start_time=PROCFS.start_time(sleeper.pid) - 1))


def test_by_its_executable(sleeper):
    real = os.path.realpath(shutil.which("sleep"))
    assert PROCFS.runs(sleeper.pid, [real]) == real
    assert PROCFS.runs(sleeper.pid, [real + "x", real[:-1], os.path.dirname(real)]) is None


def test_a_deleted_executable_still_is_one(tmp_path):
    copy = tmp_path / "region"
    shutil.copy(shutil.which("sleep"), copy)
    with spawn([str(copy), "1000"]) as process:
        wait_until("exec", lambda: PROCFS.runs(process.pid, [str(copy)]))
        copy.unlink()
        assert PROCFS.runs(process.pid, [str(copy)]) == str(copy)


def test_who_only_calls_itself_so_is_an_impostor(tmp_path):
    name = str(tmp_path / "region")
    with spawn(["bash", "-c", f"exec -a {name} sleep 1000"]) as process:
        wait_until("exec", lambda: PROCFS.arguments(process.pid)[:1] == [name])
        assert PROCFS.runs(process.pid, [name]) == ""
        shutil.copy(shutil.which("sleep"), name)
        assert PROCFS.runs(process.pid, [name]) == ""


def test_a_link_at_the_components_path_is_no_impostor(tmp_path):
    name = str(tmp_path / "region")
    os.symlink(shutil.which("sleep"), name)
    with spawn([name, "1000"]) as process:
        wait_until("exec", lambda: PROCFS.arguments(process.pid)[:1] == [name])
        assert PROCFS.runs(process.pid, [name]) == name


def test_a_thread_of_the_kernel_is_nobody():
    name = Path("/proc/2/comm")
    if not (name.exists() and name.read_text() == "kthreadd\n"):
        pytest.skip("the threads of the kernel are not visible here")
    assert PROCFS.arguments(2) == []
    assert PROCFS.runs(2, ["", "kthreadd"]) is None


def test_one_variable_of_the_environment():
    with spawn(["sleep", "1000"], env={"A": "1", "AB": "2", "X": "A=3"}) as process:
        wait_until("exec", lambda: PROCFS.variable(process.pid, "A"))
        assert [PROCFS.variable(process.pid, name) for name in ("A", "AB", "B", "")] == ["1", "2", "", ""]


# Processes whose memory cannot be read


@pytest.fixture
def hanging(tmp_path):
    """A /proc of one process whose command line blocks every reader until it is written."""
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "exe").symlink_to("/opt/yunion/bin/region")
    for name in ("cmdline", "environ"):
        os.mkfifo(folder / name)
    procfs = ProcFs(str(tmp_path), read_timeout=0.2)
    yield procfs, folder
    for name in ("cmdline", "environ"):
        with contextlib.suppress(OSError):  # nobody reads it
            os.close(os.open(folder / name, os.O_WRONLY | os.O_NONBLOCK))


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "guarded-read"]


def test_a_process_whose_memory_is_locked_hangs_nobody(hanging):
    procfs, _folder = hanging
    assert procfs.runs(7, ["/opt/yunion/bin/region"]) == "/opt/yunion/bin/region"
    assert procfs.runs(7, ["/opt/yunion/bin/glance"]) is None
    assert procfs.arguments_in_time(7) == []
    with pytest.raises(TimeoutError, match="cmdline hangs"):
        procfs.arguments(7)
    with pytest.raises(TimeoutError, match="environ hangs"):
        procfs.variable(7, "JOURNAL_STREAM")


def test_one_thread_at_most_is_left_behind_for_a_file_and_it_is_read_again_when_it_can_be(hanging):
    procfs, folder = hanging
    before = len(readers())
    for _attempt in range(5):
        assert procfs.arguments_in_time(7) == []
    assert len(readers()) <= before + 1
    with open(folder / "cmdline", "wb") as pipe:
        pipe.write(b"late\0")
    wait_until("the end of the read", lambda: not procfs._guarded._hanging)
    os.unlink(folder / "cmdline")
    (folder / "cmdline").write_bytes(b"region\0--config\0/a\0")
    assert procfs.arguments(7) == ["region", "--config", "/a"]


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


def test_a_relative_configuration_file(tmp_path):
    (tmp_path / "region.conf").write_text("log_file_prefix: /x\n")
    with spawn(["sleep", "1000"], cwd=tmp_path) as process:
        assert PROCFS.log_file(process.pid, ["region", "--config", "region.conf"], []) == "file region.conf"


# Roots of others, which are hostile


def content(root, path):
    with open_in_root(str(root), path) as pinned:
        opened = open_regular(pinned)
    try:
        return os.read(opened, 100)
    finally:
        os.close(opened)


@pytest.fixture
def root(tmp_path):
    """A container's root directory, and a secret outside of it."""
    (tmp_path / "secret").write_text("outside")
    inside = tmp_path / "root"
    (inside / "etc" / "yunion" / "..data").mkdir(parents=True)
    (inside / "etc" / "yunion" / "..data" / "region.conf").write_text("inside")
    (inside / "etc" / "yunion" / "region.conf").symlink_to("..data/region.conf")
    (inside / "secret").write_text("its own")
    return inside


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/yunion/region.conf", b"inside"),
        ("etc/./yunion//region.conf", b"inside"),
        ("/etc/yunion/../../secret", b"its own"),
        ("/../../../secret", b"its own"),
    ],
)
def test_paths_stay_in_their_root(root, path, expected):
    assert content(root, path) == expected


@pytest.mark.parametrize(
    "target", ["/secret", "../../../../../../secret", "/etc/yunion/../../secret", "/etc/yunion/loop2"]
)
def test_links_stay_in_their_root(root, target):
    (root / "etc" / "yunion" / "loop2").symlink_to("/../secret")
    (root / "etc" / "link").symlink_to(target)
    assert content(root, "/etc/link") == b"its own"


def test_a_link_to_a_directory_is_followed(root):
    (root / "conf").symlink_to("/etc/yunion")
    assert content(root, "/conf/region.conf") == b"inside"


def test_circles_of_links_end(root):
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("/a")
    with pytest.raises(OSError, match="too many"):
        content(root, "/a")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_only_regular_files_are_opened(root, make):
    make(root / "odd")
    with pytest.raises(OSError, match="not a regular file"):
        content(root, "/odd")


@needs_root
def test_a_device_is_not_opened(root):
    os.mknod(root / "odd", 0o600 | 0o020000, os.makedev(1, 5))
    with pytest.raises(OSError, match="not a regular file"):
        content(root, "/odd")


def test_no_descriptors_are_left(root):
    def used():
        return len(os.listdir("/proc/self/fd"))

    before = used()
    for path in ("/etc/yunion/region.conf", "/nonexistent", "/etc/yunion/region.conf/x", "/../.."):
        with contextlib.suppress(OSError):
            content(root, path)
    assert used() == before
