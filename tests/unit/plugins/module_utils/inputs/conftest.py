# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import path of the shared part `packing`, and a fixture that writes received files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def send(tmp_path):
    def send(data: bytes) -> str:
        (tmp_path / "sent").write_bytes(data)
        return str(tmp_path / "sent")

    return send
