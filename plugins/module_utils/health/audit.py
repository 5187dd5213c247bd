# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One audit: evaluates the rules on documents that are added one by one. Pure.

An audit may see thousands of instances. Instance rules are evaluated when a document is added. After that, only what
the rules of wider scopes compare is kept (documents.compact_document).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, Iterable

from ..bundle.store import safe_name
from .documents import (
    cluster_document,
    cluster_named_in,
    cluster_status,
    compact_document,
    component_document,
    instance_status,
    nameless_cluster,
    names_transport,
)
from .evaluate import NOT_APPLICABLE, OUTCOMES, UNKNOWN, Finding, RuleOutcome, evaluate_rule
from .rule_inputs import (
    AVAILABLE,
    NOT_ASKED,
    NOT_REQUESTED,
    OF_CLUSTER,
    Availability,
    availability,
    cluster_availability,
    missing_sign_of_life,
    overall,
)
from .rules import CLUSTER, COMPONENT, FLEET, INSTANCE, Rule, RuleSet
from .schema_checks import SchemaError, loads

STATUS_FILE, CLUSTER_FILE = "status.json", "cluster.json"

# Used in place of a rule id for gaps that concern no single rule.
DISCOVERY_GAP, DOCUMENT_GAP, ACCESS_GAP, NOTHING_CHECKED = "(discovery)", "(document)", "(access)", "(nothing)"


@dataclass
class CoverageGap:
    """Reason why a rule could not be evaluated at a place, the number of instances, and the first of them."""

    reason: str
    count: int = 0
    first: str = ""


@dataclass
class AuditedInstance:
    """Compact document of an instance, and whether it has the data that each rule of a wider scope needs."""

    document: dict[str, Any]
    available: dict[str, Availability] = field(default_factory=dict)


