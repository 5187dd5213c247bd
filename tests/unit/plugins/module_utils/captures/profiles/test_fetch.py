# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to /debug/pprof: what is kept of the answer, and the verdict on it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import SETS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpAnswer
from fake_transport import FakeTransport, outlast
from profile_runs import ALL, CPU, take
from profiling import profiling


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


def test_keeps_the_index_as_text(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    row = take(transport, tmp_path).rows()["index"]
    assert row.details["profiles"] == {"goroutine": 3, "profile": 0}
    assert row.path.endswith("/index.txt")
    lines = (tmp_path / row.path).read_text().splitlines()
    assert [line.split() for line in lines] == [["count", "profile"], ["3", "goroutine"], ["0", "profile"]]
    assert not list(tmp_path.rglob("*.html"))


def test_parses_goroutines_with_states_and_waits(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    rows = take(transport, tmp_path, SETS["quick"]).rows()
    parsed = json.loads((tmp_path / rows["goroutine_debug2"].details["parsed"]).read_text())
    waits = {group["state"]: group["wait_minutes_max"] for group in parsed["groups"]}
    assert waits == {"running": 0, "chan receive": 5}
    parsed = json.loads((tmp_path / rows["goroutine_debug1"].details["parsed"]).read_text())
    assert sum(group["count"] for group in parsed["groups"]) == 3


def test_redacts_the_command_line(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    row = take(transport, tmp_path, ["cmdline"]).rows()["cmdline"]
    assert row.details["hidden"] == 1
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"very-secret" not in path.read_bytes()
    assert (tmp_path / row.path).read_bytes().startswith(b"/opt/yunion/bin/region\0--config\0")


def with_body(path, body, status=200, **fields):
    def answer(target):
        return HttpAnswer(status, {}, body, **fields) if target.path == path else profiling(target)

    return answer


BAD = {
    "403": ("/debug/pprof/", (b'{"code":403}', 403), {}, "index", "user_agent_refused"),
    "429": ("/debug/pprof/heap", (b'{"details":"Request queue is full"}', 429), {}, "heap", "queue_full"),
    "504": ("/debug/pprof/heap", (b'{"details":"timeout"}', 504), {}, "heap", "process_timeout"),
    "in use": (CPU, (b"Could not enable CPU profiling: cpu profiling already in use", 500), {}, "cpu", "server_error"),
    "400": ("/debug/pprof/heap", (b"seconds and debug", 400), {}, "heap", "unexpected_status"),
    "empty": ("/debug/pprof/heap", (b"", 200), {}, "heap", "profile_cut"),
    "html": ("/debug/pprof/heap", (b"<html>It works</html>", 200), {}, "heap", "profile_bad"),
    "another": ("/debug/pprof/heap", (b"\x1f\x8b" + b"\0" * 100, 200), {}, "heap", "profile_bad"),
    "cut": ("/debug/pprof/heap", (b"\x1f\x8b\x08", 200), {"truncated_by": "end"}, "heap", "body_cut"),
    "no index": ("/debug/pprof/", (b"<html>It works</html>", 200), {}, "index", "profile_bad"),
}


@pytest.mark.parametrize("how", BAD)
def test_keeps_an_answer_that_is_no_profile(transport, tmp_path, how):
    path, (body, status), fields, kind, reason = BAD[how]
    transport.add("region", "r", answer=with_body(path, body, status, **fields))
    ran = take(transport, tmp_path)
    row = ran.rows()[kind]
    assert row.reason == reason
    assert set(ran.rows()) == set(ALL)
    if status == 200 and body:
        assert (tmp_path / row.path).read_bytes() == body
    else:
        assert (row.path, row.bytes) == ("", 0)


def test_keeps_a_large_profile_up_to_the_limit(transport, tmp_path):
    transport.add("region", "r", answer=with_body("/debug/pprof/heap", b"\x1f\x8b" + b"x" * 100_000))
    row = take(transport, tmp_path, ["heap", "allocs"], max_bytes=4096).rows()["heap"]
    assert (row.reason, row.bytes) == ("body_too_large", 4096)
    assert (tmp_path / row.path).stat().st_size == 4096


def test_sanitizes_names_of_addresses(transport, tmp_path):
    def answer(target):
        if target.body:
            return HttpAnswer(200, {}, b"num_symbols: 1\n0x401000 \x1b[31mmain.work\r\n0x5 main.other\n")
        return profiling(target)

    transport.add("region", "r", answer=answer)
    ran = take(transport, tmp_path, ["symbol"], addresses=[0x401000])
    assert [item["name"].isprintable() for item in ran.collector.names] == [True]
    assert b"\x1b" not in (tmp_path / ran.rows()["names"].path).read_bytes()


def test_worker_pool_that_does_not_answer_in_time_is_unknown(transport, tmp_path):
    def late(deadline):
        outlast(deadline)
        deadline.check()

    transport.add("region", "r", answer=profiling, faults={"/worker_stats": late})
    reasons = take(transport, tmp_path, timeout=0.2).reasons()
    assert (reasons["heap"], reasons["cpu"]) == ("profile_whole", "pool_unknown")
