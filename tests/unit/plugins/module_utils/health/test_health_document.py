# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document health.json: verdicts, counts, order, and its schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import (
    affected,
    failure,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.report import table
from audit_documents import (
    ASKS_PING,
    FINE,
    RESTARTED,
    SILENT,
    cluster,
    findings_of,
    health_of,
    healthy,
    instance,
    rule,
    rules_of,
    status,
    verdicts,
)
from report_documents import RULES, absent, documents, hostile, with_baseline

SCHEMA = json.loads((Path(__file__).parents[5] / "docs" / "schemas" / "health.schema.json").read_text())


def test_finding_has_value_threshold_and_evidence():
    levels = {"compare": "at_least", "warning": "few", "critical": "many"}
    thresholds = {name: {"default": at, "unit": "u", "what": "w"} for name, at in (("few", 2), ("many", 5))}
    loaded = rules_of(
        rule(severity=None, levels=levels, scenario="deadlock", message="{instance}: {value} >= {threshold}"),
        thresholds=thresholds,
    )
    (finding,) = health_of(loaded, cluster(), status(instance(restarts=3)))["findings"]
    assert finding == {
        "key": "some_rule|c|region|region-1|",
        "rule": "some_rule",
        "title": "T",
        "severity": "warning",
        "holds_up": "part",
        "scope": "instance",
        "cluster": "c",
        "component": "region",
        "instance": "region-1",
        "subject": "",
        "value": 3,
        "threshold": 2,
        "unit": "u",
        "message": "region-1: 3 >= 2",
        "fields": {},
        "advice": "A",
        "reference": "R",
        "scenario": "deadlock",
        "capture_next": "ansible-playbook cloudpods.diagnostics.capture_stacks -e cloudpods_components=region",
        "artifact": "c/region/region-1/status.json",
        "change": "",
    }
    assert findings_of(health_of(loaded, cluster(), status(instance(restarts=5)))) == [("critical", "some_rule")]
    assert findings_of(health_of(loaded, cluster(), status(instance(restarts=1)))) == []
    assert findings_of(health_of(loaded, cluster(), status(instance(restarts=1)), few=1)) == [("warning", "some_rule")]


def test_cluster_and_fleet_have_the_verdict_of_their_worst_component():
    documents = [
        cluster("c"),
        cluster("d"),
        status(instance(cluster="c")),
        status(instance(cluster="d")),
        status(instance("host", "host-1", "d", restarts=2)),
    ]
    document = health_of(rules_of(RESTARTED), *documents)
    assert verdicts(document) == {("c", "region"): "ok", ("d", "host"): "warning", ("d", "region"): "ok"}
    assert [(one["cluster"], one["verdict"]) for one in document["clusters"]] == [("c", "ok"), ("d", "warning")]
    assert document["verdict"] == "warning"
    assert document["counts"] == {
        "clusters": 2,
        "components": 3,
        "instances": 3,
        "critical": 0,
        "warning": 1,
        "unknown": 0,
    }


def test_collected_spans_first_to_last_sample():
    samples = [{"at": f"2026-01-02T03:59:{second}.000Z"} for second in ("10", "20")]
    other = [{"at": "2026-01-02T03:59:05.000Z"}, {"at": "2026-01-02T03:59:15.000Z"}]
    statuses = [status(samples=samples), status(instance(name="region-2"), samples=other)]
    document = health_of(rules_of(RESTARTED), cluster(), *statuses)
    assert document["collected"] == {"first": "2026-01-02T03:59:05.000Z", "last": "2026-01-02T03:59:20.000Z"}


def test_collected_ignores_malformed_timestamps():
    document = health_of(rules_of(RESTARTED), cluster(), status(samples=[{"at": "x" * 9}], collected="soon"))
    assert document["collected"] == {"first": "", "last": ""}
    known = status(samples=[{"at": "x"}], collected="2026-01-02T03:00:00Z")
    assert health_of(rules_of(RESTARTED), cluster(), known)["collected"]["first"] == "2026-01-02T03:00:00Z"


