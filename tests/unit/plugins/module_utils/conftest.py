# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared parts of these tests are importable by name: `conformance`, `fake_transport`, `standins`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "transports"))
pytest.register_assert_rewrite("conformance", "conformance_http", "conformance_logs")
