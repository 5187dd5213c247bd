# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute rates between the first and the last sample of one instance. Counters are totals since start. Pure."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Sequence, Tuple

from .responses import CLASSES

# Go sums these floats over a map, whose order changes each time, so that totals vary by rounding.
DURATION_SLACK_MS = 1.0
DURATION_SLACK_RATIO = 1e-9

Span = Tuple[Dict[str, Any], Dict[str, Any], float]


def window_document(samples: Sequence[dict[str, Any]], restarted: bool | None = None) -> dict[str, Any] | None:
    """Return the part `window` of status.json, or None if no endpoint was read twice.

    samples: as in status.json; "taken" maps an endpoint to the time, in seconds, at which it was read. restarted: the
    container was replaced after the last sample (None: unknown). If the container was replaced, or if a counter
    decreased, the totals began again from zero: values that cannot be compared are null.
    """
    spans = {name: _span(samples, name) for name in ("stats", "worker_stats", "db_stats", "process_stats")}
    if not any(spans.values()):
        return None
    seconds = next(round(span[2], 3) for span in spans.values() if span)
    reset = bool(restarted) or _any_went_back(samples)
    result: dict[str, Any] = {"seconds": seconds, "reset": reset, "restarted": restarted}
    result.update(_requests(spans["stats"], reset))
    result["databases"] = _databases(spans["db_stats"], reset)
    result["workers"] = _workers([sample["worker_stats"] for sample in samples if "worker_stats" in sample])
    first, last = (spans["process_stats"][:2]) if spans["process_stats"] else ({}, {})
    for name in ("goroutines", "heap_alloc_bytes"):
        result[f"{name}_first"], result[f"{name}_last"] = first.get(name), last.get(name)
    return result


def _span(samples: Sequence[dict[str, Any]], endpoint: str) -> Span | None:
    """Return the first and the last document of an endpoint, and the seconds between them."""
    read = [sample for sample in samples if endpoint in sample]
    if len(read) < 2:
        return None
    first, last = read[0], read[-1]
    return first[endpoint], last[endpoint], last["taken"][endpoint] - first["taken"][endpoint]


def _any_went_back(samples: Sequence[dict[str, Any]]) -> bool:
    """Return whether a counter decreased between adjacent samples, or between the first and the last.

    A sample in between may lack the counter.
    """
    stats = [sample["stats"] for sample in samples if "stats" in sample]
    if any(_hits_went_back(*pair) or _a_path_went_back(*pair) for pair in _pairs(stats)):
        return True
    databases = [_by_name(sample["db_stats"]["databases"]) for sample in samples if "db_stats" in sample]
    counters = ("wait_count", "wait_duration_ns")
    return any(
        after[key][name] < before[key][name]
        for before, after in _pairs(databases)
        for key in before
        if key in after
        for name in counters
    )


