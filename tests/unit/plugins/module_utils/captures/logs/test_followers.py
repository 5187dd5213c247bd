# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread follows each log; all end when they are stopped."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.followers import Followers, join_all
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Lines, Opened
from scripted import Script

from patience import patience, wait_until

KEY = ("onecloud", "region", "region-1", "region")


def test_passes_events_until_it_is_stopped():
    followers, script, events, errors = Followers(), Script(Deadline(patience())), [], []
    assert followers.begin(KEY, script, events.append, errors.append)
    script.written.put(Lines(b"one\n"))
    wait_until("the line", lambda: Lines(b"one\n") in events)
    assert (KEY in followers, len(followers)) == (True, 1)
    join_all(followers.stop(), patience())
    assert isinstance(events[0], Opened)
    assert (KEY in followers, len(followers), errors) == (False, 0, [])


def test_error_of_one_log_is_reported():
    followers, script, errors = Followers(), Script(Deadline(patience())), []
    followers.begin(KEY, script, lambda _event: None, errors.append)
    script.written.put(ZeroDivisionError("by 0"))
    wait_until("the error", lambda: errors and KEY not in followers)
    assert str(errors[0]) == "by 0"


def test_follows_nothing_once_it_is_stopped():
    followers = Followers()
    followers.stop()
    assert not followers.begin(KEY, Script(Deadline(patience())), print, print)
