# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals of the host transport. Its work with real processes: test_conformance.py, test_trust.py, test_follow.py."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.containers import NodePaths
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.transport import HostTransport
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State

from patience import patience

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
FOREIGN = Instance("c1", "region", "region-a")
UNTRUSTED = Instance("c1", "region", "region-1", state=State.UNTRUSTED, state_detail="why", process=Process(1, 1))


def deadline(seconds=0.0):
    return Deadline(seconds or patience(), "test")


def refusal(call) -> Reason:
    with pytest.raises(CaptureError) as refused:
        call()
    return refused.value.verdict.reason


def test_machine_and_cluster_have_the_same_name_by_default():
    assert HostTransport(node="node-1").cluster == "node-1"
    assert HostTransport(cluster="c1", node="node-1").machine == "node-1"


@pytest.mark.parametrize(("instance", "reason"), [(FOREIGN, Reason.NO_PROCESS), (UNTRUSTED, Reason.UNTRUSTED)])
def test_refuses_instances_without_a_trusted_process(instance, reason):
    transport = HostTransport()
    target = HttpTarget("https", 1, "/ping")
    assert refusal(lambda: transport.open_log(instance, deadline())) is reason
    assert refusal(lambda: transport.read_log(instance, 60, deadline(), 1000)) is reason
    assert refusal(lambda: transport.open_process(instance, deadline())) is reason
    assert refusal(lambda: transport.http_get(instance, target, deadline(), 100)) is reason
    assert refusal(lambda: transport.certificate(instance, target, deadline())) is reason


def test_plain_http_has_no_certificate():
    assert HostTransport().certificate(FOREIGN, HttpTarget("http", 1, "/ping"), deadline()) is None


def test_reopens_only_a_log_that_was_opened():
    assert refusal(lambda: HostTransport().reopen_log(FOREIGN, NOW, deadline())) is Reason.LOG_UNAVAILABLE


def test_knows_no_workloads():
    assert HostTransport().workloads(select(components=["region"]), deadline()) == []


def test_discovery_of_an_empty_machine(tmp_path):
    transport = HostTransport(node="node-1", paths=NodePaths(proc=str(tmp_path)))
    found = transport.discover(select(components=["region"]), deadline())
    assert (found.instances, found.problems, found.machine) == ([], [], "node-1")


def test_discovery_stops_at_the_deadline():
    with pytest.raises(DeadlineExceeded):
        HostTransport().discover(select(components=["region"]), Deadline(0.0, "test"))
