# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.rates import window_document
from hypothesis import given
from hypothesis import strategies as st

SAMPLED = ("stats", "worker_stats", "db_stats", "process_stats")


def hits(ok=0, bad=0, failed=0, spent=0.0):
    durations = {"duration_2xx_ms": spent, "duration_4xx_ms": 0, "duration_5xx_ms": 0}
    return {"hits_2xx": ok, "hits_4xx": bad, "hits_5xx": failed, **durations}


def path(name, **counters):
    return {"method": "GET", "path": name, "name": "", **hits(**counters)}


def stats(*paths, **total):
    return {**hits(**total), "paths": list(paths), "paths_total": len(paths)}


def database(name="", waits=0, waited_ns=0):
    return {"name": name, "wait_count": waits, "wait_duration_ns": waited_ns, "in_use": 0}


def worker(name, queue=0, active=0, detached=0):
    return {"name": name, "queue": queue, "active": active, "detached": detached, "max": 8, "queue_capacity": 640}


def sample(at, **read):
    return {"elapsed_seconds": at, "taken": dict.fromkeys(read, at), **read}


def test_rates_are_of_the_window():
    first = stats(path("/a", ok=1000, spent=5000.0), path("/idle", ok=7), ok=1007, spent=5000.0)
    last = stats(
        path("/a", ok=1090, failed=10, spent=7500.0), path("/idle", ok=7), path("/new", bad=4),
        ok=1097, failed=10, bad=4, spent=7500.0,
    )  # fmt: skip
    found = window_document([sample(0.5, stats=first), sample(10.5, stats=last)])
    assert found["seconds"] == 10.0
    assert (found["requests"], found["requests_per_second"]) == (104, 10.4)
    assert (found["errors_5xx"], found["errors_5xx_per_second"]) == (10, 1.0)
    assert found["error_ratio"] == pytest.approx(10 / 104, abs=1e-6)
    assert found["mean_duration_ms"] == pytest.approx(2500 / 104, abs=1e-6)
    assert {entry["path"]: entry["requests"] for entry in found["paths"]} == {"/a": 100, "/new": 4}
    assert found["paths"][0]["mean_duration_ms"] == 25.0
    assert found["paths"][1]["errors_4xx"] == 4


def test_endpoints_have_their_own_times():
    samples = [sample(0, stats=stats(ok=0)), sample(10, stats=stats(ok=100))]
    samples[1]["taken"]["stats"] = 20.0  # it took ten seconds longer to answer
    assert window_document(samples)["requests_per_second"] == 5.0


def test_avoids_division_by_zero():
    same = sample(0, stats=stats(path("/a", ok=1), ok=1), db_stats={"databases": [database()]})
    found = window_document([same, same])
    assert (found["requests"], found["requests_per_second"], found["error_ratio"]) == (0, None, None)
    assert found["mean_duration_ms"] is None
    assert found["databases"] == [{"name": "", "waits": 0, "waits_per_second": None, "mean_wait_ms": None}]


def test_computes_waits_for_connections():
    first, last = (
        {"databases": [database(waits=w, waited_ns=n), database("click")]} for w, n in ((5, 10**9), (25, 10**10))
    )
    found = window_document([sample(0, db_stats=first), sample(4, db_stats=last)])
    assert found["databases"][0] == {"name": "", "waits": 20, "waits_per_second": 5.0, "mean_wait_ms": 450.0}
    assert found["databases"][1]["waits"] == 0
    assert found["requests"] is None


def test_reports_pools_and_process():
    samples = [
        sample(at, worker_stats={"workers": [worker("p", queue, 8, detached), worker("twin", 1), worker("twin", 2)]},
               process_stats={"goroutines": goroutines})
        for at, queue, detached, goroutines in ((0, 40, 0, 100), (5, 3, 1, 130), (10, 60, 2, 120))
    ]  # fmt: skip
    found = window_document(samples)
    assert found["workers"][0] == {
        "name": "p", "max": 8, "queue_capacity": 640, "queue_first": 40, "queue_last": 60, "queue_min": 3,
        "active_first": 8, "active_last": 8, "detached_first": 0, "detached_last": 2,
    }  # fmt: skip
    assert [entry["queue_last"] for entry in found["workers"][1:]] == [1, 2]
    assert (found["goroutines_first"], found["goroutines_last"]) == (100, 120)
    assert found["heap_alloc_bytes_first"] is None


RESETS = {
    "a total": (sample(0, stats=stats(ok=9)), sample(9, stats=stats(ok=8))),
    "a path": (sample(0, stats=stats(path("/a", ok=9), ok=9)), sample(9, stats=stats(path("/a", ok=2), ok=10))),
    "a path that is gone": (sample(0, stats=stats(path("/a", ok=9), ok=9)), sample(9, stats=stats(ok=10))),
    "time spent": (sample(0, stats=stats(ok=9, spent=900.0)), sample(9, stats=stats(ok=10, spent=5.0))),
    "waits": (sample(0, db_stats={"databases": [database(waits=9)]}), sample(9, db_stats={"databases": [database()]})),
}


