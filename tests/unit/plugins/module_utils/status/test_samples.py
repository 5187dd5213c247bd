# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples become the status document; databases of one sample become one list."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.samples import (
    Question,
    SampledInstance,
    add_document,
)

INSTANCE = Instance("c1", "region", "region-1")


def test_names_a_question_in_documents_and_in_the_ledger():
    assert (Question("stats").name, Question("stats").capture) == ("stats", "status:stats")
    assert Question("db_stats", "logger").capture == "status:db_stats/logger"
    assert Question("certificate").capture == "certificate"


def test_elapsed_time_runs_from_the_first_sample():
    times = iter([10.0, 10.0, 12.5])
    sampled = SampledInstance(INSTANCE, ["ping"], lambda: next(times))
    assert [sampled.begin(), sampled.begin()] == [0.0, 2.5]


def test_document_has_samples_in_order_and_what_is_missing():
    sampled = SampledInstance(INSTANCE, ["ping"], lambda: 1.0)
    for number in (2, 1):
        sampled.add_sample(number, {"at": str(number), "elapsed_seconds": float(number), "taken": {}})
    sampled.add_missing(Question("ping"), 2, verdict(Reason.NO_ANSWER))
    sampled.add_other(Question("log"), {"lines": 3})
    document = sampled.document(None, None)
    assert [sample["at"] for sample in document["samples"]] == ["1", "2"]
    assert [(one["endpoint"], one["sample"], one["reason"]) for one in document["missing"]] == [
        ("ping", 2, "no_answer")
    ]
    assert (document["expected"], document["log"], document["certificate"]) == (["ping"], {"lines": 3}, None)


def test_databases_of_a_sample_become_one_list():
    sample = {"taken": {}}
    add_document(sample, Question("db_stats"), {"databases": [{"idle": 1}]}, 0.5)
    add_document(sample, Question("db_stats", "logger"), {"databases": [{"idle": 2}]}, 0.7)
    assert sample["db_stats"]["databases"] == [{"idle": 1, "name": ""}, {"idle": 2, "name": "logger"}]
    assert sample["taken"] == {"db_stats": 0.5}
