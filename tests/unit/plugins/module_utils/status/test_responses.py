# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import ENDPOINTS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status import responses
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.responses import StatusLimits, parse_response
from hypothesis import given
from hypothesis import strategies as st

SAMPLES = Path(__file__).parent / "samples"
HITS = {f"{kind}.{name}": 0 for kind in ("hit", "duration") for name in ("2XX", "4XX", "5XX")}


def sample(name: str) -> bytes:
    """Return the response of a real, healthy region (master)."""
    packed = SAMPLES / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (SAMPLES / name).read_bytes()


def document(endpoint: str, body: bytes):
    reading = parse_response(endpoint, 200, {}, body)
    assert reading.outcome.reason is Reason.RECORDED, reading.outcome.message
    return reading.document


def refused(endpoint: str, body: bytes) -> str:
    """Return why the body is refused."""
    reading = parse_response(endpoint, 200, {}, body)
    assert (reading.outcome.reason, reading.document) == (Reason.NOT_JSON, None)
    return reading.outcome.message


def test_parses_every_endpoint_of_the_catalog():
    assert set(responses._PARSERS) == set(ENDPOINTS)


def test_stats_keep_requested_paths():
    stats = document("stats", sample("stats"))
    assert (stats["hits_2xx"], stats["hits_4xx"], stats["hits_5xx"]) == (5, 0, 0)
    assert stats["duration_2xx_ms"] == pytest.approx(25.642561)
    assert stats["paths_total"] == 2221
    assert [(path["method"], path["path"], path["name"]) for path in stats["paths"]] == [
        ("GET", "/servers", "list"),
        ("GET", "/worker_stats", "worker_stats"),
        ("GET", "/db_stats", "db_stats"),
        ("GET", "/process_stats", "process_stats"),
        ("GET", "/ping", "ping"),
    ]
    assert sum(path["hits_2xx"] for path in stats["paths"]) == stats["hits_2xx"]
    assert sum(path["duration_2xx_ms"] for path in stats["paths"]) == pytest.approx(stats["duration_2xx_ms"])


def test_parses_worker_stats_of_a_real_region():
    workers = document("worker_stats", sample("worker_stats"))["workers"]
    assert len(workers) == 32
    (own,) = [worker for worker in workers if worker["active"]]
    assert own == {
        "name": "InternalHttpRequestWorkerManager",
        "active": 1,
        "max": 1,
        "detached": 0,
        "queue": 0,
        "backlog": 10,
        "queue_capacity": 10,
        "db_worker": False,
        "allow_overflow": False,
    }


def test_parses_small_documents_of_a_real_region():
    assert document("db_stats", sample("db_stats"))["databases"] == [
        {
            "name": "",
            "max_open_connections": 55,
            "open_connections": 4,
            "in_use": 0,
            "idle": 4,
            "wait_count": 0,
            "wait_duration_ns": 0,
            "max_idle_closed": 0,
            "max_idle_time_closed": 0,
            "max_lifetime_closed": 0,
        }
    ]
    assert document("process_stats", sample("process_stats")) == {
        "cpu_percent": 0.744812949801031,
        "memory_percent": 0.5273841,
        "heap_alloc_bytes": 41079336,
        "goroutines": 148,
    }


@pytest.mark.parametrize(
    ("text", "branch", "commit", "built"),
    [
        ("release/4.0(2de295222d26082106)", "release/4.0", "2de295222d", "26082106"),
        ("unknown($Format:%H$19700101)", "unknown", "$Format:%H$", "19700101"),
        ("(2de295222d26082106)\n", "", "2de295222d", "26082106"),
        ("master(abc)", "master", "abc", ""),
        ("v3.8.12", "", "", ""),
    ],
)
def test_splits_version(text, branch, commit, built):
    expected = {"text": text.strip(), "branch": branch, "commit": commit, "built": built}
    assert document("version", text.encode()) == expected


def test_parses_version_of_a_real_region():
    assert document("version", sample("version"))["built"] == "19700101"


@pytest.mark.parametrize("body", [b"", b"\n", b"<html>", b"{}", b"a\nb", b"x" * 201, b"\x1b[2Jv1", b"\xff"])
def test_refuses_other_text_as_version(body):
    refused("version", body)


def test_accepts_any_successful_ping():
    assert document("ping", b"pong") == document("ping", b"\xff\x00") == {"answered": True}


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (403, b'{"class":"Forbidden","code":403,"details":"no"}', "user_agent_refused", "403 no"),
        (404, b'{"details":"Handler /x not found"}', "no_endpoint", "Handler /x not found"),
        (429, b'{"details":"Request queue is full"}', "queue_full", "Request queue is full"),
        (504, b'{"details":"request process timeout"}', "process_timeout", "request process timeout"),
        (500, b"\xff\xfe", "server_error", "500"),
        (503, b"", "server_error", "503"),
        (400, b"not ready", "unexpected_status", "400 not ready"),
        (400, b"\x1b[31mred\n", "unexpected_status", "400 ?[31mred"),
        (100, b"", "unexpected_status", "100"),
        (302, b"", "redirected", "302 to https://elsewhere/?"),
    ],
)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_maps_each_status_to_a_reason(endpoint, status, body, reason, words):
    reading = parse_response(endpoint, status, {"location": "https://elsewhere/\x07"}, body)
    assert reading.outcome.reason.value == reason
    assert words in reading.outcome.message
    assert reading.document is None


@pytest.mark.parametrize(
    ("truncated_by", "reason"), [("size", "body_too_large"), ("time", "body_cut"), ("end", "body_cut")]
)
def test_refuses_truncated_body(truncated_by, reason):
    reading = parse_response("ping", 200, {}, b"pong", truncated_by)
    assert (reading.outcome.reason.value, reading.document) == (reason, None)
    assert "4 bytes" in reading.outcome.message


