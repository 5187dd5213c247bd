# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stack captures of faulty pods: each row has the right reason, and only processes with a planted fault end."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from deploy import sets
from deploy.faults import FAULT_LABEL, FAULTS
from deploy.sets import NAMESPACES
from world import ROOT, World, play

from patience import patience

NAMESPACE, WAITING = NAMESPACES[sets.TROUBLE], NAMESPACES[sets.WAITING]
SOME_INSTANCES = str(ROOT / "tests" / "integration" / "playbooks" / "some_instances.yml")
# A capture that uses all of its time gets only what a slow machine needs to send the signal and read half a dump. A
# capture that ends by itself gets enough for a slow machine.
TIMEOUT, FAR = patience(30), patience(300)
REASONS = {
    "pending": "pending",
    "init-stuck": "stuck_in_init",
    "crash-loop": "crash_loop",
    "image-gone": "not_started",
    "terminating": "terminating",
    "no-shell": "no_shell",
    "two-processes": "several_processes",
    "ignored": "usr1_ignored",
    "not-caught": "usr1_not_caught",
    "prefix-flag": "stderr_lost",
    "prefix-config": "stderr_lost",
    "stderr-null": "stderr_lost",
    "stderr-file": "stderr_lost",
    "wrong-container": "wrong_container",
    "no-process": "no_process",
    "starting": "no_dump",
    "half-dump": "cut_short",
    "dies": "no_dump",
    "restarts": "proven",
    "hung-shell": "timeout",
    "small-memory": "proven",
    "version-hangs": "proven",
    "noisy": "proven",
    "hostile": "proven",
    "slow-dump": "proven",
    "old-release": "proven",
    "terminal": "proven",
    "shared-processes": "proven",
    "wrapped": "proven",
    "carrier": "proven",
}
MAY_END = {"dies", "restarts"}
STAYS = {name for name, reason in REASONS.items() if reason not in ("crash_loop",)} - MAY_END


@pytest.fixture(scope="module")
def troubled(world: World, tmp_path_factory: pytest.TempPathFactory):
    """Capture all faulty pods in one run: (run, fault -> its stack row, containers before, after)."""
    world.deploy(sets.TROUBLE)
    world.deploy(sets.WAITING)
    fault_of = {pod["metadata"]["name"]: pod["metadata"]["labels"][FAULT_LABEL] for pod in pods(world)}
    before = world.containers(NAMESPACE, WAITING)
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {
        namespace: {**local, "cloudpods_namespace": namespace, "cloudpods_timeout": timeout}
        for namespace, timeout in ((NAMESPACE, FAR), (WAITING, TIMEOUT))
    }
    variables = {
        "cloudpods_kubeconfig": world.kubeconfig,
        "cloudpods_components": ["region", "host"],
        "cloudpods_deadline": FAR,
    }
    run = play(tmp_path_factory.mktemp("trouble"), variables, inventory={"cloudpods": {"hosts": hosts}})
    rows = {fault_of[row["instance"]]: row for row in run.of()}
    return run, rows, before, world.containers(NAMESPACE, WAITING)


def pods(world: World) -> list[dict[str, Any]]:
    return [*world.pods(NAMESPACE), *world.pods(WAITING)]


def test_table_covers_every_fault():
    assert set(REASONS) == {fault.name for fault in FAULTS}


@pytest.mark.parametrize("fault", REASONS)
def test_each_fault_has_its_reason(troubled, fault):
    _run, rows, _before, _after = troubled
    row = rows[fault]
    # Log text that looks like a dump and is written during the dump cannot always be told from it. Then the dump must
    # not be called complete.
    allowed = {REASONS[fault], "damaged"} if fault == "hostile" else {REASONS[fault]}
    assert row["reason"] in allowed, row["message"]
    assert row["status"] == "complete" or "Next:" in row["message"]


def test_each_instance_has_its_rows(troubled, world):
    run, rows, _before, _after = troubled
    assert len(run.of()) == len(rows) == len(pods(world))
    assert "Traceback" not in run.shown


def test_ends_only_processes_with_a_planted_fault(troubled):
    _run, rows, before, after = troubled
    for fault in STAYS:
        key = f"{rows[fault]['instance']}/{rows[fault]['container']}"
        if key in before:
            assert after.get(key) == before[key], fault


@pytest.mark.parametrize("fault", sorted(MAY_END))
def test_reports_a_restart_after_the_signal(troubled, fault):
    _run, rows, _before, _after = troubled
    assert rows[fault]["details"]["signal_sent"]
    if fault == "dies":
        assert rows[fault]["details"]["restarted"] is True
        assert "restarted after the signal" in rows[fault]["message"]


def test_refused_instances_get_no_signal(troubled):
    _run, rows, _before, _after = troubled
    for row in rows.values():
        sent = "signal_sent" in row["details"]
        assert sent == (row["reason"] in ("proven", "no_dump", "cut_short", "damaged")), row


def test_keeps_a_partial_dump_with_its_counts(troubled):
    run, rows, _before, _after = troubled
    row = rows["half-dump"]
    assert (row["status"], row["bytes"] > 100) == ("partial", True)
    assert 0 < row["details"]["goroutines"] < row["details"]["total"]
    assert (run.bundle / row["path"]).with_suffix(".log").stat().st_size > 100


def test_verifies_ten_thousand_goroutines_in_a_noisy_log(troubled):
    _run, rows, _before, _after = troubled
    assert rows["noisy"]["details"]["total"] > 10_000


def test_hung_target_uses_only_its_own_deadline(troubled):
    _run, rows, _before, _after = troubled
    for fault in ("hung-shell", "starting", "half-dump"):
        # Without its own deadline it would use that of the run, which is twenty times as long.
        assert TIMEOUT - 1 < rows[fault]["duration"] < FAR / 2


@pytest.mark.usefixtures("troubled")
@pytest.mark.parametrize(("fault", "reason"), [("small-memory", "no_memory_room"), ("version-hangs", "no_version")])
def test_failed_version_does_not_affect_the_dump(world, tmp_path, fault, reason):
    # On its own, because otherwise another replica of the same image provides the version.
    variables = {
        "cloudpods_kubeconfig": world.kubeconfig,
        "wanted_namespace": NAMESPACE,
        "wanted": f"region-{fault}-",
        # A hung version command uses all of it.
        "wanted_timeout": TIMEOUT if fault == "version-hangs" else FAR,
    }
    run = play(tmp_path, variables, playbook=SOME_INSTANCES)
    assert run.code == 0, run.shown
    assert [row["reason"] for row in run.of("version")] == [reason]
    assert [row["reason"] for row in run.of("stack")] == ["proven"]
