# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts on a machine with other users: their names, modes and errors."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.part import finish_part, new_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import LEDGER


@pytest.fixture
def tmp(tmp_path, monkeypatch):
    """Provide the folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def others(folder: Path, names: list[str]) -> dict[str, os.stat_result]:
    """Create world-readable files of another user."""
    for name in names:
        (folder / name).write_text("")
        (folder / name).chmod(0o666)
    return {name: (folder / name).stat() for name in names}


def test_does_not_write_into_a_file_of_another_user(tmp):
    store = new_part(None, archive=True)
    store.finish([])
    name = os.path.basename(store.root)
    before = others(tmp, [f"{name}.tar.gz", f"{name}.tar.gz.part"])
    archive = Path(finish_part(store, None, archive=True)["archive"])
    assert (archive.stat().st_mode & 0o777, archive.stat().st_uid) == (0o600, os.geteuid())
    assert archive.stat().st_ino not in {status.st_ino for status in before.values()}
    assert {name: (tmp / name).stat().st_size for name in before} == dict.fromkeys(before, 0)
    assert sorted(path.name for path in tmp.iterdir()) == sorted([*before, archive.name])


@pytest.mark.usefixtures("tmp")
@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.gz.part"])
def test_packs_beside_a_folder_with_the_name_of_the_archive(suffix):
    """A folder of another user must not make a capture fail."""
    store = new_part(None, archive=True)
    store.finish([])
    Path(store.root + suffix).mkdir()
    assert Path(finish_part(store, None, archive=True)["archive"]).is_file()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_refuses_taken_name_before_the_capture(tmp_path, make):
    make(tmp_path / "part.tar.gz")
    with pytest.raises(ValueError, match="is there already"):
        new_part(str(tmp_path / "part"), archive=True)
    assert new_part(str(tmp_path / "part"), archive=False).root == str(tmp_path / "part")


def test_names_the_folder_if_packing_fails(tmp_path):
    store = new_part(str(tmp_path / "part"), archive=True)
    store.finish([])
    (tmp_path / "part.tar.gz").mkdir()
    with pytest.raises(OSError, match=f"the captures stay in {store.root}"):
        finish_part(store, str(tmp_path / "part"), archive=True)
    assert Path(store.root, LEDGER).is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part", "part.tar.gz"]