class Audit:
    """Collector of documents, findings and gaps. thresholds: name -> value. now: RFC 3339, the time of this audit."""

    def __init__(self, rules: RuleSet, thresholds: dict[str, Any], now: str) -> None:
        self.rules = rules
        self.thresholds = thresholds
        self.now = now
        self.findings: list[Finding] = []
        self.problems: list[tuple[str, str]] = []
        self.clusters: dict[str, dict[str, Any]] = {}
        self.absent: dict[str, str] = {}
        self.unusable: Counter[str] = Counter()
        self.instances: dict[tuple[str, str], list[AuditedInstance]] = defaultdict(list)
        self.tally: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(dict)
        self.gaps: dict[tuple[str, str], dict[tuple[str, str], CoverageGap]] = defaultdict(dict)
        self.sample_times: list[str] = []
        self._bound = {rule.id: rule.expression.bind(thresholds) for rule in rules.rules}
        self._seen: dict[tuple[str, ...], bytes] = {}
        self._of_instance = rules.of_scope(INSTANCE)
        # The data that each rule of a wider scope needs of an instance.
        self._wider = {
            rule.id: needs
            for rule in rules.rules
            if rule.scope != INSTANCE
            for needs in [tuple(need for need in rule.needs if need not in OF_CLUSTER)]
            if needs
        }

    # --- input ---

    def add(self, path: str, data: bytes, may_wait: bool = False) -> bool:
        """Add one file of a part or bundle and return True. A malformed file becomes a gap.

        path: relative to the root of the part. may_wait: the caller can add the file again after all others. Then the
        result is False if the document needs its cluster.json first, to know how the instance was reached.
        """
        try:
            raw = loads(data)
            if path.rpartition("/")[2] == CLUSTER_FILE:
                self.add_cluster(raw)
            elif may_wait and cluster_named_in(raw) not in self.clusters and not names_transport(raw):
                return False
            else:
                self.add_status(path, raw, hashlib.sha256(data).digest())
        except SchemaError as error:
            self.cannot_use(path, str(error))
        return True

    def cannot_use(self, path: str, message: str) -> None:
        """Record a document that exists but cannot be used, and a gap for its instance."""
        self.problems.append((path, message))
        parts = path.split("/")
        # Paths contain sanitized names, so the name of the cluster may differ.
        parts[0] = next((name for name in self.clusters if safe_name(name) == parts[0]), parts[0])
        self.unusable[parts[0]] += 1
        # <cluster>/<component>/<instance>/status.json; other documents belong to an access point or a whole part.
        of_instance = len(parts) == 4 and parts[-1] == STATUS_FILE
        place = (parts[0], parts[1]) if of_instance else (parts[0], "") if len(parts) > 1 else ("", "")
        self._gap(place, DOCUMENT_GAP, f"{parts[-1]} cannot be used: {message}", parts[2] if of_instance else "")

    def cannot_reach(self, cluster: str, error: str) -> None:
        """Record an access point without any documents."""
        self.absent[cluster] = error
        self._gap((cluster, ""), ACCESS_GAP, error, "")

    def _cluster(self, name: str) -> dict[str, Any]:
        return self.clusters.get(name) or nameless_cluster(name)

    def add_cluster(self, raw: Any) -> None:
        """Add the content of a cluster.json. Raise SchemaError if it is malformed."""
        found = cluster_status(raw)
        known = self.clusters.get(found["cluster"])
        if known is not None:
            # A cluster may have several access points, for example its nodes.
            known["components"] += [name for name in found["components"] if name not in known["components"]]
            known["workloads"] += found["workloads"]
            known["problems"] += found["problems"]
            known["workloads_known"] = known["workloads_known"] and found["workloads_known"]
            known["named"] = known["named"] or found["named"]
        else:
            self.clusters[found["cluster"]] = found
        for problem in found["problems"]:
            text = f"{problem['place']}: {problem['message'] or problem['reason']}"
            self._gap((found["cluster"], ""), DISCOVERY_GAP, text, "")

    def add_status(self, path: str, raw: Any, digest: bytes = b"") -> None:
        """Add the content of a status.json. Raise SchemaError if it does not even identify its instance.

        digest: of its bytes. It distinguishes one document that is there twice from two that differ.
        """
        status = instance_status(raw, path, self._cluster(cluster_named_in(raw))["transport"], self.now)
        document, instance = status.document, status.instance
        key = (instance["cluster"], instance["component"], instance["namespace"], instance["name"])
        place = (document["cluster"], document["component"])
        seen = self._seen.get(key)
        if seen == digest:
            self.problems.append((path, "this document was read already"))
            return
        self._seen[key] = digest
        self.problems += [(path, f"{section} is malformed: {what}") for section, what in sorted(status.broken.items())]
        self.sample_times += [*status.timestamps[:1], *status.timestamps[-1:]]
        for rule in self._of_instance:
            self._count(rule, place, self._evaluate(rule, document, availability(status, rule.needs)), instance["name"])
        if seen is not None:
            # One of them may be forged, and it is unknown which. Instance rules see both; rules of wider scopes see
            # only the first.
            self._gap(
                place, DOCUMENT_GAP, "there are two documents of this instance, and they differ", instance["name"]
            )
            return
        lifeless = missing_sign_of_life(status)
        if lifeless:
            self._gap(place, NOTHING_CHECKED, lifeless, instance["name"])
        available = {name: availability(status, needs) for name, needs in self._wider.items()}
        self.instances[place].append(AuditedInstance(compact_document(document), available))

    # --- evaluation ---

    def _evaluate(self, rule: Rule, document: dict[str, Any], available: Availability) -> RuleOutcome:
        return evaluate_rule(rule, document, available, self.thresholds, self._bound[rule.id])

    def _count(self, rule: Rule, place: tuple[str, str], outcome: RuleOutcome, instance: str) -> None:
        counts = self.tally[place].setdefault(rule.id, [0] * len(OUTCOMES))
        counts[OUTCOMES.index(outcome.kind)] += 1
        self.findings += outcome.findings
        if outcome.kind == UNKNOWN:
            self._gap(place, rule.id, outcome.reason, instance)
        if outcome.left_out:
            where = "/".join(part for part in (*place, instance) if part)
            self.problems.append((where, f"{rule.id}: {outcome.left_out} more findings are not listed"))

    def _gap(self, place: tuple[str, str], rule: str, reason: str, instance: str) -> None:
        gap = self.gaps[place].setdefault((rule, reason), CoverageGap(reason, 0, instance))
        gap.count += 1

    def finish(self) -> None:
        """Evaluate the rules of wider scopes. Call it once, after the last document."""
        documents: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for place in self.component_places():
            documents[place[0]].append(self._finish_component(place))
        whole = []
        for name in sorted({*self.clusters, *documents}):
            document = cluster_document(self._cluster(name), documents[name])
            self._finish_scope(CLUSTER, (name, ""), document, [name])
            whole.append(document)
        self._finish_scope(FLEET, ("", ""), {"clusters": whole}, sorted({*self.clusters, *documents}))
        for place in self.component_places():
            if not any(counts[OUTCOMES.index(NOT_APPLICABLE)] < sum(counts) for counts in self.tally[place].values()):
                self._gap(place, NOTHING_CHECKED, "no rule found any data to evaluate here", "")

    def component_places(self) -> list[tuple[str, str]]:
        """Return every (cluster, component) that has instances or a workload."""
        places = set(self.instances)
        for name, cluster in self.clusters.items():
            places |= {(name, workload["component"]) for workload in cluster["workloads"]}
        return sorted(places)

    def _finish_component(self, place: tuple[str, str]) -> dict[str, Any]:
        name, component = place
        instances = [each.document for each in self.instances.get(place, [])]
        document = component_document(component, self._cluster(name), instances)
        for rule in self.rules.of_scope(COMPONENT):
            self._count(rule, place, self._evaluate(rule, document, self._available(rule, [place], [name])), "")
        return document

    def _finish_scope(self, scope: str, place: tuple[str, str], document: dict[str, Any], clusters: list[str]) -> None:
        """Evaluate the rules of a scope that sees all components of some clusters."""
        rules = self.rules.of_scope(scope)
        places = [one for one in self.component_places() if one[0] in clusters] if rules else []
        for rule in rules:
            self._count(rule, place, self._evaluate(rule, document, self._available(rule, places, clusters)), "")

    def _available(self, rule: Rule, places: Iterable[tuple[str, str]], clusters: Iterable[str]) -> Availability:
        """Return whether the instances and access points have the data that a rule of a wider scope needs."""
        of_access = [
            cluster_availability(self.clusters.get(name), rule.needs, self.unusable[name]) for name in clusters
        ]
        if rule.id not in self._wider:
            return overall(of_access) if of_access else AVAILABLE
        of_instances = overall([each.available[rule.id] for place in places for each in self.instances.get(place, [])])
        if of_instances.state == NOT_ASKED:
            return NOT_REQUESTED
        # Missing data of one instance does not invalidate findings in others.
        return overall([*of_access, replace(of_instances, decisive=False)])
