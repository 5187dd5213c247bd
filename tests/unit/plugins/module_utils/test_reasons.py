# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on captures: status by reason, and messages without secrets."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import (
    MAX_SEARCHED,
    MEANINGS,
    CaptureError,
    Reason,
    detail_of,
    peer_text,
    verdict,
)


@pytest.mark.parametrize("reason", Reason)
def test_status_follows_from_the_reason(reason):
    outcome = verdict(reason, "a detail")
    assert outcome.status is MEANINGS[reason].status
    assert "a detail" in outcome.message
    assert outcome.message.endswith(".")
    assert ".." not in outcome.message
    assert CaptureError(reason).verdict == verdict(reason)


@pytest.mark.parametrize(
    "text",
    [
        "admin_password: |\n  Tr0ub4dor-8kZq\nregion: x",
        "x" * 487 + " password=Tr0ub4dor-8kZq",
        "password=Tr0ub4dor-8kZq " * 100_000,
    ],
    ids=["over lines", "where it is cut", "long"],
)
def test_redacts_secrets_before_shortening(text):
    for shown in (peer_text(text), verdict(Reason.ERROR, text).message):
        assert "Tr0" not in shown
        assert len(shown) < 800
        assert shown.isprintable()


def test_keeps_the_end_of_a_long_error_without_secrets():
    text = "password=Tr0ub4dor " + "x" * (MAX_SEARCHED * 2) + " token=Tr0ub4dor: Too many connections"
    shown = peer_text(text)
    assert shown.endswith("Too many connections")
    assert "more characters" in shown
    assert "Tr0" not in shown


def test_message_keeps_a_question_mark():
    shown = verdict(Reason.NO_RESULT, "there is no component 'x'; did you mean y?").message
    assert "did you mean y? Next: " in shown


@pytest.mark.parametrize("detail", ["", "so", "so.", "so..."])
def test_message_has_text_detail_and_next_step(detail):
    assert verdict(Reason.GONE, detail).message == (
        f"The instance disappeared during the run{': so' if detail else ''}. Next: run again."
    )


@pytest.mark.parametrize("detail", ["", "HTTP status 400", "no route to host (x): y"])
@pytest.mark.parametrize("reason", Reason)
def test_finds_the_detail_in_a_message(reason, detail):
    assert detail_of(reason.value, verdict(reason, detail).message) == detail


def test_detail_of_another_text_is_the_text():
    assert detail_of("gone", "The pod went away") == "The pod went away"
    assert detail_of("no_such_reason", "Gone.") == "Gone."
