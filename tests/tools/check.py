# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks of steps.py.

    python3 tests/tools/check.py lint|sanity|pages|unit|integration|test-fast|test|bench

Static checks come first, as many at once as there are processors; each prints one line, a failed one
with its whole output, and none hides a later one. pytest comes last and closes with its counts.
Whatever happens (also an interrupt), the test cluster is taken down. Exit code 0: everything passed.
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
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import collection
import make_venv
from steps import (
    BENCH,
    FAST_TESTS,
    LAB_BUILD,
    LAB_DOWN,
    LAB_TESTS,
    LAB_UP,
    LINT,
    MOLECULE,
    PAGES,
    SANITY,
    SKIP_CODE,
    Step,
)
from workspace import ROOT, cache, checkout_cache

PATIENCE = 30.0  # seconds an interrupted command gets for its own cleaning up
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


class Runner:
    """Runs commands, prints how they ended, and remembers which did not end well."""

    def __init__(self, environment: dict[str, str], collections: Path) -> None:
        self.environment = environment
        self.collections = collections
        self.failed: list[str] = []
        self._print = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()

    def static(self, steps: Iterable[Step]) -> None:
        """Run these at once, as the processors allow."""
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            for done in as_completed([pool.submit(self.run, step) for step in steps]):
                done.result()
        except BaseException:  # an interrupt: start nothing more, end what runs
            pool.shutdown(wait=False, cancel_futures=True)
            self.stop()
            raise
        pool.shutdown()

    def run(self, step: Step) -> bool:
        """Run one step with its output kept, report it, say whether it is well."""
        started = time.monotonic()
        code, output = self._execute([part.format(root=ROOT) for part in step.command], self._cwd(step))
        verdict = "ok" if code == 0 else "skipped" if code == SKIP_CODE and not IN_CI else "FAILED"
        with self._print:
            print(f"{verdict:8}{time.monotonic() - started:7.1f} s  {step.name}", flush=True)
            if verdict != "ok":
                print(output.rstrip() or f"(exit code {code}, no output)", flush=True)
            if verdict == "FAILED":
                self.failed.append(step.name)
        return verdict == "ok"

    def pytest(self, paths: Sequence[str], **extra: str) -> None:
        """Run pytest with its output shown; it ends with the counts."""
        self.shown("pytest", ["pytest", *paths], CHECKS_FAILED=", ".join(self.failed), **extra)

    def shown(self, name: str, command: Sequence[str], **extra: str) -> None:
        """Run a command with its output shown."""
        sys.stdout.flush()
        code, _nothing = self._execute(command, ROOT, extra)
        if code != 0:
            self.failed.append(name)

    def stop(self) -> None:
        """Interrupt what still runs, with all its children; end what does not obey."""
        children = list(self._children)
        for number in (signal.SIGINT, signal.SIGKILL):
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, number)
            patience = time.monotonic() + PATIENCE
            for child in children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(max(0.0, patience - time.monotonic()))

    def _cwd(self, step: Step) -> Path:
        return self.collections if step.in_collections else ROOT

    def _execute(self, command: Sequence[str], cwd: Path, shown: dict[str, str] | None = None) -> tuple[int, str]:
        """Run in a session of its own, so that `stop` reaches grandchildren; `shown` lets the output through."""
        keep = shown is None
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


def prepared_environment(venv_path: Path, collections: Path) -> dict[str, str]:
    """The environment of every command: our tools first, every cache outside the checkout."""
    tool_caches = checkout_cache() / "tools"
    return {
        **os.environ,
        "PATH": f"{venv_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_HOME": str(checkout_cache() / "ansible-home"),
        "MYPY_CACHE_DIR": str(tool_caches / "mypy"),
        "RUFF_CACHE_DIR": str(tool_caches / "ruff"),
        "PYTEST_ADDOPTS": f"-o cache_dir={tool_caches / 'pytest'} {os.environ.get('PYTEST_ADDOPTS', '')}",
        "PYTHONPYCACHEPREFIX": str(cache() / "pycache"),
        "NO_COLOR": "1",
    }


def no_lab() -> str:
    """Why the test cluster cannot run here; empty when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the test cluster makes network namespaces and control groups: that takes root on Linux"
    release = Path("/etc/os-release")
    if not release.exists() or "debian" not in release.read_text(encoding="utf-8"):
        return "the test cluster is made of Debian's packages (etcd, containerd, runc); this is not Debian"
    return ""


def with_lab(runner: Runner, static: Sequence[Step], paths: Sequence[str], then: Sequence[Step] = ()) -> None:
    """Build the test cluster beside the static checks, run those that come after them and the tests on the cluster,
    and take it down."""
    reason = no_lab()
    runner.static([*static] if reason else [LAB_BUILD, *static])
    runner.static(then)
    if not reason and LAB_BUILD.name in runner.failed:
        reason = "it could not be built, see above"
    try:
        if not reason and not runner.run(LAB_UP):
            reason = "it did not come up, see above"
        if not reason:
            runner.run(MOLECULE)
        runner.pytest(paths, LAB_ABSENT=reason)
        if reason and IN_CI:
            runner.failed.append("the tests on the test cluster, skipped")
    finally:
        if not no_lab():
            take_down(runner)


def bench(runner: Runner) -> None:
    """Measure on the test cluster."""
    reason = no_lab()
    if reason:
        sys.exit(reason)
    try:
        if runner.run(LAB_BUILD) and runner.run(LAB_UP):
            for command in BENCH:
                runner.shown(" ".join(command), command)
    finally:
        take_down(runner)


def take_down(runner: Runner) -> None:
    """Take the test cluster down; silent when that went well, so that pytest's counts stay last."""
    done = subprocess.run(
        LAB_DOWN.command, cwd=ROOT, env=runner.environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"FAILED  {LAB_DOWN.name}\n{done.stdout}{done.stderr}", flush=True)
        runner.failed.append(LAB_DOWN.name)


TARGETS = {
    "lint": lambda runner: runner.static(LINT),
    "sanity": lambda runner: runner.static(SANITY),
    "pages": lambda runner: runner.static(PAGES),
    "unit": lambda runner: runner.pytest(FAST_TESTS),
    "integration": lambda runner: with_lab(runner, [], LAB_TESTS),
    "test-fast": lambda runner: (runner.static(LINT), runner.static(PAGES), runner.pytest(FAST_TESTS)),
    "test": lambda runner: with_lab(runner, [*SANITY, *LINT], [*FAST_TESTS, *LAB_TESTS], PAGES),
    "bench": bench,
}


def main() -> int:
    """Prepare, run the target, return the exit code."""
    if len(sys.argv) != 2 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    try:
        venv_path = make_venv.ensure("dev")
    except make_venv.Unfit as unfit:
        sys.exit(f"make_venv: {unfit}")
    collections = collection.link()
    runner = Runner(prepared_environment(venv_path, collections), collections)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the shell has it ignored
    try:
        TARGETS[sys.argv[1]](runner)
    finally:
        runner.stop()
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