def stats_with(**changed) -> bytes:
    return json.dumps({**HITS, "paths": [], **changed}).encode()


@pytest.mark.parametrize(
    ("endpoint", "body", "words"),
    [
        ("stats", b"", "not JSON"),
        ("stats", b"[]", "a list instead of an object"),
        ("stats", b"{}", "paths is missing"),
        ("stats", b"\xff{}", "not UTF-8 at byte 0"),
        ("stats", b'{"a":' * 100_000, "not JSON"),
        ("stats", b'{"a":' + b"9" * 1_000_000 + b"}", "a number of more than 400 digits"),
        ("stats", b'{"hit.2XX":NaN}', "NaN is not a number"),
        ("stats", stats_with(**{"hit.2XX": -1}), "hit.2XX is out of range"),
        ("stats", stats_with(**{"hit.2XX": True}), "hit.2XX is true or false instead of a number"),
        ("stats", stats_with(**{"hit.2XX": 1.5}), "hit.2XX is not a whole number"),
        ("stats", stats_with(**{"hit.2XX": 1 << 63}), "hit.2XX is out of range"),
        ("stats", stats_with(**{"duration.5XX": "1"}), "duration.5XX is text instead of a number"),
        ("stats", stats_with().replace(b"0", b"1e999", 1), "out of range"),
        ("stats", stats_with(paths=[3]), "paths[0] is a number instead of an object"),
        ("stats", stats_with(paths=[{**HITS, "hit.5XX": 1, "method": 1}]), "method is a number instead of text"),
        ("worker_stats", b'{"workers":[{"name":"a"}]}', "workers[0]: active_worker_cnt is missing"),
        ("worker_stats", b'{"workers":{}}', "workers is an object instead of a list"),
        ("db_stats", b'{"db_stats":[]}', "db_stats is a list instead of an object"),
        ("db_stats", b'{"db_stats":{"idle":1}}', "max_open_connections is missing"),
        ("process_stats", b'{"process_stats":{}}', "process_stats is empty"),
        ("process_stats", b"{}", "null instead of an object"),
        ("process_stats", b'{"process_stats":{"goroutine_num":null}}', "goroutine_num is null instead of a number"),
    ],
)
def test_names_the_wrong_field(endpoint, body, words):
    assert words in refused(endpoint, body)


@pytest.mark.parametrize("body", [b"{}", b'{"db_stats":{}}'])
def test_accepts_service_without_database(body):
    reading = parse_response("db_stats", 200, {}, body)
    assert reading.document == {"databases": []}
    assert "no such database" in reading.outcome.message


def test_accepts_documents_of_older_releases():
    worker = {"name": "p", "backlog": 2, "queue_cnt": 1, "max_worker_cnt": 3, "active_worker_cnt": 3}
    body = json.dumps({"workers": [{**worker, "detach_worker_cnt": 0}]}).encode()
    (found,) = document("worker_stats", body)["workers"]
    assert found["queue_capacity"] == 6
    assert "db_worker" not in found
    assert document("process_stats", b'{"process_stats":{"cpu_percent":120}}') == {"cpu_percent": 120}
    assert document("worker_stats", b'{"workers":null}') == {"workers": []}


def test_counts_entries_that_are_left_out():
    path = {**HITS, "hit.2XX": 1, "method": "GET", "path": "/x", "name": ""}
    body = stats_with(paths=[path] * 7)
    limits = StatusLimits(paths=5, kept_paths=3, workers=10)
    reading = parse_response("stats", 200, {}, body, limits=limits)
    assert len(reading.document["paths"]) == 3
    assert reading.document["paths_left_out"] == 4
    assert "4 more entries" in reading.outcome.message
    workers = parse_response("worker_stats", 200, {}, sample("worker_stats"), limits=limits).document
    assert (len(workers["workers"]), workers["workers_left_out"]) == (10, 22)


def test_texts_are_one_printable_line():
    path = {**HITS, "hit.2XX": 1, "method": "GET", "path": "/\x1b[2J\n\u2028\ud800" + "x" * 1000, "name": "n"}
    (found,) = document("stats", stats_with(paths=[path]))["paths"]
    assert found["path"].startswith("/?[2J???x")
    assert len(found["path"]) == 300
    json.dumps(found, ensure_ascii=False).encode()


def mutated(endpoint: str) -> st.SearchStrategy[bytes]:
    """Return the real response with bytes replaced, removed or inserted."""
    raw = sample(endpoint)[:20_000]
    place = st.integers(0, len(raw))
    edit = st.tuples(
        place, st.integers(0, 8), st.binary(max_size=8) | st.sampled_from([b"NaN", b"-1", b"1e999", b"null"])
    )

    def apply(edits):
        body = raw
        for at, gone, put in edits:
            body = body[:at] + put + body[at + gone :]
        return body

    return st.lists(edit, max_size=4).map(apply)


@given(
    st.data(), st.sampled_from(ENDPOINTS[1:]), st.integers(-1, 700), st.sampled_from(["", "", "size", "time", "end"])
)
def test_accepts_any_response(data, endpoint, status, truncated_by):
    body = data.draw(st.binary(max_size=200) | mutated(endpoint))
    reading = parse_response(endpoint, data.draw(st.just(200) | st.just(status)), {}, body, truncated_by)
    assert (reading.document is not None) == (reading.outcome.reason is Reason.RECORDED)
    if reading.document is not None:
        for value in numbers(reading.document):
            assert 0 <= value < 1 << 63
        json.dumps(reading.document, ensure_ascii=False, allow_nan=False).encode()


def numbers(value):
    """Yield all numbers in a value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []
