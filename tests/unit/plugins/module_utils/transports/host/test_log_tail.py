# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading logs back from their end, out of every kind of file."""

from __future__ import annotations

import datetime
import json
import os
import time

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.log_files import (
    ContainerLog,
    LogFiles,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.log_tail import read_tail
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs

from patience import patience

UTC = datetime.timezone.utc
PLENTY = 1 << 20


class PlainFile(LogFiles):
    """A file that is somebody's standard error."""

    def __init__(self, path):
        self.path = path

    def open_current(self):
        return os.open(self.path, os.O_RDONLY)

    def following(self, descriptor):
        raise AssertionError(f"it is not followed: {descriptor}")

    def has_ended(self):
        raise AssertionError("it is not followed")


def container_log(path):
    return ContainerLog(ProcFs(), Process(pid=1, start_time=1), str(path))


def back(files, seconds=600, max_bytes=PLENTY):
    return read_tail(files, time.time() - seconds, Deadline(patience(), "test"), max_bytes)


def ago(seconds):
    return datetime.datetime.fromtimestamp(time.time() - seconds, UTC)


def cri(seconds, text, stream="stderr", tag="F"):
    return f"{ago(seconds):%Y-%m-%dT%H:%M:%S}.123456789Z {stream} {tag} {text}\n"


def docker(seconds, text):
    record = {"log": text + "\n", "stream": "stderr", "time": f"{ago(seconds):%Y-%m-%dT%H:%M:%S}.123456789Z"}
    return json.dumps(record, separators=(",", ":")) + "\n"


def service(seconds, text, form="%Y-%m-%d %H:%M:%S", shift=0):
    return f"[info {ago(seconds - shift):{form}} main.f(main.go:1)] {text}\n"


@pytest.mark.parametrize("form", [cri, docker, service])
def test_leaves_out_old_lines(tmp_path, form):
    path = tmp_path / ("x-json.log" if form is docker else "0.log")
    path.write_text(form(5000, "old") + form(700, "older") + form(500, "new") + form(1, "newest"))
    files = PlainFile(path) if form is service else container_log(path)
    lines = back(files).decode().splitlines()
    assert [line.rsplit(" ", 1)[-1] for line in lines] == ["new", "newest"]


@pytest.mark.parametrize("shift", [8 * 3600, -5 * 3600, 19800])
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%y%m%d %H:%M:%S"])
def test_infers_time_zone_of_service(tmp_path, shift, form):
    path = tmp_path / "log"
    path.write_text(
        service(700, "old", form, shift) + service(500, "new", form, shift) + service(1, "end", form, shift)
    )
    assert [line.rsplit(b" ", 1)[-1] for line in back(PlainFile(path)).splitlines()] == [b"new", b"end"]


def test_lines_without_time_stay_with_previous_line(tmp_path):
    path = tmp_path / "log"
    stack = "goroutine 1 [running]:\nmain.f()\n\t/src/main.go:1 +0x1d\n"
    kept = service(500, "Send error") + stack + service(1, "end")
    path.write_text(service(700, "old") + kept)
    assert back(PlainFile(path)) == kept.encode()


def test_reads_file_without_times_up_to_size(tmp_path):
    path = tmp_path / "log"
    path.write_text("no date here\n" * 100)
    assert back(PlainFile(path)) == b"no date here\n" * 100


def test_reads_both_streams(tmp_path):
    path = tmp_path / "0.log"
    path.write_text(cri(2, "to stdout", "stdout") + cri(1, "a par", tag="P") + cri(1, "t"))
    assert back(container_log(path)) == b"to stdout\na part\n"


def test_reads_rotated_files_as_needed(tmp_path):
    path = tmp_path / "0.log"
    rotated = [tmp_path / f"0.log.20260102-03040{number}" for number in range(3)]
    for number, (file, age) in enumerate(zip([*rotated, path], [5000, 500, 100, 5], strict=True)):
        file.write_text(cri(age, f"file {number}"))
        os.utime(file, (time.time() - age, time.time() - age))
    (tmp_path / "0.log.20260101-000000.gz").write_bytes(b"\x1f\x8b")
    assert back(container_log(path)) == b"file 1\nfile 2\nfile 3\n"
    assert back(container_log(path), seconds=50) == b"file 3\n"
    assert back(container_log(path), max_bytes=14) == b"file 2\nfile 3\n"


@pytest.mark.parametrize("wrapped", [True, False])
def test_reads_only_the_end_of_a_large_log(tmp_path, wrapped, monkeypatch):
    path = tmp_path / "0.log"
    line = cri(5, "x" * 99) if wrapped else service(5, "x" * 99)
    path.write_text(line * 200_000)
    read = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: read.append(args[1]) or pread(*args))
    files = container_log(path) if wrapped else PlainFile(path)
    text = back(files, max_bytes=100_000)
    assert 99_000 < len(text) <= 100_000
    assert len(set(text.splitlines())) == 1
    assert sum(read) <= 2 * 100_000 + (1 << 12) + 1


def test_empty_file(tmp_path):
    path = tmp_path / "0.log"
    path.write_text("")
    assert back(container_log(path)) == b""
    assert back(PlainFile(path)) == b""


def test_stops_at_deadline(tmp_path):
    path = tmp_path / "0.log"
    path.write_text(cri(1, "x"))
    with pytest.raises(DeadlineExceeded):
        read_tail(container_log(path), time.time() - 600, Deadline(0.0, "test"), PLENTY)
