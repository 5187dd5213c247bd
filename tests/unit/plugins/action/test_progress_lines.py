# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines on a real terminal, of the real ansible-playbook and a service with controlled answers."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import FILE_VARIABLE

from patience import patience
from workspace import ROOT

# Each test runs ansible-playbook or ansible.
pytestmark = pytest.mark.slow
INTERVAL = "cloudpods_progress_seconds"
LINE = re.compile(r"^(\S+)  (\w+)  (\d+) s(?: of at most (\d+) s)?(?:: (.+))?$", re.MULTILINE)


@dataclass
class Gate:
    """Requests of the tasks of one name. asked: set by the first request. let_go: answers wait until it is set."""

    asked: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)


class Service(ThreadingHTTPServer):
    """Service whose answers wait for the gate that the first part of the path names. /prompt/ has none."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.gates: dict[str, Gate] = defaultdict(Gate)
        self.gates["prompt"].let_go.set()

    def url(self, gate: str) -> str:
        self.gates[gate]  # made here, by the only thread that makes any
        return f"http://127.0.0.1:{self.server_port}/{gate}/"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        gate = self.server.gates[self.path.split("/")[1]]
        gate.asked.set()
        gate.let_go.wait(patience())
        with contextlib.suppress(ConnectionError):  # of a module that was ended
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"pong")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    for gate in server.gates.values():
        gate.let_go.set()
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Terminal:
    """Output of a program on a terminal, up to its end."""

    process: subprocess.Popen[bytes]
    master: int
    shown: str = ""
    lines: list[tuple[str, ...]] = field(default_factory=list)

    def until(self, condition: Any = None) -> None:
        """Read until that holds, or with none until the program has ended."""
        while condition is None or not condition():
            # A whole run may show nothing until it ends.
            assert select.select([self.master], [], [], patience(300))[0], self.shown
            try:
                data = os.read(self.master, 65536)
            except OSError:  # how Linux says that nobody has the other side open any more
                data = b""
            if not data:
                assert condition is None, f"ended before that: {self.shown}"
                self.process.wait(patience())
                return
            self.shown += data.decode().replace("\r\n", "\n")
            self.lines = LINE.findall(self.shown)

    def lines_of(self, task: str) -> list[tuple[str, ...]]:
        """The lines shown between the header of this task and the next."""
        return LINE.findall(self.shown.partition(f"TASK [{task}]")[2].partition("TASK [")[0])


class Where:
    """Runner of playbooks below a folder, with standard error on a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collections = os.environ["ANSIBLE_COLLECTIONS_PATH"]

    @contextlib.contextmanager
    def terminal(
        self, *command: str, stdout: int | None = None, stderr: int | None = None, **environment: str
    ) -> Iterator[Terminal]:
        master, slave = pty.openpty()
        env = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": self.collections,
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_ASYNC_DIR": str(self.folder / "async"),
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            **environment,
        }
        process = subprocess.Popen(
            [os.path.join(os.path.dirname(sys.executable), command[0]), *command[1:]],
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave if stderr is None else stderr,
            env=env,
            cwd=self.folder,
        )
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            process.wait()
            os.close(master)

    def playbook(self, *tasks: dict[str, Any], **play: Any) -> str:
        path = self.folder / "playbook.yml"
        variables = {"ansible_python_interpreter": sys.executable}
        play = {"hosts": "all", "gather_facts": False, "connection": "local", "vars": variables, "tasks": tasks, **play}
        path.write_text(json.dumps([play]))
        return str(path)


@pytest.fixture
def where(tmp_path) -> Where:
    return Where(tmp_path)


def ask(service: Service, gate: str, **options: Any) -> dict[str, Any]:
    urls = {"region": service.url(gate)}
    options = {"transport": "url", "urls": urls, "endpoints": ["ping"], "return_documents": "never", **options}
    return {"name": gate, "cloudpods.diagnostics.status_info": options}


def arguments(inventory: str = "cluster-a,", seconds: float = 0.1) -> list[str]:
    return ["-i", inventory, "-e", json.dumps({INTERVAL: seconds})]


