# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a bundle that one module call leaves: a folder, or one file for the transfer."""

from __future__ import annotations

import os
import tempfile

from .merge import pack_part
from .store import LEDGER, Store


def new_part(output: str | None) -> Store:
    """The store of a new part, in this folder or a new temporary one. ValueError when another run wrote there."""
    folder = output or tempfile.mkdtemp(prefix="cloudpods-")
    if os.path.exists(os.path.join(folder, LEDGER)):
        raise ValueError(f"{folder} already holds a ledger: take another folder")
    return Store(folder)


def leave_part(store: Store, archive: bool) -> dict[str, str]:
    """Where the part is in the end: {"output": folder, "archive": file}, one of which is empty."""
    if archive:
        return {"output": "", "archive": pack_part(store.root)}
    return {"output": store.root, "archive": ""}
