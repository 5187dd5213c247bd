# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real profiles, and results of Go's own tools. Shared parts are importable by name: `pprofs`, `golang`, `parts`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import golang


@pytest.fixture(scope="session")
def profiled() -> dict[str, Path]:
    """Return profiles of a program with recursion, inlined calls, labels, and recorded blocking."""
    return golang.profiled()


@pytest.fixture(scope="session")
def served() -> dict[str, Path]:
    """Return the answers of a stand-in service to /debug/pprof: files by validation.KINDS, and cpu_later."""
    return golang.served()


@pytest.fixture(scope="session")
def profiles(profiled, served) -> dict[str, Path]:
    """Return all profiles of both that are protobufs."""
    found = {f"profiled {name}": path for name, path in profiled.items()}
    return {**found, **{f"served {name}": path for name, path in served.items() if path.suffix == ".gz"}}
