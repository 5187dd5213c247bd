# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files made to cost time, memory or disk: usage is bounded by their size, and nothing is written."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import os
import random
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs import inputs
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.inputs import open_inputs
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.streams import InputLimits
from hypothesis import given, settings
from hypothesis import strategies as st
from packing import ARCHIVES, COMPRESSIONS, tar, zipped, zipped_to_pipe

from fuzzing import examples
from workspace import ROOT

MIB = 1 << 20
SMALL = InputLimits(free=8 * MIB, ratio=10, members=100)
# Processor time in seconds that a file of some kilobytes may take on a busy machine.
SECONDS = 10
READER = """
import json, re, sys
sys.path.insert(0, sys.argv[1])
from module_utils.inputs.inputs import open_inputs
found = []
for one in open_inputs([sys.argv[2]]):
    content = None if one.problem else one.open()
    size = len(content.read(int(sys.argv[3]))) if content else 0
    found.append([one.inner_path, size, one.problem or content.problem])
    if len(found) > 100000: break
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1)) * 1024
print(json.dumps([found[-3:], len(found), peak]))
"""


def read(path: str, limits: InputLimits = SMALL, size: int = MIB) -> list[tuple[str, int, str]]:
    found = []
    for one in open_inputs([path], limits=limits):
        content = None if one.problem else one.open()
        found.append((one.inner_path, len(content.read(size)) if content else 0, one.problem or content.problem))
    return found


def read_apart(path: str, size: int) -> tuple[list, int, int]:
    """Read in a separate process with the default limits; return the last three inputs, their number, peak bytes."""
    command = [sys.executable, "-c", READER, str(ROOT / "plugins"), path, str(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    last, count, peak = json.loads(done.stdout)
    return last, count, peak


def header(name: str, size: int, kind: bytes = b"0") -> bytes:
    """Return a tar header with any size."""
    block = bytearray(512)
    block[: len(name)] = name.encode()
    block[124:136] = b"%011o\0" % size if size < 8 << 30 else b"\x80" + size.to_bytes(11, "big")
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


ZEROS = bytes(32 * MIB)
BOMBS = {
    "gzip": lambda: gzip.compress(ZEROS),
    "bzip2": lambda: bz2.compress(ZEROS),
    "xz": lambda: lzma.compress(ZEROS),
    "zlib": lambda: zlib.compress(ZEROS),
    "gzip of gzip": lambda: gzip.compress(gzip.compress(ZEROS)),
    "tar.gz": lambda: tar({"a": ZEROS}, "w:gz"),
    "zip": lambda: zipped({"a": ZEROS}),
    "zip to a pipe": lambda: zipped_to_pipe({"a": ZEROS}),
    "zip of many": lambda: zipped({str(number): bytes(MIB) for number in range(32)}),
    "zip of a zip of many": lambda: zipped({"a.zip": zipped({str(number): bytes(MIB) for number in range(32)})}),
    "tar of gzip": lambda: tar({str(number): gzip.compress(bytes(MIB)) for number in range(32)}),
}


@functools.cache
def bomb(name: str) -> bytes:
    return BOMBS[name]()


@pytest.mark.parametrize("name", BOMBS)
def test_unpacks_bomb_to_the_limit(send, name):
    """The caller requests all of it."""
    began = time.process_time()
    found = read(send(bomb(name)), size=1 << 40)
    assert time.process_time() - began < SECONDS
    assert sum(size for _place, size, _problem in found) < 24 * MIB
    assert "and no more was read" in found[-1][2]


def test_large_content_takes_little_memory(tmp_path):
    (tmp_path / "plain").write_bytes(b"x")
    _last, _count, empty = read_apart(str(tmp_path / "plain"), 10)
    for name in ("gzip", "xz", "bzip2", "tar.gz", "zip"):
        (tmp_path / "bomb").write_bytes(bomb(name))
        _last, _count, peak = read_apart(str(tmp_path / "bomb"), 1 << 40)
        assert peak - empty < 2.5 * len(ZEROS), name
        _last, _count, peak = read_apart(str(tmp_path / "bomb"), 10)
        assert peak - empty < 24 * MIB, name


@pytest.mark.parametrize("archive", ["tar", "tar.gz", "zip", "zip to a pipe"])
def test_stops_at_the_limit_of_entries(send, archive):
    found = read(send(ARCHIVES[archive]({str(number): b"" for number in range(500)})))
    assert len(found) == SMALL.members + 1
    assert "more than 100 entries" in found[-1][2]


def test_counts_folders_and_headers_as_entries(send):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for number in range(500):
            member = tarfile.TarInfo(str(number))
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
    assert "more than 100 entries" in read(send(made.getvalue()))[-1][2]
    assert "more than 100 entries" in read(send(b"".join(gzip.compress(b"") for _each in range(500))))[-1][2]


def test_default_limit_of_entries_takes_little_time(tmp_path):
    (tmp_path / "bomb").write_bytes(gzip.compress(header("a", 0) * 60_000, 1))
    began = time.monotonic()
    last, count, peak = read_apart(str(tmp_path / "bomb"), MIB)
    assert time.monotonic() - began < 3 * SECONDS
    assert "more than 50000 entries" in last[-1][2]
    assert count == 50_001
    assert peak < 128 * MIB


def nested(pack, data: bytes, times: int) -> bytes:
    for _time in range(times):
        data = pack(data)
    return data


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: tar({"a": data}), lambda data: zipped({"a": data})])
def test_limits_nesting_of_archives(send, pack):
    depth = inputs.LIMITS.depth
    assert [problem for _place, _size, problem in read(send(nested(pack, b"text", depth)))] == [""]
    (found,) = read(send(nested(pack, b"text", depth + 1)))
    assert f"packed more than {depth} times" in found[2]


