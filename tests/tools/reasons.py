# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/reasons.md, the vocabulary of the ledger, from the code. `--check` compares instead."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import collection

sys.path.insert(0, str(collection.link()))

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import MEANINGS

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"
HEAD = """# Reasons

Every row of a ledger has one of these reasons; the status follows from it. This page is made by `make docs`.

| reason | status | what it says | what to do next |
|---|---|---|---|
"""


def page() -> str:
    lines = [
        f"| `{reason.value}` | {meaning.status.value} | {meaning.what} | {meaning.next_step or '-'} |"
        for reason, meaning in MEANINGS.items()
    ]
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        return 0 if PAGE.read_text() == page() else 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
