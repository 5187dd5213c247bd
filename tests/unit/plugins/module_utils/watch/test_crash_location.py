# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Location of a crash, from its stack trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.crash_location import CrashLocation
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from hypothesis import given
from hypothesis import strategies as st
from watch_helpers import SHIPPED

UNIT = Path(__file__).parents[3]


CORPUS = UNIT / "plugins" / "module_utils" / "stacks" / "corpus"


@pytest.mark.parametrize("version", ["go1.19", "go1.23", "go1.27"])
def test_locates_real_panics(version):
    watcher = LogWatcher(SHIPPED, timestamped=False)
    watcher.feed((CORPUS / version / "panic.txt").read_bytes())
    (pattern,) = [each for each in watcher.document()["patterns"] if each["id"] == "runtime_panic"]
    assert " in main." in pattern["episode"]["line"]
    assert ".go:" in pattern["episode"]["line"]


def test_skips_the_frames_above_panic():
    place = CrashLocation()
    for text in [
        "goroutine 7 [running]:",
        "runtime/debug.Stack()",
        "\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e",
        "yunion.io/x/onecloud/pkg/appsrv.recovered(0x1)",
        "\t/root/go/src/appsrv/workers.go:291 +0x5",
        "panic({0x1, 0x2})",
        "\t/usr/local/go/src/runtime/panic.go:785 +0x132",
        "yunion.io/x/onecloud/pkg/compute/models.(*SGuest).GetHost(0x0)",
        "\t/root/guests.go:1201 +0x25",
        "",
    ]:
        place.add_line(text)  # fmt: skip
    assert place.text == "in models.(*SGuest).GetHost (guests.go:1201)"


@given(st.lists(st.text(max_size=80) | st.sampled_from(["goroutine 1 [running]:", "a.b()", "\t/x/y.go:1 +0x1", ""])))
def test_bounds_the_frames_for_any_lines(texts):
    place = CrashLocation()
    for text in texts:
        if place.wanted:
            place.add_line(text)
    assert place.wanted >= 0
    assert len(place.frames) <= 2
    assert place.text.isprintable() or not place.text
