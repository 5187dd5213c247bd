# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test needs: the checkout importable as `ansible_collections.cloudpods.diagnostics`.

check.py says by two variables how the run stands: LAB_ABSENT is why the test cluster cannot be used (the
integration tests are skipped for it, which is a failure in CI), CHECKS_FAILED names the checks that failed
before, so that the counts at the end are not mistaken for the whole.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

import check
import collection
from workspace import checkout_cache

TESTS = Path(__file__).parent
COLLECTIONS = collection.link()
sys.path.insert(0, str(COLLECTIONS))
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS)

# On a busy machine an example may take long, and is right all the same.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

LAB_ABSENT = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    reason = os.environ.get("LAB_ABSENT")
    config.stash[LAB_ABSENT] = check.no_lab() if reason is None else reason
    set_hypothesis_home_dir(checkout_cache() / "tools" / "hypothesis")


def pytest_collection_modifyitems(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    reason = config.stash[LAB_ABSENT]
    if reason:
        for item in items:
            if item.path.is_relative_to(TESTS / "integration"):
                item.add_marker(pytest.mark.skip(reason=f"no test cluster: {reason}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reason = config.stash[LAB_ABSENT]
    if reason and os.environ.get("LAB_ABSENT") is not None:
        terminalreporter.section("THE TESTS ON THE TEST CLUSTER WERE SKIPPED", red=True, bold=True)
        terminalreporter.write_line(reason)
    failed = os.environ.get("CHECKS_FAILED")
    if failed:
        terminalreporter.section("CHECKS FAILED BEFORE THESE TESTS, see above", red=True, bold=True)
        terminalreporter.write_line(failed)
