# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports for CI and for Prometheus."""

from __future__ import annotations

from xml.etree import ElementTree

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.issue_report import printable
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import health_document
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.junit_prometheus import junit, prometheus
from audit_documents import audit_of, health_of
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from report_documents import HOSTILE, RULES, documents, hostile


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


def test_junit_counts_its_cases():
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


def test_junit_of_untrusted_text_is_well_formed():
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
def test_any_label_survives_the_prometheus_parser(name, other):
    document = health_of(RULES, *documents())
    document["clusters"][0]["cluster"] = name
    document["clusters"][0]["components"][0]["component"] = other
    labels = {"cluster": printable(name), "component": printable(other)}
    assert ("cloudpods_health_verdict", tuple(labels.items())) in samples_of(document)
