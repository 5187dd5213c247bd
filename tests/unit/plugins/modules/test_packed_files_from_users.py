# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encoded, compressed and archived files from users, read by stack_analysis and profile_analysis."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.analysis import analyse
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.modules import profile_analysis, stack_analysis

from workspace import ROOT

FILES = ROOT / "tests" / "unit" / "fixtures" / "people-packed"
UTILS = Path(__file__).parents[1] / "module_utils"
sys.path[:0] = [str(UTILS / "inputs"), str(UTILS / "profiles")]

from packing import ARCHIVES, COMPRESSIONS, ENCODINGS, INNER, tar, zipped  # noqa: E402
from pprofs import CPU, packed, profile  # noqa: E402

PLAIN = (FILES / "plain-debug1.txt").read_bytes()
STACKS = [((90, 900_000_000), ("main.hash", "main.main")), ((10, 100_000_000), ("main.sort", "main.main"))]


def stacks(*paths: object, **options: object) -> dict:
    defaults = {name: option.get("default") for name, option in stack_analysis.ARGUMENTS.items()}
    return stack_analysis.run({**defaults, "paths": [str(path) for path in paths], **options})


def profiles(*paths: object, **options: object) -> dict:
    defaults = {name: option.get("default") for name, option in profile_analysis.ARGUMENTS.items()}
    params = {**defaults, "paths": [str(path) for path in paths], **options}
    return analyse(profile_analysis.request(params, check_mode=False))


def dumps(result: dict) -> list[dict]:
    """Return the dumps without their paths."""
    return [{key: value for key, value in dump.items() if key != "path"} for dump in result["dumps"]]


