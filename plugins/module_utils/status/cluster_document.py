# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document cluster.json: the state of an access point as a whole. Pure."""

from __future__ import annotations

import dataclasses
from typing import Any, Sequence

from ..model import Workload
from ..reasons import Verdict

CLUSTER_FORMAT, VERSION = "cloudpods.diagnostics/cluster-status", 1


def cluster_document(
    cluster: str,
    transport: str,
    components: Sequence[str],
    named: bool,
    workloads: Sequence[Workload] | None,
    problems: Sequence[tuple[str, Verdict]],
) -> dict[str, Any]:
    """Return the document. named: the user named the components. workloads: None if they are not known."""
    return {
        "format": CLUSTER_FORMAT,
        "version": VERSION,
        "cluster": cluster,
        "transport": transport,
        "components": list(components),
        "named": named,
        "workloads": [dataclasses.asdict(workload) for workload in workloads or ()],
        "workloads_known": workloads is not None,
        "problems": [
            {"place": place, "reason": problem.reason.value, "message": problem.message} for place, problem in problems
        ],
    }
