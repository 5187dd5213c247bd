# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments in documents, and the time between them. Pure: nobody asks for the time here."""

from __future__ import annotations

import datetime
from typing import Any

# RFC 3339 in UTC, and as the lines of logs have it: without a zone.
_FORMS = ("%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S")


def seconds_between(earlier: str, later: str) -> float | None:
    """Seconds from one moment to another; None when one of them is none. What has no zone is taken for UTC."""
    try:
        return (_moment(later) - _moment(earlier)).total_seconds()
    except (ValueError, OverflowError):
        return None


def is_moment(stamp: Any) -> bool:
    """Whether this is the text of a moment in UTC."""
    return isinstance(stamp, str) and stamp.endswith("Z") and seconds_between(stamp, stamp) is not None


def _moment(stamp: str) -> datetime.datetime:
    form = _FORMS[2 * (not stamp.endswith("Z")) + ("." not in stamp)]
    return datetime.datetime.strptime(stamp, form)  # noqa: DTZ007 - both are UTC, only their difference counts
