# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for the integration tests, with the healthy set on it. Whoever runs the tests brings the lab up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import LAB, World

MISSING = "the lab is not up (make lab-up); it needs root on Debian"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The soak comes last: it takes ten minutes, and whatever else is wrong is known before."""
    items.sort(key=lambda item: item.path.name == "test_soak.py")


@pytest.fixture(scope="session")
def world() -> World:
    done = subprocess.run([*LAB, "status", "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"{MISSING}: {done.stderr}")
        pytest.skip(MISSING)
    return World(json.loads(done.stdout))


@pytest.fixture(scope="session")
def healthy(world: World) -> World:
    """The lab with a small cloud on it that has nothing wrong."""
    world.deploy("healthy")
    return world
