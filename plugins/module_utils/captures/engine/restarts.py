# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect whether containers or processes were replaced while they were captured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

from ...catalog import Selection, component_of
from ...deadline import Deadline
from ...model import Instance, InstanceKey
from ...transports.base import Transport
from .discovery import discover


@dataclass(frozen=True)
class SecondLook:
    """An instance after its captures. instance: None if it is gone or could not be seen.

    replaced: whether its container or process is another one; None if that cannot be told.
    """

    instance: Instance | None
    replaced: bool | None


def look_again(
    transport: Transport, instances: Sequence[Instance], deadline: Deadline
) -> Mapping[InstanceKey, SecondLook]:
    """List these instances once more, with one call, and compare; no call if there are none."""
    if not instances:
        return {}
    # Of their own components: instances that were given need not be the selection's.
    names = sorted({instance.component for instance in instances})
    found = discover(transport, Selection(tuple(component_of(name) for name in names)), deadline)
    seen = {instance.key: instance for instance in found.instances}
    result = {}
    for before in instances:
        after = seen.get(before.key)
        gone = None if found.problems else True
        result[before.key] = SecondLook(after, is_replaced(before, after) if after else gone)
    return result


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
