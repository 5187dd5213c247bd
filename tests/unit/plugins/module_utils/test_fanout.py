# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounded threads, limiter and the barrier: order, bounds, and nobody lost."""

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.fanout import Barrier, CapacityLimiter, run
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples
from patience import patience, wait_until


@pytest.fixture
def clock():
    """A time that stands until it is moved."""

    def clock() -> float:
        return clock.now

    clock.now = 1000.0
    return clock


def soon() -> Deadline:
    return Deadline(patience())


class Counter:
    """How many are inside at once, and the most there were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __enter__(self) -> Counter:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        return self

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self.now -= 1


def together(*works) -> None:
    """Run these at once and wait for all."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience())
        assert not thread.is_alive()


# run


@settings(max_examples=examples(30))
@given(st.lists(st.integers(-3, 3), max_size=30), st.integers(1, 8))
def test_outcomes_are_in_the_order_of_the_targets(targets, concurrency):
    outcomes = run(targets, lambda target: 6 // target, concurrency, soon())
    assert [outcome.target for outcome in outcomes] == targets
    for outcome in outcomes:
        assert (outcome.started, outcome.finished, outcome.abandoned) == (True, True, False)
        if outcome.target == 0:
            assert isinstance(outcome.error, ZeroDivisionError)
            assert outcome.result is None
        else:
            assert (outcome.result, outcome.error) == (6 // outcome.target, None)


@pytest.mark.parametrize(("targets", "concurrency", "most"), [(8, 3, 3), (3, 8, 3), (5, 1, 1)])
def test_uses_as_many_threads_as_allowed(targets, concurrency, most):
    inside, full = Counter(), threading.Barrier(most)

    def work(target):
        with inside:
            if target < most:
                full.wait(patience())  # so many have to be inside at once

    outcomes = run(range(targets), work, concurrency, soon())
    assert [outcome.error for outcome in outcomes] == [None] * targets
    assert inside.most == most


def test_abandons_work_after_the_deadline(clock):
    let_go, done = threading.Event(), threading.Event()

    def work(target):
        if target == "stuck":
            clock.now += 1
            let_go.wait()
            done.set()
        return target

    outcomes = run(["well", "stuck", "waiting"], work, 1, Deadline(0.2, clock=clock), grace=0.1)
    well, stuck, waiting = outcomes
    assert (well.result, well.abandoned) == ("well", False)
    assert (stuck.started, stuck.finished, stuck.abandoned) == (True, False, True)
    assert (waiting.started, waiting.abandoned) == (False, False)
    before = [vars(outcome).copy() for outcome in outcomes]
    let_go.set()
    assert done.wait(patience())
    for thread in threading.enumerate():
        if thread.name.startswith("fanout-"):
            thread.join(patience())
    assert [vars(outcome) for outcome in outcomes] == before


def test_work_that_ends_within_the_grace_is_kept(clock):
    deadline = Deadline(0.1, clock=clock)

    def work(_target):
        clock.now += 1
        return "late"

    (outcome,) = run([1], work, 1, deadline, grace=patience())
    assert (outcome.result, outcome.finished) == ("late", True)


def test_cancelled_run_waits_only_for_the_grace():
    deadline, begun, let_go = Deadline(patience(3600)), threading.Event(), threading.Event()
    outcomes = []

    def work(target):
        if target == "stuck":
            begun.set()
            let_go.wait()

    def run_all():
        outcomes.extend(run(["stuck", "waiting"], work, 1, deadline, grace=0.1))

    running = threading.Thread(target=run_all, daemon=True)
    running.start()
    begun.wait()
    deadline.cancel()
    running.join(patience())
    let_go.set()
    assert [(one.target, one.abandoned, one.started) for one in outcomes] == [
        ("stuck", True, True),
        ("waiting", False, False),
    ]


def test_starts_nothing_after_the_deadline():
    outcomes = run([1, 2], pytest.fail, 2, Deadline(0.0))
    assert [(one.target, one.started) for one in outcomes] == [(1, False), (2, False)]


# CapacityLimiter


def test_limits_holders_of_each_key():
    limiter, inside = CapacityLimiter(2), {"a": Counter(), "b": Counter()}
    full = threading.Barrier(4)  # two of each: all at once

    def hold(key, first):
        with limiter.hold(key, soon()), inside[key]:
            if first:
                full.wait(patience())
            else:
                assert inside[key].now <= 2

    together(*(lambda key=key: hold(key, True) for key in "aabb"))
    together(*(lambda key=key: hold(key, False) for key in "ab" * 10))
    assert {key: counter.most for key, counter in inside.items()} == {"a": 2, "b": 2}


def test_waits_for_a_place_until_the_deadline():
    limiter = CapacityLimiter(1)
    late = pytest.raises(DeadlineExceeded, match="instance")
    with limiter.hold("a", soon()), late, limiter.hold("a", Deadline(0.1, "instance")):
        pytest.fail("the cap was not kept")
    with limiter.hold("a", soon()):
        pass


def test_releases_a_place_after_an_error():
    limiter = CapacityLimiter(1)
    for _time in range(3):
        with pytest.raises(KeyError), limiter.hold("a", soon()):
            raise KeyError


# Barrier


def test_barrier_holds_all_until_the_last_arrives():
    barrier, gone = Barrier(3, patience()), []
    ready, last = threading.Semaphore(0), threading.Event()

    def visit(number):
        with barrier.party() as arrive:
            if number == 2:
                last.wait(patience())
                assert gone == []
            else:
                ready.release()
            arrive(soon())
            gone.append(number)

    def release():
        for _time in range(2):
            assert ready.acquire(timeout=patience())
        last.set()

    together(release, *(lambda number=number: visit(number) for number in range(3)))
    assert sorted(gone) == [0, 1, 2]


def test_party_that_leaves_holds_up_no_other():
    barrier = Barrier(2, patience())

    def leave():
        with pytest.raises(KeyError), barrier.party():
            raise KeyError

    begun = time.monotonic()
    together(leave, lambda: visit(barrier, soon()))
    assert time.monotonic() - begun < patience() / 2  # it would take all of the barrier's patience


def visit(barrier: Barrier, deadline: Deadline) -> None:
    with barrier.party() as arrive:
        arrive(deadline)


def test_barrier_opens_after_its_timeout():
    barrier = Barrier(4, 0.1)
    begun = time.monotonic()
    together(*[lambda: visit(barrier, soon())] * 2)
    assert time.monotonic() - begun >= 0.1
    visit(barrier, soon())


def test_timeout_begins_with_the_first_arrival(clock):
    barrier = Barrier(3, 60.0, clock)
    clock.now += 50

    def first():
        visit(barrier, soon())

    def second():
        opens = wait_until("the first arrival", lambda: barrier._opens)
        assert opens.remaining() == 60.0
        clock.now += 20
        visit(barrier, soon())

    def later():
        opens = wait_until("the second arrival", lambda: barrier._missing == 1 and barrier._opens)
        assert opens.remaining() == 40.0
        clock.now += 40
        with barrier._condition:
            barrier._condition.notify_all()

    together(first, second, later)


def test_deadline_that_passes_at_the_barrier_raises():
    barrier = Barrier(2, patience())
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="instance"):
        visit(barrier, Deadline(0.1, "instance"))
    # It has been counted all the same: the other one need not wait.
    visit(barrier, soon())
    assert time.monotonic() - begun < patience() / 2  # either would take all of the barrier's patience


def test_empty_barrier_is_open():
    visit(Barrier(0, patience()), soon())