@pytest.fixture
def send(tmp_path):
    def send(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return send


@pytest.fixture(scope="module")
def expected() -> list[dict]:
    return dumps(stacks(FILES / "plain-debug1.txt"))


# Dumps


@pytest.mark.parametrize(
    ("name", "form", "goroutines", "complete"),
    [
        ("utf16-debug1.bin", "debug1", 69, "true"),
        ("bom-debug2.bin", "debug2", 4, "unknown"),
        ("packed-debug1.log.gz", "debug1", 69, "true"),
    ],
)
def test_reads_dumps_from_users(name, form, goroutines, complete):
    found = stacks(FILES / name)
    assert [(dump["form"], dump["goroutines"]) for dump in found["dumps"]] == [(form, goroutines)]
    assert (found["complete"], found["errors"]) == (complete, [])
    assert [file["path"] for file in found["files"]] == [str(FILES / name)]
    plain = stacks(FILES / f"plain-{form}.txt")
    assert dumps(found) == dumps(plain)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("compression", ["none", *COMPRESSIONS])
def test_dump_is_the_same_in_every_encoding_and_compression(send, expected, encoding, compression):
    path = send("region.log", COMPRESSIONS.get(compression, bytes)(ENCODINGS[encoding](PLAIN)))
    found = stacks(path)
    assert (dumps(found), found["complete"], found["errors"]) == (expected, "true", [])
    assert [file["path"] for file in found["files"]] == [str(path)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("archive", ARCHIVES)
def test_dump_is_the_same_in_every_archive(send, expected, archive, encoding):
    files = {"notes/readme.md": b"nothing here\n", "logs/region.log": ENCODINGS[encoding](PLAIN), "logs/empty": b""}
    path = send("sent", ARCHIVES[archive](files))
    found = stacks(path)
    inside = f"{path}!{INNER.get(archive, '')}"
    assert [file["path"] for file in found["files"]] == [f"{inside}{name}" for name in files]
    assert [dump["path"] for dump in found["dumps"]] == [f"{inside}logs/region.log"]
    assert (dumps(found), found["complete"]) == (expected, "true")
    # As in a folder, a member need not contain a dump, but a missing dump is reported.
    assert {error["message"] for error in found["errors"]} == {"no goroutines were found"}


def test_detects_forms_by_content_not_by_name(send, expected):
    for name, data in (("x.tar.gz", PLAIN), ("x.txt", tar({"a": PLAIN})), ("x.zip", gzip.compress(PLAIN))):
        assert dumps(stacks(send(name, data))) == expected


def test_patterns_select_members_and_archives(send, tmp_path):
    inner = tar({"run/stack-1.txt": PLAIN, "run/other.log": PLAIN}, "w:gz")
    send("one.tar.gz", inner)
    send("two.zip", zipped({"one.tar.gz": inner, "stack-2.txt": PLAIN}))
    found = stacks(tmp_path, patterns=["stack-*.txt", "*.zip"])
    assert [file["path"] for file in found["files"]] == [f"{tmp_path}/two.zip!stack-2.txt"]
    found = stacks(tmp_path, patterns=["stack-*.txt", "*.zip", "*.tar.gz"])
    assert [file["path"][len(str(tmp_path)) :] for file in found["files"]] == [
        "/one.tar.gz!run/stack-1.txt", "/two.zip!one.tar.gz!run/stack-1.txt", "/two.zip!stack-2.txt",
    ]  # fmt: skip
    (error,) = stacks(tmp_path / "one.tar.gz", patterns=["*.none"])["errors"]
    assert error["message"] == "no file in this archive matches a pattern"


@pytest.fixture
def bundle(tmp_path):
    """Seal a bundle with a dump and a profile."""
    store = Store(str(tmp_path / "part"))
    instance = Instance(cluster="c", component="region", name="a")
    rows = []
    for name, capture, data in (
        ("stack-1.txt", "stack", PLAIN),
        ("cpu.pb.gz", "profile:cpu", packed(CPU, STACKS)),
    ):
        artifact = store.keep(["c", "region", "a"], name, data)
        rows.append(row(instance, capture, verdict(Reason.RECORDED), artifact=artifact))
    store.finish(rows)
    return seal_bundle(str(tmp_path / "run"), [store.root], [], {"id": "run"})


@pytest.mark.parametrize("form", ["folder", "archive", "archive in a zip"])
def test_reads_own_bundles(send, bundle, expected, form, tmp_path):
    path = {
        "folder": bundle.folder,
        "archive": bundle.archive,
        "archive in a zip": send("sent.zip", zipped({"run.tar.gz": Path(bundle.archive).read_bytes()})),
    }[form]
    found = stacks(path, patterns=["stack-*.txt", "*.tar.gz"])
    assert (dumps(found), found["complete"], found["errors"]) == (expected, "true", [])
    read = profiles(path, output=str(tmp_path / "out"))
    assert [(one["component"], one["instance"], one["kind"], one["top_function"]) for one in read["profiles"]] == [
        ("region", "a", "cpu", "main.hash")
    ]
    assert read["errors"] == []
    assert [one.relative_to(tmp_path / "out").parts[1:] for one in (tmp_path / "out").rglob("cpu.top.txt")] == [
        ("c", "region", "a", "cpu.top.txt")
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (packed(CPU, STACKS), "it is a profile of pprof (protobuf): module profile_analysis reads it"),
        (profile(CPU, STACKS), "it is a profile of pprof (protobuf): module profile_analysis reads it"),
        ((FILES / "goroutineleak.pb.gz").read_bytes(), "module profile_analysis reads it"),
        (b"heap profile: 1: 2 [3: 4] @ heap/1048576\n", "it is a heap profile as text (debug=1)"),
        (b"go 1.22 trace\0\0\0\x01", "it is an execution trace: go tool trace shows it"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it is a picture: send the text itself"),
        (b"<!DOCTYPE html><title>Login</title>", "it is a page of HTML"),
        (("\u4e2d\u6587" * 20 + " ok\n" * 3).encode("utf-16-le"), "UTF-16 without a byte order mark"),
    ],
)
def test_names_files_without_a_dump(send, data, words):
    found = stacks(send("x", data))
    assert (found["complete"], found["dumps"]) == ("false", [])
    (error,) = found["errors"]
    assert error["message"].startswith("no goroutines were found: it is ")
    assert words in error["message"]


# Profiles


@pytest.mark.parametrize(
    ("name", "kind", "reason", "top"),
    [
        ("goroutineleak.pb.gz", "goroutineleak", "profile_whole", "main.worker"),
        ("two-gzip-members.pb.gz", "cpu", "profile_whole", "main.computeSum"),
        ("cpu.pb", "cpu", "profile_unproven", "main.computeSum"),
    ],
)
def test_reads_profiles_from_users(name, kind, reason, top):
    found = profiles(FILES / name)
    (one,) = found["profiles"]
    assert (one["kind"], one["reason"], one["top_function"], found["errors"]) == (kind, reason, top, [])
    assert one["status"] == ("complete" if reason == "profile_whole" else "partial")
    assert one["top"]["functions"]
    assert "take it again" not in one["message"]


def test_two_gzip_members_give_the_table_of_one(send):
    whole = gzip.decompress((FILES / "two-gzip-members.pb.gz").read_bytes())
    (two,) = profiles(FILES / "two-gzip-members.pb.gz")["profiles"]
    (one,) = profiles(send("cpu.pb.gz", gzip.compress(whole)))["profiles"]
    assert (one["top"], one["load"], one["reason"]) == (two["top"], two["load"], two["reason"])


@pytest.mark.parametrize("archive", ARCHIVES)
def test_profile_is_the_same_in_every_archive(send, tmp_path, archive):
    data = packed(CPU, STACKS)
    (alone,) = profiles(send("cpu.pb.gz", data))["profiles"]
    path = send(
        "sent.zip", ARCHIVES[archive]({"readme": b"x", "a/cpu.pb.gz": data, "raw/cpu.pb": gzip.decompress(data)})
    )
    found = profiles(path, patterns=["*.pb*", "inner.*"], output=str(tmp_path / "out"))
    inside = f"{path}!{INNER.get(archive, '')}"
    assert [one["path"] for one in found["profiles"]] == [f"{inside}a/cpu.pb.gz", f"{inside}raw/cpu.pb"]
    packed_one, raw = found["profiles"]
    assert (packed_one["top"], packed_one["reason"]) == (alone["top"], "profile_whole")
    assert raw["top"] == alone["top"]
    # Only the gzip layer of a member proves that the profile is complete.
    assert raw["reason"] == ("profile_whole" if archive == "gzip in a tar" else "profile_unproven")
    assert found["errors"] == []
    assert all(os.path.exists(name) for one in found["profiles"] for name in one["files"])


def test_reads_archives_in_folders(send, tmp_path):
    send("sent.tar.gz", tar({"cpu.pb.gz": packed(CPU, STACKS)}, "w:gz"))
    send("sent.zip", zipped({"cpu.pb.gz": packed(CPU, STACKS)}))
    found = profiles(tmp_path)
    assert [one["path"][len(str(tmp_path)) :] for one in found["profiles"]] == [
        "/sent.tar.gz!cpu.pb.gz", "/sent.zip!cpu.pb.gz",
    ]  # fmt: skip


def test_writes_no_reports_into_archives(send, tmp_path):
    sent = send("sent.zip", zipped({"cpu.pb.gz": packed(CPU, STACKS)}))
    before = sent.read_bytes()
    found = profiles(tmp_path, in_place=True)
    assert [(error["path"], "output folder" in error["message"]) for error in found["errors"]] == [
        (f"{sent}!cpu.pb.gz", True)
    ]
    (refused,) = profiles(sent, in_place=True)["errors"]
    assert "set an output folder" in refused["message"]
    assert sent.read_bytes() == before
    assert os.listdir(tmp_path) == ["sent.zip"]


@pytest.mark.parametrize("form", ["zip", "tar.xz"])
def test_finds_the_base_in_any_archive(send, form):
    now = send("now.zip", zipped({"c/region/a/cpu.pb.gz": packed(CPU, STACKS)}))
    base = send("base", ARCHIVES[form]({"top/c/region/b/cpu.pb.gz": packed(CPU, STACKS[1:])}))
    (one,) = profiles(now, base=str(base))["profiles"]
    assert one["diff"]["total"] == 100_000_000
    raw = send("base.pb.bz2", COMPRESSIONS["bzip2"](profile(CPU, STACKS[1:])))
    assert profiles(now, base=str(raw))["profiles"][0]["diff"]["total"] == 100_000_000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (PLAIN, "it is goroutines as text (debug=1): module stack_analysis reads it"),
        ((FILES / "plain-debug2.txt").read_bytes(), "it is goroutines as text: module stack_analysis reads it"),
        (b"goroutineleak profile: total 1\n", "module stack_analysis reads it"),
        (
            b"heap profile: 1: 2 [3: 4] @ heap/1048576\n",
            "a heap profile as text (debug=1): request it without debug",
        ),
        (b"threadcreate profile: total 9\n", "a threadcreate profile as text"),
        (b"--- contention:\ncycles/second=1\n", "a block profile as text"),
        (b"--- mutex:\ncycles/second=1\n", "a mutex profile as text"),
        (b"go 1.22 trace\0\0\0\x01", "an execution trace"),
        (b"\n<html><body>404</body></html>", "a page of HTML"),
    ],
)
@pytest.mark.parametrize("wrap", [bytes, gzip.compress, lambda data: tar({"heap.pb.gz": data})])
def test_names_files_that_are_no_profile(send, data, words, wrap):
    found = profiles(send("heap.pb.gz", wrap(data)))
    assert found["profiles"] == []
    (error,) = found["errors"]
    assert error["message"].startswith("it is ")
    assert words in error["message"]


