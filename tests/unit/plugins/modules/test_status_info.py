# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module status_info: run() with services in memory instead of a cluster."""

from __future__ import annotations

import json
import os
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import module_runner
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import COMPONENTS, ENDPOINTS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from ansible_collections.cloudpods.diagnostics.plugins.modules import status_info

sys.path.insert(0, str(Path(__file__).parents[1] / "module_utils" / "transports"))

from fake_transport import FakeTransport


@pytest.fixture
def transport(monkeypatch) -> FakeTransport:
    made = FakeTransport()
    monkeypatch.setattr(module_runner, "transport_of", lambda _params, _connections: made)
    return made


def run(check_mode: bool = False, **given):
    """Run the module with the defaults of its argument spec."""
    names = ("SELECTION", "STATUS_TRANSPORT", "KEYSTONE", "FANOUT", "PART", "STATUS")
    defaults = {name: option.get("default") for group in names for name, option in getattr(status_info, group).items()}
    return status_info.run({**defaults, **given}, check_mode, Progress())


def test_reads_every_component_by_default(transport, tmp_path):
    for component in ("region", "scheduler", "etcd"):
        transport.add(component)
    transport.add("monitor", state=State.PENDING)
    result = run(output=str(tmp_path))
    assert (result["changed"], result["found"], result["output"], result["archive"]) == (False, 4, str(tmp_path), "")
    assert {document["instance"]["component"] for document in result["documents"]} == {
        "region", "scheduler", "etcd", "monitor",
    }  # fmt: skip
    assert result["counts"]["complete"] == len(ENDPOINTS) + 2
    assert result["counts"]["refused"] == 5
    assert [line.split()[0] for line in result["table"]] == ["component", "etcd", "monitor", "region", "scheduler"]
    (cluster,) = tmp_path.rglob("cluster.json")
    assert set(json.loads(cluster.read_text())["components"]) == set(COMPONENTS)
    json.dumps(result, allow_nan=False)


def test_reads_only_the_selection(transport, tmp_path):
    transport.add("region")
    transport.add("keystone")
    assert run(output=str(tmp_path), components=["keystone"])["found"] == 1


def test_given_instances_are_not_discovered(transport, tmp_path):
    service = transport.add("region")
    transport.add("region")
    assert run(output=str(tmp_path), instances=[service.instance.as_dict()])["found"] == 1
    assert ("discover", "") not in transport.calls


def test_check_mode_reads_the_same_and_writes_no_file(transport, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    transport.add("region")
    result = run(check_mode=True, output=str(tmp_path / "out"), archive=True)
    assert result["documents"][0]["expected"] == list(ENDPOINTS)
    assert (result["output"], result["archive"], result["counts"]["complete"]) == ("", "", len(ENDPOINTS))
    assert os.listdir(tmp_path) == []


def test_archive_contains_the_part(transport, tmp_path):
    transport.add("region", "r")
    result = run(output=str(tmp_path / "out"), archive=True)
    assert (result["output"], result["archive"]) == ("", str(tmp_path / "out.tar.gz"))
    with tarfile.open(result["archive"]) as archive:
        names = archive.getnames()
    assert {"part/ledger.jsonl", "part/c1/cluster.json", "part/c1/region/r/status.json"} <= set(names)


@pytest.mark.parametrize(("wanted", "count"), [("auto", 50), ("auto", 51), ("always", 51), ("never", 1)])
def test_limits_the_returned_documents(transport, tmp_path, wanted, count):
    for _number in range(count):
        transport.add("scheduler")
    result = run(output=str(tmp_path), return_documents=wanted, endpoints=["ping"])
    assert len(result["documents"]) == (count if wanted == "always" or (wanted, count) == ("auto", 50) else 0)
    assert len(list(tmp_path.rglob("status.json"))) == count


def test_refuses_the_folder_of_another_run(transport, tmp_path):
    (tmp_path / "ledger.jsonl").touch()
    with pytest.raises(ValueError, match="already holds a ledger"):
        run(output=str(tmp_path))
    assert transport.asked == []


def test_documentation_has_the_defaults():
    options = yaml.safe_load(status_info.DOCUMENTATION)["options"]
    for name, option in status_info.STATUS.items():
        assert (options[name]["default"], options[name].get("choices")) == (option["default"], option.get("choices"))
    assert set(options) == set(status_info.STATUS)