def _pairs(documents: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each pair of adjacent documents, and the first with the last."""
    return [*zip(documents, documents[1:]), *zip(documents[:1], documents[-1:])]


def _hits_went_back(before: dict[str, Any], after: dict[str, Any]) -> bool:
    if any(after[f"hits_{name}"] < before[f"hits_{name}"] for name in CLASSES):
        return True
    return any(
        after[key] < before[key] - DURATION_SLACK_MS - before[key] * DURATION_SLACK_RATIO
        for key in (f"duration_{name}_ms" for name in CLASSES)
    )


def _a_path_went_back(before: dict[str, Any], after: dict[str, Any]) -> bool:
    if after.get("paths_left_out"):
        return False  # a missing path may have been left out
    paths = _paths(after)
    nothing = _no_hits()
    return any(_hits_went_back(values, paths.get(key, nothing)) for key, values in _paths(before).items())


def _no_hits() -> dict[str, Any]:
    return {f"{kind}_{name}{unit}": 0 for name in CLASSES for kind, unit in (("hits", ""), ("duration", "_ms"))}


def _by_name(items: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in items}


def _paths(document: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Sum counters by (method, path, name). Paths whose patterns are shown alike count as one."""
    result: dict[tuple[str, str, str], dict[str, Any]] = {}
    for item in document["paths"]:
        sums = result.setdefault((item["method"], item["path"], item["name"]), _no_hits())
        for key in sums:
            sums[key] += item[key]
    return result


def _increase(before: dict[str, Any], after: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return the requests, errors and times between two sets of counters that did not decrease."""
    hits = {name: after[f"hits_{name}"] - before[f"hits_{name}"] for name in CLASSES}
    requests = sum(hits.values())
    spent = sum(max(0.0, after[f"duration_{name}_ms"] - before[f"duration_{name}_ms"]) for name in CLASSES)
    return {
        "requests": requests,
        "requests_per_second": _ratio(requests, seconds),
        "errors_4xx": hits["4xx"],
        "errors_5xx": hits["5xx"],
        "error_ratio": _ratio(hits["5xx"], requests),
        "mean_duration_ms": _ratio(spent, requests),
    }


def _ratio(amount: float, base: float) -> float | None:
    return round(amount / base, 6) if base > 0 else None


_REQUESTS = ("requests", "requests_per_second", "errors_4xx", "errors_5xx", "error_ratio", "mean_duration_ms")


def _requests(span: Span | None, reset: bool) -> dict[str, Any]:
    if span is None or reset:
        return {**dict.fromkeys(_REQUESTS), "errors_5xx_per_second": None, "paths": []}
    before, after, seconds = span
    total = _increase(before, after, seconds)
    total["errors_5xx_per_second"] = _ratio(total["errors_5xx"], seconds)
    earlier, nothing = _paths(before), _no_hits()
    total["paths"] = []
    # If the first document left paths out, a path that it lacks may have had requests before.
    complete = not before.get("paths_left_out")
    for (method, path, name), values in _paths(after).items():
        if complete or (method, path, name) in earlier:
            increase = _increase(earlier.get((method, path, name), nothing), values, seconds)
            if increase["requests"] > 0:
                total["paths"].append({"method": method, "path": path, "name": name, **increase})
    return total


def _databases(span: Span | None, reset: bool) -> list[dict[str, Any]] | None:
    if span is None or reset:
        return None
    earlier, later = (_by_name(document["databases"]) for document in span[:2])
    result = []
    for name, item in later.items():
        before = earlier.get(name)
        if before is not None:
            waits = item["wait_count"] - before["wait_count"]
            waited_ms = (item["wait_duration_ns"] - before["wait_duration_ns"]) / 1e6
            result.append(
                {
                    "name": name,
                    "waits": waits,
                    "waits_per_second": _ratio(waits, span[2]),
                    "mean_wait_ms": _ratio(waited_ms, waits),
                }
            )
    return result


def _numbered(workers: Iterable[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """Index workers by name and number, because two pools may have the same name."""
    result: dict[tuple[str, int], dict[str, Any]] = {}
    seen: dict[str, int] = {}
    for worker in workers:
        seen[worker["name"]] = seen.get(worker["name"], 0) + 1
        result[worker["name"], seen[worker["name"]]] = worker
    return result


def _workers(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the state of each pool at the first and the last sample, and its shortest queue in all samples."""
    if len(documents) < 2:
        return None
    tables = [_numbered(document["workers"]) for document in documents]
    result = []
    for key, last in tables[-1].items():
        seen = [table[key] for table in tables if key in table]
        if key not in tables[0]:
            continue
        entry: dict[str, Any] = {"name": last["name"], "max": last["max"], "queue_capacity": last["queue_capacity"]}
        entry["queue_min"] = min(worker["queue"] for worker in seen)
        for name in ("queue", "active", "detached"):
            entry[f"{name}_first"], entry[f"{name}_last"] = seen[0][name], last[name]
        result.append(entry)
    return result
