# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folder of a run: ids and places that are refused before the capture."""

from __future__ import annotations

import datetime
import json
import os
import shlex
from types import SimpleNamespace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle import folder_checks
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.run_folder import (
    RUNNING,
    location_line,
    new_run_id,
    remove_empty,
    seal_command,
    start_run,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


def modes(*paths: str) -> list[int]:
    return [os.stat(path).st_mode & 0o777 for path in paths]


def test_makes_private_folders(tmp_path):
    run = start_run(str(tmp_path / "new" / "bundles"), "incident-4711")
    assert run.folder == str(tmp_path / "new" / "bundles" / "incident-4711")
    assert modes(run.folder, run.parts, str(tmp_path / "new")) == [0o700] * 3


def test_makes_nothing_in_check_mode(tmp_path):
    run = start_run(str(tmp_path / "new"), "run", check_mode=True)
    assert run.folder == str(tmp_path / "new" / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["../../evil", "a/b", "/etc", "..", ".", "", ".hidden", "-rf", "a b", "a\n", "ä", "x" * 65, "a\x00b", "{{ 1 }}"],
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_refuses_what_is_no_plain_name(tmp_path, name, check_mode):
    with pytest.raises(ValueError, match="is not the name of a run"):
        start_run(str(tmp_path / "out"), name, check_mode)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "_", "run-1", "x" * 64, "2026.01.02"])
def test_accepts_plain_names(tmp_path, name):
    assert start_run(str(tmp_path), name).id == name


def test_generated_ids_are_valid(tmp_path):
    made = new_run_id(datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc))
    assert made.startswith("20260102T030405Z-")
    start_run(str(tmp_path), made)


@pytest.mark.parametrize("check_mode", [False, True])
def test_refuses_the_id_of_another_bundle_and_names_a_free_one(tmp_path, check_mode):
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2.tar.gz").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"never overwritten: choose another id, for example run-3$"):
        start_run(str(tmp_path), "run", check_mode)


def test_refuses_a_place_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is not a folder"):
        start_run(str(tmp_path / "file" / "below"), "run")


def test_refuses_a_folder_that_everybody_can_write_to(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(ValueError, match="any user can write"):
        start_run(str(tmp_path / "new"), "run")
    tmp_path.chmod(0o1777)
    start_run(str(tmp_path), "run")


@needs_root
def test_refuses_a_folder_of_another_user(tmp_path, monkeypatch):
    os.chown(tmp_path, 12345, -1)
    monkeypatch.delenv("SUDO_UID", raising=False)
    with pytest.raises(ValueError, match="belongs to another user"):
        start_run(str(tmp_path), "run")
    monkeypatch.setenv("SUDO_UID", "12345")
    start_run(str(tmp_path), "run")


def test_refuses_a_full_file_system(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_checks.os, "statvfs", lambda _path: SimpleNamespace(f_bavail=10, f_frsize=1 << 20))
    with pytest.raises(ValueError, match="10 MiB of free space"):
        start_run(str(tmp_path), "run")


def test_leaves_nothing_where_the_folder_cannot_be_made(tmp_path, monkeypatch):
    make = os.mkdir

    def fails(path, *mode, **more):
        if str(path).endswith("/parts"):
            raise OSError(28, "No space left on device")
        make(path, *mode, **more)

    monkeypatch.setattr(os, "mkdir", fails)
    with pytest.raises(OSError, match="No space left"):
        start_run(str(tmp_path / "out"), "run")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "theirs").mkdir()
    with pytest.raises(OSError, match="No space left"):
        start_run(str(tmp_path / "theirs"), "run")
    assert list((tmp_path / "theirs").iterdir()) == []


def test_removes_only_a_run_without_captures(tmp_path):
    run = start_run(str(tmp_path), "run")
    part = os.path.join(run.parts, "localhost-1", "c", "region")
    os.makedirs(part)
    for name in (f"{run.folder}/{RUNNING}", f"{run.parts}/localhost-1/ledger.jsonl"):
        open(name, "w").close()
    os.rename(f"{run.folder}/{RUNNING}", f"{run.folder}/kept")
    assert not remove_empty(run.folder)
    os.rename(f"{run.folder}/kept", f"{run.folder}/{RUNNING}")
    assert remove_empty(run.folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", ["/srv/bundles", "/srv/a b", "/srv/it's", '/x/"y"', "/x/{{ y }}", "/x/a=b"])
def test_seal_command_survives_shell_and_ansible(output):
    words = shlex.split(seal_command("run-1", output, ["my hosts.yml"]))
    assert words[:4] == ["ansible-playbook", "cloudpods.diagnostics.seal_bundle", "-i", "my hosts.yml"]
    given = {}
    for flag, value in zip(words[4::2], words[5::2], strict=True):
        assert flag == "-e"
        given.update(json.loads(value) if value.startswith("{") else [value.split("=", 1)])
    assert given == {"cloudpods_run_id": "run-1", "cloudpods_output": output}


def test_location_line_names_folder_and_command():
    line = location_line("/out/run-1", "run-1", "/out")
    assert line.startswith("Captures go to /out/run-1. ")
    assert line.endswith(seal_command("run-1", "/out"))
    line = location_line("/out/run-1", "run-1", "/out", remote=True, inventory=["hosts.yml"])
    assert "cloudpods-run-1-*" in line
    assert line.endswith(seal_command("run-1", "/out", ["hosts.yml"]))
    assert "\n" not in line
