# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import path of the helpers of these tests, and the shipped rules, loaded once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.check import read_rules

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def shipped():
    """Return the rules that the role ships."""
    from audit_documents import RULES  # noqa: PLC0415 - importable from here on

    return read_rules([RULES])
