# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress action on a fake clock: interval of its lines, and none after the end of the module."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils import progress

from patience import patience

TERMINAL = 34816
LINES = 3


class Clock:
    """Clock that advances without waiting until LINES lines are shown. Then waits end with the module."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lines: list[str] = []
        self.enough = threading.Event()

    def monotonic(self) -> float:
        return self.now

    def show(self, text: str) -> None:
        self.lines.append(text)
        if len(self.lines) == LINES:
            self.enough.set()

    def event(self) -> threading.Event:
        clock, wait = self, threading.Event.wait

        class Event(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                if self.is_set() or clock.enough.is_set():
                    return wait(self, patience())
                clock.now += timeout or 0.0
                return False

        return Event()


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Action(progress.ProgressAction):
    """Action of a status_info whose module is the function `module`, with a terminal that a person reads."""

    def __init__(self, module, clock) -> None:
        self.module = module
        self.screen = progress.Screen(TERMINAL, TERMINAL, clock.monotonic, clock.event, clock.show)
        self._task = SimpleNamespace(action="cloudpods.diagnostics.status_info", async_val=0)
        self._templar = SimpleNamespace(template=lambda value: value)

    def _run_module(self, _tmp, _task_vars):
        return self.module()


def test_shows_a_line_every_ten_seconds_by_default(clock):
    def module() -> dict[str, bool]:
        assert clock.enough.wait(patience())
        return {"changed": False}

    before = threading.active_count()
    assert Action(module, clock).run(task_vars={"inventory_hostname": "cluster-a"}) == {"changed": False}
    assert threading.active_count() == before
    assert clock.lines == [f"cluster-a  status_info  {seconds} s" for seconds in (10, 20, 30)]


def test_shows_no_line_after_a_failed_module(clock):
    def module() -> None:
        assert clock.enough.wait(patience())
        raise AnsibleActionFail("failed")

    before = threading.active_count()
    with pytest.raises(AnsibleActionFail):
        Action(module, clock).run(task_vars={progress.EVERY_VARIABLE: 2.5})
    assert threading.active_count() == before
    assert [line.split()[-2] for line in clock.lines] == ["2", "5", "8"]


@pytest.mark.parametrize("seconds", [0, "0"])
def test_shows_no_line_for_zero_seconds(clock, seconds):
    assert Action(dict, clock).run(task_vars={progress.EVERY_VARIABLE: seconds}) == {}
    assert clock.now == 1000.0


@pytest.mark.parametrize("seconds", ["", None])
def test_empty_interval_is_the_default(clock, seconds):
    def module() -> dict[str, bool]:
        assert clock.enough.wait(patience())
        return {"changed": False}

    assert Action(module, clock).run(task_vars={progress.EVERY_VARIABLE: seconds}) == {"changed": False}
    assert [line.split()[-2] for line in clock.lines] == ["10", "20", "30"]


@pytest.mark.parametrize("seconds", ["often", [], -1, "inf", "nan"])
def test_refuses_invalid_interval(clock, seconds):
    with pytest.raises(AnsibleActionFail) as failed:
        Action(dict, clock).run(task_vars={progress.EVERY_VARIABLE: seconds})
    assert f"cloudpods_progress_seconds has to be a number of seconds, or 0, not {seconds!r}" in str(failed.value)