def pause() -> None:
    """Wait for the time of five lines that must not come. There is no event to wait for."""
    threading.Event().wait(0.5)


def test_shows_lines_of_each_host_on_a_terminal(where, service):
    """One run for everything that a terminal shows. test_progress_action.py checks the interval of ten seconds."""
    once = {"run_once": True}
    tasks = [
        ask(service, "shown"),
        # As over SSH, and under become: a module that does not see the file has the time alone.
        {**ask(service, "blind"), **once, "environment": {FILE_VARIABLE: ""}},
        {**ask(service, "off"), **once, "vars": {INTERVAL: 0}},
        {**ask(service, "wrong"), **once, "vars": {INTERVAL: "often"}, "ignore_errors": True},
        {"name": "after", **once, "ansible.builtin.wait_for": {"timeout": 1}},
    ]
    variables = {"ansible_python_interpreter": sys.executable, INTERVAL: 0.1}
    command = ["ansible-playbook", where.playbook(*tasks, vars=variables), "-i", "cluster-a,cluster-b,"]
    whole = ("status_info", "300", "0 of 1 readings")
    with where.terminal(*command) as terminal:
        terminal.until(
            lambda: (
                {host for host, module, _time, most, counts in terminal.lines if (module, most, counts) == whole}
                == {"cluster-a", "cluster-b"}
            )
        )
        service.gates["shown"].let_go.set()
        assert service.gates["blind"].asked.wait(patience())
        seen = len(terminal.lines_of("blind"))
        terminal.until(lambda: len(terminal.lines_of("blind")) >= seen + 2)
        service.gates["blind"].let_go.set()
        assert service.gates["off"].asked.wait(patience())
        pause()
        service.gates["off"].let_go.set()
        terminal.until()
    assert terminal.process.returncode == 0, terminal.shown
    assert {(most, counts) for _host, _module, _time, most, counts in terminal.lines_of("blind")} == {("", "")}
    assert [terminal.lines_of(task) for task in ("off", "wrong", "after")] == [[], [], []]
    assert f"{INTERVAL} has to be a number of seconds, or 0, not 'often'" in terminal.shown
    assert not service.gates["wrong"].asked.is_set()
    assert re.search(r"cluster-a +: ok=5 .*failed=0 .*ignored=1", terminal.shown)
    assert "WARNING" not in terminal.shown


