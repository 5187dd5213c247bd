# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dump as it comes out of a log that ends, breaks, is opened again, or has no dump: what is kept, what is said."""

from __future__ import annotations

import datetime
import json
import threading
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.collector import ImageClaims
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, utc_now
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from capturing import DUMP, HALF, answers, capture, with_facts
from fake_transport import LOG_LINE, FakeTransport, raises

INSTANCE = Instance("c1", "region", "region-1")
NOISE = LOG_LINE * 3


# What the logs give -> reason, words of the message, goroutines read of 40 (None: no dump at all), the window.


# In a run


def test_reopens_a_log_that_was_not_proved_open(tmp_path):
    transport = FakeTransport()
    transport.lose_log_starts = True
    service = transport.add("region", log=b"", on_signal=answers(DUMP))
    ran = capture(transport, tmp_path)
    assert (ran.only().reason, ran.artifact(ran.only())) == ("proven", DUMP)
    assert transport.done_to(service.instance.name)[:4] == ["open_log", "open_process", "signal", "reopen_log"]


@pytest.mark.parametrize(("ends", "reason"), [(False, "cut_short"), (True, "stream_ended")])
def test_keeps_and_parses_half_a_dump(tmp_path, ends, reason):
    transport = FakeTransport()
    transport.add("region", on_signal=answers(NOISE, HALF, end=ends))
    ran = capture(transport, tmp_path)
    row = ran.only()
    assert (row.status, row.reason) == ("partial", reason)
    assert (row.details["goroutines"], row.details["total"], row.details["groups"]) == (38, 40, 2)
    assert HALF in ran.artifact(row, ".log")
    assert ran.artifact(row).startswith(b"goroutine profile: total 40\n37 @")
    assert json.loads(ran.artifact(row, ".json"))["complete"] == "false"


def test_keeps_a_log_without_a_dump(tmp_path):
    transport = FakeTransport()
    transport.add("region", on_signal=answers(NOISE))
    ran = capture(transport, tmp_path)
    row = ran.only()
    assert (row.reason, row.path.rsplit("/", 1)[1]) == ("no_dump", "stack-1.log")
    assert ran.artifact(row) == NOISE
    assert "total" not in row.details


def test_does_not_signal_a_stopped_process(tmp_path):
    transport = FakeTransport()
    service = transport.add("region")
    with_facts(state="T")(service)
    ran = capture(transport, tmp_path)
    row = ran.only()
    assert (row.status, row.reason) == ("refused", "process_stopped")
    assert "stopped (SIGSTOP)" in row.message
    assert "kill -CONT" in row.message
    assert transport.done_to(service.instance.name) == ["open_log", "open_process"]
    assert (ran.report.signals, "signal_sent" in row.details) == (0, False)


NOTHING_SEEN = {"state": "S", "waits_in": "ep_poll"}
BLOCKED = {"state": "D", "waits_in": "nfs_wait_bit_killable"}
BLOCKED_WORDS = "before the signal the process was in uninterruptible sleep in nfs_wait_bit_killable"


@pytest.mark.parametrize("ends", [False, True])
def test_missing_dump_reports_the_process_state_before_the_signal(tmp_path, ends):
    def row_of(name, state):
        transport = FakeTransport()
        with_facts(**state)(transport.add("region", on_signal=answers(NOISE, end=ends)))
        return capture(transport, tmp_path / name).only()

    blocked, other = row_of("blocked", BLOCKED), row_of("other", NOTHING_SEEN)
    assert blocked.reason == other.reason == "no_dump"
    assert BLOCKED_WORDS in blocked.message
    assert (blocked.details["state"], blocked.details["waits_in"]) == ("D", "nfs_wait_bit_killable")
    assert "state" not in other.details
    for word in ("sleep", "starting", "it started", "stuck"):
        assert word not in other.message


def test_missing_dump_of_a_young_process_says_that_it_may_not_listen(tmp_path):
    def message_of(age):
        transport, moment = FakeTransport(), utc_now() - datetime.timedelta(seconds=age)
        started = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        transport.add("region", on_signal=answers(NOISE), started=started)
        return started, capture(transport, tmp_path / str(age)).only().message

    started, young = message_of(age=5)
    assert f"it started only at {started}" in young
    assert "it started" not in message_of(age=3600)[1]


def test_log_that_is_lost_after_the_signal_keeps_the_signal_time(tmp_path):
    transport = FakeTransport()
    transport.lose_log_starts = True
    service = transport.add("region", log=b"")
    service.faults["reopen_log"] = raises(CaptureError(Reason.LOG_UNAVAILABLE, "lstat /var/log/pods/x: no such file"))
    row = capture(transport, tmp_path).only()
    assert row.reason == "no_dump"
    assert "the log cannot be read any more (lstat /var/log/pods/x: no such file)" in row.message
    assert "no signal" not in row.message
    assert row.details["signal_sent"]


def test_sends_no_signal_without_a_readable_log(tmp_path):
    transport = FakeTransport()
    service = transport.add("region")
    service.faults["open_log"] = raises(CaptureError(Reason.LOG_UNAVAILABLE, "lstat /var/log/pods/x: no such file"))
    row = capture(transport, tmp_path).only()
    assert (row.reason, transport.done_to(service.instance.name)) == ("log_unavailable", ["open_log"])


def test_unconfirmed_signal_may_not_have_arrived(tmp_path):
    transport = FakeTransport()
    transport.add("region", on_signal=lambda service: service.end(), confirms=False)
    row = capture(transport, tmp_path).only()
    assert (row.reason, "may not have arrived" in row.message) == ("no_dump", True)
    assert row.details["signal_sent"]


def test_dump_confirms_the_signal(tmp_path):
    transport = FakeTransport()
    transport.add("region", on_signal=answers(DUMP), confirms=False)
    assert capture(transport, tmp_path).only().status == "complete"


# Versions


def test_one_of_many_threads_claims_an_image():
    region = Instance("c1", "region", "region-1", image_id="image")
    claims, start, got = ImageClaims(), threading.Barrier(16), []

    def claim():
        start.wait()
        got.append(claims.claim(region))

    threads = [threading.Thread(target=claim) for _number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 15 + [True]
    assert claims.claim(replace(region, component="glance"))
    assert claims.claim(replace(region, image_id="other"))
    assert [claims.claim(replace(region, image_id="")) for _time in range(2)] == [True, True]