def test_stops_at_file_that_unpacks_to_itself(send):
    """Like r.gz by Russ Cox: the same file, nested many times."""
    data = nested(gzip.compress, b"text", 400)
    began = time.process_time()
    (found,) = read(send(data))
    assert "packed more than" in found[2]
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K", b"S", b"0", b"5", b"1"])
@pytest.mark.parametrize("size", [0, 1, 2 * MIB, 7 << 30, 1 << 62, (1 << 88) - 1])
def test_stated_tar_sizes_take_no_memory(send, kind, size):
    began = time.process_time()
    found = read(send(header("a", size, kind) + header("b", 5) + b"hello" + bytes(507) + bytes(1024)))
    assert time.process_time() - began < 1
    assert found
    assert all(length <= 5 or problem for _place, length, problem in found)


@pytest.mark.parametrize(
    "records",
    [
        b"99999999999999999999 path=x\n",
        b"5 a=\n" * 1000,
        b"0 \n",
        b"-1 path=a\n",
        b"\xff" * 99,
        b"30 size=99999999999999999999999\n",
        b"16 size=-5000000\n",
        b"11 size=x\n\n",
    ],
)
def test_pax_records_are_untrusted(send, records):
    data = header("p", len(records), b"x") + records + bytes(-len(records) % 512)
    found = read(send(data + header("b", 5) + b"hello" + bytes(507) + bytes(1024)))
    assert found[0] == ("b", 5, "") or found[0][2]


def test_rejects_negative_number(send):
    block = bytearray(header("a", 5))
    block[124:136] = b"\xff" * 12
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    ((_place, _size, problem),) = read(send(bytes(block) + bytes(1024)))
    assert "a size is no number" in problem


@pytest.mark.parametrize("packed", [0, 5, 1 << 31, 0xFFFFFFFF])
@pytest.mark.parametrize("method", [0, 8, 12, 14, 95])
@pytest.mark.parametrize("flags", [0, 1, 8, 9, 0x41])
def test_stated_zip_sizes_take_no_memory(send, packed, method, flags):
    head = struct.pack("<4sHHHHHLLLHH", b"PK\3\4", 20, flags, method, 0, 0, 0, packed, packed, 1, 0) + b"a"
    began = time.process_time()
    found = read(send(head + b"hello" * 10))
    assert time.process_time() - began < 1
    assert found[-1][2]


def test_rejects_lzma_with_large_dictionary(send):
    properties = b"\x09\x14\x05\x00\x5d" + b"\xff" * 4
    head = struct.pack("<4sHHHHHLLLHH", b"PK\3\4", 20, 0, 14, 0, 0, 0, len(properties) + 9, 9, 1, 0) + b"a"
    found = read(send(head + properties + bytes(9)))
    assert "bytes of memory" in found[0][2]
    alone = b"\x5d\x00\x00\x00\x80" + b"\xff" * 8 + bytes(64)
    _last, _count, peak = read_apart(send(alone), MIB)
    assert peak < 128 * MIB


def test_reads_overlapping_members_once(send):
    """A zip by David Fifield: many entries of its directory share one content."""
    kernel = zipped({"a": bytes(4 * MIB)})
    directory = kernel[kernel.index(b"PK\1\2") : kernel.index(b"PK\5\6")]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 500, 500, 500 * len(directory), kernel.index(b"PK\1\2"), 0)
    found = read(send(kernel[: kernel.index(b"PK\1\2")] + directory * 500 + end), size=1 << 40)
    assert [(place, size) for place, size, _problem in found] == [("a", 4 * MIB), ("", 0)]
    assert "does not list the 1 files" in found[1][2]


def test_counts_false_descriptor_signatures(send):
    path = send(zipped_to_pipe({"a": b"x" + b"PK\7\x08" * 80_000}, zipfile.ZIP_STORED))
    began = time.process_time()
    found = read(path, inputs.LIMITS, size=1 << 40)
    assert time.process_time() - began < SECONDS
    assert "more than 50000 entries" in found[0][2]


GOOD = [pack({"a": b"text\n" * 99, "b.gz": gzip.compress(b"text")}) for pack in ARCHIVES.values()] + [
    pack(b"text\n" * 99) for pack in COMPRESSIONS.values()
]


@settings(max_examples=examples(300))
@given(st.data())
def test_any_damage_gives_inputs_or_problems(tmp_path_factory, data):
    good = bytearray(data.draw(st.sampled_from(GOOD)))
    for _accident in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(good)))
        end = data.draw(st.integers(place, min(len(good), place + 64)))
        good[place:end] = data.draw(st.binary(max_size=8) | st.just(bytes(good[place:end] * 2)))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(good))
    assert read(str(path))


def test_writes_no_files(send, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = send(zipped({"a.tar.gz": tar({"../../x": b"y", "/abs": b"z"}, "w:gz"), "b": os.urandom(MIB)}))
    before = {str(one): one.stat().st_mtime_ns for one in tmp_path.rglob("*")}
    read(path)
    assert {str(one): one.stat().st_mtime_ns for one in tmp_path.rglob("*")} == before


def test_closes_files(send):
    paths = [send(zipped({"a": b"x" * 99}))] * 50
    before = len(os.listdir("/proc/self/fd"))
    for one in open_inputs(paths):
        assert len(os.listdir("/proc/self/fd")) <= before + 2
        assert one.open().read(5) == b"xxxxx"
    assert len(os.listdir("/proc/self/fd")) == before


def test_noise_is_no_archive(send):
    noise = random.Random(3)
    for _each in range(200):
        data = noise.randbytes(600)
        assert [size for _place, size, _problem in read(send(data))] == [600]
