# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.status_table import status_table


def rows(component: str, name: str, *reasons: Reason):
    one = Instance(cluster="c", component=component, name=name)
    return [row(one, f"status:e{number}", verdict(reason)) for number, reason in enumerate(reasons)]


def test_table_counts_answers_and_reasons():
    ok = Reason.RECORDED
    table = status_table(
        [
            *rows("region", "a", ok, ok),
            *rows("region", "b", ok, Reason.QUEUE_FULL, Reason.QUEUE_FULL),
            *rows("region", "c", Reason.NO_ANSWER, Reason.NO_ANSWER),
            *rows("region", "d", Reason.NO_ANSWER, Reason.NOT_OFFERED),
            *rows("keystone", "k", ok, Reason.NOT_OFFERED),
            *rows("etcd", "e", Reason.NOT_OFFERED, Reason.NOT_OFFERED),
            row(Instance(cluster="c", component="etcd", name="e"), "log", verdict(ok)),
            row(Instance(cluster="c", component="keystone", name="k"), "log", verdict(Reason.LOG_UNAVAILABLE)),
            row(Instance(cluster="c", component="llm\x1b[2J", name=""), "discovery", verdict(Reason.NOT_DEPLOYED)),
        ]
    )
    assert [line.split(maxsplit=5) for line in table[:-1]] == [
        ["component", "instances", "answered", "in", "part", "silent  finding"],
        ["etcd", "1", "-", "-", "-", "not_offered"],
        ["keystone", "1", "1", "-", "-", "1 log_unavailable"],
        ["region", "4", "1", "1", "2", "2 no_answer, 1 queue_full"],
    ]
    assert table[-1].startswith("c/llm?[2J: ")


def test_no_rows_make_no_table():
    assert status_table([]) == []
