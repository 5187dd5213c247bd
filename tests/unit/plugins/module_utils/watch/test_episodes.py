# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last episode of a pattern."""

from __future__ import annotations

from service_lines import line
from watch_helpers import evidence


def test_count_times_and_text_are_of_the_last_episode():
    """A trouble of minutes ago, with a text of its own, and one of now."""
    old = [line(second, f" exec sql: Error 1040: Too many connections, try {second}", "error") for second in (1, 2, 3)]
    (text,) = evidence(*old, line(600, " driver: bad connection", "error"), at=601)
    assert text.startswith("db_connection: driver: bad connection (1 line, at 2026-11-23T00:10:00Z; ")
