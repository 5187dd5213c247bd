# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances and ledger rows survive JSON; times are exact to the millisecond."""

from __future__ import annotations

import dataclasses
import datetime
import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import (
    Artifact,
    Instance,
    LedgerRow,
    Process,
    count_by_status,
    row,
    utc_moment,
    utc_now,
    utc_text,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import (
    Reason,
    Status,
    verdict,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from hypothesis import given
from hypothesis import strategies as st

PROCESS = Process(7, 70, "/opt/yunion/bin/region", same_container=True, caught=512)
INSTANCE = Instance("c", "region", "pod", "onecloud", "n1", state=State.CRASH_LOOP, ports=(1, 2), process=PROCESS)


text = st.text(max_size=20)
processes = st.builds(Process, st.integers(1), st.integers(0), executable=text, same_container=st.booleans())
instances = st.builds(
    Instance,
    cluster=text.filter(bool),
    component=text.filter(bool),
    name=text.filter(bool),
    namespace=text,
    state=st.sampled_from(State),
    restarts=st.integers(0),
    ports=st.lists(st.integers(1, 65535)).map(tuple),
    process=st.none() | processes,
)


@given(instances)
def test_instance_survives_json(instance):
    assert Instance.from_dict(json.loads(json.dumps(instance.as_dict()))) == instance


def test_instance_as_dict_has_every_field_as_a_plain_value():
    data = INSTANCE.as_dict()
    assert set(data) == {field.name for field in dataclasses.fields(Instance)}
    assert (data["state"], data["ports"], data["process"]["pid"]) == ("crash_loop", [1, 2], 7)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"component": None},
        {"cluster": None},
        {"state": "asleep"},
        {"ports": ["http"]},
        {"ports": 5},
        {"process": {"pid": 1}},
        {"process": {}},
    ],
)
def test_rejects_malformed_instances(change):
    with pytest.raises(ValueError, match=r"."):
        Instance.from_dict({**INSTANCE.as_dict(), **change})


def test_ignores_fields_of_newer_versions():
    data = INSTANCE.as_dict()
    data["process"]["new"] = data["new"] = 1
    assert Instance.from_dict(data) == INSTANCE


def test_row_has_instance_verdict_and_artifact():
    artifact = Artifact("c/region/pod/stack-1.txt", 5, "ab")
    made = row(INSTANCE, "stack", verdict(Reason.PROVEN), 2, artifact, "now", 1.23456, {"total": 3})
    assert dataclasses.asdict(made) == {
        "cluster": "c",
        "namespace": "onecloud",
        "node": "n1",
        "component": "region",
        "instance": "pod",
        "container": "",
        "capture": "stack",
        "sequence": 2,
        "status": "complete",
        "reason": "proven",
        "message": verdict(Reason.PROVEN).message,
        "path": artifact.path,
        "bytes": 5,
        "sha256": "ab",
        "started": "now",
        "duration": 1.235,
        "details": {"total": 3},
    }
    assert LedgerRow.from_dict(json.loads(json.dumps(made.as_dict()))) == made


GOOD_ROW = row(INSTANCE, "stack", verdict(Reason.GONE)).as_dict()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "row",
        {},
        {**GOOD_ROW, "status": "complete"},
        {**GOOD_ROW, "reason": "because"},
        {**GOOD_ROW, "details": []},
        {**GOOD_ROW, "new": 1},
        {key: value for key, value in GOOD_ROW.items() if key != "capture"},
        {**GOOD_ROW, "bytes": "many"},
        {**GOOD_ROW, "path": 5},
        {**GOOD_ROW, "message": ["a"]},
        {**GOOD_ROW, "sequence": 1.5},
        {**GOOD_ROW, "duration": "long"},
        {**GOOD_ROW, "component": None},
    ],
)
def test_rejects_malformed_rows(data):
    with pytest.raises(ValueError, match="not a ledger row"):
        LedgerRow.from_dict(data)


# Years before 1000 are left out, because strftime does not pad them.
@given(st.datetimes(datetime.datetime(1970, 1, 2), datetime.datetime(2999, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_keeps_times_to_the_millisecond(moment):
    text = utc_text(moment)
    assert utc_text(utc_moment(text)) == text
    assert abs((utc_moment(text) - moment).total_seconds()) < 0.001
    assert len(text) == len("2026-01-02T03:04:05.678Z")


def test_now_is_in_utc():
    assert utc_now().utcoffset().total_seconds() == 0


def test_counts_include_every_status():
    counts = count_by_status([row(INSTANCE, "stack", verdict(reason)) for reason in (Reason.GONE, Reason.PROVEN)])
    assert counts == {**{status.value: 0 for status in Status}, "failed": 1, "complete": 1}
