# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a bundle that one module call leaves: a folder, or one file for the transfer."""

from __future__ import annotations

import os
import tempfile

from ..redact.redactor import Redactor
from .merge import pack_part
from .place import check_place
from .store import LEDGER, Store, archive_of

PREFIX = "cloudpods-"


def new_part(output: str | None, archive: bool, redactor: Redactor | None = None) -> Store:
    """Return the store of a new part, in the folder output or in a new temporary one.

    ValueError, so that nothing can go wrong after the capture, when other users could replace it, when there is no
    room, and when something is there already: the ledger of another run, or what has the name of the archive.
    """
    check_place(output or tempfile.gettempdir())
    if not output:
        return Store(tempfile.mkdtemp(prefix=PREFIX), redactor)
    if os.path.exists(os.path.join(output, LEDGER)):
        raise ValueError(f"{output} already holds a ledger: take another folder")
    if archive and os.path.lexists(archive_of(output)):
        raise ValueError(f"{archive_of(output)} is there already: take another folder")
    return Store(output, redactor)


def leave_part(store: Store, output: str | None, archive: bool) -> dict[str, str]:
    """Return where the part is in the end: {"output": folder, "archive": file}, one of which is empty.

    output: as for new_part(). Without it the archive gets a name that other users of the machine cannot foresee.
    OSError says where the captures are when they cannot be packed.
    """
    if not archive:
        return {"output": store.root, "archive": ""}
    try:
        if output:
            return {"output": "", "archive": pack_part(store.root)}
        descriptor, path = tempfile.mkstemp(prefix=PREFIX, suffix=".tar.gz", dir=os.path.dirname(store.root))
        os.close(descriptor)
        return {"output": "", "archive": pack_part(store.root, path)}
    except OSError as error:
        raise OSError(f"the captures stay in {store.root}, because they cannot be packed: {error}") from error
