# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following logs of real processes through everything that happens to log files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.log_files import (
    POLL_SECONDS,
    FilePosition,
    StderrFile,
    describe_sink,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs
from standins import await_arguments

from patience import DEFAULT_SECONDS, patience, wait_until

PROCFS = ProcFs()


class Writer:
    """A shell that does what it is told, with a file as its standard error."""

    def __init__(self, log, mode="ab"):
        with open(log, mode) as sink:
            self.shell = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, text=True)
        self.do(":")
        self.process = PROCFS.process(self.shell.pid)

    def do(self, command):
        """Returns when it is done."""
        self.shell.stdin.write(command + "\necho done\n")
        self.shell.stdin.flush()
        assert self.shell.stdout.readline() == "done\n"

    def say(self, text):
        self.do(f"echo '{text}' >&2")

    def end(self):
        self.shell.kill()
        self.shell.wait()
        self.shell.stdin.close()
        self.shell.stdout.close()


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"
    path.write_text("old\n")
    return path


@pytest.fixture
def writer(log):
    writer = Writer(log)
    yield writer
    writer.end()


@contextlib.contextmanager
def followed(files, seconds=DEFAULT_SECONDS):
    mark = FilePosition(files)
    stream = mark.follow(Deadline(seconds, "test"))
    try:
        yield stream
    finally:
        stream.close()
        mark.close()


def read(stream, size):
    """Exactly so many bytes: more is an error, fewer end with the deadline."""
    data = b""
    while len(data) < size:
        more = stream.read()
        assert more, f"ended after {data!r}"
        data += more
    return data


def expect(stream, text):
    assert read(stream, len(text)) == text


# The standard error of a process


def test_follows_from_the_end(writer):
    with followed(StderrFile(PROCFS, writer.process)) as stream:
        writer.say("new")
        expect(stream, b"new\n")
        assert stream.old_first_line is False


def test_position_can_be_followed_again(writer):
    mark = FilePosition(StderrFile(PROCFS, writer.process))
    writer.say("new")
    for _again in range(3):
        with mark.follow(Deadline(patience(), "test")) as stream:
            expect(stream, b"new\n")
    mark.close()
    mark.close()


def test_follows_renamed_file(writer, log):
    with followed(StderrFile(PROCFS, writer.process)) as stream:
        log.rename(log.with_name("log.1"))
        log.write_text("another one's\n")
        writer.say("new")
        expect(stream, b"new\n")


def test_follows_deleted_file(writer, log):
    log.unlink()
    with followed(StderrFile(PROCFS, writer.process)) as stream:
        writer.say("new")
        expect(stream, b"new\n")


def test_follows_newly_opened_stderr(writer, log):
    with followed(StderrFile(PROCFS, writer.process)) as stream:
        writer.say("one")
        log.rename(log.with_name("log.1"))
        writer.do(f"exec 2>>{log}")
        writer.say("two")
        expect(stream, b"one\ntwo\n")
        writer.say("three")
        expect(stream, b"three\n")


def test_position_covers_rotated_file(writer, log):
    mark = FilePosition(StderrFile(PROCFS, writer.process))
    writer.say("one")
    log.unlink()
    writer.do(f"exec 2>>{log}")
    writer.say("two")
    with mark.follow(Deadline(patience(), "test")) as stream:
        expect(stream, b"one\ntwo\n")
    mark.close()


def test_truncation_under_appending_process(writer, log):
    with followed(StderrFile(PROCFS, writer.process)) as stream:
        writer.say("before, and longer than what comes after")
        read(stream, 41)
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(expect, stream, b"after\n")
            os.truncate(log, 0)
            # Nobody can tell later, when the file is as long again.
            wait_until("a look at the shorter file", lambda: stream.truncated)
            writer.say("after")
            reading.result()


