# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are interrupted by signals and lost terminals, and sealed afterwards. With real processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify

import collection
from patience import wait_until
from workspace import ROOT

sys.path.insert(0, str(ROOT / "tests" / "lab"))

from deploy import processes
from deploy.processes import Process

# Each test runs ansible-playbook.
pytestmark = pytest.mark.slow

MARK = "CLOUDPODS_TEST_OF"
CTRL_C = b"\x03"
# A connection whose name is not `local` makes this machine a remote one for the roles.
CONNECTION = """
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = '''
name: elsewhere
short_description: This machine as if it were another one
description: This machine as if it were another one.
extends_documentation_fragment: [connection_pipelining]
'''


class Connection(Local):
    transport = "elsewhere"
"""


@dataclass
class Site:
    """A folder for runs, two services, and the environment of all processes of the test."""

    home: Path
    services: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def output(self) -> Path:
        return self.home / "out"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            MARK: self.mark,
            "ANSIBLE_COLLECTIONS_PATH": str(collection.link()),
            "ANSIBLE_CONNECTION_PLUGINS": str(self.home / "connections"),
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_HOME": str(self.home / "ansible"),
            "ANSIBLE_REMOTE_TMP": str(self.home / "ansible" / "tmp"),
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
            "TMPDIR": str(self.home / "tmp"),
        }

    @property
    def variables(self) -> dict[str, Any]:
        return {
            "cloudpods_binary_dir": str(self.services / "opt/yunion/bin"),
            "cloudpods_components": ["region", "keystone"],
            "cloudpods_dump_count": 100,
            "cloudpods_dump_interval": 1,
            "cloudpods_output": str(self.output),
            "cloudpods_run_id": "run",
            "cloudpods_transport": "host",
            "cloudpods_watch_duration": 600,
        }

    def play(self, playbook: str, *arguments: str, **variables: Any) -> list[str]:
        """Return the command of a playbook."""
        given = json.dumps({**self.variables, **variables})
        return ["ansible-playbook", f"cloudpods.diagnostics.{playbook}", "-e", given, *arguments]

    def run(self, command: list[str]) -> tuple[int, str]:
        """Return the exit code and the output of a command."""
        done = subprocess.run(command, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def processes(self) -> Iterator[Path]:
        """Return the folders in /proc of all processes of the test, except those of the services."""
        for folder in Path("/proc").iterdir():
            # It may end at any moment. A zombie has no environment.
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    yield folder

    def alive(self) -> list[str]:
        return [folder.name for folder in self.processes()]

    def wait_until_nothing_runs(self) -> None:
        wait_until("the end of all processes", lambda: not self.alive())

    def rows(self, pattern: str = "out/run/parts/*/ledger.jsonl") -> list[dict[str, Any]]:
        """Return all complete rows that were written."""
        lines = [line for path in self.home.glob(pattern) for line in path.read_text().splitlines(keepends=True)]
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def has_dumps(self, pattern: str = "out/run/parts/*/ledger.jsonl") -> bool:
        return any(entry["capture"] == "stack" for entry in self.rows(pattern))

    def is_watching(self) -> bool:
        """Return whether the logs of both services are followed."""
        logs = {str(self.services / "log" / f"{name}.log") for name in self.variables["cloudpods_components"]}
        opened = set()
        for folder in self.processes():
            with contextlib.suppress(OSError):
                opened |= {os.readlink(descriptor) for descriptor in (folder / "fd").iterdir()}
        return logs <= opened


class Terminal:
    """A command in its own terminal, as its user sees it."""

    def __init__(self, site: Site, command: list[str]) -> None:
        self.pid, self._master = pty.fork()
        if not self.pid:
            os.chdir(site.home)
            # Under nohup, in which the tests may run, it is ignored.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            os.execvpe(command[0], command, site.environment)  # noqa: S606 - this process is the child of the fork
        self._shown = b""
        self.code: int | None = None

    def wait_for(self, what: str, probe: Callable[[], bool]) -> None:
        """Read the output until the condition holds; fail if the command ends before."""

        def so() -> bool:
            self._read()
            assert not self._has_ended(), self.shown
            return probe()

        try:
            wait_until(what, so)
        except AssertionError as failed:
            raise AssertionError(f"{failed}\n{self.shown}") from failed

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def close(self) -> None:
        """Close the window: the kernel sends SIGHUP."""
        os.close(self._master)
        self._master = -1

    def wait(self) -> int:
        """Return the exit code after the command has ended."""

        def ended() -> bool:
            self._read()
            return self._has_ended()

        wait_until("the end of the command", ended)
        self._read()
        assert self.code is not None
        return self.code

    def end(self) -> None:
        if not self._has_ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self._master >= 0:
            os.close(self._master)

    @property
    def shown(self) -> str:
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def _read(self) -> None:
        # EIO: no process has the terminal open any more.
        with contextlib.suppress(OSError):
            while self._master >= 0 and select.select([self._master], [], [], 0)[0]:
                data = os.read(self._master, 1 << 16)
                if not data:
                    return
                self._shown += data

    def _has_ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("services")
    processes.start(folder, [Process("region"), Process("keystone")])
    yield folder
    processes.stop(folder)


@pytest.fixture
def site(tmp_path: Path, services: Path) -> Iterator[Site]:
    made = Site(tmp_path, services)
    for name in ("tmp", "connections"):
        (tmp_path / name).mkdir()
    (tmp_path / "connections" / "elsewhere.py").write_text(CONNECTION)
    node = {"ansible_connection": "elsewhere", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.yml").write_text(json.dumps({"cloudpods": {"hosts": {"node": node}}}))
    yield made
    made.wait_until_nothing_runs()


@pytest.fixture
def start(site: Site) -> Iterator[Callable[[list[str]], Terminal]]:
    terminals: list[Terminal] = []

    def run(command: list[str]) -> Terminal:
        terminals.append(Terminal(site, command))
        return terminals[-1]

    yield run
    for terminal in terminals:
        terminal.end()


def command_in(text: str) -> list[str]:
    """Return the last command that a text names after "Next:" or in the first line."""
    return shlex.split(re.findall(r"(?:Next|interrupted): (ansible[^\n]+)", text)[-1])


def sealed_rows(site: Site) -> list[dict[str, Any]]:
    """Return the rows of the sealed bundle, after checking that it is intact and marked as interrupted."""
    assert verify(str(site.output / "run.tar.gz")).intact
    assert json.loads((site.output / "run" / "manifest.json").read_bytes())["run"]["interrupted"] is True
    return [json.loads(line) for line in (site.output / "run" / "ledger.jsonl").read_text().splitlines()]


def is_run_row(entry: dict[str, Any]) -> bool:
    return (entry["capture"], entry["instance"], entry["reason"]) == ("access", "", "interrupted")


def test_shown_command_seals_captures_after_ctrl_c(site: Site, start) -> None:
    terminal = start(site.play("capture_stacks"))
    terminal.wait_for("the first dump", site.has_dumps)
    code, said = site.run(site.play("seal_bundle"))
    assert code == 2, said
    assert f"the run run is still running (process {terminal.pid})" in said
    terminal.press(CTRL_C)
    assert terminal.wait() == 99, terminal.shown
    site.wait_until_nothing_runs()
    before, _interrupted, after = terminal.shown.partition("User interrupted execution")
    assert f"Captures go to {site.output}/run. " in before
    assert f"Its captures are in {site.output}/run. " in after
    assert command_in(before) == command_in(after)
    code, said = site.run(command_in(after))
    assert code == 0, said
    rows = sealed_rows(site)
    assert [entry for entry in rows if is_run_row(entry)]
    dumps = [entry for entry in rows if entry["capture"] == "stack"]
    assert {"proven", "interrupted"} == {entry["reason"] for entry in dumps}
    # Missing captures have rows, too, so that an instance does not look complete.
    numbers: dict[str, set[int]] = {}
    for entry in dumps:
        numbers.setdefault(entry["instance"], set()).add(entry["sequence"])
    assert [len(found) for found in numbers.values()] == [site.variables["cloudpods_dump_count"]] * 2
    code, said = site.run(command_in(after))
    assert code == 2, said
    assert "is sealed already" in said


def test_interrupted_watch_keeps_its_verdicts(site: Site, start) -> None:
    terminal = start(site.play("watch_logs"))
    terminal.wait_for("the watching", site.is_watching)
    terminal.press(CTRL_C)
    assert terminal.wait() == 99, terminal.shown
    site.wait_until_nothing_runs()
    code, said = site.run(command_in(terminal.shown))
    assert code == 0, said
    rows = sealed_rows(site)
    assert [entry for entry in rows if is_run_row(entry)]
    assert {entry["component"] for entry in rows if entry["capture"] == "log_watch"} == {"region", "keystone"}
    assert not [entry for entry in rows if entry["status"] == "complete"]


@pytest.mark.parametrize("way", ["SIGTERM", "SIGKILL", "terminal"])
def test_nothing_keeps_running_after_kill_or_lost_terminal(site: Site, start, way: str) -> None:
    terminal = start(site.play("capture_stacks"))
    terminal.wait_for("the first dump", site.has_dumps)
    if way == "terminal":
        terminal.close()
    else:
        os.kill(terminal.pid, signal.Signals[way])
    assert terminal.wait() < 0
    site.wait_until_nothing_runs()
    assert is_run_row(site.rows()[-1])
    code, said = site.run(command_in(terminal.shown))
    assert code == 0, said
    assert [entry for entry in sealed_rows(site) if entry["reason"] == "proven"]


def test_fetches_captures_left_on_another_machine(site: Site, start) -> None:
    inventory = ["-i", str(site.home / "hosts.yml")]
    terminal = start(site.play("capture_stacks", *inventory))
    terminal.wait_for("the first dump", lambda: site.has_dumps("tmp/cloudpods-run-*/ledger.jsonl"))
    terminal.press(CTRL_C)
    assert terminal.wait() == 99, terminal.shown
    site.wait_until_nothing_runs()
    assert "on other machines to cloudpods-run-* in the temporary folder" in terminal.shown
    command = command_in(terminal.shown)
    assert inventory[1] in command
    code, said = site.run([*command, "-e", "cloudpods_transport=host"])
    assert code == 0, said
    rows = sealed_rows(site)
    assert [entry for entry in rows if entry["reason"] == "proven"]
    assert len([entry for entry in rows if is_run_row(entry)]) == 1
    assert list((site.home / "tmp").glob("cloudpods-*")) == []


def test_interrupted_module_names_its_folder(site: Site, start) -> None:
    options = {
        "binary_dirs": [site.variables["cloudpods_binary_dir"]],
        "components": ["region"],
        "count": 100,
        "interval": 1,
        "transport": "host",
    }
    module = ["ansible", "localhost", "-m", "cloudpods.diagnostics.stack_dump", "-a", json.dumps(options)]
    terminal = start(module)
    terminal.wait_for("the first dump", lambda: site.has_dumps("tmp/cloudpods-*/ledger.jsonl"))
    terminal.press(CTRL_C)
    assert terminal.wait() == 99, terminal.shown
    site.wait_until_nothing_runs()
    (folder,) = (site.home / "tmp").glob("cloudpods-*")
    assert f"The captures are in {folder}. " in terminal.shown
    code, said = site.run(command_in(terminal.shown))
    assert code == 0, said
    assert verify(f"{folder}-bundle.tar.gz").intact


def test_run_interrupted_before_capture_leaves_nothing(site: Site, start) -> None:
    """Interrupt after the run has created its folder, while the module waits for a silent API server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        api = {"cloudpods_host": url, "cloudpods_api_key": "none"}
        terminal = start(site.play("capture_stacks", cloudpods_transport="kubernetes", **api))
        terminal.wait_for("the question to the API server", lambda: bool(select.select([listener], [], [], 0)[0]))
        terminal.press(CTRL_C)
        assert terminal.wait() == 99, terminal.shown
    site.wait_until_nothing_runs()
    assert list(site.output.iterdir()) == []
