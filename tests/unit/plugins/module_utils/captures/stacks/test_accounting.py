# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever goes wrong with whichever instances: each has its rows, with the status of its reason, and the run ends."""

from __future__ import annotations

import collections
import tempfile
import time
from functools import partial
from pathlib import Path

from ansible_collections.cloudpods.diagnostics.plugins.module_utils import fanout
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import (
    MEANINGS,
    CaptureError,
    Reason,
    Status,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from capturing import DUMP, HALF, answers, capture, stuck, with_facts, with_state
from fake_transport import USR1, FakeTransport, hang, raises
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import examples

CALLS = ("open_log", "open_process", "signal", "version")
TIMEOUT, DEADLINE, GRACE = 0.05, 0.1, 0.02
STUCK = "stuck"
COMPONENTS = ("region", "keystone", "newone", "scheduler", "etcd")
SHORTFALLS = [reason for reason, meaning in MEANINGS.items() if meaning.status is not Status.COMPLETE]

faults = st.one_of(
    st.just(hang),
    st.just(STUCK),
    st.sampled_from(SHORTFALLS).map(lambda reason: raises(CaptureError(reason, "as it happens"))),
    st.sampled_from([OSError(5, "I/O"), KeyError("key"), AssertionError()]).map(raises),
)
troubles = st.sampled_from(
    [
        with_facts(),
        with_facts(ignored=USR1),
        with_facts(caught=0),
        with_facts(stderr="/dev/null"),
        with_facts(same_container=False),
        *(with_state(state) for state in State),
    ]
)
replies = st.sampled_from(
    [
        answers(DUMP),
        answers(DUMP, end=True),
        answers(HALF),
        answers(HALF, end=True),
        answers(),
        answers(end=True),
        answers(b"\xff\x00 goroutine profile: total 99\n", DUMP),
        lambda service: (service.restart(), service.write(DUMP)),
    ]
)
plans = st.fixed_dictionaries(
    {
        "component": st.sampled_from(COMPONENTS),
        "node": st.sampled_from(["n1", "n2"]),
        "image_id": st.sampled_from(["", "i1", "i2"]),
        "version": st.sampled_from([b"", b"{", b'{"gitVersion": "v1"}']),
        "faults": st.dictionaries(st.sampled_from(CALLS), faults, max_size=2),
        "trouble": troubles,
        "reply": replies,
    }
)


def cloud(wanted, fault, signalled) -> FakeTransport:
    """The services that were drawn. fault: what STUCK stands for. signalled: gets the names of the signalled ones."""
    transport = FakeTransport()
    for plan in wanted:
        own = dict(plan)
        trouble, reply = own.pop("trouble"), own.pop("reply")
        own["faults"] = {call: fault if what == STUCK else what for call, what in own["faults"].items()}

        def on_signal(service, reply=reply):
            signalled.append(service.instance.name)
            reply(service)

        trouble(transport.add(own.pop("component"), on_signal=on_signal, **own))
    return transport


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow])
@given(
    wanted=st.lists(plans, min_size=1, max_size=8),
    count=st.integers(1, 3),
    concurrency=st.integers(1, 9),
    node_concurrency=st.integers(1, 4),
    lose_log_starts=st.booleans(),
)
def test_every_mix_of_faults_is_accounted_for(wanted, count, concurrency, node_concurrency, lose_log_starts):
    signalled: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        with stuck() as fault:
            transport = cloud(wanted, fault, signalled)
            transport.lose_log_starts = lose_log_starts
            instances = [service.instance for service in transport.services]
            ran = capture(
                transport,
                Path(folder),
                deadline=DEADLINE,
                clock=time.monotonic,
                timeout=TIMEOUT,
                fan_out=partial(fanout.run, grace=GRACE),
                count=count,
                interval=0.01,
                concurrency=concurrency,
                node_concurrency=node_concurrency,
            )
            # It has ended though what is stuck has not.
            told = list(signalled)
        check(ran, instances, transport, count, told)
        # What was stuck has run to its end by now.
        assert ran.ledger == ran.report.rows


def check(ran, instances, transport, count, signalled) -> None:
    rows = ran.report.rows
    assert collections.Counter((row.instance, row.sequence) for row in ran.rows()) == {
        (instance.name, number): 1 for instance in instances for number in range(1, count + 1)
    }
    untouched = {row.instance for row in ran.rows() if not transport.done_to(row.instance) and row.status == "refused"}
    assert collections.Counter(row.instance for row in ran.rows("version")) == {
        instance.name: 1 for instance in instances if instance.name not in untouched
    }
    for row in rows:
        assert row.status == MEANINGS[Reason(row.reason)].status.value
        assert row.message
        if row.path:
            assert len(ran.artifact(row)) == row.bytes
    said = [row.instance for row in rows if "signal_sent" in row.details]
    assert ran.report.signals == len(said)
    # No more is said to be sent than was.
    assert not collections.Counter(said) - collections.Counter(signalled)
    assert all(row.details["total"] == row.details["goroutines"] for row in ran.rows(status="complete"))
