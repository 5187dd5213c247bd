# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Matches of log patterns in lines as services print them."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.log_patterns import LOG_PATTERNS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch import log_line
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.log_line import find
from hypothesis import given
from hypothesis import strategies as st
from service_lines import CALLER, HEADER_FORMS, MESSAGES, POOL, TASK, access, line
from watch_helpers import SHIPPED

MOMENT = 1795393348.0  # 2026-11-23T00:22:28Z


def found(data: bytes | str, timestamped: bool = False) -> list[str]:
    raw = data.encode() if isinstance(data, str) else data
    return [each.pattern.id for each in find(raw, SHIPPED, timestamped=timestamped)]


def late(message: str, level: str = "warning") -> str:
    return HEADER_FORMS["late"].format(caller=CALLER, message=message).replace("warning", level, 1)


def test_every_pattern_has_a_case():
    others = {"runtime_fatal", "runtime_panic", "service_fatal"}  # in other tests
    assert {case[0] for case in MESSAGES} | others == {pattern.id for pattern in LOG_PATTERNS}
    assert len({pattern.id for pattern in LOG_PATTERNS}) == len(LOG_PATTERNS)


@pytest.mark.parametrize("form", HEADER_FORMS)
@pytest.mark.parametrize(("pattern", "message", "groups"), MESSAGES)
def test_matches_messages_as_services_print_them(form, pattern, message, groups):
    said = HEADER_FORMS[form].format(caller=CALLER, message=message)
    for data in (said, "before\n" + said + "after\n", said.rstrip("\n")):
        (hit,) = find(data.encode(), SHIPPED)
        assert (hit.pattern.id, hit.groups) == (pattern, groups)
        assert hit.moment == MOMENT
        assert hit.time == ("2026-11-23T08:22:28" if form == "with a zone" else "2026-11-23T00:22:28")


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [("2026-11-23T00:22:29.5Z", 1.5), ("2026-11-23T08:22:29.500000000+08:00", 1.5), ("2026-11-23T00:22:28Z", 0)],
)
def test_prefers_the_timestamp_to_the_header_date(stamp, seconds):
    (hit,) = find(f"{stamp} {late(MESSAGES[0][1])}".encode(), SHIPPED, timestamped=True)
    assert hit.moment == MOMENT + seconds


def test_falls_back_to_the_header_date():
    (hit,) = find(late(MESSAGES[0][1]).encode(), SHIPPED, timestamped=True)
    assert hit.moment == MOMENT


def test_matches_lines_of_the_driver_and_the_runtime():
    data = b"\n[mysql] 2026/11/23 00:22:28 packets.go:37: invalid connection\nfatal error: all goroutines are asleep!\n"
    driver, runtime = find(data, SHIPPED)
    assert (driver.pattern.id, driver.time, driver.moment) == ("db_connection", "2026-11-23T00:22:28", MOMENT)
    # The runtime logs no time, so that of the line before counts.
    assert (runtime.pattern.id, runtime.time, runtime.moment) == ("runtime_fatal", "2026-11-23T00:22:28", MOMENT)


@pytest.mark.parametrize(
    "message",
    [
        " Send error bad name 'BUSY activeWork 1'",
        " user said: WorkerManager x has been busy for 9 cycles",
        " the road has been busy for hours",
        " CronJob task Sync done",
        " detach worker asked for",
        " a fatal error: or so",
        " user said: X: queue full, task dropped",
        f" got [warning 2026-11-23 00:22:28 {CALLER}]X: queue full, task dropped",
        f" user said: work [2026-11-23 00:22:28 +0000 UTC]{TASK} stucking for a while",
    ],
)
@pytest.mark.parametrize("form", HEADER_FORMS)
def test_ignores_quoted_texts(form, message):
    assert found(HEADER_FORMS[form].format(caller=CALLER, message=message)) == []


@pytest.mark.parametrize("text", ["Too many connections", "X: queue full, task dropped", "host ping failed"])
def test_ignores_texts_from_clients(text):
    assert found(access(1, f"/servers?search={text}"), timestamped=True) == []


