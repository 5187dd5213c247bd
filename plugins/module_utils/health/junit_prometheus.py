# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports for machines: JUnit XML for CI, and the Prometheus text format for node_exporter. Pure.

Both contain untrusted text. XML cannot hold most control characters, so they are replaced. Label values are escaped as
the format demands (https://prometheus.io/docs/instrumenting/exposition_formats/).

Written by hand instead of with prometheus_client and junitparser: ansible-core brings neither, and both formats are a
few lines. The tests read the results with prometheus_client and an XML parser.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any, Iterable, Iterator
from xml.etree import ElementTree

from ..model import utc_moment
from ..sanitize import printable
from .audit import Audit
from .evaluate import FOUND, OK, OUTCOMES, UNKNOWN, VERDICTS
from .health_document import FAIL_ON

_SUITE_OF_FLEET = "fleet"
_NOT_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")


def junit(document: dict[str, Any], audit: Audit, fail_on: str) -> bytes:
    """Return a suite per cluster with a case per rule and component.

    A finding that makes the run fail under this policy is a failure, and a gap that does so an error. Other gaps are
    skipped cases, never passed ones.
    """
    cases = _cases(document, audit)
    # Suite by suite, so that only one of them is in memory as a tree.
    suites = (
        ElementTree.tostring(_suite(name, cases[name], document, FAIL_ON[fail_on]), encoding="utf-8")
        for name in sorted(cases)
    )
    head = b'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="cloudpods health">'
    return b"\n".join([head, *suites, b"</testsuites>", b""])


def _cases(document: dict[str, Any], audit: Audit) -> dict[str, dict[tuple[str, str], dict[str, list[Any]]]]:
    """Return suite -> (component, rule) -> its findings and gaps."""
    cases: dict[str, dict[tuple[str, str], dict[str, list[Any]]]] = defaultdict(dict)

    def case(cluster: str, component: str, rule: str) -> dict[str, list[Any]]:
        return cases[cluster or _SUITE_OF_FLEET].setdefault((component, rule), {FOUND: [], UNKNOWN: []})

    evaluated = [OUTCOMES.index(kind) for kind in (OK, FOUND, UNKNOWN)]
    for (cluster, component), rules in audit.tally.items():
        for rule, counts in rules.items():
            if any(counts[kind] for kind in evaluated):
                case(cluster, component, rule)
    for kind, entries in ((FOUND, document["findings"]), (UNKNOWN, document["unknown"])):
        for entry in entries:
            case(entry["cluster"], entry["component"], entry["rule"])[kind].append(entry)
    return cases


def _suite(name: str, cases: Any, document: dict[str, Any], failing: Iterable[str]) -> Any:
    suite = ElementTree.Element("testsuite", name=_plain(name), timestamp=document["evaluated"][:19])
    counts: Counter[str] = Counter()
    for (component, rule), parts in sorted(cases.items()):
        place = ".".join(_plain(part) for part in (name, component) if part)
        case = ElementTree.SubElement(suite, "testcase", classname=place, name=_plain(rule), time="0")
        counts[_fill(case, parts, failing)] += 1
    kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    suite.set("tests", str(len(cases)))
    for attribute, kind in kinds.items():
        suite.set(attribute, str(counts[kind]))
    return suite


def _fill(case: Any, parts: dict[str, list[Any]], failing: Iterable[str]) -> str:
    """Add the result to a case. Return the kind of its element, or "" if it passed."""
    found, gaps = parts[FOUND], parts[UNKNOWN]
    lines = [f"{entry['severity']}: {entry['instance'] or entry['component']}: {entry['message']}" for entry in found]
    reasons = [f"{entry['reason']} ({entry['first'] or '-'})" for entry in gaps]
    bad = [entry["severity"] for entry in found if entry["severity"] in failing]
    kind, words = "", ""
    if bad:
        kind, words = "failure", max(bad, key=VERDICTS.index)
    elif gaps and UNKNOWN in failing:
        kind, words = "error", UNKNOWN
    elif gaps and not found:
        kind, words = "skipped", UNKNOWN
    if kind:
        element = ElementTree.SubElement(case, kind, message=_plain((lines + reasons)[0]), type=words)
        if kind != "skipped":
            element.text = _text(lines + reasons)
    elif lines:
        ElementTree.SubElement(case, "system-out").text = _text(lines + reasons)
    return kind


def _text(lines: Iterable[str]) -> str:
    return "\n".join(_plain(line) for line in lines)


def _plain(text: str) -> str:
    """Return one line of text that XML can hold."""
    return _NOT_XML.sub("?", printable(text))


_HELP = {
    "cloudpods_health_verdict": "Verdict on a component: 0 ok, 1 unknown, 2 warning, 3 critical.",
    "cloudpods_health_cluster_verdict": "Verdict on a cluster: 0 ok, 1 unknown, 2 warning, 3 critical.",
    "cloudpods_health_fleet_verdict": "Verdict on the fleet: 0 ok, 1 unknown, 2 warning, 3 critical.",
    "cloudpods_health_instances": "Instances of a component that were found.",
    "cloudpods_health_findings": "Findings of a rule; one that found nothing has no series.",
    "cloudpods_health_unknown": "Rules that could not be evaluated on a component, by reason.",
    "cloudpods_health_evaluated_timestamp_seconds": "When the audit was made, seconds since 1970.",
}


def prometheus(document: dict[str, Any]) -> str:
    """Return the audit in the text format, for the textfile collector of node_exporter."""
    lines = []
    for name, samples in _metrics(document).items():
        lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _metrics(document: dict[str, Any]) -> dict[str, list[tuple[dict[str, str], Any]]]:
    components = list(_components(document))
    found = Counter(
        (entry["cluster"], entry["component"], entry["rule"], entry["severity"]) for entry in document["findings"]
    )
    names = ("cluster", "component", "rule", "severity")
    seconds = int(utc_moment(document["evaluated"]).timestamp())
    return {
        "cloudpods_health_verdict": [(place, VERDICTS.index(entry["verdict"])) for place, entry in components],
        "cloudpods_health_cluster_verdict": [
            ({"cluster": entry["cluster"]}, VERDICTS.index(entry["verdict"])) for entry in document["clusters"]
        ],
        "cloudpods_health_fleet_verdict": [({}, VERDICTS.index(document["verdict"]))],
        "cloudpods_health_instances": [(place, entry["instances"]) for place, entry in components],
        "cloudpods_health_findings": [(dict(zip(names, key)), count) for key, count in sorted(found.items())],
        "cloudpods_health_unknown": [(place, entry["unknown"]) for place, entry in components],
        "cloudpods_health_evaluated_timestamp_seconds": [({}, seconds)],
    }


def _components(document: dict[str, Any]) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    for cluster in document["clusters"]:
        for entry in cluster["components"]:
            yield {"cluster": cluster["cluster"], "component": entry["component"]}, entry


def _labels(labels: dict[str, str]) -> str:
    """Return {name="value",…} with backslashes and quotes escaped and control characters replaced."""
    if not labels:
        return ""
    pairs = []
    for name, value in labels.items():
        text = printable(value).replace("\\", "\\\\").replace('"', '\\"')
        pairs.append(f'{name}="{text}"')
    return "{" + ",".join(pairs) + "}"
