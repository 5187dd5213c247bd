# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks of steps.py.

    python3 tests/tools/check.py test|test-fast|lint|sanity|pages|install-test|unit|integration|stress|soak|fuzz|bench
    python3 tests/tools/check.py only PYTEST-ARGUMENT ...    just these tests; a test cluster that they need stays up

`test` runs the fast and cheap checks first, while the test cluster is built beside them. The tests on the cluster
start only when all of these passed. The closing report tells where the time went, what failed, and the counts.
Whatever happens (also an interrupt), the clusters that a check brought up are taken down. Exit code 0: all passed.

TEST_PATIENCE multiplies the limit of every wait, TEST_SHUFFLE is the seed of a shuffled order.
Runs on the bare system Python: standard library only.

Own code, since nox runs one session after the other, and this runs linters side by side, builds the test cluster beside
the unit tests, takes clusters down whatever happens, and sums everything up in one report. antsibull-nox runs
`ansible-test sanity` in containers, whose images the package registries do not have.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import debian
import make_venv
import report
from runner import IN_CI, PROCESSORS, Runner
from steps import BENCH, FAST_TESTS, FUZZ, INSTALL, LAB_BUILD, LAB_TESTS, LAB_UP, LINT, PAGES, SANITY, SOAK, Step
from workspace import ROOT, cache, checkout_cache

# The tests on the cluster mostly wait, so more of them run at once than there are processors.
CLUSTERS = PROCESSORS + PROCESSORS // 2
AT_ONCE = ("-n", str(PROCESSORS), "--dist", "worksteal")
ON_CLUSTERS = ("-n", str(CLUSTERS), "--dist", "loadscope", "--no-loadscope-reorder")
STRESSOR = ("stress-ng", "--quiet", "--cpu", "2", "--io", "1")
# The test clusters of a check: two checkouts do not share one, and that of `make lab-up` is left alone.
CLUSTER = "t" + checkout_cache().name[-4:]


def no_lab() -> str:
    """Return why the test cluster cannot run here; empty when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the test cluster makes network namespaces and control groups: that takes root on Linux"
    release = Path("/etc/os-release")
    if not release.exists() or "debian" not in release.read_text(encoding="utf-8"):
        return "the test cluster is made of Debian's packages (etcd, containerd, runc); this is not Debian"
    return ""


def test(runner: Runner) -> None:
    """Run everything."""
    runner.static("lint", LINT)
    runner.begin([*SANITY, *PAGES, *INSTALL])
    unit(runner)
    integration(runner)


def test_fast(runner: Runner) -> None:
    """Run what takes less than two minutes: the linters and the unit and contract tests that are not slow."""
    runner.static("lint", [step for step in LINT if not step.slow])
    runner.pytest("unit and contract tests", *FAST_TESTS, *AT_ONCE, "-m", "not slow")


def unit(runner: Runner) -> None:
    """Run all unit and contract tests."""
    runner.pytest("unit and contract tests", *FAST_TESTS, *AT_ONCE)


def integration(runner: Runner) -> None:
    """Run the tests on test clusters, one for each worker, unless something failed before."""
    runner.join()
    if runner.failed:
        print("\nThe tests on the cluster were not started, because something failed before them.")
        return
    if reason := no_lab():
        print(f"\nTHE TESTS ON THE TEST CLUSTER WERE SKIPPED: {reason}")
        if IN_CI:
            runner.failed.append("the tests on the test cluster, skipped")
        return
    try:
        runner.pytest("tests on the cluster", *LAB_TESTS, *ON_CLUSTERS)
    finally:
        take_down(runner)


def stress(runner: Runner) -> None:
    """Run everything while stress-ng keeps the processors and the disk busy."""
    if not Path("/usr/bin/stress-ng").exists() and debian.can_install():
        debian.install("stress-ng")
    with subprocess.Popen(STRESSOR) as stressor:
        try:
            test(runner)
        finally:
            if stressor.poll() is not None:
                runner.failed.append("stress-ng ended before the tests did")
            stressor.terminate()


def on_one_cluster(stage: str, steps: tuple[Step, ...]) -> Callable[[Runner], None]:
    """Return a target that runs these commands one after the other on a cluster of their own."""

    def target(runner: Runner) -> None:
        if reason := no_lab():
            sys.exit(reason)
        try:
            runner.join()
            if not runner.failed and runner.run(LAB_UP):
                for step in steps:
                    runner.shown(f"{stage}: {step.name}", step.command, **dict(step.environment))
        finally:
            take_down(runner)

    return target


def fuzz(runner: Runner) -> None:
    """Run the tests by hypothesis with many more examples."""
    for step in FUZZ:
        runner.pytest(step.name, *step.command, *AT_ONCE, **dict(step.environment))


def only(runner: Runner) -> None:
    """Run the tests that are named on the command line, with a cluster when they need one, and leave it up."""
    runner.pytest("tests", *sys.argv[2:])


def take_down(runner: Runner) -> None:
    """End what still runs, and take down every test cluster of this check; silent when that went well."""
    runner.stop()
    for place in sorted((cache() / "lab").glob(f"{CLUSTER}*/")):
        command = [sys.executable, str(ROOT / "tests/lab/lab.py"), "--name", place.name, "down"]
        done = subprocess.run(command, env=dict(runner.environment), capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"FAILED  lab down {place.name}\n{done.stdout}{done.stderr}", flush=True)
            runner.failed.append(f"lab down {place.name}")


# Their cluster is built beside what they do first.
ON_A_CLUSTER = {"test", "stress", "integration", "soak", "bench"}
TARGETS: dict[str, Callable[[Runner], None]] = {
    "test": test,
    "test-fast": test_fast,
    "lint": lambda runner: runner.static("lint", LINT),
    "sanity": lambda runner: runner.static("sanity", SANITY),
    "pages": lambda runner: runner.static("pages", PAGES),
    "install-test": lambda runner: runner.static("install", INSTALL),
    "unit": unit,
    "integration": integration,
    "stress": stress,
    "soak": on_one_cluster("soak", SOAK),
    "fuzz": fuzz,
    "bench": on_one_cluster("bench", BENCH),
    "only": only,
}


def main() -> int:
    """Run the target, print the report, return the exit code."""
    target = sys.argv[1] if len(sys.argv) > 1 else ""
    if target not in TARGETS or (len(sys.argv) > 2 and target != "only"):
        sys.exit(__doc__)
    runner = Runner({} if target == "only" else {"LAB_NAME": CLUSTER})
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the shell has it ignored
    try:
        runner.begin([LAB_BUILD] if target in ON_A_CLUSTER and not no_lab() else [])
        runner.prepare()
        TARGETS[target](runner)
    except make_venv.Unfit as unfit:
        sys.exit(f"make_venv: {unfit}")
    finally:
        runner.stop()
    print("", *report.lines(runner.stages, runner.cases, runner.failed), sep="\n")
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
