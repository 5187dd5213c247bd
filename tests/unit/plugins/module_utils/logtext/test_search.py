# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.search import (
    first_since,
    first_time,
    runtime_time,
    service_time,
    zone_offset,
)

EPOCH = 1767323045.0  # 2026-01-02T03:04:05Z


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        (b"2026-01-02T03:04:05.123456789Z stderr F x", EPOCH + 0.123456789),
        (b"2026-01-02T11:04:05.1+08:00 stderr F x", EPOCH + 0.1),
        (b"2026-01-01T22:04:05-05:00 stdout P x", EPOCH),
        (b'{"log":"x\\n","stream":"stderr","time":"2026-01-02T03:04:05.1Z"}\n', EPOCH + 0.1),
        (
            b'{"log":"\\"time\\":\\"2020-01-01T00:00:00Z\\"","stream":"stderr","time":"2026-01-02T03:04:05.1Z"}\n',
            EPOCH + 0.1,
        ),
        (b"2026-13-02T03:04:05.1Z stderr F x", None),
        (b'{"log":"x"}', None),
        (b"goroutine 1 [running]:", None),
        (b"", None),
    ],
)
def test_reads_time_of_a_runtime(line, moment):
    assert runtime_time(line) == moment


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        (b"[info 2026-01-02 03:04:05 main.f(main.go:1)] x", EPOCH),
        (b"[warning 260102 03:04:05 main.f(main.go:1)]x", EPOCH),
        (b"[error 2026-99-02 03:04:05 main.f(main.go:1)] x", None),
        (b"[mysql] 2026/01/02 03:04:05 packets.go:37: x", None),
        (b"  continued [info 2026-01-02 03:04:05 main.f(main.go:1)] x", None),
    ],
)
def test_reads_time_of_a_service(line, moment):
    assert service_time(line) == moment


def test_finds_first_line_that_is_not_too_old():
    stamps = [None, 1.0, None, None, 2.0, 2.0, None, 5.0, None]
    lines = [b"%d" % number for number in range(len(stamps))]
    found = {since: first_since(lines, since, lambda line: stamps[int(line)]) for since in (0.0, 1.5, 2.0, 3.0, 9.0)}
    # Lines without a time belong to the line before them. A few too many do no harm, one too few would.
    assert found[0.0] == 0
    assert found[1.5] in (2, 4)
    assert found[2.0] in (2, 4)
    assert found[3.0] in (6, 7)
    assert found[9.0] == 8


def test_finds_first_time():
    assert first_time([b"x", b"[info 2026-01-02 03:04:05 main.f(main.go:1)] x"], service_time) == EPOCH
    assert first_time([b"x"], service_time) is None


@pytest.mark.parametrize(
    ("changed", "offset"), [(EPOCH + 2, 0.0), (EPOCH - 8 * 3600 + 5, -28800.0), (EPOCH + 3500, 3600.0)]
)
def test_zone_offset_is_a_multiple_of_a_quarter_hour(changed, offset):
    assert zone_offset([b"[info 2026-01-02 03:04:05 main.f(main.go:1)] x", b"x"], changed) == offset
    assert zone_offset([b"x"], changed) == 0.0
