# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the status document of an access point."""

from __future__ import annotations

import dataclasses

from ...bundle.store import Store, json_bytes
from ...capture_names import DISCOVERY
from ...catalog import Selection
from ...deadline import Deadline, DeadlineExceeded
from ...model import Workload, place_row
from ...reasons import CaptureError, Reason, verdict
from ...transports.base import Discovery, Transport

CLUSTER_FORMAT, VERSION = "cloudpods.diagnostics/cluster-status", 1
MAX_LIST_SECONDS = 60.0


def keep_cluster(
    transport: Transport, found: Discovery, selection: Selection, store: Store, cluster: str, deadline: Deadline
) -> None:
    """Write cluster.json: the state of the access point as a whole. Of a single machine, it is in its folder."""
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
            store.record([place_row(cluster, "", "", DISCOVERY, outcome)])
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
