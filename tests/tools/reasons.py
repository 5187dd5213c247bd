# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page docs/reasons.md, the vocabulary of the ledger, made from the code (see docs.py)."""

from __future__ import annotations

import sys

import collection

sys.path.insert(0, str(collection.link()))

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import MEANINGS

HEAD = """# Reasons

Every row of a ledger has one of these reasons; the status follows from it. This page is made by `make docs`.

| reason | status | what it says | what to do next |
|---|---|---|---|
"""


def page() -> str:
    """Return the text of the page, one line for each reason."""
    lines = [
        f"| `{reason.value}` | {meaning.status.value} | {meaning.what} | {meaning.next_step or '-'} |"
        for reason, meaning in MEANINGS.items()
    ]
    return HEAD + "\n".join(lines) + "\n"
