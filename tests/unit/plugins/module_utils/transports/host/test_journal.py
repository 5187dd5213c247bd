# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Output of journalctl, here of a stand-in program. The real journal: test_follow.py, test_conformance.py."""

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.journal_blank_lines import BlankLineRestorer
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.journal import (
    JournalHistory,
    JournalStream,
    JournalTimes,
)

from patience import patience

TIMES = JournalTimes(life_check=0.01, final_silence=0.2)
PLACE = "--since=@1.000000"


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def read_all(stream) -> bytes:
    data = b""
    while True:
        piece = stream.read()
        if not piece:
            return data
        data += piece


def test_history_ends_at_cursor():
    with JournalHistory(
        shell("printf 'one\\ntwo\\n-- cursor: s=1\\n'"), PLACE, Deadline(patience(), "test")
    ) as history:
        assert read_all(history) == b"one\ntwo\n"
        assert history.end() == "--after-cursor=s=1"


def test_empty_history_is_followed_from_its_begin():
    with JournalHistory(shell("true"), PLACE, Deadline(patience(), "test")) as history:
        assert read_all(history) == b""
        assert history.end() == PLACE


def test_interrupted_history_is_an_error():
    with JournalHistory(shell("echo one"), PLACE, Deadline(patience(), "test")) as history:
        assert read_all(history) == b"one\n"
        with pytest.raises(CaptureError) as failed:
            history.end()
    assert failed.value.verdict.reason is Reason.LOG_UNAVAILABLE


def test_stream_ends_after_the_process_and_a_silence():
    stream = JournalStream(
        shell("echo one; exec sleep 600"), Deadline(patience(), "test"), BlankLineRestorer(), lambda: True, TIMES
    )
    with stream:
        assert read_all(stream) == b"one\n"


def test_silent_stream_ends_with_deadline():
    stream = JournalStream(shell("exec sleep 600"), Deadline(0.3, "test"), BlankLineRestorer(), lambda: False, TIMES)
    with stream, pytest.raises(DeadlineExceeded):
        stream.read()


def test_stop_ends_a_blocked_read():
    stream = JournalStream(shell("exec sleep 600"), Deadline(patience(), "test"), BlankLineRestorer())
    begun = time.monotonic()
    threading.Timer(0.2, stream.stop).start()
    with stream:
        assert stream.read() == b""
    assert time.monotonic() - begun < patience(30)
