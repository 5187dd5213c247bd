# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The enums of the ledger, whose values are part of its format."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import Reason, Status


@pytest.mark.parametrize("word", [*Reason, *Status], ids=lambda word: f"{type(word).__name__}.{word.name}")
def test_value_is_the_name_in_lower_case(word):
    assert word.value == word.name.lower()


def test_ledger_rows_may_have_five_statuses():
    assert [status.value for status in Status] == ["complete", "partial", "refused", "failed", "skipped"]