@pytest.mark.parametrize(
    "text",
    [
        f"[warning 2026-11-23 00:22:28 {CALLER}]",  # no message
        f"  [warning 2026-11-23 00:22:28 {CALLER}]X: queue full, task dropped",  # a quotation, indented
        "X: queue full, task dropped",  # without a header
        "# labels: {\"said\":\"bad connection\"}",
        "#\t0x453654\tbad connection+0x1\t/x.go:1",
        "\tmain.f+0x1\tbad connection",
        "12 @ 0x1 bad connection",
        "goroutine 7 [bad connection]:",
    ],
)  # fmt: skip
def test_ignores_lines_that_are_no_messages(text):
    assert found(f"{late(' hello')}{text}\n") == []


@pytest.mark.parametrize(("level", "counts"), [("info", False), ("debug", False), ("warning", True), ("error", True)])
def test_ignores_texts_below_the_level_of_the_pattern(level, counts):
    assert found(late(" exec: Too many connections", level)) == (["db_connection"] if counts else [])
    assert found(late(" exitFlag is set, to exit", level)) == (["planned_exit"] if level != "debug" else [])


def test_ignores_texts_in_the_header():
    assert found("[warning 2026-11-23 00:22:28 a.Too many connections(x.go:1)] hello\n") == []


def test_matches_lines_with_an_unknown_date():
    data = (
        HEADER_FORMS["late"].replace("2026-11-23 00:22:28", "23.Nov 2026").format(caller=CALLER, message=MESSAGES[0][1])
    )
    (hit,) = find(data.encode(), SHIPPED)
    assert (hit.time, hit.moment, hit.groups) == ("", None, {"pool": POOL})


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_matches_messages_of_several_lines(rows):
    task = "\n".join(["SomeTask {", *(f'  "row": {number},' for number in range(rows)), "}"])
    data = "\n" + late(f" work [2026-11-23 00:22:20 +0000 UTC]{task} stucking for a while")
    (hit,) = find(data.encode(), SHIPPED)
    assert hit.groups["task"] == task
    assert hit.moment == MOMENT
    assert found("\n" + late(f" user said: {task}\nwork [x]y stucking for a while")) == []
    for row in ("#\t0x1\tx+0x1 stucking for a while", "#\t0x1\tx+0x1\t/x.go:1\ny stucking for a while"):
        assert found("\n" + late(f" work [2026-11-23 00:22:20 +0000 UTC]{task}\n{row}")) == []


def test_searches_the_beginning_and_the_end_of_long_lines():
    task = "x" * log_line.LONGEST
    (hit,) = find(late(f" work [2026-11-23 00:22:20 +0000 UTC]{task} stucking for a while").encode(), SHIPPED)
    assert hit.pattern.id == "stucking"
    assert len(hit.message) < log_line.LONGEST
    assert found(late(f" {'x' * log_line.LONGEST} Too many connections {'x' * log_line.LONGEST}")) == []


def test_removes_timestamps_inside_long_lines():
    stamp = "2026-11-23T00:22:28.000000001Z "
    message = f" work [2026-11-23 00:22:20 +0000 UTC]{'x' * 16384}{stamp}{'y' * 20} stucking for a while"
    (hit,) = find((stamp + late(message)).encode(), SHIPPED, timestamped=True)
    assert hit.groups["task"] == "x" * 16384 + "y" * 20


PIECES = st.sampled_from(
    [text for pattern in LOG_PATTERNS for text in pattern.texts]
    + ["\n", "[", "]", ": ", "[warning 2026-11-23 00:22:28 a.b(c.go:1)]", "\x1b[0m", POOL, "\x00", "é",
       "WorkerManager ", "2026-11-23T00:22:28.1Z "]
)  # fmt: skip


ANY = st.lists(PIECES | st.text(max_size=5), max_size=40).map(
    lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
) | st.binary(max_size=300)


@given(ANY, st.booleans())
def test_prefilter_finds_exactly_the_lines_with_a_text(data, timestamped):
    texts = [text.encode() for pattern in LOG_PATTERNS for text in pattern.texts]
    with_text = {number for number, each in enumerate(data.split(b"\n")) if any(text in each for text in texts)}
    matched = {data.count(b"\n", 0, match.start()) for match in SHIPPED.prefilter.finditer(data)}
    assert matched == with_text
    for hit in find(data, SHIPPED, timestamped=timestamped):
        assert data.count(b"\n", 0, hit.start) in with_text
        assert b"\n" not in data[hit.start : hit.end]


def test_reads_a_flood_of_lines_without_headers_in_time():
    data = b"stucking for a while stucking for a while\n" * 2000
    assert found(line(1, " work [x]") + data) == []
