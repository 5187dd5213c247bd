# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows about places that cannot be seen and components that are not there; refusals of instances that do not run."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery
from capturing import capture
from fake_transport import FakeTransport, hang


@pytest.fixture
def transport():
    return FakeTransport()


def test_unseen_places_and_missing_components_have_rows(transport, tmp_path):
    service = transport.add("region")
    forbidden = verdict(Reason.FORBIDDEN, "list pods")
    found = Discovery([service.instance], [("other", forbidden)])
    ran = capture(transport, tmp_path / "a", found=found, selection=select(components=["region", "glance"]))
    place, missing = ran.rows("discovery")
    assert (place.namespace, place.reason, place.message) == ("other", "forbidden", forbidden.message)
    assert (missing.component, missing.status, missing.reason) == ("glance", "failed", "not_found")
    ran = capture(transport, tmp_path / "b", selection=select(components=["region", "glance"]))
    (row,) = ran.rows("discovery")
    assert (row.component, row.status, row.reason) == ("glance", "failed", "not_found")
    ran = capture(transport, tmp_path / "c", selection=select("kvm_server"))
    assert {(row.status, row.reason) for row in ran.rows("discovery")} == {("skipped", "not_deployed")}


def test_reports_no_missing_component_if_nothing_was_seen(transport, tmp_path):
    found = Discovery([], [("", verdict(Reason.UNREACHABLE, "refused"))])
    ran = capture(transport, tmp_path, found=found, selection=select(components=["region"]))
    assert [row.reason for row in ran.rows("discovery")] == ["unreachable"]


def test_misspelt_component_has_a_row_with_the_nearest_name(transport, tmp_path):
    service = transport.add("region")
    found = Discovery([service.instance], unknown=("regoin",))
    ran = capture(transport, tmp_path, found=found, selection=select(components=["region", "regoin"]))
    (row,) = ran.rows("discovery")
    assert (row.component, row.status) == ("regoin", "failed")
    assert "there is no component 'regoin'; did you mean region" in row.message
    assert [row.status for row in ran.rows("stack")] == ["complete"]


def test_discovery_that_hangs_is_reported_as_a_problem(transport, monkeypatch):
    monkeypatch.setattr(transport, "discover", lambda _selection, deadline: hang(deadline))
    found = discover(transport, select(), Deadline(0.1))
    ((place, problem),) = found.problems
    assert (place, problem.reason, found.instances) == ("", Reason.UNREACHABLE, [])
