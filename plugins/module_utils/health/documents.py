# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents that rules see, made from collected documents. Pure. All input is untrusted.

docs/rules.md describes the documents of each scope for authors of rules. Its text is in tests/tools/rules_page.py: keep
it in step with this file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator, Sequence

from ..reasons import Reason, detail_of
from .document_schemas import (
    CERTIFICATE,
    CERTIFICATE_SCHEMA,
    CLUSTER,
    CLUSTER_FORMAT,
    EXPECTED,
    INSTANCE,
    LOG,
    LOG_SCHEMA,
    MISSING,
    SAMPLE,
    SAMPLED,
    STATUS_FORMAT,
    VERSION,
    WINDOW,
    WINDOW_SCHEMA,
)
from .elapsed import is_utc_timestamp, seconds_between
from .log_facts import add_log_facts
from .schema_checks import Schema, SchemaError, each, text


@dataclass
class InstanceStatus:
    """Document of one instance, as rules see it, and the sections that are malformed.

    broken: section -> error. timestamps: RFC 3339 times of the samples, sorted; empty if the document has none.
    windowed: whether a second sample was requested. times_read: endpoint -> the number of samples that have it.
    """

    document: dict[str, Any]
    broken: dict[str, str] = field(default_factory=dict)
    timestamps: list[str] = field(default_factory=list)
    windowed: bool = False
    times_read: dict[str, int] = field(default_factory=dict)

    @property
    def instance(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["instance"]
        return found

    @property
    def answers(self) -> bool:
        """True if it answered an endpoint, and /ping in the newest sample."""
        hangs = any(entry["endpoint"] == "ping" and entry["newest"] for entry in self.document["missing"])
        return any(self.times_read.values()) and not hangs


def instance_status(raw: Any, path: str, transport: str = "", now: str = "") -> InstanceStatus:
    """Return the status of one instance. Raise SchemaError if the document does not even identify the instance.

    transport: of the access point, for a document that does not name it. now: RFC 3339, for a document without a time
    of collection.
    """
    _check_format(raw, STATUS_FORMAT)
    instance = INSTANCE(raw.get("instance"), "instance")
    made: dict[str, Any] = {
        "cluster": instance["cluster"],
        "component": instance["component"],
        "path": path,
        "transport": text(raw.get("transport") or transport, "transport"),
        "instance": instance,
        "expected": EXPECTED(raw.get("expected"), "expected"),
        "missing": MISSING(raw.get("missing"), "missing"),
    }
    status = InstanceStatus(made)
    samples = _samples(raw.get("samples"), status)
    made["window"] = _section(raw, WINDOW, WINDOW_SCHEMA, status)
    made["certificate"] = _section(raw, CERTIFICATE, CERTIFICATE_SCHEMA, status)
    made["log"] = _section(raw, LOG, LOG_SCHEMA, status)
    made["latest"] = {
        endpoint: next((sample[endpoint] for sample in reversed(samples) if endpoint in sample), None)
        for endpoint in SAMPLED
    }
    status.times_read = {endpoint: sum(1 for sample in samples if endpoint in sample) for endpoint in SAMPLED}
    # If an endpoint is malformed in one sample, do not evaluate it from the others.
    made["latest"].update({endpoint: None for endpoint in SAMPLED if endpoint in status.broken})
    times = [*(sample.get("at") for sample in samples), raw.get("collected")]
    status.timestamps = sorted(time for time in times if is_utc_timestamp(time))
    _mark_newest(made, len(samples), status)
    _add_ages(made, status.timestamps[-1] if status.timestamps else now)
    _add_minima(made["latest"], samples)
    if made["log"] is not None:
        # The log is read together with the first sample.
        read_at = status.timestamps[0] if status.timestamps and status.answers else ""
        add_log_facts(made["log"], made["latest"]["worker_stats"], read_at)
    _drop_uneventful(made)
    _add_start(made)
    return status


def cluster_named_in(raw: Any) -> str:
    """Return the cluster that a status document names, or ""."""
    instance = raw.get("instance") if isinstance(raw, dict) else None
    found = instance.get("cluster") if isinstance(instance, dict) else None
    return found if isinstance(found, str) else ""


def names_transport(raw: Any) -> bool:
    """Return whether a status document names the transport of its instance."""
    return isinstance(raw, dict) and bool(raw.get("transport"))


def cluster_status(raw: Any) -> dict[str, Any]:
    """Return the document of one access point. Raise SchemaError if it is malformed."""
    _check_format(raw, CLUSTER_FORMAT)
    found: dict[str, Any] = CLUSTER(raw, "cluster.json")
    found["problems"] = [entry for entry in found["problems"] if entry["reason"] != Reason.NOT_DEPLOYED.value]
    return found


def _check_format(raw: Any, name: str) -> None:
    if not isinstance(raw, dict) or raw.get("format") != name or raw.get("version") != VERSION:
        raise SchemaError(f"not a document of the format {name}, version {VERSION}")


def _section(raw: dict[str, Any], key: str, schema: Schema, status: InstanceStatus) -> Any:
    """Return a section of the document, or None. A malformed section is None, with its error in status.broken."""
    value = raw.get(key)
    if value is None:
        return None
    try:
        return schema(value, key)
    except SchemaError as error:
        status.broken[key] = str(error)
        return None


def _samples(raw: Any, status: InstanceStatus) -> list[dict[str, Any]]:
    """Return the well-formed parts of each sample. An endpoint that is malformed in any sample counts as broken."""
    samples = []
    for given in each(_object)(raw, "samples"):
        sample = {}
        for endpoint in SAMPLED:
            value = _section(given, endpoint, SAMPLE[endpoint], status)
            if value is not None:
                sample[endpoint] = value
        sample["at"] = given.get("at")
        samples.append(sample)
    return samples


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SchemaError(f"{place} is not an object")
    return value


def _mark_newest(made: dict[str, Any], samples: int, status: InstanceStatus) -> None:
    """Set `newest` and `detail` of each missing endpoint. newest: it is missing in the newest sample."""
    sampled = {id(entry) for entry in made["missing"] if entry["endpoint"].partition("/")[0] in SAMPLED}
    newest = max([samples] + [entry["sample"] for entry in made["missing"] if id(entry) in sampled])
    for entry in made["missing"]:
        entry["newest"] = id(entry) not in sampled or entry["sample"] == newest
        entry["detail"] = detail_of(entry["reason"], entry["message"])
    status.windowed = newest > 1 or made["window"] is not None


def _add_ages(made: dict[str, Any], at: str) -> None:
    """Add the ages of the previous and the current container, and the run time of the previous one; null if unknown."""
    instance = made["instance"]
    for key, age in (("last_ended", "last_ended_seconds"), ("started", "started_seconds")):
        instance[age] = _age(instance[key], at)
    for entry in made["missing"]:
        entry["started_seconds"] = instance["started_seconds"]
    instance["last_ran_seconds"] = _age(instance["last_started"], instance["last_ended"])


def _age(since: str, at: str) -> float | None:
    """Return the seconds since a time, at least 0: the clocks of two machines may differ."""
    seconds = seconds_between(since, at)
    return None if seconds is None else max(0.0, seconds)


def _add_minima(latest: dict[str, Any], samples: Sequence[dict[str, Any]]) -> None:
    """Add the minimum over all samples to pools and databases: one busy moment is no problem."""
    for endpoint, key, figures in (
        ("worker_stats", "workers", ("active", "queue", "detached")),
        ("db_stats", "databases", ("in_use",)),
    ):
        if latest[endpoint] is None:
            continue
        least: dict[tuple[str, int], list[Any]] = {}
        first: dict[tuple[str, int], Any] = {}
        for sample in samples:
            for name, entry in _numbered((sample.get(endpoint) or {}).get(key, [])):
                found = [entry[figure] for figure in figures]
                least[name] = [min(pair) for pair in zip(found, least.get(name, found))]
                first.setdefault(name, entry)
        for name, entry in _numbered(latest[endpoint][key]):
            entry.update(zip([figure + "_min" for figure in figures], least[name]))
            if "queue" in entry:
                entry["queue_first"] = first[name]["queue"]


def _numbered(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    """Yield ((name, occurrence), entry) for each entry, since names need not be unique."""
    before: Counter[str] = Counter()
    for entry in entries:
        yield (entry["name"], before[entry["name"]]), entry
        before[entry["name"]] += 1


def _drop_uneventful(made: dict[str, Any]) -> None:
    """Drop idle pools and list failing paths apart, so that rules look at few entries.

    A healthy service has dozens of idle pools, and hundreds of paths without errors. `pools` keeps the number of pools.
    """
    workers = made["latest"]["worker_stats"]
    if workers is not None:
        workers["pools"] = len(workers["workers"])
        workers["workers"] = [
            pool for pool in workers["workers"] if pool["active"] or pool["queue"] or pool["detached"]
        ]
    window = made["window"]
    if window is None:
        return
    if window["paths"] is not None:
        window["failing_paths"] = [path for path in window["paths"] if path["errors_5xx"]]
    if window["workers"]:
        window["workers"] = [pool for pool in window["workers"] if any(pool[figure] for figure in _ACTIVITY)]


def _add_start(made: dict[str, Any]) -> None:
    """Add the age of the instance to each pool: all cron jobs of a service run once at its start."""
    workers, window = made["latest"]["worker_stats"], made["window"]
    for pool in [*(workers["workers"] if workers else ()), *((window["workers"] or ()) if window else ())]:
        pool["started_seconds"] = made["instance"]["started_seconds"]


_ACTIVITY = ("queue_first", "queue_last", "active_first", "active_last", "detached_first", "detached_last")

# The parts of an instance's document that wider scopes see: enough to compare replicas, small for thousands of them.
_COMPACT_WINDOW = (
    "seconds",
    "requests",
    "errors_5xx",
    "error_ratio",
    "mean_duration_ms",
    "goroutines_first",
    "goroutines_last",
    "heap_alloc_bytes_first",
    "heap_alloc_bytes_last",
)
_COMPACT_INSTANCE = ("name", "node", "state", "ready", "restarts", "read_only", "image")


def compact_document(document: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of an instance's document that wider scopes see."""
    window, latest = document["window"], document["latest"]
    return {
        "cluster": document["cluster"],
        "component": document["component"],
        "path": document["path"],
        "instance": {key: document["instance"][key] for key in _COMPACT_INSTANCE},
        "latest": {key: latest[key] for key in ("ping", "version", "process_stats")},
        "window": {key: window[key] for key in _COMPACT_WINDOW} if window and not window["reset"] else None,
        "certificate": document["certificate"],
    }


def component_document(name: str, cluster: dict[str, Any], instances: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the document of one component of one cluster. versions: all that its instances report."""
    versions = {entry["latest"]["version"]["text"] for entry in instances if entry["latest"]["version"]}
    return {
        "cluster": cluster["cluster"],
        "component": name,
        "transport": cluster["transport"],
        "instances": instances,
        "workloads": [workload for workload in cluster["workloads"] if workload["component"] == name],
        "versions": sorted(versions),
    }


def cluster_document(cluster: dict[str, Any], components: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the document of one cluster: its access point, its components, and the absent components."""
    present = {entry["component"] for entry in components}
    return {
        "cluster": cluster["cluster"],
        "transport": cluster["transport"],
        "named": cluster["named"],
        "selected": cluster["components"],
        "absent": [name for name in cluster["components"] if name not in present],
        "components": components,
    }


def nameless_cluster(name: str) -> dict[str, Any]:
    """Return an empty document, for a cluster without a cluster.json."""
    empty: dict[str, Any] = {"components": [], "workloads": [], "workloads_known": False, "problems": []}
    return dict(empty, cluster=name, transport="", named=False)