@pytest.mark.parametrize("case", RESETS)
def test_decreasing_counter_is_a_reset(case):
    first, last = RESETS[case]
    found = window_document([first, last])
    assert found["reset"] is True
    assert found["restarted"] is None
    assert found["requests"] is found["requests_per_second"] is found["mean_duration_ms"] is None
    assert (found["paths"], found["databases"]) == ([], None)


def test_detects_reset_between_middle_samples():
    samples = [sample(at, stats=stats(ok=number)) for at, number in ((0, 10), (5, 3), (10, 50))]
    assert window_document(samples)["reset"] is True
    waits = [sample(at, db_stats={"databases": [database(waits=n)]}) for at, n in ((0, 10), (5, 3), (10, 50))]
    assert window_document(waits)["databases"] is None


def test_detects_reset_across_a_missing_database():
    read = [{"databases": [database(waits=5)]}, {"databases": []}, {"databases": [database(waits=1)]}]
    found = window_document([sample(at, db_stats=one) for at, one in enumerate(read)])
    assert (found["reset"], found["databases"]) == (True, None)


def test_known_restart_is_a_reset():
    samples = [sample(0, stats=stats(ok=1)), sample(9, stats=stats(ok=1000))]
    assert window_document(samples, restarted=True)["requests"] is None
    assert window_document(samples, restarted=False)["requests"] == 999
    assert window_document(samples, restarted=None)["reset"] is False


@pytest.mark.parametrize(("before", "after"), [(1e12, 1e12 - 300), (1e3, 1e3 - 0.3)])
def test_rounding_of_durations_is_not_a_reset(before, after):
    samples = [sample(0, stats=stats(ok=9, spent=before)), sample(9, stats=stats(ok=9, spent=after))]
    found = window_document(samples)
    assert (found["reset"], found["requests"], found["mean_duration_ms"]) == (False, 0, None)


def test_path_left_out_before_is_not_new():
    first = {**stats(path("/a", ok=1), ok=500), "paths_left_out": 1}
    last = stats(path("/a", ok=3), path("/b", ok=499), ok=502)
    found = window_document([sample(0, stats=first), sample(1, stats=last)])
    assert [entry["path"] for entry in found["paths"]] == ["/a"]
    assert found["requests"] == 2


def test_path_left_out_afterwards_is_not_a_reset():
    first = stats(path("/a", ok=1), path("/b", ok=2), ok=3)
    last = {**stats(path("/a", ok=3), ok=5), "paths_left_out": 1}
    found = window_document([sample(0, stats=first), sample(1, stats=last)])
    assert (found["reset"], found["requests"]) == (False, 2)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [sample(0, stats=stats())],
        [sample(0, stats=stats()), sample(9, worker_stats={"workers": []})],
        [sample(0, ping={"answered": True}), sample(9, ping={"answered": True})],
    ],
)
def test_returns_none_without_two_samples(samples):
    assert window_document(samples) is None


def test_uses_first_and_last_sample_of_an_endpoint():
    samples = [sample(0), sample(10, stats=stats(ok=10)), sample(20), sample(30, stats=stats(ok=50)), sample(40)]
    assert window_document(samples)["requests_per_second"] == 2.0


NUMBER = st.integers(0, 1 << 62) | st.integers(0, 3)
HITS = st.builds(hits, NUMBER, NUMBER, NUMBER, st.floats(0, 1e15))
PATH = HITS.flatmap(lambda counters: st.sampled_from("abc").map(lambda name: {**path(name), **counters}))
STATS = st.builds(lambda total, paths: {**total, "paths": paths, "paths_total": 9}, HITS, st.lists(PATH, max_size=4))
DATABASES = st.lists(st.builds(database, st.sampled_from("ab"), NUMBER, NUMBER), max_size=3)
WORKERS = st.lists(st.builds(worker, st.sampled_from("ab"), NUMBER, NUMBER, NUMBER), max_size=3)
DOCUMENTS = {
    "stats": STATS,
    "db_stats": st.builds(lambda databases: {"databases": databases}, DATABASES),
    "worker_stats": st.builds(lambda workers: {"workers": workers}, WORKERS),
    "process_stats": st.builds(lambda number: {"goroutines": number}, NUMBER),
}
SAMPLE = st.fixed_dictionaries({}, optional=DOCUMENTS).flatmap(
    lambda read: st.floats(0, 100).map(lambda at: sample(at, **copy.deepcopy(read)))
)


@given(st.lists(SAMPLE, max_size=4), st.sampled_from([True, False, None]))
def test_rates_are_never_negative(samples, restarted):
    found = window_document(samples, restarted)
    if found is None:
        assert all(sum(name in one for one in samples) < 2 for name in SAMPLED)
        return
    rates = [value for entry in (found, *found["paths"], *(found["databases"] or ())) for value in entry.values()]
    for value in rates:
        if isinstance(value, (int, float)):
            assert value >= 0 or value == found["seconds"]
    assert not (found["reset"] and found["requests"] is not None)
