# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.report import issue, table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Artifact, Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

GROUP = {"count": 6, "functions": ["main.(*Pool).wait"], "locations": ["/go/pool.go:7"], "state": None}


def rows():
    first = Instance(cluster="c", component="region", name="pod-1")
    second = Instance(cluster="c", component="region", name="pod-2")
    broken = Instance(cluster="c", component="host", name="pod-3|\x1b[31m")
    details = {"total": 10, "goroutines": 10, "parsed": "p.json"}
    version = {"version": {"gitVersion": "v4.0.1", "gitBranch": "release/4.0"}}
    return [
        row(first, "stack", verdict(Reason.PROVEN), artifact=Artifact("c/1.txt", 5, "0"), details=details),
        row(
            second,
            "stack",
            verdict(Reason.PROVEN),
            artifact=Artifact("c/2.txt", 5, "0"),
            details=dict(details, total=30),
        ),
        row(broken, "stack", verdict(Reason.NO_SHELL)),
        row(first, "version", verdict(Reason.RECORDED), details=version),
        row(second, "version", verdict(Reason.SAME_IMAGE), details=version),
    ]


def test_the_table_counts_each_component():
    lines = table(rows())
    assert lines[0].split() == [
        "component",
        "instances",
        "complete",
        "partial",
        "refused",
        "failed",
        "skipped",
        "finding",
    ]
    assert lines[1].split() == ["host", "1", "-", "-", "1", "-", "-", "1", "no_shell"]
    assert lines[2].split() == ["region", "2", "2", "-", "-", "-", "-", "10-30", "goroutines", "each"]


def test_a_restart_is_what_is_said_first():
    entry = row(
        Instance(cluster="c", component="region", name="p"),
        "stack",
        verdict(Reason.PROVEN),
        details={"restarted": True},
    )
    assert "1 restarted after the signal!" in table([entry])[1]


def test_the_issue_has_versions_groups_files_and_what_is_missing():
    text = issue({"id": "r"}, rows(), lambda _path: {"groups": [GROUP]})
    assert "- version: v4.0.1 x 2" in text
    assert "- instances: 2" in text
    assert "12 goroutines in 2 dumps" in text
    assert "main.(*Pool).wait  /go/pool.go:7" in text
    assert "c/1.txt" in text
    assert "no\\_shell" in text


def test_hostile_text_neither_steers_the_terminal_nor_breaks_the_table():
    text = issue({}, rows(), lambda _path: {"groups": [dict(GROUP, functions=["```\n# evil"])]})
    assert "\x1b" not in text
    assert "\n# evil" not in text
    assert "pod-3\\|" in text
