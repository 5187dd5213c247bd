# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EXAMPLES that need no cluster. Those that need one: tests/integration/test_examples.py."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.merge import pack_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from examples import CLUSTER, HOST, KEYSTONE, NOWHERE, at, examples, modules, run
from pprofs import CPU, HEAP, packed
from standins import Machine

from workspace import ROOT


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Start two services as processes of this machine."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        for component in ("region", "host"):
            machine.start(component)
        yield machine
    finally:
        machine.stop()


@pytest.mark.parametrize("module", modules())
def test_every_example_is_run_by_a_test(module):
    tasks = examples(module)
    assert tasks
    assert all(task["name"] for task in tasks)
    places = (CLUSTER, HOST, KEYSTONE, NOWHERE)
    assert sorted(task["name"] for place in places for task in at(place, tasks)) == sorted(
        task["name"] for task in tasks
    )


@pytest.mark.slow
def test_captures_seals_and_verifies_stacks_of_this_machine(machine, tmp_path):
    tasks = at(HOST, examples("stack_dump"))
    (dumped,) = run(tasks, tmp_path, {"binary_dirs": [machine.binaries], "output": str(tmp_path / "stacks")})
    assert (dumped["signals"], dumped["counts"]["complete"]) == (2, 4)
    assert all(standin.alive for standin in machine.running)
    shutil.copy(machine.running[0].log, tmp_path / "region.log")
    later = [task for module in ("bundle_seal", "bundle_verify", "stack_analysis") for task in examples(module)]
    sealed, verified, log, most, bundle = run(later, tmp_path)
    assert Path(sealed["archive"]).exists()
    assert (verified["intact"], verified["missing"], verified["changed"]) == (True, [], False)
    assert [dump["complete"] for dump in log["dumps"]] == ["true"]
    largest = log["dumps"][0]["groups"][0]
    assert most["msg"] == f"{largest['count']} in {largest['functions'][0]}"
    assert sorted(dump["goroutines"] for dump in bundle["dumps"]) == sorted(
        int(total) for total in re.findall(r"(\d+) goroutines", " ".join(sealed["table"]))
    )


@pytest.mark.slow
def test_fetches_captures_of_a_node(machine, tmp_path):
    tasks = examples("bundle_start") + examples("bundle_fetch")
    started, dumped, fetched = run(tasks, tmp_path, {"binary_dirs": [machine.binaries]})
    assert dumped["counts"]["complete"] > 0
    assert Path(fetched["part"]).parent == Path(started["parts"])
    assert Path(fetched["part"]).is_file()
    assert not Path(dumped["archive"]).exists()


@pytest.mark.slow
def test_lists_services_of_this_machine(machine, tmp_path):
    tasks = at(HOST, examples("service_info") + examples("status_info"))
    listed, read = run(tasks, tmp_path, {"binary_dirs": [machine.binaries]})
    for instances in (listed["instances"], [document["instance"] for document in read["documents"]]):
        assert {one["component"] for one in instances} == {"region", "host"}
        assert {one["process"]["pid"] for one in instances} == {standin.pid for standin in machine.running}
    assert (listed["changed"], read["changed"]) == (False, False)


@pytest.mark.slow
def test_reads_and_compares_profiles(tmp_path):
    tick = 10_000_000
    stacks = [((75, 75 * tick), ("main.hash", "main.main")), ((25, 25 * tick), ("main.sort", "main.main"))]
    (tmp_path / "region.pb.gz").write_bytes(packed(CPU, stacks))
    for bundle, grown in (("20260102T030000Z-profiles", 1), ("20260102T040000Z-profiles", 5)):
        store = Store(str(tmp_path / bundle))
        heap = packed(HEAP, [((1, 1, 1, grown << 20), ("main.keep", "main.main"))])
        store.keep(["cloud-a", "region", f"region-{grown}"], "heap.pb.gz", heap)
        pack_part(store.root)
    read, said, compared = run(examples("profile_analysis"), tmp_path)
    assert re.search(r"complete +1 s of 2 s on 0.5 cores +75% +main.hash$", said["msg"][1])
    assert (read["errors"], compared["errors"]) == ([], [])
    (change,) = (one["diff"]["functions"][0] for one in compared["profiles"])
    assert (change["function"], change["flat_text"]) == ("main.keep", "4MB")
    assert (tmp_path / "grown" / "20260102T040000Z-profiles").is_dir()
    assert (tmp_path / "region" / "region.flame.html").exists()


@pytest.mark.slow
def test_evaluates_rules_on_collected_status(call, tmp_path):
    """Use the example rules of docs/rules.md, and compare with an earlier audit."""
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "rules.md").read_text(), re.DOTALL)
    (tmp_path / "own-rules.yml").write_text(example)
    role = ROOT / "roles" / "audit_health"
    call("status_info", output=str(tmp_path / "status"), samples=2, interval=0.01)
    call(
        "health_check",
        paths=[str(tmp_path / "status")],
        rules=[str(role / "files" / "rules")],
        output=str(tmp_path / "h"),
    )
    call("bundle_seal", path=str(tmp_path / "20260101T030405Z-audit"), reports=[str(tmp_path / "h")])
    judged, failed = run(examples("health_check"), tmp_path, variables={"role_path": str(role)})
    assert (judged["failure"], failed["skipped"]) == ("", True)
    assert {Path(name).name for name in judged["files"]} >= {"health.json", "health.md"}
