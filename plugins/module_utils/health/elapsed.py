# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds between two timestamps of documents. Pure: the clock is never read here."""

from __future__ import annotations

from typing import Any

from ..logtext.timestamps import parse_rfc3339


def seconds_between(earlier: str, later: str) -> float | None:
    """Return the seconds from one timestamp to another, or None if one is malformed.

    A timestamp without a zone, as in the lines of logs, counts as UTC.
    """
    start, end = (parse_rfc3339(text if text.endswith("Z") else text + "Z") for text in (earlier, later))
    # Timestamps have microseconds at most; a difference of floats has more digits.
    return None if start is None or end is None else round(end - start, 6)


def is_utc_timestamp(text: Any) -> bool:
    """Return whether this is an RFC 3339 timestamp in UTC."""
    return isinstance(text, str) and text.endswith("Z") and parse_rfc3339(text) is not None