@pytest.mark.parametrize(
    ("redirected", "environment"),
    # On the same terminal: a runner gives it a terminal, and reads from it.
    [(True, {}), (False, {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"})],
    ids=["a file", "JSON on the terminal"],
)
def test_shows_nothing_where_lines_would_disturb(where, service, redirected, environment):
    errors = where.folder / "errors"
    command = ["ansible-playbook", where.playbook(ask(service, "asked")), *arguments()]
    with (
        errors.open("wb") as file,
        where.terminal(*command, stderr=file.fileno() if redirected else None, **environment) as terminal,
    ):
        assert service.gates["asked"].asked.wait(patience())
        pause()
        service.gates["asked"].let_go.set()
        terminal.until()
    shown = terminal.shown + errors.read_text()
    assert terminal.process.returncode == 0, shown
    assert LINE.findall(shown) == []
    if environment:
        assert json.loads(terminal.shown)["stats"]["cluster-a"]["ok"] == 1


@pytest.mark.parametrize("one_line", [True, False])
def test_ad_hoc_commands(where, service, one_line):
    options = json.dumps({"transport": "url", "urls": {"region": service.url("asked")}, "endpoints": ["ping"]})
    command = ["ansible", "all", "-c", "local", "-m", "cloudpods.diagnostics.status_info", "-a", options, *arguments()]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    gate = service.gates["asked"]
    with where.terminal(*command, *(["-o"] if one_line else [])) as terminal:
        if one_line:
            assert gate.asked.wait(patience())
            pause()
        else:
            terminal.until(lambda: terminal.lines)
        gate.let_go.set()
        terminal.until()
    assert terminal.process.returncode == 0, terminal.shown
    assert bool(terminal.lines) is not one_line


# How each of them ends: one value of its result.
OUTCOMES = {
    "good": ("found", 1),
    "checked": ("output", ""),
    "wrong": ("msg", "The transport url needs urls: a dictionary of components and their URLs."),
    "late": ("failed", True),
    "crashed": ("module_stdout", "half a result\n"),
    "unreachable": ("unreachable", True),
    "background": ("started", True),
    "polled": ("finished", True),
    "hidden": (
        "censored",
        "the output has been hidden due to the fact that 'no_log: true' was specified for this result",
    ),
}


def outcomes(service: Service, crash: Path) -> list[dict[str, Any]]:
    """Return tasks with every possible end. Requests are answered at once, except for the late one."""
    ping = ask(service, "prompt")
    nobody = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    by_defaults = ask(service, "prompt")
    del by_defaults["cloudpods.diagnostics.status_info"]["urls"]
    background = {**ping, "async": int(patience())}
    tasks = {
        "good": by_defaults,
        "checked": {**ping, "check_mode": True},
        "wrong": ask(service, "prompt", urls={}),
        "late": {**ask(service, "late"), "timeout": 1},
        "crashed": {**ping, "vars": {"ansible_python_interpreter": str(crash)}},
        "unreachable": {**ping, "vars": nobody, "ignore_unreachable": True},
        "background": {**background, "poll": 0},
        "polled": {**background, "poll": 1},
        "hidden": {**ping, "no_log": True},
    }
    assert list(tasks) == list(OUTCOMES)
    return [{**task, "name": name, "ignore_errors": True} for name, task in tasks.items()]


VOLATILE = {"start", "end", "delta", "ansible_job_id", "results_file", "at", "elapsed_seconds"}


def comparable(value: Any) -> Any:
    """Return a result without the parts that differ from run to run."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"ansible-tmp-[\d.-]+|\d+\.\d+ s\b|/\S*/cloudpods-\w+", "…", value)
    return value


def results(where: Where, service: Service, crash: Path) -> tuple[dict[str, Any], int, int]:
    """Of each task its result; the run's exit code; how many lines it showed.

    Standard output is a file, in which no line stands: it is whole JSON after the words of -vvv.
    """
    group = "group/cloudpods.diagnostics.cloudpods"
    defaults = {group: {"urls": {"region": service.url("prompt")}}}
    playbook = where.playbook(*outcomes(service, crash), module_defaults=defaults)
    out = where.folder / "out.json"
    with out.open("wb") as file:
        command = ["ansible-playbook", playbook, *arguments()]
        environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_VERBOSITY": "3"}
        with where.terminal(*command, stdout=file.fileno(), **environment) as terminal:
            terminal.until()
    text = out.read_text()
    assert LINE.findall(text) == []
    document = json.loads(text[text.index("\n{") :] if not text.startswith("{") else text)
    (play,) = document["plays"]
    found = {task["task"]["name"]: comparable(task["hosts"]["cluster-a"]) for task in play["tasks"]}
    return found, terminal.process.returncode, len(terminal.lines)


def test_leaves_results_of_modules_unchanged(where, service, tmp_path):
    crash = tmp_path / "crash"
    crash.write_text("#!/bin/sh\necho half a result\nexec sh -c 'kill -9 $$'\n")
    crash.chmod(0o755)
    with_lines, code, lines = results(where, service, crash)
    assert lines
    bare = tmp_path / "bare" / "ansible_collections" / "cloudpods" / "diagnostics"
    for name in ("plugins", "meta"):
        shutil.copytree(ROOT / name, bare / name, ignore=shutil.ignore_patterns("action", "__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", bare)
    where.collections = str(tmp_path / "bare")
    without, code_without, none = results(where, service, crash)
    assert none == 0
    for name, (key, value) in OUTCOMES.items():
        assert with_lines[name].get(key) == value, with_lines[name]
        assert with_lines[name] == without[name], name
    assert code == code_without
