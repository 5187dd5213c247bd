# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cluster.json tells whether workloads are known, and what could not be looked at."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Workload
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.cluster_document import cluster_document

WORKLOAD = Workload("c1", "onecloud", "Deployment", "region", "region", 2, 1)


def test_workloads_that_are_not_known_are_not_an_empty_list():
    unknown = cluster_document("c1", "host", ["region"], True, None, [])
    known = cluster_document("c1", "kubernetes", ["region"], True, [], [])
    assert (unknown["workloads"], unknown["workloads_known"]) == ([], False)
    assert (known["workloads"], known["workloads_known"]) == ([], True)


def test_holds_workloads_and_problems_as_plain_values():
    problem = verdict(Reason.FORBIDDEN, "list pods")
    document = cluster_document("c1", "kubernetes", ["region"], False, [WORKLOAD], [("onecloud", problem)])
    assert document["workloads"][0]["desired"] == 2
    assert document["problems"] == [{"place": "onecloud", "reason": "forbidden", "message": problem.message}]
