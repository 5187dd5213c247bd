# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of the checkout as `ansible_collections.cloudpods.diagnostics` for every test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

import check
import collection
import fuzzing
from workspace import checkout_cache

TESTS = Path(__file__).parent
COLLECTIONS = collection.link()
sys.path.insert(0, str(COLLECTIONS))
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS)

fuzzing.load_profile()


def pytest_configure() -> None:
    set_hypothesis_home_dir(checkout_cache() / "tools" / "hypothesis")


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    if reason := check.no_lab():
        for item in items:
            if item.path.is_relative_to(TESTS / "integration"):
                item.add_marker(pytest.mark.skip(reason=f"no test cluster: {reason}"))
