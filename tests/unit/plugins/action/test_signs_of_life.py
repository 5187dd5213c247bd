# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of life on a real terminal: the real ansible-playbook, a service that answers when it is told to."""

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
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import FILE_VARIABLE

from workspace import ROOT

PATIENCE = 60.0
LINE = re.compile(r"^(\S+)  (\w+)  (\d+) s(?: of at most (\d+) s)?(?:: (.+))?$", re.MULTILINE)


class Service(ThreadingHTTPServer):
    """A service of which every answer waits until it is let go. asked: set with the first question."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked, self.let_go = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.set()
        if not self.path.startswith("/prompt/"):
            self.server.let_go.wait(PATIENCE)
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
    server.let_go.set()
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Terminal:
    """What a program shows on a terminal. Its end is the program's."""

    process: subprocess.Popen[bytes]
    master: int
    shown: str = ""
    lines: list[tuple[str, ...]] = field(default_factory=list)

    def until(self, condition: Any = None) -> None:
        """Read until that holds, or with none until the program has ended."""
        end = time.monotonic() + PATIENCE
        while condition is None or not condition():
            assert select.select([self.master], [], [], max(0.0, end - time.monotonic()))[0], self.shown
            try:
                data = os.read(self.master, 65536)
            except OSError:  # how Linux says that nobody has the other side open any more
                data = b""
            if not data:
                assert condition is None, f"ended before that: {self.shown}"
                self.process.wait(PATIENCE)
                return
            self.shown += data.decode().replace("\r\n", "\n")
            self.lines = LINE.findall(self.shown)


class Where:
    """Runs playbooks below a folder, with standard error on a terminal."""

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


def ask(service: Service, **options: Any) -> dict[str, Any]:
    urls = {"region": service.url}
    options = {"transport": "url", "urls": urls, "endpoints": ["ping"], "return_documents": "never", **options}
    return {"cloudpods.diagnostics.status_info": options}


def arguments(inventory: str = "cluster-a,", **variables: Any) -> list[str]:
    return ["-i", inventory, "-e", json.dumps({"cloudpods_progress_seconds": 0.5, **variables})]


def test_a_line_every_ten_seconds_without_any_configuration(where, service):
    with where.terminal("ansible-playbook", where.playbook(ask(service)), "-i", "cluster-a,") as terminal:
        terminal.until(lambda: len(terminal.lines) == 2)
        service.let_go.set()
        terminal.until()
    assert terminal.process.returncode == 0, terminal.shown
    assert terminal.lines == [
        ("cluster-a", "status_info", "10", "300", "0 of 1 readings"),
        ("cluster-a", "status_info", "20", "300", "0 of 1 readings"),
    ]
    assert "cluster-a                  : ok=1" in terminal.shown
    assert "WARNING" not in terminal.shown


def test_several_hosts_have_lines_of_their_own_and_none_after_the_end(where, service):
    playbook = where.playbook(ask(service), {"ansible.builtin.wait_for": {"timeout": 2}})
    with where.terminal("ansible-playbook", playbook, *arguments("cluster-a,cluster-b,")) as terminal:
        terminal.until(lambda: {line[0] for line in terminal.lines} == {"cluster-a", "cluster-b"})
        service.let_go.set()
        terminal.until()
    assert terminal.process.returncode == 0, terminal.shown
    _before, task, after = terminal.shown.partition("TASK [ansible.builtin.wait_for]")
    assert task
    assert LINE.findall(after) == []


def test_a_module_that_does_not_see_the_file_has_the_time_alone(where, service):
    """As over SSH, and under become."""
    playbook = where.playbook({**ask(service), "environment": {FILE_VARIABLE: ""}})
    with where.terminal("ansible-playbook", playbook, *arguments(cloudpods_progress_seconds=1.5)) as terminal:
        assert service.asked.wait(PATIENCE)
        seen = len(terminal.lines)
        terminal.until(lambda: len(terminal.lines) >= seen + 2)
        service.let_go.set()
        terminal.until()
    assert terminal.process.returncode == 0, terminal.shown
    assert {(most, counts) for _host, _module, _time, most, counts in terminal.lines} == {("", "")}


def test_what_another_program_reads_has_no_line_in_it(where, service):
    """Standard output in a file: the lines reach the terminal, and the JSON stays whole."""
    out = where.folder / "out.json"
    with out.open("wb") as file:
        command = ["ansible-playbook", where.playbook(ask(service)), *arguments()]
        with where.terminal(*command, stdout=file.fileno(), ANSIBLE_STDOUT_CALLBACK="ansible.posix.json") as terminal:
            terminal.until(lambda: terminal.lines)
            service.let_go.set()
            terminal.until()
    document = json.loads(out.read_bytes())
    assert document["stats"]["cluster-a"]["ok"] == 1


