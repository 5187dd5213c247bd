# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run commands and pytest, show how they ended, and remember what the closing report tells.

Runs on the bare system Python: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import collection
import make_venv
import report
from patience import patience
from steps import SKIP_CODE, Step
from workspace import ROOT, cache, checkout_cache

PROCESSORS = os.cpu_count() or 1
TEST_SECONDS = 600  # the limit of one test; a mark may set another
STOP_SECONDS = 30.0  # time for an interrupted command to clean up
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


class Runner:
    """Runs commands. `failed` names what did not end well.

    environment: variables that every command gets besides those of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.collections = collection.link()
        self.environment = {**os.environ, **environment, **caches(self.collections)}
        self.failed: list[str] = []
        self.stages: list[report.Stage] = []
        self.cases: list[report.Case] = []
        self._terminal = threading.Lock()  # held while printing
        self._children: set[subprocess.Popen[bytes]] = set()
        self._pool = ThreadPoolExecutor()
        self._beside: list[Future[bool]] = []

    def prepare(self) -> None:
        """Put the virtual environment first on the PATH, and build it when it is missing. Unfit when that cannot be."""
        with self.stage("virtual environment"):
            tools = make_venv.ensure("dev") / "bin"
        self.environment["PATH"] = f"{tools}{os.pathsep}{self.environment['PATH']}"

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Take the time of a block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.stages.append(report.Stage(name, time.monotonic() - began))

    def static(self, name: str, steps: Iterable[Step]) -> None:
        """Run these steps at once, as the processors allow, and wait for all."""
        pool = ThreadPoolExecutor(PROCESSORS)
        with self.stage(name):
            try:
                for done in as_completed([pool.submit(self.run, step) for step in steps]):
                    done.result()
            except BaseException:  # an interrupt: start nothing more; `stop` ends what runs
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            pool.shutdown()

    def begin(self, steps: Iterable[Step]) -> None:
        """Start steps that run beside the next stages, until `join`."""
        self._beside += [self._pool.submit(self.run, step, beside=True) for step in steps]

    def join(self) -> None:
        """Wait for what was begun."""
        with self.stage("wait for what ran beside"):
            while self._beside:
                self._beside.pop().result()

    def run(self, step: Step, *, beside: bool = False) -> bool:
        """Run one step with its output kept, report it when the terminal is free, say whether it is well.

        beside: it is a stage of its own, beside others.
        """
        began = time.monotonic()
        cwd = self.collections if step.in_collections else ROOT
        code, output = self._execute([part.format(root=ROOT) for part in step.command], cwd)
        seconds = time.monotonic() - began
        if beside:
            self.stages.append(report.Stage(step.name, seconds, beside=True))
        verdict = "ok" if code == 0 else "skipped" if code == SKIP_CODE and not IN_CI else "FAILED"
        if verdict == "FAILED":
            self.failed.append(step.name)
        with self._terminal:
            print(f"{verdict:8}{seconds:7.1f} s  {step.name}", flush=True)
            if verdict != "ok":
                print(output.rstrip() or f"(exit code {code}, no output)", flush=True)
        return verdict == "ok"

    def pytest(self, name: str, *arguments: str, **extra: str) -> None:
        """Run pytest with its output shown; its tests go into the closing report."""
        written = checkout_cache() / "reports" / f"{name.replace(' ', '-')}.xml"
        written.unlink(missing_ok=True)
        limit = f"timeout={patience(TEST_SECONDS):g}"
        self.shown(name, ["pytest", "-q", "-o", limit, f"--junitxml={written}", *shuffled(), *arguments], **extra)
        try:
            self.cases += report.read(written)
        except (OSError, ET.ParseError) as lost:
            self.failed.append(f"{name}: no results ({lost})")

    def shown(self, name: str, command: Sequence[str], **extra: str) -> None:
        """Run a command with its output shown; whatever else ends meanwhile is reported after it."""
        with self._terminal, self.stage(name):
            print(f"\n== {name}", flush=True)
            code, _nothing = self._execute(command, ROOT, extra)
        if code != 0:
            self.failed.append(name)

    def stop(self) -> None:
        """Interrupt what still runs, with all its children; end what does not obey."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        children = list(self._children)
        for number in (signal.SIGINT, signal.SIGKILL):
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, number)
            end = time.monotonic() + STOP_SECONDS
            for child in children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(max(0.0, end - time.monotonic()))

    def _execute(self, command: Sequence[str], cwd: Path, shown: dict[str, str] | None = None) -> tuple[int, str]:
        """Run in a session of its own, so that `stop` reaches grandchildren; `shown` lets the output through."""
        keep = shown is None
        sys.stdout.flush()
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env={**self.environment, **(shown or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if keep else None,
            stderr=subprocess.STDOUT if keep else None,
            start_new_session=True,
        )
        self._children.add(child)
        output = child.communicate()[0]
        self._children.discard(child)  # not on an interrupt: then `stop` ends it
        return child.returncode, (output or b"").decode(errors="replace")


def caches(collections: Path) -> dict[str, str]:
    """Return variables that keep all caches outside the checkout and let Ansible find it as a collection."""
    tools = checkout_cache() / "tools"
    return {
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_HOME": str(checkout_cache() / "ansible-home"),
        "MYPY_CACHE_DIR": str(tools / "mypy"),
        "RUFF_CACHE_DIR": str(tools / "ruff"),
        "PYTEST_ADDOPTS": f"-o cache_dir={tools / 'pytest'} {os.environ.get('PYTEST_ADDOPTS', '')}",
        "PYTHONPYCACHEPREFIX": str(cache() / "pycache"),
        # Some environments set it. Without bytecode caches pytest takes three times as long to collect.
        "PYTHONDONTWRITEBYTECODE": "",
        "NO_COLOR": "1",
    }


def shuffled() -> list[str]:
    """Return pytest's options to shuffle the tests; TEST_SHUFFLE is the seed."""
    seed = os.environ.get("TEST_SHUFFLE")
    return ["-p", "randomly", f"--randomly-seed={seed}"] if seed else []
