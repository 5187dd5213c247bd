# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle import store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

INSTANCE = Instance(cluster="c", component="region", name="pod-1", namespace="onecloud")


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_files_are_private_whatever_the_umask(tmp_path):
    kept = store.Store(str(tmp_path / "a" / "b"))
    kept.keep(["cluster", "region", "pod"], "stack-1.txt", b"x")
    kept.record([row(INSTANCE, "stack", verdict(Reason.PROVEN))])
    os.umask(0o022)
    folders = [tmp_path / "a", *(p for p in (tmp_path / "a").rglob("*") if p.is_dir())]
    files = [p for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert {mode(folder) for folder in folders} == {0o700}
    assert {mode(file) for file in files} == {0o600}
    assert len(files) == 2


def test_artifact_has_size_and_digest_of_its_file(tmp_path):
    artifact = store.Store(str(tmp_path)).keep(["c", "r"], "f", b"data")
    on_disk = (tmp_path / artifact.path).read_bytes()
    assert (artifact.size, artifact.sha256) == (len(on_disk), hashlib.sha256(on_disk).hexdigest())


@pytest.mark.parametrize(
    "hostile", ["..", ".", "", "../../etc/passwd", "/etc", "a/b", ".hidden", "a\x00b", "a\nb", "é"]
)
def test_untrusted_names_stay_inside(tmp_path, hostile):
    artifact = store.Store(str(tmp_path / "root")).keep([hostile, hostile], hostile, b"x")
    written = (tmp_path / "root" / artifact.path).resolve()
    assert (tmp_path / "root").resolve() in written.parents
    assert artifact.path.count("/") == 2


def test_failed_write_leaves_no_file(tmp_path):
    target = tmp_path / "is-a-folder"
    target.mkdir()
    with pytest.raises(IsADirectoryError):
        store.write_file(str(target), b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["is-a-folder"]


def test_rows_reach_the_disk_at_once(tmp_path):
    kept = store.Store(str(tmp_path))
    rows = [row(INSTANCE, "stack", verdict(Reason.PROVEN), sequence=number) for number in range(1, 201)]
    threads = [threading.Thread(target=kept.record, args=([entry],)) for entry in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / store.LEDGER).read_text().splitlines()
    assert sorted(json.loads(line)["sequence"] for line in lines) == list(range(1, 201))


def test_refuses_writes_after_the_end(tmp_path):
    kept = store.Store(str(tmp_path))
    kept.finish([row(INSTANCE, "stack", verdict(Reason.PROVEN))])
    with pytest.raises(RuntimeError):
        kept.keep(["late"], "late", b"x")
    with pytest.raises(RuntimeError):
        kept.record([row(INSTANCE, "stack", verdict(Reason.PROVEN))])
    assert [p.name for p in tmp_path.iterdir()] == [store.LEDGER]


def test_kept_spool_is_private(tmp_path):
    kept = store.Store(str(tmp_path))
    with kept.spool(["c", "region", "pod"], "cpu.pb.gz") as spool:
        spool.write(b"first ")
        spool.write(b"second")
        assert (spool.content(), spool.size) == (b"first second", 12)
        (temporary,) = (tmp_path / "c" / "region" / "pod").iterdir()
        assert mode(temporary) == 0o600
        assert temporary.name != "cpu.pb.gz"
        spool.write(b"!")
        artifact = spool.keep()
    path = tmp_path / artifact.path
    assert path.read_bytes() == b"first second!"
    assert (artifact.size, artifact.sha256) == (13, hashlib.sha256(b"first second!").hexdigest())
    assert [each.name for each in path.parent.iterdir()] == ["cpu.pb.gz"]


def test_unkept_spool_is_removed(tmp_path):
    kept = store.Store(str(tmp_path))
    with kept.spool(["c"], "x") as spool:
        spool.write(b"first")
    kept.finish([])
    assert list((tmp_path / "c").iterdir()) == []


def test_refuses_spool_after_the_end(tmp_path):
    kept = store.Store(str(tmp_path))
    with kept.spool(["c"], "x") as spool:
        kept.finish([])
        with pytest.raises(RuntimeError, match="closed"):
            spool.keep()
    assert list((tmp_path / "c").iterdir()) == []
