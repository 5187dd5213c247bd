# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log verdicts in issue.md."""

# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.issue_report import issue_text
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.log_report import VERDICTS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch import verdicts


def one(capture, reason=Reason.RECORDED, name="pod-1", component="region", **details):
    return row(Instance("c", component, name), capture, verdict(reason), details=details)


def watched(verdict_, name="pod-1", evidence=("640 tasks lost", "more"), **details):
    return one("log_watch", name=name, verdict=verdict_, rule="tasks_lost", evidence=list(evidence), gaps=0, **details)


def nothing(_path):
    return None


def test_lists_the_worst_verdict_first():
    rows_ = [
        watched("healthy", "pod-3", ()),
        watched("stuck", "pod-2", over=True),
        watched("stuck", "pod-5"),
        watched("dropping", "pod-4|\x1b[31m"),
    ]
    section = issue_text({}, rows_, nothing).partition("## Log verdicts")[2].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section if line.startswith("| region")]
    assert [(cell[1], cell[2]) for cell in cells] == [
        ("pod-4\\|?\\[31m", "dropping"), ("pod-5", "stuck"), ("pod-2", "stuck (over)"), ("pod-3", "healthy"),
    ]  # fmt: skip
    assert cells[0][3:] == ["tasks\\_lost", "640 tasks lost", "-"]
    assert cells[3][4] == "-"


def test_lists_unseen_parts_of_a_log():
    gap = one("log_watch", Reason.LOG_GAP, verdict="unknown", rule="blind", evidence=[], gaps=2)
    assert "log\\_gap, 2 gaps |" in issue_text({}, [gap], nothing)


def test_knows_every_verdict_of_the_log_watch():
    assert tuple(reversed(verdicts.VERDICTS)) == VERDICTS


@pytest.mark.parametrize("details", [{}, {"verdict": 5, "evidence": "x", "gaps": "y"}, {"evidence": [None]}])
def test_accepts_details_of_any_type(details):
    assert "## Log verdicts" in issue_text({}, [one("log_watch", **details)], nothing)
