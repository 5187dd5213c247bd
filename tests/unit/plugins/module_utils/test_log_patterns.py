# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped log patterns."""

from __future__ import annotations

import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.log_patterns import LOG_PATTERNS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import LEVELS


@pytest.mark.parametrize("pattern", LOG_PATTERNS, ids=lambda pattern: pattern.id)
def test_shipped_pattern_is_valid(pattern):
    assert re.fullmatch("[a-z][a-z_]*", pattern.id)
    assert pattern.texts
    # A short text is only looked for where a line begins.
    assert all(len(text) >= (4 if pattern.unheaded or pattern.at_level else 10) for text in pattern.texts)
    assert pattern.level in LEVELS
    assert pattern.meaning
