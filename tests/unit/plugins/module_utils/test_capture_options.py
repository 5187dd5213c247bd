# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong options are named, with their bounds."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import (
    EventStreamOptions,
    LogWatchOptions,
    ProfileOptions,
    StackOptions,
    TriggerOptions,
)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kinds": ["profile"]}, "unknown kind"),
        ({"cpu_seconds": 61}, "forced"),
        ({"trace_seconds": 11}, "forced"),
        ({"cpu_seconds": 601, "force": True}, "1 to 600"),
        ({"delta_seconds": -1}, "0 to 600"),
        ({"max_replicas_at_once": 0}, "from 1 to 1000"),
        ({"addresses": [0]}, "address"),
    ],
)
def test_rejects_wrong_options_of_profiles(options, words):
    with pytest.raises(ValueError, match=words):
        ProfileOptions(**{"kinds": ["cpu"], **options})


def test_forced_profiles_may_be_long():
    assert ProfileOptions(["cpu"], cpu_seconds=600, trace_seconds=60, force=True).seconds["cpu"] == 600


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"duration": -1}, "duration is -1. It has to be"),
        ({"since": -1}, "since is -1. It has to be"),
        ({"until": "x"}, "until has to be one of"),
        ({"patterns": [{"id": "X"}]}, "pattern 1"),
    ],
)
def test_rejects_wrong_options_of_a_watch(options, words):
    with pytest.raises(ValueError, match=words):
        LogWatchOptions(**options)


@pytest.mark.parametrize(
    ("options", "words"), [({"actions": ("x",)}, "does not know x"), ({"cooldown": -1}, "cooldown")]
)
def test_rejects_wrong_options_of_triggers(options, words):
    with pytest.raises(ValueError, match=words):
        TriggerOptions(**options)


@pytest.mark.parametrize("name", ["count", "concurrency", "node_concurrency", "max_bytes"])
def test_rejects_numbers_out_of_bounds_by_name(name):
    with pytest.raises(ValueError, match=f"{name} is 0. It has to be a whole number"):
        StackOptions(**{name: 0})


@pytest.mark.parametrize(
    ("options", "said"), [({"since": -1}, "since"), ({"cooldown": float("nan")}, "cooldown"), ({"severity": "x"}, "x")]
)
def test_rejects_wrong_options_of_an_event_stream(options, said):
    with pytest.raises(ValueError, match=said):
        EventStreamOptions(**options)
