# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One rule tells every collector whether a container or its process was replaced."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.restarts import is_replaced
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Process
from capturing import capture
from fake_transport import FakeTransport

BEFORE = Instance("c1", "region", "region-10", container_id="cid", process=Process(10, 100))


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
