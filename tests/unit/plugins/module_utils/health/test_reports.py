# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports: read by people, by CI and by Prometheus, with hostile names in them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.issue_report import printable
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.compare import compare, read_baseline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import health_document
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.junit_prometheus import junit, prometheus
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.report import TABLE_LINES, markdown, table
from clouds import audit_of, cluster, health_of, healthy, instance, rule, rules_of, status
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

SCHEMA = json.loads((Path(__file__).parents[5] / "docs" / "schemas" / "health.schema.json").read_text())
HOSTILE = 'a\\"b\x1b[31m|`<script>\n# evil\ud800\uffff'

RULES = rules_of(
    rule(severity="critical", message="{value} restarts of {subject}", scenario="deadlock",
         expression="[instance][?restarts > `0`].{subject: node, value: restarts}"),
    rule(id="mild", expression="[instance][?!ready].{value: restarts}", covers=["milder"]),
    rule(id="milder", expression="[instance][?!ready].{value: restarts}"),
    rule(id="asks", needs=["ping"], expression="[latest.ping][?!answered].{value: answered}"),
)  # fmt: skip
SILENT = {"expected": ["ping"], "missing": [{"endpoint": "ping", "reason": "no_answer"}]}


def documents():
    return [
        cluster(),
        status(instance(restarts=3)),
        status(instance(name="region-2", ready=False)),
        status(instance("host", "host-1"), **SILENT),
        status(instance("logger", "logger-1"), samples=[{"ping": {"answered": True}}]),
    ]


def hostile():
    of = {**instance(HOSTILE, HOSTILE, HOSTILE, node=HOSTILE, restarts=1), "ready": False}
    return [cluster(HOSTILE), {**status(of, **SILENT)}, status(instance(restarts=1, node=HOSTILE))]


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def with_baseline():
    document = health_of(RULES, *documents())
    earlier = health_of(RULES, cluster(), status(instance("notify", "n", restarts=1)), status(instance(restarts=1)))
    compare(document, read_baseline(earlier))
    return document


def absent():
    audit = audit_of(RULES, *documents())
    audit.cannot_reach("d", HOSTILE)
    audit.cannot_use("part.tar.gz", "cut short")
    return health_document(audit)


@pytest.mark.parametrize(
    "make",
    [lambda: health_of(RULES, *documents()), lambda: health_of(RULES, *hostile()), lambda: health_of(RULES),
     with_baseline, absent],
)  # fmt: skip
def test_health_json_is_as_the_schema_says(make, validator):
    validator.validate(json.loads(json.dumps(make())))


def test_health_json_of_the_shipped_rules_is_as_the_schema_says(shipped, validator):
    base = healthy(instance(ready=False))
    base["log"]["patterns"] = [{"id": "db_lock", "count": 3, "samples": ["Lock wait timeout exceeded"]}]
    validator.validate(json.loads(json.dumps(health_of(shipped, cluster(), base))))


@pytest.mark.parametrize(
    "change", [{"verdict": "fine"}, {"extra": 1}, {"counts": {}}, {"findings": [{}]}, {"baseline": {}}]
)
def test_the_schema_refuses_what_is_not_one(change, validator):
    good = json.loads(json.dumps(health_of(RULES, *documents())))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**good, **change})


def test_the_table_says_what_is_not_ok_the_worst_first():
    lines = table(health_of(RULES, *documents()))
    assert lines[0].split() == [
        "verdict",
        "cluster",
        "component",
        "instances",
        "critical",
        "warning",
        "unknown",
        "finding",
    ]
    assert lines[1].split() == ["critical", "c", "region", "2", "1", "1", "-", "3", "restarts", "of", "n1"]
    assert lines[2].split()[:7] == ["unknown", "c", "host", "1", "-", "-", "1"]
    assert "ping was not read (no_answer)" in lines[2]
    assert lines[3:] == [
        "1 component ok",
        "",
        "capture next: ansible-playbook cloudpods.diagnostics.capture_stacks -e cloudpods_components=region",
        "",
        "verdict: critical (1 critical, 1 warning, 1 unknown) on 1 cluster, 3 components, 4 instances",
    ]


def test_the_table_is_bounded_and_tells_of_clusters_that_brought_nothing():
    many = [status(instance(f"s{n}", f"s{n}-1", restarts=1)) for n in range(TABLE_LINES + 7)]
    lines = table(health_of(RULES, cluster(), *many))
    assert f"… {7} more lines are in health.md" in lines
    assert any(line.startswith("unknown   d") and "no route" in line for line in table(unreachable()))


def unreachable():
    audit = audit_of(RULES, *documents())
    audit.cannot_reach("d", "no route to host")
    return health_document(audit)


