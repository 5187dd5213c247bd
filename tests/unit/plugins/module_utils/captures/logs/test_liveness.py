# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of life of watched services: a frozen one is healthy for no transport."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import FollowLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.liveness import ping, ping_all
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpAnswer
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness, liveness_of
from capturing import stuck
from fake_transport import FakeTransport, hang, no_answer, raises

from patience import patience

SHORT = 0.2


LIMITS = FollowLimits(listing=0.05, shortest_listing=0.01, ping=SHORT)


def answers(status: int, body: bytes = b"pong"):
    return lambda _target: HttpAnswer(status, {}, body)


def refused(reason: Reason):
    return {"/ping": raises(CaptureError(reason))}


def asked(transport: FakeTransport, **known) -> Liveness:
    (service,) = transport.services
    return ping(transport, service.instance, Liveness(**known), Deadline(patience()), SHORT)


@pytest.mark.parametrize(
    ("fields", "ping", "ready", "says"),
    [
        ({}, True, None, "was answered (HTTP 200)"),
        ({"answer": answers(403, b"Forbidden")}, True, None, "HTTP 403"),
        ({"answer": answers(400, b"scheduler is not ready")}, True, False, "says HTTP 400: scheduler is not ready"),
        ({"answer": answers(502, b"\x1b[2J")}, True, False, "says HTTP 502: ?[2J"),
        ({"faults": {"/ping": no_answer}}, False, None, "was not answered within"),
        ({"faults": {"/ping": hang}}, False, None, "was not answered within"),
        ({"faults": refused(Reason.CONNECTION_BROKEN)}, False, None, "the connection broke"),
        ({"faults": refused(Reason.CONNECTION_REFUSED), "ports": (30888,)}, False, None, "nothing listens"),
        # It may listen on a port that is not declared.
        ({"faults": refused(Reason.CONNECTION_REFUSED)}, None, None, ""),
        ({"faults": refused(Reason.FORBIDDEN)}, None, None, ""),
        ({"faults": refused(Reason.UNREACHABLE)}, None, None, ""),
        ({"faults": refused(Reason.TLS_FAILED)}, None, None, ""),
    ],
)
def test_result_of_a_ping(fields, ping, ready, says):
    transport = FakeTransport()
    transport.add("region", **fields)
    found = asked(transport)
    assert (found.ping, found.ready) == (ping, ready)
    assert says in found.ping_result
    assert bool(found.ping_result) == bool(says)


def test_does_not_ping_a_component_without_the_path():
    transport = FakeTransport()
    transport.add("host-deployer")
    assert asked(transport) == Liveness()
    assert transport.asked == []


def test_does_not_ping_without_enough_time():
    """A question that is cut off early would say of a service that it hangs."""
    transport = FakeTransport()
    service = transport.add("region")
    assert ping(transport, service.instance, Liveness(), Deadline(SHORT / 2), SHORT) == Liveness()
    assert transport.asked == []


def test_pings_all_at_once():
    """No question returns before all of them were put."""
    everybody = threading.Barrier(41)

    def meet(_deadline: Deadline) -> None:
        everybody.wait(patience())
        raise CaptureError(Reason.NO_ANSWER)

    transport = FakeTransport()
    for number in range(everybody.parties):
        transport.add("region", f"frozen-{number}", faults={"/ping": meet})
    known = [(service.instance, Liveness()) for service in transport.services]
    limits = FollowLimits(ping=patience(), pings=2 * patience())
    found = ping_all(transport, known, Deadline(2 * patience()), limits)
    assert [each.ping for each in found] == [False] * everybody.parties


def test_abandons_a_ping_that_ignores_its_deadline():
    limits = replace(LIMITS, pings=2 * SHORT)
    transport = FakeTransport()
    with stuck() as fault:
        service = transport.add("region", faults={"/ping": fault})
        (found,) = ping_all(transport, [(service.instance, Liveness())], Deadline(patience()), limits)
        assert found.ping is False


def test_error_is_reported_and_is_no_answer():
    transport = FakeTransport()
    service = transport.add("region", faults={"/ping": raises(KeyError("x"))})
    (found,) = ping_all(transport, [(service.instance, Liveness())], Deadline(patience()), LIMITS)
    assert (found.ping, found.ping_result) == (None, "could not be asked: 'x'")


def test_answer_clears_a_wait_for_a_disk():
    transport = FakeTransport()
    transport.add("region")
    assert asked(transport, process="in uninterruptible sleep in nfs_wait").process == ""
    assert asked(transport, process="stopped (SIGSTOP)").process == "stopped (SIGSTOP)"


def test_liveness_from_an_instance_list():
    transport = FakeTransport()
    times = {"started": "2026-11-23T00:00:10Z", "last_ended": "2026-11-23T00:00:05Z"}
    state = {"state": State.CRASH_LOOP, "state_detail": "back-off", "last_end": "OOMKilled"}
    pod = transport.add("region", ready=False, **times, **state).instance
    second = 1795392000.0  # 2026-11-23T00:00:00Z
    found = liveness_of(pod, second, None)
    assert (found.ready, found.started, found.ended, found.end) == (False, second + 10, second + 5, "OOMKilled")
    assert (found.state, found.loops) == ("crash_loop: back-off", True)
    assert liveness_of(pod, second + 6, None).ended is None  # before the window
    frozen = replace(transport.services[0].facts.candidates[0], state="T")
    process = replace(pod, process=frozen, state=State.RUNNING)
    found = liveness_of(process, second, 7.0)
    # Nobody knows of a process on a machine whether it is ready.
    assert (found.ready, found.process, found.state, found.heard) == (None, "stopped (SIGSTOP)", "", 7.0)


def test_deadline_is_no_answer(monkeypatch):
    transport = FakeTransport()
    service = transport.add("region")

    def late(*_arguments):
        raise DeadlineExceeded("ping")

    monkeypatch.setattr(transport, "http_get", late)
    assert ping(transport, service.instance, Liveness(), Deadline(patience()), SHORT).ping is False
