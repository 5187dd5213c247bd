# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits for the tests of reports, also with hostile names."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.compare import compare, read_baseline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import health_document
from audit_documents import audit_of, cluster, health_of, instance, rule, rules_of, status

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


def unreachable():
    audit = audit_of(RULES, *documents())
    audit.cannot_reach("d", "no route to host")
    return health_document(audit)
