# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of logs that users reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.log_keywords import log_document
from audit_documents import cluster, health_of, status, workload

REPORTS = Path(__file__).parents[3] / "fixtures" / "reports"


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("log-cron-11382-cycles.log", "log_pool_stuck", ("CronJobWorkers", "95 h")),
        ("log-queue-only-grows.log", "log_queue_grows", ("opslog_write_worker", "cannot keep up", "1209", "1268")),
        ("log-go-panic.log", "log_service_ended", ("panic", "SGuest).GetHost")),
        ("log-fatal-recursive-locks.log", "log_service_ended", ("Too many recursive locks", "server-")),
    ],
)
def test_reported_log_is_critical_and_its_key_words_are_in_the_message(shipped, name, rule, words):
    log = log_document((REPORTS / name).read_bytes(), 600, False)
    document = health_of(shipped, cluster(workloads=[workload()]), status(log=log))
    (first, *_others) = document["findings"]
    assert (first["rule"], first["severity"]) == (rule, "critical")
    assert all(word in first["message"] for word in words), first["message"]
