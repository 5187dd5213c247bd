# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for the integration tests, started if it is missing and left running. Each worker has its own lab."""

# ruff: noqa: E402 - the shared parts of the tests are in these folders

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
for folder in ("integration", "lab", "tools", "contract", "unit/plugins/module_utils/transports"):
    sys.path.insert(0, str(TESTS / folder))

from deploy.apply import Cluster
from world import LAB, World

# If the API server ends between connect and handshake, CPython before 3.13 leaves the unconnected socket to the garbage
# collector, which may warn during any later test.
LEFT_BY_SSL = "ignore:Exception ignored in. <ssl.SSLSocket ((?!raddr)[^>])*>:pytest.PytestUnraisableExceptionWarning"

# Each file runs on one worker (--dist loadscope). The longest files come first, so that none starts when the others are
# done. The exceptions are files that kill the API server: its controllers are slow for a while after it restarts.
LONGEST_FIRST = (
    "test_molecule",
    "test_audit_fleet",
    "test_audit_instances",
    "test_profiles_by_url",
    "test_profiles",
    "test_hung",
    "test_verdicts",
    "test_profile_faults",
    "test_conformance",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "integration":
            item.add_marker(pytest.mark.filterwarnings(LEFT_BY_SSL))
    items.sort(key=rank)


def rank(item: pytest.Item) -> int:
    """Return the place of a test's file in the order of the files. Files that are not named keep theirs."""
    name = item.path.stem
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.fixture(scope="session")
def lab() -> World:
    """Return the lab's state. A running lab is left alone, as `lab.py up` does."""
    for command in (["up"], ["status", "--json"]):
        done = subprocess.run([*LAB, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"lab.py {' '.join(command)}: {done.stdout}{done.stderr}"
    return World(json.loads(done.stdout))


@pytest.fixture(scope="session")
def world(lab: World) -> World:
    """Return the lab, for a suite without a world of its own."""
    return lab


@pytest.fixture(scope="session")
def cluster(lab: World) -> Iterator[Cluster]:
    """Return the lab's cluster, for tests that deploy objects of their own."""
    made = Cluster.connect(lab.kubeconfig)
    yield made
    made.close()


@pytest.fixture(scope="module")
def healthy(world: World) -> World:
    """Return the lab with a small healthy cloud.

    Another file may have restarted a kubelet, which reports its pods as ready only after their next probe. So each file
    waits for all of them.
    """
    world.deploy("healthy")
    return world