def test_truncation_under_process_that_does_not_append(log):
    writer = Writer(log, "wb")
    try:
        with followed(StderrFile(PROCFS, writer.process)) as stream:
            writer.say("before")
            expect(stream, b"before\n")
            os.truncate(log, 0)
            writer.say("after")
            expect(stream, b"after\n")
            assert log.read_bytes() == b"\0" * 7 + b"after\n"
        os.truncate(log, 0)
        with followed(StderrFile(PROCFS, writer.process)) as stream:
            writer.say("and again")
            expect(stream, b"and again\n")
    finally:
        writer.end()


def test_stream_ends_with_process(writer):
    with followed(StderrFile(PROCFS, writer.process)) as stream:
        writer.say("last words")
        writer.end()
        expect(stream, b"last words\n")
        assert [stream.read(), stream.read()] == [b"", b""]


def test_reads_last_lines_of_last_opened_file(writer, log):
    mark = FilePosition(StderrFile(PROCFS, writer.process))
    stream = mark.follow(Deadline(patience(), "test"))
    writer.do(f"exec 2>>{log}.new")
    writer.say("x")
    expect(stream, b"x\n")
    writer.say("last words")
    writer.end()
    expect(stream, b"last words\n")
    assert stream.read() == b""
    stream.close()
    mark.close()


def test_stderr_redirected_to_dev_null(writer):
    with followed(StderrFile(PROCFS, writer.process), 0.3) as stream:
        writer.do("exec 2>/dev/null")
        writer.say("nobody hears this")
        with pytest.raises(DeadlineExceeded):
            stream.read()


def test_silent_stream_ends_with_deadline(writer):
    begun = time.monotonic()
    with followed(StderrFile(PROCFS, writer.process), 0.3) as stream, pytest.raises(DeadlineExceeded):
        stream.read()
    assert time.monotonic() - begun >= 0.3


def test_waiting_uses_little_cpu(writer):
    looks = []
    begun = time.monotonic()
    with followed(StderrFile(PROCFS, writer.process), 0.5) as stream:
        stream._tell_end = lambda: looks.append(time.monotonic())
        with pytest.raises(DeadlineExceeded):
            stream.read()
    assert 0 < len(looks) <= (time.monotonic() - begun) / POLL_SECONDS + 1


def refused_as_log(stderr, **options):
    """Why the standard error of a process is not taken for its log."""
    with subprocess.Popen(["sleep", "1000"], stderr=stderr, **options) as process:
        try:
            await_arguments(process)
            with pytest.raises(CaptureError) as refused:
                StderrFile(PROCFS, PROCFS.process(process.pid)).open_current()
        finally:
            process.kill()
    return refused.value.verdict.reason


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root and another user")
def test_rejects_handle_of_unreadable_file(tmp_path):
    """Anybody can have such a handle (O_PATH) as his standard error, without being able to read the file."""
    secret = tmp_path / "secret"
    secret.write_text("root's\n")
    secret.chmod(0o600)
    handle = os.open(secret, os.O_PATH)
    try:
        assert refused_as_log(handle, user=4711, group=4711, extra_groups=[]) is Reason.STDERR_LOST
    finally:
        os.close(handle)


def test_rejects_file_open_for_reading(log):
    with open(log, "rb") as source:
        assert refused_as_log(source) is Reason.STDERR_LOST


def test_ended_process_has_no_log(writer):
    writer.end()
    with pytest.raises(OSError):  # noqa: PT011 (any of its kinds)
        FilePosition(StderrFile(PROCFS, writer.process))


@pytest.mark.parametrize(
    ("link", "word"),
    [
        ("/dev/null", "/dev/null"),
        ("/dev/pts/3", "terminal"),
        ("pipe:[1]", "pipe"),
        ("socket:[1]", "socket"),
        ("", "closed"),
        ("anon_inode:[eventfd]", "eventfd"),
    ],
)
def test_describes_sinks_that_cannot_be_followed(link, word):
    assert word in describe_sink(link)
