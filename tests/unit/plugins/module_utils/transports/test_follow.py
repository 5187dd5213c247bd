# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every follower of a log is stopped."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Lines, LogFollower

from patience import patience


class BlockedFollower(LogFollower):
    """Follower that gives one line, and then blocks in a read until it is cut off."""

    def __init__(self, deadline):
        super().__init__(deadline)
        self.blocked, self.cut_off = threading.Event(), threading.Event()

    def events(self):
        yield Lines(b"one\n")
        self.blocked.set()
        assert self.cut_off.wait(patience())

    def _cut_off(self):
        self.cut_off.set()


class IdleFollower(LogFollower):
    """Follower of a log that stays empty: it waits, without end, for the next poll."""

    def events(self):
        while not self._is_over:
            self._wait(3600.0)
        return iter(())


def test_stop_cuts_off_a_blocked_read_from_another_thread():
    follower = BlockedFollower(Deadline(patience()))
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(follower.events()), daemon=True)
    reader.start()
    assert follower.blocked.wait(patience())
    follower.stop()
    follower.stop()  # more than once does no harm
    reader.join(patience())
    assert (reader.is_alive(), seen) == (False, [Lines(b"one\n")])


@pytest.mark.parametrize("end", ["stop", "leave the block", "deadline"])
def test_wait_ends_at_once(end):
    """An hour's wait between two polls ends when the follower is stopped or its deadline passes."""
    with IdleFollower(Deadline(0.05 if end == "deadline" else patience())) as follower:
        reader = threading.Thread(target=follower.events, daemon=True)
        reader.start()
        if end == "stop":
            follower.stop()
        if end != "leave the block":
            reader.join(patience())
            assert not reader.is_alive()
    reader.join(patience())
    assert not reader.is_alive()
    assert not follower.caught_up.is_set()
