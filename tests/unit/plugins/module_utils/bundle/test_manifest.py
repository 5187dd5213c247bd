# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifest of a bundle, and verification of damaged bundles."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import MANIFEST, verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import LEDGER


def repack(archive: str, change) -> None:
    with tarfile.open(archive) as source:
        content = {member.name: source.extractfile(member).read() for member in source}
    change(content)
    with tarfile.open(archive, "w:gz") as target:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))


def test_manifest_states_the_run(sealed):
    run = json.loads((Path(sealed.folder) / MANIFEST).read_text())["run"]
    assert (run["id"], run["scenario"], run["rows"], run["complete"], run["failed"]) == ("run-1", "deadlock", 3, 2, 1)


@pytest.mark.parametrize("shape", ["folder", "archive"])
def test_verification_names_each_damage(sealed, shape):
    if shape == "folder":
        bundle = sealed.folder
        (Path(bundle) / "a/region/pod-1/stack-1.txt").unlink()
        (Path(bundle) / "b/region/pod-1/stack-1.txt").write_bytes(b"goroutine profile: total 1\n")
        (Path(bundle) / "new.txt").write_text("x")
    else:
        bundle = sealed.archive

        def change(content):
            del content["run-1/a/region/pod-1/stack-1.txt"]
            content["run-1/b/region/pod-1/stack-1.txt"] = b"goroutine profile: total 1\n"
            content["run-1/new.txt"] = b"x"

        repack(bundle, change)
    found = verify(bundle)
    assert found.missing == ["a/region/pod-1/stack-1.txt"]
    assert found.changed == ["b/region/pod-1/stack-1.txt"]
    assert found.added == ["new.txt"]


def test_ledger_detects_a_file_changed_with_its_manifest(sealed):
    def change(content):
        name = "run-1/a/region/pod-1/stack-1.txt"
        content[name] = content[name].replace(b"0", b"9")
        manifest = json.loads(content["run-1/manifest.json"])
        entry = next(item for item in manifest["files"] if item["path"] == "a/region/pod-1/stack-1.txt")
        entry["sha256"] = hashlib.sha256(content[name]).hexdigest()
        content["run-1/manifest.json"] = json.dumps(manifest).encode()

    repack(sealed.archive, change)
    found = verify(sealed.archive)
    assert (found.missing, found.added, found.changed) == ([], [], [])
    assert len(found.problems) == 1
    assert "ledger.jsonl" in found.problems[0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"not a bundle",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-20],
        lambda data: data[:100] + bytes([data[100] ^ 0xFF]) + data[101:],
    ],
)
def test_reports_broken_archive(sealed, damage):
    path = Path(sealed.archive)
    path.write_bytes(damage(path.read_bytes()))
    assert not verify(str(path)).intact


def test_reports_missing_bundle(tmp_path):
    assert verify(str(tmp_path / "nothing.tar.gz")).problems


@pytest.mark.parametrize("name", [MANIFEST, LEDGER])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "5", '"a"', "null", "\ud800"])
def test_reports_malformed_manifest_or_ledger(sealed, name, text):
    Path(sealed.folder, name).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert not verify(sealed.folder).intact


@pytest.mark.parametrize("name", [MANIFEST, LEDGER])
def test_reports_oversized_manifest_or_ledger(sealed, name):
    Path(sealed.folder, name).write_bytes(b" " * 2001)
    assert verify(sealed.folder, most_kept=2000).problems == [
        f"the bundle cannot be read: ValueError: {name} is larger than 2000 bytes"
    ]


def test_does_not_wait_for_a_fifo(tmp_path):
    os.mkfifo(tmp_path / "bundle.tar.gz")
    assert verify(str(tmp_path / "bundle.tar.gz")).problems


def test_reports_link_in_folder(sealed):
    os.symlink("/etc/passwd", os.path.join(sealed.folder, "link"))
    assert "link" in verify(sealed.folder).problems[0]
