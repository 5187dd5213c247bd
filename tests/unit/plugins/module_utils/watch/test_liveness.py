# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of life that `healthy` needs besides a quiet log."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness
from watch_helpers import START, quiet_log

UNANSWERED = {"ping": False, "ping_result": "was not answered within 5 s"}


STOPPED = {"process": "stopped (SIGSTOP)"}


@pytest.mark.parametrize(
    ("last", "liveness", "verdict", "rule", "says"),
    [
        (590, {}, "healthy", "quiet", ["1 line in 10 min"]),
        (None, {"ping": True, "ping_result": "was answered (HTTP 200)"}, "healthy", "quiet", ["/ping was answered"]),
        (None, {"heard": START + 590}, "healthy", "quiet", []),
        (590, {"ping": True, "ready": True}, "healthy", "quiet", ["ready"]),
        (None, {}, "unknown", "no_sign_of_life", ["silent for 10 min"]),
        (210, {}, "unknown", "no_sign_of_life", ["silent for 6.5 min"]),
        (210, {"heard": START + 220}, "unknown", "no_sign_of_life", ["silent for 6.3 min"]),
        (590, {"ready": False}, "unknown", "not_ready", ["not ready"]),
        (590, UNANSWERED, "unknown", "ping_unanswered", ["/ping was not answered within 5 s"]),
        (590, {"ping": True, "ready": False, "ping_result": "says HTTP 400: scheduler is not ready"},
         "unknown", "not_ready", ["scheduler is not ready"]),
        (590, {"ping": True, **STOPPED}, "unknown", "process_stopped", ["its process is stopped (SIGSTOP)"]),
        (590, {"state": "waiting: CreateContainerError"}, "unknown", "not_running", ["CreateContainerError"]),
        (590, {"state": "crash_loop", "loops": True}, "stuck", "crash_loop", ["ends repeatedly"]),
        (210, {"ready": False, **UNANSWERED, **STOPPED}, "unknown", "process_stopped",
         ["silent for 6.5 min; not ready; /ping was not answered within 5 s; its process is stopped (SIGSTOP)"]),
    ],
)  # fmt: skip
def test_healthy_needs_signs_of_life(last, liveness, verdict, rule, says):
    found = quiet_log(last).verdict(START + 600, liveness=Liveness(**liveness))
    assert (found.verdict, found.rule) == (verdict, rule)
    assert [text for text in says if not any(text in each for each in found.evidence)] == []


def test_line_from_the_future_is_no_sign_of_life():
    # The service may log in another time zone.
    assert quiet_log(3000).verdict(START + 600).rule == "no_sign_of_life"


def test_healthy_depends_on_ping_and_readiness_only():
    for ping, ready in itertools.product([None, True, False], repeat=2):
        found = quiet_log(599).verdict(START + 600, liveness=Liveness(ping=ping, ready=ready))
        assert (found.verdict == "healthy") == (ping is not False and ready is not False)
