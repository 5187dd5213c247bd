# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vocabulary of what may become of a capture: verdicts that cannot contradict themselves."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import (
    LOOKED_THROUGH,
    MEANINGS,
    CaptureError,
    Reason,
    said,
    verdict,
)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_one_status(reason):
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
def test_takes_secrets_out_before_a_text_becomes_a_line(text):
    for shown in (said(text), verdict(Reason.ERROR, text).message):
        assert "Tr0" not in shown
        assert len(shown) < 800
        assert shown.isprintable()


def test_keeps_the_end_of_a_long_error_without_its_secrets():
    text = "password=Tr0ub4dor " + "x" * (LOOKED_THROUGH * 2) + " token=Tr0ub4dor: Too many connections"
    shown = said(text)
    assert shown.endswith("Too many connections")
    assert "more characters" in shown
    assert "Tr0" not in shown


def test_a_question_ends_as_a_question():
    shown = verdict(Reason.NO_RESULT, "there is no component 'x'; did you mean y?").message
    assert "did you mean y? Next: " in shown


@pytest.mark.parametrize("detail", ["", "so", "so.", "so..."])
def test_a_message_is_what_happened_the_detail_and_the_next_step(detail):
    assert verdict(Reason.GONE, detail).message == (
        f"The instance disappeared during the run{': so' if detail else ''}. Next: run again."
    )
