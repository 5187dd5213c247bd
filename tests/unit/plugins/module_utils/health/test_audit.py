# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits: findings and gaps become verdicts, and what is not known is never ok."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.audit import Audit
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.evaluate import MAX_ITEMS, worst
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import (
    affected,
    failure,
    health_document,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.report import table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_messages import display
from clouds import NOW, audit_of, cluster, health_of, instance, rule, rules_of, status, told, workload

RESTARTED = rule()
SILENT = status(expected=["ping"], missing=[{"endpoint": "ping", "sample": 1, "reason": "no_answer"}])
ASKS_PING = rule(id="asks_ping", needs=["ping"], expression="[latest.ping][?!answered].{value: answered}")
FINE = status(expected=["ping"], samples=[{"ping": {"answered": True}}])


def verdicts(document):
    return {
        (one["cluster"], component["component"]): component["verdict"]
        for one in document["clusters"]
        for component in one["components"]
    }


@pytest.mark.parametrize(
    ("rules", "documents", "verdict"),
    [
        ([RESTARTED], [FINE], "ok"),
        ([RESTARTED], [status(instance(restarts=1))], "warning"),
        ([rule(severity="critical")], [status(instance(restarts=1))], "critical"),
        ([ASKS_PING], [FINE], "ok"),
        ([ASKS_PING], [SILENT], "unknown"),
        ([ASKS_PING, RESTARTED], [{**SILENT, "instance": instance(restarts=1)}], "warning"),
        # No rule looks at it.
        ([ASKS_PING], [status()], "unknown"),
        ([rule(applies_to={"components": ["host"]})], [FINE], "unknown"),
        # There is nothing to look at.
        ([RESTARTED], [], "unknown"),
    ],
)
def test_the_verdict_is_the_worst_of_what_is_known(rules, documents, verdict):
    document = health_of(rules_of(*rules), cluster(), *documents)
    assert document["verdict"] == verdict
    if documents:
        assert verdicts(document) == {("c", "region"): verdict}


def test_an_audit_of_nothing_is_unknown():
    assert health_of(rules_of(RESTARTED))["verdict"] == "unknown"


def test_verdicts_go_from_components_to_clusters_to_the_fleet():
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


def test_a_finding_has_its_evidence():
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
    assert told(health_of(loaded, cluster(), status(instance(restarts=5)))) == [("critical", "some_rule")]
    assert told(health_of(loaded, cluster(), status(instance(restarts=1)))) == []
    assert told(health_of(loaded, cluster(), status(instance(restarts=1)), few=1)) == [("warning", "some_rule")]


def test_at_most_compares_the_other_way():
    levels = {"compare": "at_most", "warning": "few"}
    loaded = rules_of(rule(severity=None, levels=levels), thresholds={"few": {"default": 2, "unit": "u", "what": "w"}})
    assert told(health_of(loaded, cluster(), status(instance(restarts=2)))) == [("warning", "some_rule")]
    assert told(health_of(loaded, cluster(), status(instance(restarts=3)))) == []


def test_a_figure_that_is_missing_is_unknown():
    loaded = rules_of(
        rule(
            severity=None,
            levels={"compare": "at_least", "warning": "few"},
            expression="instance.{value: last_ended_seconds}",
        ),
        thresholds={"few": {"default": 2, "unit": "u", "what": "w"}},
    )
    document = health_of(loaded, cluster(), status())
    assert document["verdict"] == "unknown"
    assert document["unknown"][0]["reason"] == "a value that the rule compares is missing"


def test_a_rule_that_cannot_be_evaluated_is_unknown_and_says_why():
    loaded = rules_of(rule(expression="[@][?sum(instance.name) > `0`].{value: cluster}"))
    document = health_of(loaded, cluster(), status())
    assert document["verdict"] == "unknown"
    assert "cannot be evaluated on this data: JMESPathTypeError" in document["unknown"][0]["reason"]


COMPARES = rule(
    id="compares",
    scope="component",
    needs=["process_stats"],
    expression="""instances[?latest.process_stats.goroutines > `100`]
        .{value: latest.process_stats.goroutines, instance: instance.name}""",
    message="{instance}",
)


def replica(name, goroutines=None, **more):
    samples = [{"process_stats": {"goroutines": goroutines, "heap_alloc_bytes": 1}}] if goroutines else []
    return status(instance(name=name), expected=["process_stats"], samples=samples, **more)


@pytest.mark.parametrize(
    ("replicas", "verdict"),
    [
        ([replica("a", 5), replica("b", 6)], "ok"),
        ([replica("a", 5), replica("b")], "unknown"),
        # What is found in part of the data is found.
        ([replica("a", 500), replica("b")], "warning"),
        ([status()], "unknown"),
    ],
)
def test_wider_rules_are_unknown_where_an_instance_is(replicas, verdict):
    assert health_of(rules_of(COMPARES), cluster(), *replicas)["verdict"] == verdict


MISSING = rule(
    id="missing", scope="cluster", needs=["discovery"], expression="absent[].{component: @}", message="{component}"
)


def test_what_could_not_be_listed_is_not_missing():
    document = health_of(rules_of(MISSING), cluster(components=["region", "host"]), status())
    assert [(one["component"], one["cluster"]) for one in document["findings"]] == [("host", "c")]
    assert verdicts(document)["c", "host"] == "warning"
    forbidden = cluster(components=["region", "host"], problems=[{"place": "ns", "reason": "forbidden"}])
    document = health_of(rules_of(MISSING), forbidden, status())
    assert (told(document), document["verdict"]) == ([], "unknown")
    assert {one["rule"] for one in document["unknown"]} == {"(discovery)", "missing", "(nothing)"}


def test_an_instance_whose_document_is_broken_is_not_missing_and_not_ok():
    audit = Audit(rules_of(MISSING, RESTARTED), {}, NOW)
    audit.add("c/cluster.json", json.dumps(cluster(components=["region", "host"])).encode())
    audit.add("c/region/region-1/status.json", json.dumps(status()).encode())
    audit.add("c/host/host-1/status.json", b"{")
    audit.finish()
    document = health_document(audit)
    assert told(document) == []
    assert verdicts(document) == {("c", "region"): "ok", ("c", "host"): "unknown"}
    assert document["verdict"] == "unknown"
    assert document["problems"][0]["place"] == "c/host/host-1/status.json"


def test_an_access_point_that_brought_nothing_is_unknown():
    audit = Audit(rules_of(RESTARTED), {}, NOW)
    audit.add_cluster(cluster())
    audit.add_status("p", status())
    audit.cannot_reach("d", "no route to host")
    audit.finish()
    document = health_document(audit)
    assert [(one["cluster"], one["verdict"], one["error"]) for one in document["clusters"]] == [
        ("c", "ok", ""),
        ("d", "unknown", "no route to host"),
    ]
    assert document["verdict"] == "unknown"


def test_without_the_word_of_the_access_point_the_way_is_not_known():
    only_kubernetes = rule(applies_to={"transports": ["kubernetes"]})
    document = health_of(rules_of(only_kubernetes), status())
    assert document["unknown"][0]["reason"] == "the transport by which it was reached is not known"
    assert health_of(rules_of(only_kubernetes), status(transport="kubernetes"))["verdict"] == "ok"
    assert health_of(rules_of(only_kubernetes), cluster(transport="host"), status())["verdict"] == "unknown"


def test_an_instance_counts_once():
    document = health_of(rules_of(RESTARTED), cluster(), status(), status())
    assert document["counts"]["instances"] == 1
    assert (document["verdict"], len(document["problems"])) == ("ok", 1)


@pytest.mark.parametrize("restarts", [(0, 9), (9, 0)])
def test_a_second_document_does_not_hide_an_instance(restarts):
    """A hostile node may send a healthy document of another node's instance, and may be read first."""
    document = health_of(rules_of(RESTARTED), cluster(), *(status(instance(restarts=number)) for number in restarts))
    assert document["counts"]["instances"] == 1
    assert told(document) == [("warning", "some_rule")]
    assert document["unknown"][0]["reason"] == "there are two documents of this instance, and they differ"
    forged = health_of(rules_of(RESTARTED), cluster(), status(), status(instance(image="other")))
    assert (told(forged), forged["verdict"]) == ([], "unknown")


def test_machines_of_one_cluster_are_one_cluster():
    loads = [workload()]
    first = cluster(components=["region"], workloads=loads)
    second = cluster(components=["host"], workloads_known=False, named=True)
    audit = audit_of(rules_of(MISSING), first, second, status())
    merged = audit.clusters["c"]
    assert (merged["components"], merged["workloads_known"], merged["named"]) == (["region", "host"], False, True)


def test_clusters_that_say_little_do_not_share_what_others_say():
    bare = {key: value for key, value in cluster("d").items() if key not in ("workloads", "problems")}
    again = {**bare, "workloads": [workload()], "problems": [{"place": "p", "reason": "gone"}]}
    audit = audit_of(rules_of(MISSING), bare, again, {**bare, "cluster": "e"})
    assert (len(audit.clusters["d"]["workloads"]), audit.clusters["e"]["workloads"]) == (1, [])
    assert audit.clusters["e"]["problems"] == []


def test_a_cluster_whose_name_no_path_can_hold_is_known_all_the_same():
    loaded = rules_of(rule(applies_to={"transports": ["kubernetes"]}), MISSING)
    audit = Audit(loaded, {}, NOW)
    audit.add("a_b/cluster.json", json.dumps(cluster("a b", ["region", "host"])).encode())
    audit.add("a_b/region/region-1/status.json", json.dumps(status(instance(cluster="a b"))).encode())
    audit.add("a_b/host/host-1/status.json", b"{")
    audit.finish()
    document = health_document(audit)
    assert verdicts(document) == {("a b", "host"): "unknown", ("a b", "region"): "ok"}
    assert told(document) == []


@pytest.mark.parametrize("word", ["nan", "inf", "-inf"])
def test_figures_that_are_none_are_unknown_and_never_written(word):
    levels = {"compare": "at_least", "warning": "few"}
    loaded = rules_of(
        rule(id="compares", severity=None, levels=levels, expression="instance.{value: to_number(node)}"),
        rule(id="tells", expression="instance.{value: to_number(node), more: to_number(node)}", message="{more}"),
        thresholds={"few": {"default": 2, "unit": "u", "what": "w"}},
    )
    document = health_of(loaded, cluster(), status(instance(node=word)))
    (finding,) = document["findings"]
    assert (finding["value"], finding["fields"], finding["message"]) == (None, {"more": None}, "unknown")
    assert document["unknown"][0]["rule"] == "compares"


def test_items_of_several_kinds_need_not_have_all_fields():
    kinds = rule(expression="[instance.{a: restarts}, instance.{b: node}]", message="{a} {b}")
    document = health_of(rules_of(kinds), cluster(), status(instance(restarts=2)))
    assert [one["message"] for one in document["findings"]] == ["2 unknown", "unknown n1"]


def test_what_is_no_moment_is_not_told():
    document = health_of(rules_of(RESTARTED), cluster(), status(samples=[{"at": "x" * 9}], collected="soon"))
    assert document["collected"] == {"first": "", "last": ""}
    known = status(samples=[{"at": "x"}], collected="2026-01-02T03:00:00Z")
    assert health_of(rules_of(RESTARTED), cluster(), known)["collected"]["first"] == "2026-01-02T03:00:00Z"


def test_many_findings_of_one_rule_are_bounded_and_the_rest_is_counted():
    many = rule(needs=["worker_stats"], expression="latest.worker_stats.workers[].{subject: name, value: queue}")
    workers = [
        {"name": f"P{n}", "active": 1, "max": 1, "detached": 0, "queue": n, "queue_capacity": 9} for n in range(500)
    ]
    base = status(expected=["worker_stats"], samples=[{"worker_stats": {"workers": workers}}])
    document = health_of(rules_of(many), cluster(), base)
    assert len(document["findings"]) == MAX_ITEMS
    assert max(one["value"] for one in document["findings"]) == 499
    assert document["problems"][0]["message"] == f"some_rule: {500 - MAX_ITEMS} more findings are not listed"


GENERAL = rule(id="general", expression="instance.{value: restarts}")


@pytest.mark.parametrize(
    ("rules", "expected", "covered"),
    [
        ([rule(covers=["general"]), GENERAL], ["some_rule"], [("general", "some_rule")]),
        ([rule(), GENERAL], ["some_rule", "general"], []),
        # One that weighs less does not hide one that weighs more.
        ([rule(covers=["general"]), {**GENERAL, "severity": "critical"}], ["general", "some_rule"], []),
        # Another pool is another trouble; one of no pool is about all of them.
        (
            [
                rule(covers=["general"], expression="instance.{subject: 'P'}", message="m"),
                {**GENERAL, "expression": "instance.{subject: 'Q'}", "message": "m"},
            ],
            ["some_rule", "general"],
            [],
        ),
        (
            [rule(covers=["general"], expression="instance.{subject: 'P'}", message="m"), GENERAL],
            ["some_rule"],
            [("general", "some_rule")],
        ),
        # A component's finding is about all its instances.
        (
            [rule(scope="component", covers=["general"], expression="{value: `1`}"), GENERAL],
            ["some_rule"],
            [("general", "some_rule")],
        ),
        # What is told is named, not what is hidden itself.
        (
            [
                rule(id="top", covers=["middle"]),
                {**GENERAL, "id": "middle", "covers": ["general"]},
                GENERAL,
                rule(id="other", covers=["general"]),
            ],
            ["top", "other"],
            [("middle", "top"), ("general", "other")],
        ),
    ],
)
def test_of_one_trouble_the_finding_that_says_most_is_told(rules, expected, covered):
    document = health_of(rules_of(*rules), cluster(), status(instance(restarts=1)))
    assert [one["rule"] for one in document["findings"]] == expected
    assert [(one["rule"], one["covered_by"]) for one in document["covered"]] == covered


def test_another_instances_finding_covers_nothing():
    fires = rule(covers=["general"], expression="[instance][?name == 'region-1'].{value: restarts}")
    document = health_of(rules_of(fires, GENERAL), cluster(), status(), status(instance(name="region-2")))
    assert [(one["rule"], one["instance"]) for one in document["findings"]] == [
        ("some_rule", "region-1"),
        ("general", "region-2"),
    ]


@pytest.mark.parametrize(
    ("verdict", "fails_on"),
    [
        ("ok", []),
        ("unknown", ["unknown"]),
        ("warning", ["warning", "unknown"]),
        ("critical", ["critical", "warning", "unknown"]),
    ],
)
def test_the_policy_says_what_fails(verdict, fails_on):
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


def test_says_that_nothing_was_found():
    document = health_of(rules_of(RESTARTED), cluster())
    assert failure(document, "unknown") == "The verdict is unknown: no instance was found."


def test_the_affected_components_are_those_of_critical_findings_that_stacks_can_explain():
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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (True, "yes"),
        (640, "640"),
        (2.0, "2"),
        (9.7199999, "9.72"),
        (6e4, "60000"),
        (1e20, "100000000000000000000"),
        ([1, 2, 3, 4, 5, 6, 7], "1, 2, 3, 4, 5, and 2 more"),
        ("a\x1b[31mb\n", "a?[31mb?"),
        ("x" * 500 + "Error 1040", "x" * 239 + " … " + "x" * 148 + "Error 1040"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_values_for_people(value, text):
    assert display(value) == text


def test_worst():
    assert worst(["ok", "critical", "unknown"]) == "critical"
    assert worst([]) == "ok"


def test_collected_is_from_the_first_sample_to_the_last():
    samples = [{"at": f"2026-01-02T03:59:{second}.000Z"} for second in ("10", "20")]
    other = [{"at": "2026-01-02T03:59:05.000Z"}, {"at": "2026-01-02T03:59:15.000Z"}]
    statuses = [status(samples=samples), status(instance(name="region-2"), samples=other)]
    document = health_of(rules_of(RESTARTED), cluster(), *statuses)
    assert document["collected"] == {"first": "2026-01-02T03:59:05.000Z", "last": "2026-01-02T03:59:20.000Z"}


def test_an_instance_of_which_nothing_was_read_is_unknown():
    """Such as the etcd of Keystone's catalog, which is listed and asked nothing."""
    etcd = status(instance("etcd", "etcd-1", ready=False), log=None)
    document = health_of(rules_of(RESTARTED), cluster(transport="keystone", components=["etcd"]), etcd)
    assert document["clusters"][0]["components"][0]["verdict"] == "unknown"
    assert [entry["reason"] for entry in document["unknown"]] == ["no data was read from it"]


ALIVE = {"seconds": 600, "bytes": 10, "lines": 1, "patterns": []}


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({"log": ALIVE}, "ok"),
        ({"log": None, "samples": [{"ping": {"answered": True}}]}, "ok"),
        ({"log": None, "certificate": {"not_after": "x", "days_left": 99}}, "ok"),
        # Silence proves nothing: the process may be frozen.
        ({"log": {**ALIVE, "lines": 0, "bytes": 0}}, "unknown"),
        ({"log": None}, "unknown"),
        ({"log": None, "samples": [{}]}, "unknown"),
        ({"log": None, "of": instance(state="terminated")}, "ok"),
    ],
)
def test_only_what_showed_a_sign_of_life_is_ok(more, verdict):
    document = health_of(rules_of(RESTARTED), cluster(), status(**more))
    assert document["clusters"][0]["components"][0]["verdict"] == verdict


def test_what_is_over_is_a_warning_at_most_and_comes_last():
    over = rule(id="old", severity="critical", expression="instance.{value: restarts, over_seconds: `300`}")
    late = rule(id="late", holds_up="nothing")
    now = rule(id="now", holds_up="everything")
    document = health_of(rules_of(over, late, now), cluster(), status(instance(restarts=1)))
    assert [(one["rule"], one["severity"], one["holds_up"]) for one in document["findings"]] == [
        ("now", "warning", "everything"),
        ("late", "warning", "nothing"),
        ("old", "warning", "over"),
    ]


def test_what_is_over_hides_nothing_that_lasts():
    over = rule(id="old", covers=["general"], expression="instance.{value: restarts, over_seconds: `300`}")
    document = health_of(rules_of(over, GENERAL), cluster(), status(instance(restarts=1)))
    assert [one["rule"] for one in document["findings"]] == ["general", "old"]


def test_the_headline_is_what_holds_up_most_and_not_the_first_of_the_alphabet():
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
