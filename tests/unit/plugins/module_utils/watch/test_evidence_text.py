# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times and durations in evidence."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.evidence_text import between
from service_lines import busy_for
from watch_helpers import START, evidence


@pytest.mark.parametrize(
    ("cycles", "says"),
    [
        (19, "busy for 19 cycles (9.5 min)"),
        (20, "busy for 10 min (20 rounds of 30 s)"),
        (11382, "busy for 95 h (11382 rounds of 30 s)"),
    ],
)
def test_evidence_has_rounds_as_durations(cycles, says):
    assert any(says in text for text in evidence(busy_for(1, cycles), at=2))


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        (START, START + 61, ", from 2026-11-23T00:00:00Z to 2026-11-23T00:01:01Z"),
        (START + 0.1, START + 0.9, ", at 2026-11-23T00:00:00Z"),
        (None, START, ""),
        (START, None, ""),
    ],
)
def test_formats_a_span_or_a_single_time(first, last, text):
    assert between(first, last) == text
