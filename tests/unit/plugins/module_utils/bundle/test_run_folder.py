# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a run: which ids and places are refused before anything is captured."""

from __future__ import annotations

import datetime
import os
from types import SimpleNamespace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle import place
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.run_folder import new_id, start_run

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
def test_takes_plain_names(tmp_path, name):
    assert start_run(str(tmp_path), name).id == name


def test_its_own_ids_are_plain_names(tmp_path):
    made = new_id(datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc))
    assert made.startswith("20260102T030405Z-")
    start_run(str(tmp_path), made)


@pytest.mark.parametrize("check_mode", [False, True])
def test_refuses_the_id_of_another_bundle_and_names_a_free_one(tmp_path, check_mode):
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2.tar.gz").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"never overwritten: take another id, for example run-3$"):
        start_run(str(tmp_path), "run", check_mode)


def test_refuses_a_place_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is not a folder"):
        start_run(str(tmp_path / "file" / "below"), "run")


def test_refuses_a_folder_that_everybody_can_write_to(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(ValueError, match="everybody can write"):
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
    monkeypatch.setattr(place.os, "statvfs", lambda _path: SimpleNamespace(f_bavail=10, f_frsize=1 << 20))
    with pytest.raises(ValueError, match="10 MiB of room left"):
        start_run(str(tmp_path), "run")
