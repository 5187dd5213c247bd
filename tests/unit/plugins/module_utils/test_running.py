# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module ends, whatever its work does."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Workload, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import RedactionError, Redactor
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.running import leaving_part, run_shown, targets_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery
from fake_transport import FakeTransport

from patience import patience


class Failed(Exception):
    """The module failed, with these keys."""


class Module:
    """As much of an AnsibleModule as is needed."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {"redact": "secrets"}
        self.no_log_values: set[str] = set()
        self.check_mode = False

    def fail_json(self, **keys: Any) -> None:
        raise Failed(keys)


def test_a_result_that_cannot_be_looked_through_is_left_out_and_its_place_is_not(monkeypatch):
    def fails(*_arguments: object) -> bytes:
        raise RedactionError("no memory")

    monkeypatch.setattr(Redactor, "data", fails)
    with pytest.raises(Failed) as failed:
        run_shown(Module(), lambda *_given: {"output": "/captures", "archive": "", "rows": ["secret"]}, 1)
    (keys,) = failed.value.args
    assert "no memory" in keys.pop("msg")
    assert keys == {"output": "/captures", "archive": ""}


def test_a_failure_after_a_capture_names_where_the_captures_are(tmp_path):
    part = tmp_path / "part"
    params = {"output": str(part), "archive": False}

    def fails(_store: Any) -> Any:
        raise OSError("no room")

    def fails_late(store: Any) -> Any:
        store.record([row(Instance("c", "region", "r"), "stack", verdict(Reason.PROVEN))])
        fails(store)

    with pytest.raises(OSError, match=r"^no room$"):
        leaving_part(params, fails)
    with pytest.raises(OSError, match=f"^no room; what was captured until then stays in {part}$"):
        leaving_part(params, fails_late)
    assert (part / "ledger.jsonl").exists()


# Names of components that there are not


def targets(transport, *components):
    params = {"instances": []}
    return targets_of(params, transport, select(components=components), Deadline(patience()))


def forbids(_selection, _deadline):
    return Discovery(problems=[("onecloud", verdict(Reason.FORBIDDEN))])


def test_a_component_that_is_neither_known_nor_there_is_an_error_with_the_nearest_names():
    transport = FakeTransport()
    transport.add("region")
    with pytest.raises(ValueError, match=r"^there is no component 'identiy'; did you mean identity \(keystone\)\?$"):
        targets(transport, "region", "identiy")


def test_a_known_component_that_is_not_deployed_is_no_error():
    assert targets(FakeTransport(), "glance", "compute").instances == []


def test_an_unknown_component_whose_pods_carry_the_label_is_taken():
    transport = FakeTransport()
    transport.add("newone")
    assert [one.component for one in targets(transport, "newone").instances] == ["newone"]


@pytest.mark.parametrize("listing", [[], CaptureError(Reason.FORBIDDEN)], ids=["none", "forbidden"])
def test_an_unknown_component_with_a_workload_and_no_pod_is_taken(listing):
    transport = FakeTransport()
    transport.deployed = [Workload("c1", "onecloud", "Deployment", "default-newone", "newone", 0, 0)]
    assert targets(transport, "newone").instances == []
    transport.deployed = listing
    with pytest.raises(ValueError, match="no component 'newone'"):
        targets(transport, "newone")


def test_nothing_is_said_against_a_name_where_not_everything_could_be_looked_at(monkeypatch):
    transport = FakeTransport()
    monkeypatch.setattr(transport, "discover", forbids)
    assert len(targets(transport, "identiy").problems) == 1


def test_a_catalog_without_an_entry_for_an_unknown_name_is_no_reason_to_doubt(monkeypatch):
    transport = FakeTransport()
    lacks = Discovery(problems=[("region0", verdict(Reason.NO_CATALOG_ENTRY, "identiy"))])
    monkeypatch.setattr(transport, "discover", lambda _selection, _deadline: lacks)
    with pytest.raises(ValueError, match="did you mean identity"):
        targets(transport, "identiy")
