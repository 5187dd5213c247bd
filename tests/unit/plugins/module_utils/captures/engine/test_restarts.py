# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One rule tells every collector whether a container or its process was replaced."""

from __future__ import annotations

from dataclasses import replace

import capturing
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.restarts import is_replaced
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery
from capturing import DUMP, answers, capture
from fake_transport import FakeTransport

from patience import patience

BEFORE = Instance("c1", "region", "region-10", container_id="cid", process=Process(10, 100))


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"process": Process(11, 200)}, True),
        ({"process": Process(10, 200)}, True),
        ({"process": None}, False),
        ({"process": None, "container_id": "next"}, True),
        ({"process": None, "restarts": 1}, True),
    ],
)
def test_compares_processes_and_else_containers(changes, expected):
    assert is_replaced(BEFORE, replace(BEFORE, **changes)) is expected


def test_claims_nothing_without_a_container_id():
    before = replace(BEFORE, process=None, container_id="")
    assert is_replaced(before, before) is None


def test_stack_capture_reports_a_process_that_was_replaced_in_its_container(tmp_path):
    transport = FakeTransport()

    def start_anew(service):
        service.write(b"goroutine profile: total 0\n")
        service.instance = replace(service.instance, process=Process(11, 200))

    service = transport.add("region", on_signal=start_anew)
    service.instance = replace(service.instance, process=Process(10, 100))
    row = capture(transport, tmp_path, timeout=0.5).only()
    assert row.details["restarted"] is True
    assert "restarted after the signal" in row.message


def test_reports_a_container_restart_after_the_signal(transport, tmp_path):
    def dump_and_restart(service):
        service.write(DUMP)
        service.restart()

    transport.add("region", "restarts", on_signal=dump_and_restart)
    transport.add("region", "stays")
    ran = capture(transport, tmp_path)
    told = ran.only(instance="restarts")
    assert told.details["restarted"] is True
    assert told.details["restarts"] == [0, 1]
    assert told.message.endswith("The container restarted after the signal.")
    assert ran.only(instance="stays").details["restarted"] is False
    assert "restarted" not in ran.only(instance="stays").message
    assert ran.ledger == ran.report.rows


def test_reports_an_instance_that_is_gone_after_the_signal(transport, tmp_path):
    transport.add("region", on_signal=answers(DUMP, end=True))
    details = capture(transport, tmp_path).only().details
    assert (details["restarted"], details["after"]) == (True, "gone")


def test_claims_nothing_if_the_instance_cannot_be_seen(transport, tmp_path, monkeypatch):
    transport.add("region")
    found = discover(transport, capturing.everything(transport), Deadline(patience()))
    blind = Discovery(problems=[("onecloud", verdict(Reason.UNREACHABLE))])
    monkeypatch.setattr(transport, "discover", lambda _selection, _deadline: blind)
    row = capture(transport, tmp_path, found=found).only()
    assert (row.reason, row.details["restarted"]) == ("proven", None)
    assert "restarted" not in row.message


def test_lists_given_instances_outside_of_the_selection(transport, tmp_path):
    service = transport.add("newone")
    ran = capture(transport, tmp_path, selection=select(), found=Discovery([service.instance]))
    assert (ran.only().reason, ran.only().details["restarted"]) == ("proven", False)


def test_lists_nothing_again_if_nothing_was_signalled(transport, tmp_path):
    transport.add("scheduler")
    capture(transport, tmp_path)
    assert [call for call, _name in transport.calls] == ["discover"]
