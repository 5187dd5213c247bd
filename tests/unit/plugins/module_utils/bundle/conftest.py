# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixture of a sealed bundle. The helper module `bundle_parts` is importable by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle import merge
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import (
    seal_bundle,
)

sys.path.insert(0, str(Path(__file__).parent))

from bundle_parts import part


@pytest.fixture
def sealed(tmp_path):
    parts = [part(tmp_path / "one", "a"), merge.pack_part(part(tmp_path / "two", "b"))]
    absent = [{"cluster": "c", "error": "no route to host", "reason": "unreachable"}]
    return seal_bundle(str(tmp_path / "out" / "run-1"), parts, absent, {"id": "run-1", "scenario": "deadlock"})
