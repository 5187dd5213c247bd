# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe script in real shells with real processes, and the parser of its output."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time

import frozen
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.signal_policy import choose_process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes import probe
from shapeshifter import shapeshifter
from standins import Machine, await_arguments

from patience import patience, wait_until

PROCFS = ProcFs()
WORD = "0123456789abcdef"
USR1 = 1 << 9
ANSWERS = ("sent", "unsent", "changed", "ignores", "uncaught")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """Return a PATH with only the applets of busybox, as in the images of the services."""
    folder = tmp_path_factory.mktemp("applets")
    if shutil.which("busybox"):
        subprocess.run([shutil.which("busybox"), "--install", "-s", str(folder)], check=True)
    return folder


@pytest.fixture(params=["dash", "bash", "busybox", "dash without readlink"])
def shell(request, tools, tmp_path):
    """Return the beginning of the command that starts the script in this shell, and the PATH.

    Debian's busybox takes its own applets first, whatever is in the PATH.
    """
    name, _blank, missing = request.param.partition(" without ")
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed here")
    if missing:
        partly = tmp_path / "applets"
        shutil.copytree(tools, partly, symlinks=True)
        (partly / missing).unlink()
        return [program], str(partly)
    return ([program, "sh"], str(tools)) if name == "busybox" else ([program], os.environ["PATH"])


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


