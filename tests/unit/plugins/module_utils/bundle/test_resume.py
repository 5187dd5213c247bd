# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resuming of interrupted runs, but not of running ones or those of other users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.merge import pack_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.part import is_part_locked, lock_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.resume import (
    pack_leftovers,
    parts_in,
    repair_part,
    resume_run,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.run_folder import (
    RUNNING,
    mark_running,
    start_run,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

import collection

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


def captured(folder: Path) -> Path:
    """Make a part with one artifact and its row."""
    store = Store(str(folder))
    instance = Instance("c", "region", "region-1")
    artifact = store.keep(instance.folders, "stack-1.txt", b"a dump")
    store.record([row(instance, "stack", verdict(Reason.PROVEN), artifact=artifact)])
    return folder


@pytest.fixture
def run(tmp_path):
    """Provide a run with one part."""
    run = start_run(str(tmp_path), "incident-4711")
    captured(Path(run.parts, "localhost-1"))
    return run


def ended_process() -> int:
    """Return the pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_resumes_run_whose_process_has_ended(run, tmp_path):
    mark_running(run, ended_process())
    assert resume_run(str(tmp_path), run.id, patience=0) == run
    assert parts_in(run.parts) == [f"{run.parts}/localhost-1"]


def test_refuses_run_of_a_live_process(run, tmp_path):
    mark_running(run, os.getpid())
    with pytest.raises(ValueError, match=rf"incident-4711 is still running \(process {os.getpid()}\)"):
        resume_run(str(tmp_path), run.id, patience=0)


def test_recognizes_reused_pid(run, tmp_path):
    mark_running(run, os.getpid())
    path = Path(run.folder, RUNNING)
    mark = json.loads(path.read_text())
    path.write_text(json.dumps({**mark, "start": mark["start"] - 1}))
    assert resume_run(str(tmp_path), run.id, patience=0) == run
    path.write_text(json.dumps({**mark, "boot": "another"}))
    assert resume_run(str(tmp_path), run.id, patience=0) == run


def test_refuses_run_of_another_machine(run, tmp_path):
    mark_running(run, os.getpid())
    path = Path(run.folder, RUNNING)
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere"}))
    with pytest.raises(ValueError, match=rf"started on elsewhere.*remove {path} first"):
        resume_run(str(tmp_path), run.id, patience=0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"host": "a"}'])
def test_names_unreadable_owner_file(run, tmp_path, text):
    Path(run.folder, RUNNING).write_text(text)
    with pytest.raises(ValueError, match=f"{RUNNING} cannot be read"):
        resume_run(str(tmp_path), run.id, patience=0)


def test_part_is_locked_while_its_process_lives(run, tmp_path):
    part = f"{run.parts}/localhost-1"
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(collection.link())!r})\n"
        "from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.part import lock_part\n"
        f"with lock_part({part!r}):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_part_locked(part)
        with pytest.raises(ValueError, match=rf"is still running \(a capture into {part}\)"):
            resume_run(str(tmp_path), run.id, patience=0)
        process.kill()
        process.wait()
    assert not is_part_locked(part)
    assert resume_run(str(tmp_path), run.id, patience=0) == run


def test_lists_unsealed_runs_for_a_wrong_id(run, tmp_path):
    other = start_run(str(tmp_path), "other")
    (tmp_path / "notes").mkdir()
    os.utime(other.folder, (0, 0))
    there = "can be sealed there: incident-4711, other"
    with pytest.raises(ValueError, match=rf"set cloudpods_run_id to the id of a run; runs that {there}$"):
        resume_run(str(tmp_path), "", patience=0)
    with pytest.raises(ValueError, match=rf"no run incident-471 .*did you mean incident-4711\?.*{there}$"):
        resume_run(str(tmp_path), "incident-471", patience=0)
    with pytest.raises(ValueError, match="is not the name of a run"):
        resume_run(str(tmp_path), "../out", patience=0)
    with pytest.raises(ValueError, match="is not a folder, so there is no run in it"):
        resume_run(str(tmp_path / "nowhere"), "run", patience=0)
    seal_bundle(run.folder, parts_in(run.parts), [], {})
    with pytest.raises(ValueError, match=r"the run incident-4711 in .* is sealed already"):
        resume_run(str(tmp_path), run.id, patience=0)


def test_removes_unfinished_files(run):
    part = Path(run.parts, "localhost-1")
    place = part / "c" / "region" / "region-1"
    (place / "heap.pb.gz.4711-140001.spool").write_bytes(b"password=hunter2")
    (place / "stack-2.txt.4711-140002.part").write_bytes(b"half a du")
    ledger = part / "ledger.jsonl"
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + whole[:-20])
    repair_part(str(part))
    assert ledger.read_bytes() == whole
    assert [path.name for path in place.iterdir()] == ["stack-1.txt"]


def test_sealed_interrupted_run_states_the_interruption(run):
    part = Path(run.parts, "localhost-1")
    with (part / "ledger.jsonl").open("ab") as ledger:
        ledger.write(b'{"cluster": "c", "capt')
    mark_running(run, ended_process())
    sealed = seal_bundle(run.folder, [str(part)], [], {"id": run.id}, interrupted=True)
    assert [(entry.instance, entry.reason) for entry in sealed.rows] == [("region-1", "proven"), ("", "interrupted")]
    assert verify(sealed.archive).intact
    manifest = json.loads(Path(sealed.folder, "manifest.json").read_bytes())
    assert manifest["run"]["interrupted"] is True
    assert RUNNING not in [entry["path"] for entry in manifest["files"]]
    assert any("interrupted" in line for line in sealed.table)


def test_adds_no_second_interruption_row(run):
    part = Path(run.parts, "localhost-1")
    store = Store(str(part))
    store.record([row(Instance("c", "", ""), "access", verdict(Reason.INTERRUPTED, "by SIGTERM"))])
    sealed = seal_bundle(run.folder, [str(part)], [], {}, interrupted=True)
    assert [entry.reason for entry in sealed.rows] == ["proven", "interrupted"]


def test_removes_interrupted_run_without_captures(tmp_path):
    run = start_run(str(tmp_path), "run")
    empty = Path(run.parts, "localhost-1")
    Store(str(empty)).finish([])
    sealed = seal_bundle(run.folder, [str(empty)], [], {}, interrupted=True)
    assert (sealed.folder, sealed.archive) == ("", "")
    assert list(tmp_path.iterdir()) == []


# On another machine


def test_packs_only_parts_of_the_run(tmp_path):
    captured(tmp_path / "cloudpods-run-1-aaaa")
    Store(str(tmp_path / "cloudpods-run-1-empty"))
    captured(tmp_path / "cloudpods-run-1-packed")
    packed = pack_part(str(tmp_path / "cloudpods-run-1-packed"))
    (tmp_path / "cloudpods-run-1-bbbb.tar.gz").touch()  # the name of an archive that was not finished
    captured(tmp_path / "cloudpods-run-10-cccc")
    (tmp_path / "cloudpods-run-1-link").symlink_to(tmp_path / "cloudpods-run-10-cccc")
    assert pack_leftovers("run-1", str(tmp_path)) == [str(tmp_path / "cloudpods-run-1-aaaa.tar.gz"), packed]
    left = {path.name for path in tmp_path.iterdir()}
    assert {"cloudpods-run-10-cccc", "cloudpods-run-1-link"} < left
    assert not {"cloudpods-run-1-aaaa", "cloudpods-run-1-empty"} & left
    with tarfile.open(tmp_path / "cloudpods-run-1-aaaa.tar.gz") as archive:
        assert "part/ledger.jsonl" in archive.getnames()


def test_refuses_to_pack_a_running_capture(tmp_path):
    part = captured(tmp_path / "cloudpods-run-1-aaaa")
    with lock_part(str(part)), pytest.raises(ValueError, match=f"is still running here, into {part}"):
        pack_leftovers("run-1", str(tmp_path), patience=0)
    assert pack_leftovers("run-1", str(tmp_path), patience=0)


@needs_root
def test_ignores_folders_of_other_users(tmp_path):
    part = captured(tmp_path / "cloudpods-run-1-aaaa")
    os.chown(part, 12345, 12345)
    assert pack_leftovers("run-1", str(tmp_path), patience=0) == []
    assert part.is_dir()


@pytest.mark.parametrize("name", ["", "../x", "*"])
def test_refuses_invalid_run_id(tmp_path, name):
    with pytest.raises(ValueError, match="is not the name of a run"):
        pack_leftovers(name, str(tmp_path))
