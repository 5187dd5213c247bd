# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect whether a container or process was replaced between two looks at an instance. Pure."""

from __future__ import annotations

from ...logtext.timestamps import parse_rfc3339
from ...model import Instance


def is_replaced(before: Instance, after: Instance) -> bool | None:
    """Return whether the process of an instance is another one than before; None if that cannot be told.

    A supervisor inside a container starts its process anew without a restart of the container, so the process decides
    where the transport sees it at discovery.
    """
    if before.process and after.process:
        return (before.process.pid, before.process.start_time) != (after.process.pid, after.process.start_time)
    if not before.container_id:
        return None
    return (before.container_id, before.restarts) != (after.container_id, after.restarts)


def seconds_of(text: str) -> float | None:
    """Return a time of an instance (RFC 3339 in UTC) in seconds since 1970; None if it is not one."""
    return parse_rfc3339(text)