class Conversation:
    """A running script, with the dialogue of a transport."""

    def __init__(self, shell, paths, configs=(), seconds=60, version_seconds=60, standin=""):
        program, path = shell
        arguments = probe.command(WORD, seconds, configs, paths, version_seconds)
        assert arguments[0] == "/bin/sh"
        self.reader = probe.ProbeReader(WORD)
        self.program = subprocess.Popen(
            [*program, *arguments[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={"PATH": path, "STANDIN": standin},
        )
        self._events = []

    def __enter__(self):
        self.wait_for("ready")
        return self

    def __exit__(self, *unused):
        self.program.kill()
        self.program.wait()
        for stream in (self.program.stdin, self.program.stdout, self.program.stderr):
            stream.close()

    def wait_for(self, *wanted):
        while True:
            while self._events:
                event = self._events.pop(0)
                if event[0] in wanted:
                    return event[0]
            data = self.program.stdout.read(4096)
            assert data, f"it ended: {self.program.stderr.read()!r}"
            self.reader.feed(data)
            self._events += self.reader.events()

    def say(self, text):
        self.program.stdin.write(text.encode() + b"\n")

    @property
    def facts(self):
        return self.reader.facts

    def complaints(self):
        """Close its input and return its standard error."""
        self.program.stdin.close()
        assert self.program.wait(patience()) == 0
        return self.program.stderr.read()


def converse(shell, machine, component="region", **options):
    return Conversation(shell, [f"{machine.binaries}/{component}"], **options)


def the_one(facts):
    (process,) = facts.candidates
    return process


def test_reports_the_service_and_signals_it(shell, machine):
    service = machine.start("region")
    machine.start("region-dns")
    with converse(shell, machine) as talk:
        process = the_one(talk.facts)
        assert talk.facts.impostors == ()
        assert process.pid == service.pid
        assert process.start_time == PROCFS.start_time(service.pid)
        assert process.executable == f"{machine.binaries}/region"
        assert process.same_by == "mount_namespace"
        assert process.stderr == str(service.log)
        assert process.log_file == ""
        assert choose_process(talk.facts, follows_files=True) == process
        talk.say(f"signal {process.pid} {process.start_time}")
        assert talk.wait_for(*ANSWERS) == "sent"
        service.wait_for_dump()
        assert talk.complaints() == b""
    assert service.dumps() == 1
    assert service.alive


def test_reads_the_same_facts_as_the_host_transport(shell, machine):
    """Compare the two implementations."""
    service = machine.start("region", "usr1=ignore", ("--log-file-prefix", str(machine.folder / "x")), wait=False)
    wait_until("the handlers", lambda: PROCFS.process(service.pid).ignored & USR1)
    with converse(shell, machine) as talk:
        seen = the_one(talk.facts)
    own = PROCFS.process(service.pid, "mount_namespace")
    assert (seen.pid, seen.start_time, seen.executable, seen.same_by) == (
        own.pid,
        own.start_time,
        own.executable,
        own.same_by,
    )
    assert (seen.ignored, seen.caught, seen.stderr) == (own.ignored, own.caught, own.stderr)
    assert own.log_file == "option --log-file-prefix"
    assert seen.log_file == own.log_file


ENDS_IT = """#!/bin/sh
PATH={path}
{readlink} "$@" || exit
case $1 in
  /proc/{pid}/exe) kill -s KILL {pid}; while [ -e /proc/{pid} ]; do :; done ;;
esac
"""


def test_ignores_a_process_that_ends_during_the_probe(shell, machine, tmp_path):
    (program, path), folder = shell, tmp_path / "first in the PATH"
    if program[0].endswith("busybox"):
        pytest.skip("it does not take another readlink")
    victim = subprocess.Popen(["region", "600"], executable=shutil.which("sleep"))
    await_arguments(victim)
    threading.Thread(target=victim.wait, daemon=True).start()
    folder.mkdir()
    ends_it = folder / "readlink"
    ends_it.write_text(ENDS_IT.format(pid=victim.pid, path=os.environ["PATH"], readlink=shutil.which("readlink")))
    ends_it.chmod(0o755)
    with converse((program, f"{folder}:{path}"), machine) as talk:
        assert talk.facts.candidates == talk.facts.impostors == ()
        assert talk.complaints() == b""
    assert victim.wait(patience()) == -signal.SIGKILL


def test_reports_all_matching_processes(shell, machine):
    services = [machine.start("region"), machine.start("region")]
    with converse(shell, machine) as talk:
        assert sorted(one.pid for one in talk.facts.candidates) == sorted(one.pid for one in services)
        with pytest.raises(CaptureError) as refused:
            choose_process(talk.facts, follows_files=True)
    assert refused.value.verdict.reason is Reason.SEVERAL_PROCESSES


def test_reports_no_process_without_a_match(shell, machine):
    machine.start("host-deployer")
    with converse(shell, machine, "host") as talk:
        assert talk.facts.candidates == ()
        with pytest.raises(CaptureError) as refused:
            choose_process(talk.facts, follows_files=True)
    assert refused.value.verdict.reason is Reason.NO_PROCESS


def test_does_not_signal_a_process_that_ignores_it(shell, machine):
    machine.start("region", "usr1=ignore")
    with converse(shell, machine) as talk, pytest.raises(CaptureError) as refused:
        choose_process(talk.facts, follows_files=True)
    assert refused.value.verdict.reason is Reason.USR1_IGNORED


def test_does_not_signal_a_process_without_a_handler(shell, machine):
    (machine.folder / "bin").mkdir()
    program = machine.folder / "bin" / "nginx"
    shutil.copy(shutil.which("sleep"), program)
    sleeper = subprocess.Popen([str(program), "1000"])
    try:
        await_arguments(sleeper)
        with converse(shell, machine, "nginx") as talk, pytest.raises(CaptureError) as refused:
            choose_process(talk.facts, follows_files=True)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert refused.value.verdict.reason is Reason.USR1_NOT_CAUGHT


# Processes that execute nothing


def test_stopped_process_is_not_signalled(shell, machine):
    service = machine.start("region")
    with frozen.stopped(service.pid), converse(shell, machine) as talk:
        process = the_one(talk.facts)
        assert (process.state, PROCFS.process(service.pid).state) == ("T", "T")
        with pytest.raises(CaptureError) as refused:
            choose_process(talk.facts, follows_files=True)
        assert talk.complaints() == b""
    assert refused.value.verdict.reason is Reason.PROCESS_STOPPED
    assert "is stopped (SIGSTOP)" in refused.value.verdict.message


def test_process_under_a_debugger_is_not_signalled(shell, machine):
    service = machine.start("region")
    with frozen.traced(service.pid), converse(shell, machine) as talk:
        assert (the_one(talk.facts).state, PROCFS.process(service.pid).state) == ("t", "t")
        with pytest.raises(CaptureError) as refused:
            choose_process(talk.facts, follows_files=True)
    assert refused.value.verdict.reason is Reason.PROCESS_STOPPED


def test_reports_uninterruptible_sleep_and_allows_the_signal(shell, machine):
    with frozen.blocked(machine.binaries) as pid, converse(shell, machine, "blocked") as talk:
        (process,) = (one for one in talk.facts.candidates if one.pid == pid)
        own = PROCFS.process(pid)
        assert (process.state, process.waits_in) == (own.state, own.waits_in)
        assert own.state == "D"
        assert own.waits_in
        assert choose_process(probe.ProbeFacts((process,)), follows_files=True) == process
        assert talk.complaints() == b""


def test_reports_a_blocked_process_before_reading_its_command_line(shell, machine, tmp_path):
    """Reading the command line may hang as long as the process does."""
    (program, path), folder = shell, tmp_path / "first in the PATH"
    if program[0].endswith("busybox"):
        pytest.skip("it does not take another tr")
    folder.mkdir()
    hangs = folder / "tr"
    hangs.write_text("#!/bin/sh\nread never_comes < /proc/$PPID/fd/0\n")
    hangs.chmod(0o755)
    with frozen.blocked(machine.binaries) as pid:
        talk = Conversation((program, f"{folder}:{path}"), [f"{machine.binaries}/blocked"])
        with contextlib.closing(talk.program.stdout), contextlib.closing(talk.program.stderr):
            while not talk.facts.candidates or not talk.facts.candidates[0].stderr:
                data = talk.program.stdout.read(4096)
                assert data
                talk.reader.feed(data)
            process = the_one(talk.facts)
            assert (process.pid, process.state, process.executable) == (pid, "D", f"{machine.binaries}/blocked")
            talk.program.stdin.close()
            talk.program.wait(patience())


@pytest.mark.parametrize("name", ["ended", "a-component-of-a-long-name"])
def test_reports_a_zombie_apart_from_processes(shell, machine, name):
    with frozen.zombie(machine.binaries, name) as pid, converse(shell, machine, name) as talk:
        assert talk.facts.candidates == ()
        assert pid in talk.facts.zombies
        with pytest.raises(CaptureError) as refused:
            choose_process(talk.facts, follows_files=True)
        assert talk.complaints() == b""
    assert refused.value.verdict.reason is Reason.NO_PROCESS
    assert "has the name and is a zombie" in refused.value.verdict.message


def test_ignores_a_zombie_of_another_name(shell, machine):
    with frozen.zombie(machine.binaries, "ended-before") as pid, converse(shell, machine, "ended") as talk:
        assert pid not in talk.facts.zombies


def test_does_not_signal_a_process_that_became_a_zombie(shell, machine):
    service = machine.start("region")
    with converse(shell, machine) as talk:
        process = the_one(talk.facts)
        os.kill(service.pid, signal.SIGKILL)
        frozen.await_state(service.pid, "Z")
        talk.say(f"signal {process.pid} {process.start_time}")
        assert talk.wait_for(*ANSWERS) == "changed"


def test_reports_an_impostor_apart_from_processes(shell, machine):
    name = f"{machine.binaries}/region"
    impostor = subprocess.Popen(["bash", "-c", f"exec -a {name} sleep 1000"])
    try:
        wait_until("exec", lambda: PROCFS.arguments(impostor.pid)[:1] == [name])
        with converse(shell, machine) as talk:
            assert talk.facts.candidates == ()
            assert talk.facts.impostors == (impostor.pid,)
    finally:
        impostor.kill()
        impostor.wait()


def test_accepts_a_deleted_executable(shell, machine):
    service = machine.start("region")
    os.unlink(f"{machine.binaries}/region")
    with converse(shell, machine) as talk:
        assert the_one(talk.facts).pid == service.pid


@pytest.mark.parametrize("form", ["--log-file-prefix {}", "--log-file-prefix={}", "-log-file-prefix {}"])
def test_finds_a_log_file_set_by_an_option(shell, machine, form):
    machine.start("region", arguments=tuple(form.format(machine.folder / "to-file").split()), wait=False)
    with converse(shell, machine) as talk:
        assert the_one(talk.facts).log_file.startswith("option -")
        with pytest.raises(CaptureError) as refused:
            choose_process(talk.facts, follows_files=True)
    assert refused.value.verdict.reason is Reason.STDERR_LOST


@pytest.mark.parametrize("how", ["--config {}", "--config={}", "--common-config-file {}", ""])
@pytest.mark.parametrize(
    ("text", "lost"),
    [("log_file_prefix: /x", True), ("  log_file_prefix : '/x'", True), ("log_file_prefix: ''", False)],
)
def test_finds_a_log_file_set_in_a_configuration_file(shell, machine, how, text, lost):
    config = machine.folder / "region with blank.conf"
    config.write_text(f"a: b\n{text}\n")
    arguments = tuple(word.replace("{}", str(config)) for word in how.split())
    machine.start("region", arguments=arguments, wait=False)
    with converse(shell, machine, configs=["/nonexistent", str(config)] if not how else []) as talk:
        assert the_one(talk.facts).log_file == (f"file {config}" if lost else "")


def test_returns_the_version(shell, machine):
    machine.start("region")
    with converse(shell, machine) as talk:
        talk.say(f"version {the_one(talk.facts).pid}")
        talk.wait_for("version_ends")
        assert talk.reader.version.startswith(b"Yunion cloud version:\n{")
        assert talk.reader.version.endswith(b"}")
        assert talk.complaints() == b""


def hung_versions(machine):
    """Return the processes that print their version and do not end."""
    found = []
    for pid in PROCFS.pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # others come and go
            if PROCFS.runs(pid, [f"{machine.binaries}/region"]) and PROCFS.arguments(pid)[1:] == ["-v"]:
                found.append(pid)
    return found


def wait_for_the_hung_one(machine, service):
    wait_until("the process that prints the version", lambda: hung_versions(machine))
    assert service.alive


def test_hanging_version_command_does_not_outlive_the_script(shell, machine):
    service = machine.start("region")
    with converse(shell, machine, standin="version_sleep=forever") as talk:
        talk.say(f"version {the_one(talk.facts).pid}")
        wait_for_the_hung_one(machine, service)
        talk.program.stdin.close()
        talk.program.wait(patience())
        wait_until("its end", lambda: not hung_versions(machine))
        assert service.alive


def test_hanging_version_command_costs_only_its_own_timeout(shell, machine):
    if shell[0][0].endswith("dash"):
        pytest.skip("dash's read has no timeout: there the end of standard input is what ends it")
    service = machine.start("region")
    with converse(shell, machine, standin="version_sleep=forever", version_seconds=1) as talk:
        process = the_one(talk.facts)
        talk.say(f"version {process.pid}")
        talk.wait_for("version_ends")
        assert talk.reader.version == b""
        assert not hung_versions(machine)
        talk.say(f"signal {process.pid} {process.start_time}")
        assert talk.wait_for(*ANSWERS) == "sent"
    service.wait_for_dump()


def test_does_not_signal_a_process_with_another_start_time(shell, machine):
    service = machine.start("region")
    with converse(shell, machine) as talk:
        process = the_one(talk.facts)
        talk.say(f"signal {process.pid} {process.start_time + 1}")
        assert talk.wait_for(*ANSWERS) == "changed"
        talk.say(f"signal {process.pid} {process.start_time}")
        assert talk.wait_for(*ANSWERS) == "sent"
    service.wait_for_dump()
    assert service.dumps() == 1


@pytest.mark.parametrize(
    ("then", "answer"), [("trap - USR1", "uncaught"), ("trap '' USR1", "ignores"), ("exec {} -c 'read x'", "uncaught")]
)
def test_does_not_signal_a_process_that_lost_its_handler(shell, machine, then, answer):
    """A signal would kill the first and the last one. The last one still has its PID, start time and file."""
    with shapeshifter(machine.binaries, then) as shifter, converse(shell, machine) as talk:
        process = the_one(talk.facts)
        assert process.caught & USR1
        shifter.shift()
        talk.say(f"signal {process.pid} {process.start_time}")
        assert talk.wait_for(*ANSWERS) == answer
        assert shifter.alive


def test_does_not_signal_a_process_that_has_ended(shell, machine):
    service = machine.start("region")
    with converse(shell, machine) as talk:
        process = the_one(talk.facts)
        service.stop()
        talk.say(f"signal {process.pid} {process.start_time}")
        assert talk.wait_for(*ANSWERS) == "changed"


@pytest.mark.parametrize("last_words", ["", "exit", "signal", "kill 1", "signal 0", "\x00\xff", "x" * 100_000])
def test_exits_without_a_signal_when_input_ends(shell, machine, last_words):
    service = machine.start("region")
    with converse(shell, machine) as talk:
        if last_words:
            talk.say(last_words)
        assert b"not found" not in talk.complaints()
    # Its dump would be there by now if the very same service can be asked for one after that.
    os.kill(service.pid, signal.SIGUSR1)
    service.wait_for_dump()
    assert service.dumps() == 1


def test_exits_after_the_timeout(shell, machine):
    if shell[0][0].endswith("dash"):
        pytest.skip("dash's read has no timeout: there the end of standard input is what ends it")
    begun = time.monotonic()
    with converse(shell, machine, seconds=1) as talk:
        talk.program.wait(patience())
    assert time.monotonic() - begun >= 0.9


@needs_root
def test_process_of_another_container_is_not_a_candidate(shell, machine):
    """The containers of DaemonSets share the processes of the node."""
    own = machine.start("region")
    other = machine.start("region", wait=False, launcher=["unshare", "--mount"])
    wait_until("exec", lambda: PROCFS.arguments(other.pid)[:1] == [f"{machine.binaries}/region"])
    with converse(shell, machine) as talk:
        assert {one.pid: one.same_container for one in talk.facts.candidates} == {own.pid: True, other.pid: False}
        assert choose_process(talk.facts, follows_files=True).pid == own.pid


def test_output_of_the_binary_cannot_pass_for_the_script(shell, machine):
    """The version of an untrusted image may look like the protocol, and be long."""
    service = machine.start("region")
    script = f"#!/bin/sh\necho sent\necho 'fedcba9876543210 sent'\nprintf '{WORD}'\nhead -c 3000000 /dev/zero\necho\n"
    (machine.folder / "liar").write_text(script)
    (machine.folder / "liar").chmod(0o755)
    os.rename(machine.folder / "liar", f"{machine.binaries}/region")
    with converse(shell, machine) as talk:
        process = the_one(talk.facts)
        assert process.pid == service.pid
        talk.say(f"version {process.pid}")
        assert talk.wait_for("sent", "version_ends") == "version_ends"
        assert b"fedcba9876543210 sent" in talk.reader.version
        assert len(talk.reader.version) <= 2 << 20
        talk.say(f"signal {process.pid} {process.start_time}")
        assert talk.wait_for(*ANSWERS) == "sent"
    service.wait_for_dump()


def test_reads_commands_after_the_version_completely(shell, machine):
    """The watcher of the version command reads the same standard input."""
    machine.start("region")
    with converse(shell, machine) as talk:
        process = the_one(talk.facts)
        for _attempt in range(30):
            talk.say(f"version {process.pid}")
            assert talk.wait_for("version_ends") == "version_ends"
            talk.say(f"signal {process.pid} {process.start_time + 1}")
            assert talk.wait_for(*ANSWERS) == "changed"


# The reader alone

SAID = [
    "hello",
    "pid 12",
    "start 3456",
    "same mount_namespace",
    "exe /opt/yunion/bin/region",
    "argv0 ",
    "state D",
    "waits_in nfs_wait_bit_killable",
    "ignored 0000000000000000",
    "caught fffffffe7fc1feff",
    "stderr pipe:[1]",
    "impostor 99",
    "zombie 98",
    "memory 536870912 104857600 4194304",
    "memory max 1 0",
    "ready",
    "version_begins",
    "version_ends 0",
    "sent",
]
STREAM = "".join(f"{WORD} {line}\n" for line in SAID).replace(f"{WORD} version_ends", f"v1\nv2\n\n{WORD} version_ends")


def read_all(chunks):
    reader = probe.ProbeReader(WORD)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.facts, reader.events(), reader.version


def test_parses_every_split_alike():
    stream = STREAM.encode()
    facts, events, version = read_all([stream])
    assert (facts.candidates[0].pid, facts.candidates[0].start_time, facts.impostors) == (12, 3456, (99,))
    assert (facts.candidates[0].state, facts.candidates[0].waits_in) == ("D", "nfs_wait_bit_killable")
    assert (facts.memory_room, facts.zombies) == (416 << 20, (98,))
    assert events == [["hello", ""], ["ready", ""], ["version_ends", "0"], ["sent", ""]]
    assert version == b"v1\nv2"
    assert read_all([stream[i : i + 1] for i in range(len(stream))]) == (facts, events, version)
    for split in range(len(stream)):
        assert read_all([stream[:split], stream[split:]]) == (facts, events, version)


@pytest.mark.parametrize(
    "lines",
    [
        ["pid x", "start 1", "same cgroup"],
        ["pid -1", "start 1", "same cgroup"],
        ["pid 0", "start 1", "same cgroup"],
        ["pid 1_0", "start 1", "same cgroup"],
        ["pid \u0663", "start 1", "same cgroup"],
        ["pid 7", "same cgroup"],
        ["pid 7", "start -5"],
        ["pid 7", "start " + "9" * 5000],
        ["pid 7", "start 1", "caught zz"],
        ["pid 7", "start 1", "state DD"],
        ["zombie -1", "zombie \u0663"],
        ["start 1"],
        ["impostor \u00b2", "memory \u00b2 \u00b2 \u00b2", "memory 1 2", "impostor " + "9" * 5000],
        ["memory " + "9" * 5000 + " 1 1"],
    ],
)
def test_drops_malformed_blocks(lines):
    facts, _events, _version = read_all([f"{WORD} {line}\n".encode() for line in lines])
    assert facts == probe.ProbeFacts()


def test_drops_a_malformed_kernel_function():
    said = f"{WORD} pid 7\n{WORD} start 1\n{WORD} state D\n{WORD} waits_in \x1b[2J of |hostile| origin\n"
    assert the_one(read_all([said.encode()])[0]).waits_in == ""


def test_bounds_the_memory_of_endless_output():
    reader = probe.ProbeReader(WORD, limit=1000)
    reader.feed(f"{WORD} version_begins\n".encode())
    for _round in range(5000):
        reader.feed(b"x" * 100)
        reader.feed(b"y" * 50 + b"\n" + f"{WORD} pid 1\n{WORD} impostor 5\n".encode())
    assert len(reader.version) < 3000
    assert len(reader.facts.impostors) <= 1000
    assert len(reader._processes) <= 1000