@pytest.mark.parametrize(
    ("verdict", "fails_on"),
    [
        ("ok", []),
        ("unknown", ["unknown"]),
        ("warning", ["warning", "unknown"]),
        ("critical", ["critical", "warning", "unknown"]),
    ],
)
def test_run_fails_according_to_the_policy(verdict, fails_on):
    documents = {
        "ok": [RESTARTED, FINE],
        "unknown": [ASKS_PING, SILENT],
        "warning": [RESTARTED, status(instance(restarts=1))],
        "critical": [rule(severity="critical"), status(instance(restarts=1))],
    }
    own, of = documents[verdict]
    document = health_of(rules_of(own), cluster(), of)
    assert document["verdict"] == verdict
    assert [policy for policy in ("none", "critical", "warning", "unknown") if failure(document, policy)] == fails_on
    if fails_on:
        assert failure(document, "unknown").startswith(f"The verdict is {verdict}: 1 {verdict}. The first: c/region")


def test_failure_names_that_no_instance_was_found():
    document = health_of(rules_of(RESTARTED), cluster())
    assert failure(document, "unknown") == "The verdict is unknown: no instance was found."


def test_affected_components_have_critical_findings_with_a_scenario():
    rules = rules_of(
        rule(severity="critical", scenario="deadlock"),
        rule(id="mild", scenario="deadlock", expression="[instance][?ready].{value: restarts}"),
        rule(id="certificate", severity="critical", expression="[instance][?component == 'notify'].{value: restarts}"),
    )
    documents = [
        status(instance("notify", "n")),
        status(instance(restarts=1)),
        status(instance("host", "host-1")),
        status(instance("logger", "l", "d", restarts=1)),
    ]
    document = health_of(rules, cluster(), cluster("d"), *documents)
    assert affected(document, "critical") == [
        {"cluster": "c", "components": ["region"]},
        {"cluster": "d", "components": ["logger"]},
    ]


def test_first_finding_is_the_one_that_holds_up_most():
    late = rule(
        id="late", severity="critical", holds_up="nothing", expression="[instance][?name == 'a-1'].{value: `5`}"
    )
    now = rule(id="now", severity="critical", holds_up="everything", message="all wait")
    now["expression"] = "[instance][?name != 'a-1'].{value: restarts}"
    names = ("a", "notify", "region", "keystone")
    document = health_of(
        rules_of(late, now), cluster(components=names), *(status(instance(name, f"{name}-1")) for name in names)
    )
    assert [one["component"] for one in document["findings"]] == ["keystone", "region", "notify", "a"]
    assert "The first: c/keystone/keystone-1: all wait" in failure(document, "critical")
    rows = [line.split()[2] for line in table(document)[1:5]]
    assert rows == ["keystone", "region", "notify", "a"]


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize(
    "make",
    [lambda: health_of(RULES, *documents()), lambda: health_of(RULES, *hostile()), lambda: health_of(RULES),
     with_baseline, absent],
)  # fmt: skip
def test_health_json_matches_the_schema(make, validator):
    validator.validate(json.loads(json.dumps(make())))


def test_health_json_of_the_shipped_rules_matches_the_schema(shipped, validator):
    base = healthy(instance(ready=False))
    base["log"]["patterns"] = [{"id": "db_lock", "count": 3, "samples": ["Lock wait timeout exceeded"]}]
    validator.validate(json.loads(json.dumps(health_of(shipped, cluster(), base))))


@pytest.mark.parametrize(
    "change", [{"verdict": "fine"}, {"extra": 1}, {"counts": {}}, {"findings": [{}]}, {"baseline": {}}]
)
def test_schema_refuses_malformed_documents(change, validator):
    good = json.loads(json.dumps(health_of(RULES, *documents())))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**good, **change})
