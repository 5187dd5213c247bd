# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.timestamps import (
    find_date,
    last_timestamp,
    parse_go_duration,
    parse_go_time,
    parse_rfc3339,
    timestamp_of,
    utc,
    utc_minute,
)
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"2026-11-25T10:00:00Z x", 1795600800.0),
        (b"2026-11-25T10:00:00.5Z x", 1795600800.5),
        (b"2026-11-25T18:00:00.5+08:00", 1795600800.5),
        (b"2026-02-31T10:00:00Z x", None),
        (b"2026-11-25T10:00:00+99:00 x", None),
    ],
)
def test_timestamp_is_a_moment(text, moment):
    assert timestamp_of(text).moment == moment


@pytest.mark.parametrize("text", [b"", b"x", b"2026-11-25 10:00:00Z x", b"2026-11-25T10:00:00Zx"])
def test_other_text_has_no_timestamp(text):
    assert timestamp_of(text) is None


def test_orders_fractions_of_fewer_digits():
    assert timestamp_of(b"2026-11-25T10:00:00.1Z ").order < timestamp_of(b"2026-11-25T10:00:00.12Z ").order


@pytest.mark.parametrize("end", [b"", b"\n", b" x\nno timestamp\n", b" x\n\n"])
def test_last_timestamp_skips_lines_without_one(end):
    assert last_timestamp(b"2026-11-25T10:00:00Z a\n2026-11-25T10:00:01Z" + end).text == "2026-11-25T10:00:01Z"
    assert last_timestamp(b"no\ntimestamp\n") is None


MOMENT = 1795393348.0  # 2026-11-23T00:22:28Z


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23 00:22:28.123456789 +0000 UTC m=+12.345678901", MOMENT + 0.123456789),
        ("2026-11-23 00:22:28 +0000 UTC", MOMENT),
        ("2026-11-23 08:22:28.5 +0800 CST", MOMENT + 0.5),
        ("2026-11-22 19:52:28 -0430 -0430 m=-1.0", MOMENT),
        ("2026-11-23 00:22:28 +0000", MOMENT),
        ("2026-13-23 00:22:28 +0000 UTC", None),
        ("2026-02-30 00:22:28 +0000 UTC", None),
        ("0001-01-01 00:00:00 +0000 UTC", -62135596800.0),
        ("2026-11-23 00:22:28", None),
        ("", None),
    ],
)
def test_parses_go_times(text, moment):
    assert parse_go_time(text) == (pytest.approx(moment) if moment else moment)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("59.9s", 59.9), ("1m0.5s", 60.5), ("2h3m4s", 7384), ("12.5ms", 0.0125), ("7µs", 7e-6), ("0s", 0), ("1x", None)],
)
def test_parses_go_durations(text, seconds):
    assert parse_go_duration(text) == (pytest.approx(seconds) if seconds else seconds)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none(text):
    for read in (parse_rfc3339, parse_go_time, parse_go_duration):
        assert read(text) is None or isinstance(read(text), float)
    assert isinstance(find_date(text), tuple)


@example(-30610224001.0)  # in the year 999
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_formats_any_moment_or_none(moment):
    assert re.fullmatch(r"(?:\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?", utc(moment))


def test_formats_to_the_second_and_minute():
    assert (utc(MOMENT + 0.9), utc_minute(MOMENT), utc(None)) == ("2026-11-23T00:22:28Z", "2026-11-23T00:22", "")
