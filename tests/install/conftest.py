# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared fixtures: the tarball, the services of the demo, a closed port."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from offline_user import Services, processes

import collection


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tarball of the collection."""
    return collection.build(tmp_path_factory.mktemp("tarball"))


@pytest.fixture(scope="session")
def closed() -> Iterator[int]:
    """Yield a port of this machine that is taken and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Start the services of the demo for the tests of one worker."""
    folder = tmp_path_factory.mktemp("services")
    processes.start(folder)
    yield Services(folder)
    processes.stop(folder)
