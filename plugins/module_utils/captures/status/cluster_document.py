# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status document of an access point, and a second look at its instances after the samples."""

from __future__ import annotations

import dataclasses
from typing import Sequence

from ...bundle.store import Store, json_bytes
from ...catalog import Selection, component_of
from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance, InstanceKey, Workload
from ...reasons import CaptureError, Reason, verdict
from ...transports.base import Discovery, Transport
from ..engine.discovery import discover, place_row
from ..engine.restarts import is_replaced

CLUSTER_FORMAT, VERSION = "cloudpods.diagnostics/cluster-status", 1
MAX_LIST_SECONDS = 60.0


def look_again(
    transport: Transport, asked: Sequence[Instance], samples: int, deadline: Deadline
) -> dict[InstanceKey, tuple[Instance | None, bool | None]]:
    """Per instance how it is seen after the samples, and whether its container is another one (None: not known).

    One list call, and none with a single sample: without a window there is nothing that a restart could spoil.
    """
    if samples < 2 or not asked:
        return {}
    names = sorted({instance.component for instance in asked})
    after = discover(transport, Selection(tuple(component_of(name) for name in names)), deadline)
    seen = {instance.key: instance for instance in after.instances}
    result: dict[InstanceKey, tuple[Instance | None, bool | None]] = {}
    for before in asked:
        now = seen.get(before.key)
        if now is not None:
            result[before.key] = now, is_replaced(before, now)
    return result


def keep_cluster(
    transport: Transport, found: Discovery, selection: Selection, store: Store, cluster: str, deadline: Deadline
) -> None:
    """cluster.json: what the access point as a whole says. Of a single machine it stands below that machine's name."""
    problems = list(found.problems)
    workloads: list[Workload] = []
    known = transport.lists_workloads
    if known:
        try:
            workloads = transport.workloads(selection, deadline.child(MAX_LIST_SECONDS, "workloads"))
        except (CaptureError, DeadlineExceeded) as error:
            known = False
            outcome = error.verdict if isinstance(error, CaptureError) else verdict(Reason.UNREACHABLE, str(error))
            problems.append(("workloads", outcome))
            store.record([place_row(cluster, "", "", outcome)])
    document = {
        "format": CLUSTER_FORMAT,
        "version": VERSION,
        "cluster": cluster,
        "transport": transport.name,
        "components": list(selection.names),
        "named": selection.named,
        "workloads": [dataclasses.asdict(workload) for workload in workloads],
        "workloads_known": known,
        "problems": [
            {"place": place, "reason": problem.reason.value, "message": problem.message} for place, problem in problems
        ],
    }
    folders = [cluster, "machines", transport.machine] if transport.machine else [cluster]
    store.keep(folders, "cluster.json", json_bytes(document, indent=1))
