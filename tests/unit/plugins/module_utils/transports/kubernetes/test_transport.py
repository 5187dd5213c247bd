# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""KubernetesTransport: a namespace in which nothing runs and nothing is to run, and what it passes on."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.problem import ApiProblem
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)

from patience import patience


class Server:
    """An API server whose namespaces hold these things: (namespace, resource) -> items, or its problem."""

    cluster_name = "cloud-x"

    def __init__(self, things):
        self._things = things

    def get_json(self, path, query, _deadline):
        assert query == {"limit": "1"}
        parts = path.split("/")
        found = self._things.get((parts[-2], parts[-1]), [])
        if isinstance(found, Exception):
            raise found
        return {"items": found}


def nothing(things, *namespaces):
    return KubernetesTransport(Server(things), "", namespaces).why_empty(Deadline(patience()))


def test_reports_empty_namespace_with_next_step():
    assert nothing({}, "clodpods", "onecloud") == (
        "Nothing runs in the namespace clodpods and onecloud of the cluster cloud-x, and nothing is to run there. "
        "Next: name the namespace of Cloudpods with cloudpods_namespace; kubectl get pods -A -l "
        "app.kubernetes.io/managed-by=onecloud-operator shows it."
    )


@pytest.mark.parametrize("resource", ["pods", "deployments", "daemonsets"])
def test_accepts_namespace_with_any_resource(resource):
    assert nothing({("onecloud", resource): [{}]}, "empty", "onecloud") == ""


def test_forbidden_list_is_not_reported_as_empty():
    with pytest.raises(CaptureError) as failed:
        nothing({("onecloud", "deployments"): ApiProblem(403, "no")}, "onecloud")
    assert failed.value.verdict.reason is Reason.FORBIDDEN
