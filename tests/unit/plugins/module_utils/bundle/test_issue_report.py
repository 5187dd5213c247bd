# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.issue_report import issue_text, stack_table
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


def test_table_counts_instances_by_component():
    lines = stack_table(rows())
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
    assert lines[1].split()[:7] == ["host", "1", "-", "-", "1", "-", "-"]
    assert lines[1].endswith("pod-3|?[31m no_shell: the image has no working /bin/sh")
    assert lines[2].split() == ["region", "2", "2", "-", "-", "-", "-", "10-30", "goroutines", "each"]


def of_component(name, reason, **details):
    return row(Instance(cluster="c", component=name, name=f"{name}-1"), "stack", verdict(reason), details=details)


def test_table_begins_with_the_worst_component():
    entries = [
        of_component("a", Reason.PROVEN),
        of_component("b", Reason.NEVER_DUMPS),
        of_component("c", Reason.CUT_SHORT),
        of_component("d", Reason.NO_DUMP),
        of_component("d", Reason.PROVEN),
        of_component("e", Reason.CHECK_MODE),
        of_component("f", Reason.PROVEN, restarted=True),
        of_component("g", Reason.NO_DUMP),
    ]
    assert [line.split()[0] for line in stack_table(entries)[1:]] == ["f", "d", "g", "c", "b", "e", "a"]


def test_failed_places_come_above_the_table():
    lost = [
        row(Instance(cluster=f"c{number}", component="", name=""), "access", verdict(Reason.UNREACHABLE, "no route"))
        for number in range(8)
    ]
    missing = row(Instance(cluster="c", component="glance", name=""), "access", verdict(Reason.NOT_DEPLOYED))
    lines = stack_table([missing, *rows(), *lost])
    assert lines[0].startswith("c0, c1, c2, c3, c4 and 3 more: ")
    assert lines[0].count("no route") == 1
    assert lines[1].startswith("component ")
    assert lines[-1].startswith("c/glance: ")
    assert len(lines) == 5


def test_restart_is_the_first_finding():
    entry = row(
        Instance(cluster="c", component="region", name="p"),
        "stack",
        verdict(Reason.PROVEN),
        details={"restarted": True},
    )
    assert "p restarted after the signal!" in stack_table([entry])[1]


def test_issue_has_versions_groups_files_and_missing_captures():
    text = issue_text({"id": "r"}, rows(), lambda _path: {"groups": [GROUP]})
    assert "- version: v4.0.1 x 2" in text
    assert "- instances: 2" in text
    assert "12 goroutines in 2 dumps" in text
    assert "main.(*Pool).wait  /go/pool.go:7" in text
    assert "c/1.txt" in text
    assert "no\\_shell" in text


def test_sanitizes_untrusted_text():
    text = issue_text({}, rows(), lambda _path: {"groups": [dict(GROUP, functions=["```\n# evil"])]})
    assert "\x1b" not in text
    assert "\n# evil" not in text
    assert "pod-3\\|" in text


def one(capture, reason=Reason.RECORDED, name="pod-1", component="region", **details):
    return row(Instance("c", component, name), capture, verdict(reason), details=details)


def nothing(_path):
    return None


def test_counts_instances_with_the_same_reason():
    rows_ = [one("stack", Reason.NO_SHELL, name) for name in ("a", "b")]
    assert stack_table(rows_)[1].endswith("2 no_shell: the image has no working /bin/sh")
    several = [one("stack", Reason.GONE, "a"), one("stack", Reason.NO_SHELL, "b"), one("stack", Reason.NO_SHELL, "c")]
    assert stack_table(several)[1].endswith("2 no_shell, 1 gone")


def test_place_without_a_name_leaves_no_gap():
    entry = row(Instance("", "", ""), "discovery", verdict(Reason.UNREACHABLE, "no route"))
    (line,) = stack_table([entry])
    assert line == entry.message
    named = row(Instance("c", "", "", "onecloud"), "discovery", verdict(Reason.UNREACHABLE))
    assert stack_table([named])[0].startswith("c/onecloud: ")


@pytest.mark.parametrize(
    ("captures", "title"),
    [
        ((), "# Nothing was captured of Cloudpods services"),
        (("stack",), "# Goroutine dumps of Cloudpods services"),
        (("log_watch",), "# Log verdicts of Cloudpods services"),
        (("stack", "log_watch"), "# Goroutine dumps and log verdicts of Cloudpods services"),
        (("log_watch", "profile:cpu"), "# Log verdicts and profiles of Cloudpods services"),
        (("stack", "status:ping"), "# Goroutine dumps and status of Cloudpods services"),
    ],
)
def test_title_names_the_kinds_of_captures(captures, title):
    text = issue_text({}, [one(capture) for capture in captures], nothing)
    assert text.splitlines()[0] == title
    heads = {
        "log_watch": "## Log verdicts",
        "profile:cpu": "## Profiles",
        "status:ping": "## Status",
        "stack": "## region",
    }
    assert {head for capture, head in heads.items() if head in text} == {heads[capture] for capture in captures}


@pytest.mark.parametrize("captures", [(), ("log_watch",), ("profile:cpu",), ("stack", "log_watch")])
def test_issue_has_no_empty_table(captures):
    lines = issue_text({}, [one(capture) for capture in captures], nothing).splitlines()
    for number, line in enumerate(lines):
        if line == "```text":
            assert lines[number + 1] != "```"
        if line.startswith("|---"):
            assert lines[number + 1].startswith("| ")


def test_formats_facts_about_the_run():
    text = issue_text({"components": ["region", "host"], "scenario": "", "transport": "host"}, [], nothing)
    assert text.splitlines()[2:] == ["- components: region, host", "- transport: host"]
