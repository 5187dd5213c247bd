# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real profiles, and what Go's own tools say of them. The shared parts are importable by name: `pprofs`, `golang`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import golang


@pytest.fixture(scope="session")
def profiled() -> dict[str, Path]:
    """Profiles of a program with recursion, inlined calls, labels, and blocking that is recorded."""
    return golang.profiled()


@pytest.fixture(scope="session")
def served() -> dict[str, Path]:
    """What a stand-in service answers under /debug/pprof: file by the kinds of proof.KINDS, and cpu_later."""
    return golang.served()


@pytest.fixture(scope="session")
def profiles(profiled, served) -> dict[str, Path]:
    """All of both that are protobufs."""
    found = {f"profiled {name}": path for name, path in profiled.items()}
    return {**found, **{f"served {name}": path for name, path in served.items() if path.suffix == ".gz"}}