def test_the_table_compares_with_the_baseline():
    assert table(with_baseline())[-1] == (
        "since 2026-01-02T04:00:00.000Z (verdict then: critical): 1 new, 0 worse, 1 same, 0 better, 1 gone, 0 not seen"
    )


def test_markdown_has_findings_evidence_advice_and_what_could_not_be_said():
    text = markdown(with_baseline())
    for part in (
        "### critical: c/region/region-1: T",
        "3 restarts of n1",
        "- evidence: c/region/region-1/status.json",
        "- advice: A",
        "- capture next:\n\n      ansible-playbook cloudpods.diagnostics.capture_stacks -e cloudpods_components=",
        "### warning (new): c/region/region-2: T",
        "| c/region/region-2 | warning | 0 restarts | mild |",
        "| c/host | ping was not read (no\\_answer) | 1 | asks |",
        "| c/notify/n | critical | 1 restarts of n1 | gone |",
    ):
        assert part in text, part


@pytest.mark.parametrize("write", [lambda d: "\n".join(table(d)), markdown, prometheus])
def test_hostile_text_neither_steers_the_terminal_nor_breaks_out(write):
    text = write(health_of(RULES, *hostile()))
    assert "\x1b" not in text
    assert "\n# evil" not in text


def test_hostile_text_starts_no_markup():
    text = markdown(health_of(RULES, *hostile()))
    assert "<script>" not in text.replace("\\<script\\>", "")
    for line in text.splitlines():
        if line.startswith("| a"):
            assert line.replace("\\|", "").count("|") in (8, 5), line


def cases(xml):
    return {
        (case.get("classname"), case.get("name")): [
            (child.tag, child.get("type"), child.get("message")) for child in case
        ]
        for case in ElementTree.fromstring(xml).iter("testcase")  # noqa: S314 - our own
    }


def test_junit_has_a_case_for_each_rule_and_component():
    audit = audit_of(RULES, *documents())
    found = cases(junit(health_document(audit), audit, "critical"))
    failed = [("failure", "critical", "critical: region-1: 3 restarts of n1")]
    assert found["c.region", "some_rule"] == failed
    assert found["c.region", "mild"] == [("system-out", None, None)]
    assert found["c.region", "milder"] == []
    assert found["c.host", "asks"] == [("skipped", "unknown", "ping was not read (no_answer) (host-1)")]
    assert found["c.logger", "asks"] == []
    # It does not apply there.
    assert ("c.region", "asks") not in found
    strict = cases(junit(health_document(audit), audit, "unknown"))
    assert [element[0] for element in strict["c.region", "mild"]] == ["failure"]
    assert [element[0] for element in strict["c.host", "asks"]] == ["error"]
    lax = cases(junit(health_document(audit), audit, "none"))
    assert {element[0] for elements in lax.values() for element in elements} == {"system-out", "skipped"}


def test_junit_counts_what_it_holds():
    audit = audit_of(RULES, *documents())
    (suite,) = ElementTree.fromstring(junit(health_document(audit), audit, "critical"))  # noqa: S314 - our own
    assert dict(suite.attrib) == {
        "name": "c",
        "timestamp": "2026-01-02T04:00:00",
        "tests": str(len(suite)),
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }


def test_junit_of_hostile_text_is_xml():
    audit = audit_of(RULES, *hostile())
    audit.cannot_reach(HOSTILE + "2", HOSTILE)
    found = cases(junit(health_document(audit), audit, "unknown"))
    assert any(element[0] == "failure" for elements in found.values() for element in elements)


def samples_of(document):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(prometheus(document))
        for sample in family.samples
    }


def test_prometheus_has_verdicts_and_findings():
    document = health_of(RULES, *documents())
    found = samples_of(document)
    region = (("cluster", "c"), ("component", "region"))
    assert found["cloudpods_health_verdict", region] == 3
    assert found["cloudpods_health_instances", region] == 2
    assert found["cloudpods_health_unknown", (("cluster", "c"), ("component", "host"))] == 1
    assert found["cloudpods_health_cluster_verdict", (("cluster", "c"),)] == 3
    assert found["cloudpods_health_fleet_verdict", ()] == 3
    assert found["cloudpods_health_evaluated_timestamp_seconds", ()] == 1767326400
    labels = (("cluster", "c"), ("component", "region"), ("rule", "some_rule"), ("severity", "critical"))
    assert found["cloudpods_health_findings", labels] == 1
    assert prometheus(document).endswith("\n")


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_label_can_be_read_back(name, other):
    document = health_of(RULES, *documents())
    document["clusters"][0]["cluster"] = name
    document["clusters"][0]["components"][0]["component"] = other
    labels = {"cluster": printable(name), "component": printable(other)}
    assert ("cloudpods_health_verdict", tuple(labels.items())) in samples_of(document)
