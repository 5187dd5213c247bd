# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments in documents, and the time between them. Pure: nobody asks for the time here."""

from __future__ import annotations

from typing import Any

from ..logtext.timestamps import parse_rfc3339


def seconds_between(earlier: str, later: str) -> float | None:
    """Seconds from one moment to another; None when one of them is none. What has no zone is taken for UTC."""
    begin, end = _moment(earlier), _moment(later)
    # Rounded to microseconds: a moment has no more exact digits.
    return None if begin is None or end is None else round(end - begin, 6)


def is_moment(stamp: Any) -> bool:
    """Whether this is the text of a moment in UTC."""
    return isinstance(stamp, str) and stamp.endswith("Z") and seconds_between(stamp, stamp) is not None


def _moment(text: str) -> float | None:
    # Lines of logs have times without a zone, in UTC.
    return parse_rfc3339(text if text.endswith("Z") else text + "Z")
