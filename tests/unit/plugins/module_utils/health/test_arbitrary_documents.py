# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of arbitrary documents do not crash, and are not ok without data."""

from __future__ import annotations

import copy
import json

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.audit import Audit
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.check import read_rules
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.documents import instance_status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.evaluate import OK, OUTCOMES
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import health_document
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.junit_prometheus import junit, prometheus
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.report import markdown, table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_inputs import READY, availability
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rules import INSTANCE
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.schema_checks import SchemaError, loads
from audit_documents import NOW, RULES, cluster, healthy, workload
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SHIPPED = read_rules([RULES])
# Enough of a region's paths and pools to be quick.
BASE = healthy()
for _sample in BASE["samples"]:
    _sample["worker_stats"]["workers"] = _sample["worker_stats"]["workers"][:3]
BASE["log"]["patterns"] = [{"id": "queue_full", "count": 1, "pools": [{"name": "P", "count": 1}], "samples": ["x"]}]
BASE["log"]["busy"] = [{"name": "P", "cycles_first": 1, "cycles_last": 2, "cycles_max": 2, "last": ""}]
BASE["missing"] = [{"endpoint": "ping", "sample": 1, "reason": "no_answer", "message": ""}]
CLUSTER = cluster(workloads=[workload()], problems=[{"place": "p", "reason": "forbidden", "message": ""}])


def places(value, path=()):
    """Yield the path of every value."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*path, key))


def changed(base, changes):
    """Return the document with some values replaced, or removed (...)."""
    made = copy.deepcopy(base)
    for path, value in changes:
        target = made
        for key in path[:-1]:
            try:
                target = target[key]
            except (KeyError, IndexError, TypeError):
                break
        else:
            if path and isinstance(target, (dict, list)):
                replace(target, path[-1], value)
    return made


def replace(target, key, value):
    try:
        if value is ...:
            del target[key]
        else:
            target[key] = value
    except (KeyError, IndexError, TypeError):
        return  # another change took the place away


def changes_of(base):
    return st.lists(st.tuples(st.sampled_from(list(places(base))), ANY | st.just(...)), max_size=4)


@settings(max_examples=examples(100))
@given(of_status=changes_of(BASE), of_cluster=changes_of(CLUSTER), other=ANY)
def test_any_document_can_be_audited_and_is_not_ok_without_data(of_status, of_cluster, other):
    raw = changed(BASE, of_status)
    audit = Audit(SHIPPED, SHIPPED.values({}), NOW)
    audit.add("c/cluster.json", json.dumps(changed(CLUSTER, of_cluster)).encode())
    audit.add("c/region/region-1/status.json", json.dumps(raw).encode())
    audit.add("c/region/region-2/status.json", json.dumps(other).encode())
    audit.finish()
    document = health_document(audit)
    for text in (*table(document), markdown(document), prometheus(document)):
        text.encode()
    junit(document, audit, "unknown")
    json.dumps(document).encode()
    # The second document is none, whatever it is.
    assert document["verdict"] != OK

    try:
        status = instance_status(loads(json.dumps(raw).encode()), "c/region/region-1/status.json", "kubernetes", NOW)
    except SchemaError:
        return
    place = (status.document["cluster"], status.document["component"])
    for rule in SHIPPED.of_scope(INSTANCE):
        if availability(status, rule.needs).state != READY:
            assert audit.tally[place][rule.id][OUTCOMES.index(OK)] == 0, rule.id


@settings(max_examples=examples(100))
@given(st.binary(max_size=200))
def test_any_bytes_can_be_audited(data):
    audit = Audit(SHIPPED, SHIPPED.values({}), NOW)
    audit.add("c/region/region-1/status.json", data)
    audit.add("c/cluster.json", data)
    audit.finish()
    assert health_document(audit)["verdict"] == "unknown"


@settings(max_examples=examples(40))
@given(st.sets(st.sampled_from(["ping", "version", "stats", "worker_stats", "process_stats", "db_stats"])))
def test_expected_data_that_was_not_read_is_never_ok(lost):
    raw = copy.deepcopy(BASE)
    for sample in raw["samples"]:
        for endpoint in lost:
            del sample[endpoint]
    audit = Audit(SHIPPED, SHIPPED.values({}), NOW)
    audit.add_cluster(cluster(workloads=[workload()]))
    audit.add_status("c/region/region-1/status.json", raw)
    audit.finish()
    for place, rules in audit.tally.items():
        for rule in SHIPPED.rules:
            if rule.id in rules and set(rule.needs) & lost and place in (("c", "region"), ("c", ""), ("", "")):
                assert rules[rule.id][OUTCOMES.index(OK)] == 0, rule.id