@pytest.mark.parametrize(
    ("redirected", "environment", "variables"),
    [
        (True, {}, {}),
        # A runner gives it a terminal, and reads from it.
        (False, {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}, {}),
        (False, {}, {"cloudpods_progress_seconds": 0}),
    ],
    ids=["a file", "JSON on the terminal", "switched off"],
)
def test_quiet(where, service, redirected, environment, variables):
    """There is time for several lines, and there is not one."""
    errors = where.folder / "errors"
    command = ["ansible-playbook", where.playbook(ask(service)), *arguments(**variables)]
    with (
        errors.open("wb") as file,
        where.terminal(*command, stderr=file.fileno() if redirected else None, **environment) as terminal,
    ):
        assert service.asked.wait(PATIENCE)
        threading.Event().wait(2.0)  # in which nothing is to happen: there is no event to wait for
        service.let_go.set()
        terminal.until()
    shown = terminal.shown + errors.read_text()
    assert terminal.process.returncode == 0, shown
    assert LINE.findall(shown) == []
    if environment:
        assert json.loads(terminal.shown)["stats"]["cluster-a"]["ok"] == 1


@pytest.mark.parametrize("one_line", [True, False])
def test_ad_hoc_commands(where, service, one_line):
    options = json.dumps({"transport": "url", "urls": {"region": service.url}, "endpoints": ["ping"]})
    command = ["ansible", "all", "-c", "local", "-m", "cloudpods.diagnostics.status_info", "-a", options, *arguments()]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    with where.terminal(*command, *(["-o"] if one_line else [])) as terminal:
        if one_line:
            assert service.asked.wait(PATIENCE)
            threading.Event().wait(2.0)
        else:
            terminal.until(lambda: terminal.lines)
        service.let_go.set()
        terminal.until()
    assert terminal.process.returncode == 0, terminal.shown
    assert bool(terminal.lines) is not one_line


def test_an_interval_that_is_none_is_named(where, service):
    playbook = where.playbook(ask(service))
    with where.terminal("ansible-playbook", playbook, *arguments(cloudpods_progress_seconds="often")) as terminal:
        terminal.until()
    assert terminal.process.returncode == 2
    assert "cloudpods_progress_seconds has to be a number of seconds, or 0, not 'often'" in terminal.shown


# How each of them ends: one value of its result.
OUTCOMES = {
    "good": ("found", 1),
    "defaults": ("found", 1),
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
    """Tasks that come to every end a task can come to. What they ask is answered at once, but for the late one's."""
    prompt = {"region": f"{service.url}/prompt/"}
    ping = ask(service, urls=prompt)
    nobody = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    without_urls = ask(service)
    del without_urls["cloudpods.diagnostics.status_info"]["urls"]
    tasks = {
        "good": ping,
        "defaults": without_urls,
        "checked": {**ping, "check_mode": True},
        "wrong": ask(service, urls={}),
        "late": {**ask(service), "timeout": 2},
        "crashed": {**ping, "vars": {"ansible_python_interpreter": str(crash)}},
        "unreachable": {**ping, "vars": nobody, "ignore_unreachable": True},
        "background": {**ping, "async": 30, "poll": 0},
        "polled": {**ping, "async": 30, "poll": 1},
        "hidden": {**ping, "no_log": True},
    }
    assert list(tasks) == list(OUTCOMES)
    return [{"name": name, "ignore_errors": True, **task} for name, task in tasks.items()]


VOLATILE = {"start", "end", "delta", "ansible_job_id", "results_file", "at", "elapsed_seconds"}


def comparable(value: Any) -> Any:
    """A result without what differs from run to run."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"ansible-tmp-[\d.-]+|\d+\.\d+ s\b|/\S*/cloudpods-\w+", "…", value)
    return value


def results(where: Where, service: Service, crash: Path) -> tuple[dict[str, Any], int, int]:
    """Of each task its result; the run's exit code; how many lines it showed."""
    group = "group/cloudpods.diagnostics.cloudpods"
    defaults = {group: {"urls": {"region": f"{service.url}/prompt/"}}}
    playbook = where.playbook(*outcomes(service, crash), module_defaults=defaults)
    out = where.folder / "out.json"
    with out.open("wb") as file:
        command = ["ansible-playbook", playbook, *arguments(cloudpods_progress_seconds=0.2)]
        environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_VERBOSITY": "3"}
        with where.terminal(*command, stdout=file.fileno(), **environment) as terminal:
            terminal.until()
    text = out.read_text()
    document = json.loads(text[text.index("\n{") :] if not text.startswith("{") else text)
    (play,) = document["plays"]
    found = {task["task"]["name"]: comparable(task["hosts"]["cluster-a"]) for task in play["tasks"]}
    return found, terminal.process.returncode, len(terminal.lines)


def test_results_are_what_they_are_without_the_action_plugins(where, service, tmp_path):
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