def test_file_that_is_no_profile_gets_a_verdict_if_the_ledger_has_its_row(tmp_path):
    store = Store(str(tmp_path / "part"))
    artifact = store.keep(["c", "region", "a"], "heap.pb.gz", b"<html>404</html>")
    instance = Instance(cluster="c", component="region", name="a")
    store.finish([row(instance, "profile:heap", verdict(Reason.NOT_READ_HERE), artifact=artifact)])
    found = profiles(tmp_path / "part")
    assert [(one["reason"], "a page of HTML" in one["message"]) for one in found["profiles"]] == [("profile_bad", True)]


# What cannot be read


@pytest.mark.parametrize("read", [stacks, profiles])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"7z\xbc\xaf\x27\x1c\0\4", "packed with 7z"),
        (b"Rar!\x1a\x07\x01\0", "packed with RAR"),
        (b"\x04\x22\x4d\x18" + bytes(20), "packed with lz4"),
    ],
)
def test_names_unreadable_forms(send, read, data, words):
    found = read(send("x", data))
    (error,) = found["errors"]
    assert words in error["message"]


def encrypted(files: dict[str, bytes], method: int = 0, flags: int = 1) -> bytes:
    """Return a zip whose first member is marked as encrypted, or as compressed by another method."""
    data = bytearray(zipped(files, zipfile.ZIP_STORED))
    data[6] |= flags
    data[8:10] = method.to_bytes(2, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("method", "flags", "words"),
    [(0, 1, "it is encrypted"), (9, 0, "compressed with deflate64"), (98, 0, "ppmd"), (77, 0, "method 77")],
)
def test_unreadable_member_leaves_the_others(send, expected, method, flags, words):
    found = stacks(send("x.zip", encrypted({"a": PLAIN, "b": PLAIN}, method, flags)))
    assert [error["path"].rpartition("!")[2] for error in found["errors"]] == ["a"]
    assert words in found["errors"][0]["message"]
    assert dumps(found) == expected
    assert found["complete"] == "false"


