# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The EXAMPLES that need no cluster, run as a user runs them. Those that do: tests/integration/test_examples.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workspace import ROOT

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(ROOT / "tests" / "unit" / "plugins" / "module_utils" / "transports"))

from examples import CLUSTER, HOST, KEYSTONE, NOWHERE, at, examples, modules, run
from standins import Machine


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Two services as processes of this machine."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        for component in ("region", "host"):
            machine.start(component)
        yield machine
    finally:
        machine.stop()


@pytest.mark.parametrize("module", modules())
def test_every_example_is_run_somewhere(module):
    tasks = examples(module)
    assert tasks
    assert all(task["name"] for task in tasks)
    places = (CLUSTER, HOST, KEYSTONE, NOWHERE)
    assert sorted(task["name"] for place in places for task in at(place, tasks)) == sorted(
        task["name"] for task in tasks
    )


def test_stacks_are_captured_on_this_machine_then_sealed_and_verified(machine, tmp_path):
    tasks = at(HOST, examples("stack_dump"))
    (dumped,) = run(tasks, tmp_path, {"binary_dirs": [machine.binaries], "output": str(tmp_path / "stacks")})
    assert (dumped["signals"], dumped["counts"]["complete"]) == (2, 4)
    assert all(standin.alive for standin in machine.running)
    sealed, verified = run(at(NOWHERE, examples("bundle_seal") + examples("bundle_verify")), tmp_path)
    assert Path(sealed["archive"]).exists()
    assert (verified["intact"], verified["missing"], verified["changed"]) == (True, [], False)


def test_what_runs_on_this_machine_is_found(machine, tmp_path):
    tasks = at(HOST, examples("service_info") + examples("status_info"))
    listed, read = run(tasks, tmp_path, {"binary_dirs": [machine.binaries]})
    for instances in (listed["instances"], [document["instance"] for document in read["documents"]]):
        assert {one["component"] for one in instances} == {"region", "host"}
        assert {one["process"]["pid"] for one in instances} == {standin.pid for standin in machine.running}
    assert (listed["changed"], read["changed"]) == (False, False)
