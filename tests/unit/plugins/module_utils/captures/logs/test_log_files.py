# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a watch leaves of each log: its row and its files, by their schemas, for every verdict there is."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import LogWatchOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import (
    LogWatch,
    LogWatchReport,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import (
    Gap,
    Opened,
    WriterChanged,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import VERDICTS
from capturing import schema
from scripted import BUSY, FULL, WAITS, Cloud, Script

from patience import patience, wait_until

POOL = "TaskWorkerManager"


LOG, COUNTS, ROW = schema("log"), schema("counts"), schema("ledger-row")


@dataclasses.dataclass
class Left:
    """What a watch left of one log."""

    report: LogWatchReport
    folder: Path

    @property
    def log(self) -> dict:
        return json.loads((self.folder / "log.json").read_text())

    @property
    def counts(self) -> dict:
        return json.loads((self.folder / "counts.json").read_text())


def watch(folder: Path, *events) -> Left:
    """Watch one log in which that happens, texts being messages, until all was taken."""
    cloud = Cloud()
    name = cloud.add("region").instance.name
    deadline, selection = Deadline(patience()), select("", ["region"])
    store, options = Store(str(folder)), LogWatchOptions(duration=patience(), until="duration")
    watching = LogWatch(cloud, discover(cloud, selection, deadline), selection, store, options, deadline)
    reports: list[LogWatchReport] = []
    thread = threading.Thread(target=lambda: reports.append(watching.run()))
    thread.start()
    wait_until("the follower", lambda: name in cloud.follows)
    script: Script = cloud.follows[name]
    for event in events:
        script.say(event) if isinstance(event, str) else script.written.put(event)
    wait_until("the reading of it all", script.written.empty)
    script.caught_up.set()
    watching.stop()
    thread.join(patience())
    (report,) = reports
    for row in report.rows:
        ROW.validate(row.as_dict())
    return Left(report, folder / "c1" / "region" / name)


def since(seconds: float) -> Opened:
    return Opened(time.time() - seconds)


CYCLES = [BUSY.format(pool=POOL, cycles=number) for number in (9, 10, 11)]
CASES = {
    "healthy": ([since(600), "hello"], "quiet"),
    "unknown": ([since(600), "hello", Gap("stream_lost", "cut", time.time() - 60, None)], "gap"),
    "busy": ([since(600), WriterChanged("containerd://b", 1), WAITS.format(pool=POOL)], "starts"),
    "stuck": ([since(600), *CYCLES], "cycles_grow"),
    "dropping": ([since(600), WAITS.format(pool=POOL), FULL.format(pool=POOL)], "tasks_lost"),
}


def test_there_is_a_case_for_every_verdict():
    assert set(CASES) == set(VERDICTS)


@pytest.mark.parametrize("wanted", CASES)
def test_artifacts_agree_and_follow_their_schema(wanted, tmp_path):
    events, rule = CASES[wanted]
    left = watch(tmp_path, *events)
    log, counts = left.log, left.counts
    LOG.validate(log)
    COUNTS.validate(counts)
    assert (log["verdict"], log["rule"], left.report.verdict) == (wanted, rule, wanted)
    assert {key: log[key] for key in counts} == counts
    (row,) = left.report.rows
    assert row.details["verdict"] == wanted
    assert {key: row.details[key] for key in ("lines", "bytes", "hits", "container_changes")} == {
        key: log[key] for key in ("lines", "bytes", "hits", "container_changes")
    }
    assert row.details["gaps"] == log["gap_count"] == len(log["gaps"])
    assert ElementTree.parse(left.folder / "picture.svg").getroot().tag.endswith("svg")  # noqa: S314
    assert (left.folder / "log-windows.txt").exists() == bool(log["hits"])


@pytest.mark.parametrize("name", ["log", "counts"])
def test_the_schemas_are_strict(name, tmp_path):
    """Whatever is added to an object of a document, or left out of it, is refused."""
    left = watch(tmp_path, *CASES["stuck"][0], Gap("skipped", "sampled"))
    document = json.loads((left.folder / f"{name}.json").read_text())
    checker = {"log": LOG, "counts": COUNTS}[name]
    checker.validate(document)
    tried = 0
    for path, found in _objects(document):
        # Whose names are data: pools and reasons; and an instance is described elsewhere.
        if path[:1] == ("instance",) or path[-1:] in (("pools",), ("reasons",)):
            continue
        tried += 1
        found["more"] = 1
        assert not checker.is_valid(document), path
        del found["more"]
        for key in sorted(set(found) - {"cycles", "oldest_tasks", "waiting", "lost", "detached", "refused"}):
            kept = found.pop(key)
            assert not checker.is_valid(document), (*path, key)
            found[key] = kept
    checker.validate(document)
    assert tried > 2


def _objects(document, path=()):
    if isinstance(document, dict):
        yield path, document
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(items):
        if isinstance(value, (dict, list)):
            yield from _objects(value, (*path, key))