def test_ignores_links_and_devices_in_archives(send, tmp_path):
    outside = send("outside.txt", PLAIN)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, kind in (
            ("a", tarfile.SYMTYPE),
            ("b", tarfile.LNKTYPE),
            ("c", tarfile.CHRTYPE),
            ("d", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(outside)
            archive.addfile(member)
        for name in ("../../up.txt", f"{tmp_path}/absolute.txt"):
            member = tarfile.TarInfo(name)
            member.size = len(PLAIN)
            archive.addfile(member, io.BytesIO(PLAIN))
    before = sorted(os.listdir(tmp_path))
    found = stacks(send("x.tar", made.getvalue()))
    assert [dump["path"].partition("!")[2] for dump in found["dumps"]] == ["../../up.txt", f"{tmp_path}/absolute.txt"]
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "x.tar"])


def test_reports_of_hostile_names_stay_in_the_output_folder(send, tmp_path):
    names = ["../../up.pb.gz", "/abs/cpu.pb.gz", "a/../../../b.pb.gz", "x!y/..!/cpu.pb.gz"]
    path = send("x.zip", zipped(dict.fromkeys(names, packed(CPU, STACKS))))
    out = tmp_path / "deep" / "out"
    found = profiles(path, output=str(out))
    written = [Path(name).resolve() for one in found["profiles"] for name in one["files"]]
    assert len(written) == 5 * len(names)
    assert all(name.is_relative_to(out / "x") for name in written)
    assert all(stat.S_IMODE(name.stat().st_mode) == 0o600 for name in written)
