# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merging of parts, hostile ones among them, within limits."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle import merge
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import MANIFEST
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import (
    seal_bundle,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import LEDGER
from bundle_parts import part


def hostile_part(path: Path, members) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


def link(name: str, target: str) -> tarfile.TarInfo:
    return special(name, tarfile.SYMTYPE, linkname=target)


def special(name: str, kind: bytes, **more) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for key, value in more.items():
        setattr(member, key, value)
    return member


@pytest.mark.parametrize(
    "members",
    [
        [(tarfile.TarInfo("part/../../evil"), b"x")],
        [(tarfile.TarInfo("part//abs"), b"x")],
        [(tarfile.TarInfo("part/.hidden"), b"x")],
        [(tarfile.TarInfo("part/manifest.json"), b"x")],
        [(tarfile.TarInfo("part/health.json"), b"x")],
        [(tarfile.TarInfo("part/issue.md"), b"x")],
        [(tarfile.TarInfo("part/" + "d/" * 1200 + "deep"), b"x")],
        [(tarfile.TarInfo("part/a/good"), b"x"), (tarfile.TarInfo("part/health.md"), b"x")],
        [(link("part/link", "/etc"), b"")],
        [
            (special("part/a/good", tarfile.REGTYPE), b"x"),
            (special("part/a/l", tarfile.LNKTYPE, linkname="part/a/good"), b""),
        ],
        [(special("part/a/fifo", tarfile.FIFOTYPE), b"")],
        [(special("part/a/device", tarfile.CHRTYPE, devmajor=1, devminor=5), b"")],
        [(special("part/a/disk", tarfile.BLKTYPE, devmajor=8), b"")],
        [(special("part/a/x", tarfile.REGTYPE, pax_headers={"path": "part/../../evil"}), b"x")],
        [(tarfile.TarInfo("part/a/new\nline"), b"x")],
        [(tarfile.TarInfo("part/a/\x1b[31m"), b"x")],
        [(tarfile.TarInfo("part/ledger.jsonl"), b'{"sequence": ' + b"9" * 5000 + b"}\n")],
        [(tarfile.TarInfo("part/twice"), b"x"), (tarfile.TarInfo("part/twice"), b"y")],
        [(tarfile.TarInfo("part/ledger.jsonl"), b"not json\n")],
        [(tarfile.TarInfo("part/ledger.jsonl"), b'{"unknown": 1}\n')],
    ],
)
def test_hostile_part_becomes_a_row(tmp_path, members):
    bad = hostile_part(tmp_path / "bad.tar.gz", members)
    good = part(tmp_path / "good", "a")
    result = seal_bundle(str(tmp_path / "out" / "run"), [bad, good], [], {})
    assert sorted(entry.reason for entry in result.rows) == ["error", "proven"]
    assert os.path.exists(bad)
    taken = {path.name for path in Path(result.folder).rglob("*") if path.is_file()}
    assert taken == {"stack-1.txt", "issue.md", LEDGER, MANIFEST}
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "out" / "evil").exists()


def test_ignores_modes_and_owners_of_a_part(tmp_path):
    """The first folder of each path is removed, so that even an absolute path ends inside the bundle."""
    tool = special("/a/tool", tarfile.REGTYPE, mode=0o6777, uid=0, uname="root")
    sealed = seal_bundle(str(tmp_path / "run"), [hostile_part(tmp_path / "bad.tar.gz", [(tool, b"x")])], [], {})
    assert Path(sealed.folder, "a", "tool").stat().st_mode & 0o7777 == 0o600


SMALL = merge.MergeLimits(bytes=1000, files=3, depth=4, ledger=100)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("part/a/1", 600), ("part/a/2", 401)], "exceeds the size limit"),
        ([(f"part/a/{number}", 1) for number in range(4)], "more than 3 files"),
        ([("part/a/b/c/d/e", 1)], "more than 4 deep"),
        ([("part/a/1", 1), ("part/ledger.jsonl", 101)], "larger than 100 bytes"),
    ],
)
def test_removes_files_of_a_part_over_the_limits(tmp_path, members, said):
    bad = hostile_part(tmp_path / "bad.tar.gz", [(tarfile.TarInfo(name), b"x" * size) for name, size in members])
    with pytest.raises(ValueError, match=said):
        merge.merge_part(str(tmp_path / "run"), bad, SMALL)
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert os.path.exists(bad)


def test_accepts_part_at_the_limits(tmp_path):
    members = [("part/a/b/c/1", 998), ("part/a/2", 1), ("part/a/3", 1)]
    good = hostile_part(tmp_path / "good.tar.gz", [(tarfile.TarInfo(name), b"x" * size) for name, size in members])
    assert merge.merge_part(str(tmp_path / "run"), good, SMALL) == []
    assert sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file()) == 1000


def test_refuses_sparse_file_of_a_terabyte(tmp_path):
    """An archive of 226 bytes could fill the disk."""
    source = tmp_path / "sparse"
    source.touch()
    os.truncate(source, 1 << 40)
    packed = tmp_path / "bad.tar.gz"
    subprocess.run(["tar", "-czSf", packed, "--transform=s,^,part/a/,", "-C", tmp_path, "sparse"], check=True)
    assert packed.stat().st_size < 1000
    with pytest.raises(ValueError, match="is not a regular file"):
        merge.merge_part(str(tmp_path / "run"), str(packed))


def test_only_reports_of_the_controller_are_at_the_top(tmp_path):
    (tmp_path / "findings").mkdir()
    (tmp_path / "findings" / "health.json").write_text("{}")
    evil = hostile_part(tmp_path / "evil.tar.gz", [(tarfile.TarInfo("part/health.json"), b"evil")])
    sealed = seal_bundle(str(tmp_path / "run"), [evil], [], {}, [str(tmp_path / "findings")])
    assert Path(sealed.folder, "health.json").read_text() == "{}"
    assert [entry.reason for entry in sealed.rows] == ["error"]
