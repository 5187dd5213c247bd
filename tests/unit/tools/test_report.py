# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing report of a check, over JUnit files that the real pytest wrote."""

from __future__ import annotations

import subprocess
import sys

import pytest

import report

TESTS = """
import time
import pytest

def test_good():
    pass

def test_slow():
    time.sleep(0.2)

def test_bad():
    assert False

@pytest.mark.skip(reason="not here")
def test_skipped():
    pass

@pytest.fixture
def dirty():
    yield
    raise OSError("in the teardown")

def test_bad_to_the_end(dirty):
    assert False

def test_dirty(dirty):
    pass
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    (folder / "test_it.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        "/dev/null",
        "--rootdir=.",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
    ]
    done = subprocess.run(
        [*command, "--junitxml=out.xml", "test_it.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return {case.name.rpartition("::")[2]: case for case in report.read(folder / "out.xml")}


def test_each_test_has_one_outcome(cases):
    assert {name: case.outcome for name, case in cases.items()} == {
        "test_good": report.PASSED,
        "test_slow": report.PASSED,
        "test_bad": report.FAILED,
        "test_skipped": report.SKIPPED,
        "test_bad_to_the_end": report.FAILED,
        "test_dirty": report.FAILED,
    }


def test_slowest_tests_come_first(cases):
    lines = list(report.lines([], list(cases.values()), []))
    assert lines[lines.index("Slowest 6 tests, seconds") + 1].endswith("test_it::test_slow")


def test_report_lists_stages_and_failures_and_closes_with_the_counts(cases):
    stages = [report.Stage("lint", 12.3), report.Stage("lab build", 300.0, beside=True)]
    lines = list(report.lines(stages, list(cases.values()), ["ruff"]))
    assert lines[1:3] == ["     12.3  lint", "    300.0  lab build (beside others)"]
    assert [line.split()[1] for line in lines if line.startswith("FAILED")] == [
        "ruff", "test_it::test_bad", "test_it::test_bad_to_the_end", "test_it::test_dirty",
    ]  # fmt: skip
    assert lines[-1] == "2 passed, 3 failed, 1 skipped"


def test_counts_name_skipped_tests_only_where_there_are_some():
    assert report.counts([report.Case("a", 1.0, report.PASSED)]) == "1 passed, 0 failed"


def test_check_without_tests_has_no_counts():
    assert list(report.lines([report.Stage("lint", 1.0)], [], [])) == ["Seconds by stage", "      1.0  lint"]
