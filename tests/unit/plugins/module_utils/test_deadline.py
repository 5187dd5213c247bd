# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines by a clock that the test moves, and the watchdog."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import (
    Deadline,
    DeadlineExceeded,
    Watchdog,
)
from hypothesis import given
from hypothesis import strategies as st

from patience import patience

seconds = st.floats(0, 1e6)


class Clock:
    """A time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize(
    ("moved", "remaining", "expired"), [(0, 10, False), (4, 6, False), (9.5, 0.5, False), (10, 0, True), (99, 0, True)]
)
def test_remaining_seconds(clock, moved, remaining, expired):
    deadline = Deadline(10, "run", clock)
    clock.now += moved
    assert (deadline.remaining(), deadline.expired) == (remaining, expired)
    if expired:
        with pytest.raises(DeadlineExceeded, match="the deadline of the run passed") as passed:
            deadline.check()
        assert passed.value.scope == "run"
    else:
        deadline.check()


@given(own=seconds, children=seconds, later=seconds)
def test_child_ends_with_its_parent(own, children, later):
    clock = Clock()
    parent = Deadline(own, "run", clock)
    clock.now += later
    child = parent.child(children, "instance")
    assert child.remaining() <= parent.remaining() or child.remaining() == pytest.approx(parent.remaining())
    assert child.remaining() == pytest.approx(min(children, parent.remaining()), abs=1e-6)


def test_names_the_scope_that_passed(clock):
    parent = Deadline(10, "run", clock)
    assert parent.child(3, "instance").scope == "instance"
    assert parent.child(30, "instance").scope == "run"
    assert parent.child(30, "instance").child(5, "probe").scope == "probe"


def test_guard_cuts_off_at_the_deadline():
    cut = threading.Event()
    with Deadline(0.05).guard(cut.set):
        assert cut.wait(patience())


def test_guard_cuts_nothing_off_after_its_block(clock):
    first, second = threading.Event(), threading.Event()
    deadline = Deadline(0.05, clock=clock)
    with deadline.guard(first.set):
        pass
    clock.now += 1
    with deadline.guard(second.set):
        assert second.wait(patience())
    assert not first.is_set()


def test_guard_on_a_passed_deadline_cuts_off_at_once():
    cut = threading.Event()
    with Deadline(0.0).guard(cut.set):
        assert cut.wait(patience())


def test_children_share_the_watchdog_of_their_parent():
    before = threading.active_count()
    parent = Deadline(60.0)
    children = [parent.child(60.0, "instance") for _number in range(20)]
    guards = [child.guard(pytest.fail) for child in children]
    for guard in guards:
        guard.__enter__()
    assert threading.active_count() == before + 1
    for guard in guards:
        guard.__exit__(None, None, None)


class Log:
    """Callbacks that note their names, and let the test wait for them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._done = threading.Semaphore(0)

    def of(self, name: str):
        def callback():
            self.names.append(name)
            self._done.release()

        return callback

    def wait(self, count: int) -> None:
        for _time in range(count):
            assert self._done.acquire(timeout=patience())


def test_deadline_beside_another_outlives_it(clock):
    parent = Deadline(10, "run", clock)
    beside = parent.beside(30, "instance")
    clock.now += 20
    parent.cancel()
    assert (beside.remaining(), beside.expired, beside.scope) == (10, False, "instance")


def test_callbacks_run_in_the_order_of_their_moments(clock):
    watchdog, log = Watchdog(clock), Log()
    for moment, name in ((30, "c"), (10, "a"), (20, "b")):
        watchdog.at(clock.now + moment, log.of(name))
    clock.now += 40
    watchdog.at(clock.now - 100, log.of("wakes"))
    log.wait(4)
    # The thread may have been awake already, and then it was not the last one that woke it.
    assert [name for name in log.names if name != "wakes"] == ["a", "b", "c"]


def test_cancelled_callback_does_not_run(clock):
    watchdog, log = Watchdog(clock), Log()
    tickets = [watchdog.at(clock.now + moment, log.of(str(moment))) for moment in (1, 2, 3)]
    watchdog.cancel(tickets[1])
    watchdog.cancel(tickets[1])
    clock.now += 10
    watchdog.at(clock.now - 100, log.of("wakes"))
    log.wait(3)
    assert [name for name in log.names if name != "wakes"] == ["1", "3"]
    watchdog.cancel(tickets[0])  # long done


def test_callback_does_not_run_early(clock):
    watchdog, log = Watchdog(clock), Log()
    watchdog.at(clock.now + 5, log.of("later"))
    watchdog.at(clock.now, log.of("now"))
    log.wait(1)
    assert log.names == ["now"]


@pytest.mark.parametrize("error", [OSError(9, "Bad file descriptor"), AttributeError("shutdown"), KeyError("x")])
def test_failing_callback_does_not_stop_the_others(clock, error):
    def fail():
        raise error

    watchdog, log = Watchdog(clock), Log()
    watchdog.at(clock.now - 2, fail)
    watchdog.at(clock.now - 1, log.of("next"))
    log.wait(1)
    assert log.names == ["next"]


def test_callback_may_register_another(clock):
    watchdog, log = Watchdog(clock), Log()
    watchdog.at(clock.now, lambda: watchdog.at(clock.now, log.of("second")))
    log.wait(1)


def test_earlier_callback_is_not_held_up():
    watchdog, log = Watchdog(), Log()
    far = Deadline(60.0, watchdog=watchdog)
    with far.guard(pytest.fail), Deadline(0.05, watchdog=watchdog).guard(log.of("near")):
        log.wait(1)


def test_cancelled_deadline_cuts_off_at_once():
    log = Log()
    run = Deadline(3600.0)
    child = run.child(1800.0, "instance")
    with run.guard(log.of("run")), child.guard(log.of("child")):
        assert not child.expired
        run.cancel()
        log.wait(2)
    assert sorted(log.names) == ["child", "run"]
    assert (run.remaining(), child.remaining()) == (0.0, 0.0)
    with pytest.raises(DeadlineExceeded):
        child.check()
    # Also what begins only now.
    late = run.child(60.0, "late")
    with late.guard(log.of("late")):
        log.wait(1)
    assert late.expired
    run.cancel()


def test_no_thread_runs_on_after_the_end():
    before = set(threading.enumerate())
    log = Log()
    run = Deadline(3600.0)
    with run.guard(log.of("run")):
        (thread,) = set(threading.enumerate()) - before
        run.cancel()
        log.wait(1)
    thread.join(patience())
    assert not thread.is_alive()
    with run.guard(log.of("late")):
        log.wait(1)


def test_cancelling_does_not_affect_other_deadlines():
    run, other = Deadline(3600.0), Deadline(3600.0)
    run.cancel()
    assert (run.expired, other.expired) == (True, False)


def test_cancelling_wakes_a_waiting_thread():
    deadline, waiting = Deadline(patience(3600)), threading.Event()

    def wait():
        waiting.set()
        deadline.wait(patience(3600))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    waiting.wait()
    deadline.cancel()
    thread.join(patience())
    assert not thread.is_alive()
    deadline.wait(patience(3600))  # it has passed
    Deadline(patience(3600)).wait(0.0)
