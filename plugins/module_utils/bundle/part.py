# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a bundle that one module call leaves: a folder, or one file for the transfer."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from typing import Iterator

from ..redact.redactor import Redactor
from .folder_checks import check_folder
from .merge import pack_part
from .run_folder import PREFIX, check_run_id
from .store import LEDGER, Store, archive_of


def temporary_prefix(run: str) -> str:
    """Return what the names of temporary parts of a run begin with. run: its id, "" where there is none."""
    return f"{PREFIX}{run}-" if run else PREFIX


def new_part(output: str | None, archive: bool, redactor: Redactor | None = None, run: str = "") -> Store:
    """Return the store of a new part, in the folder output or in a new temporary one, whose name begins with the run's.

    ValueError, so that nothing can go wrong after the capture, when other users could replace it, when there is no
    room, and when something is there already: the ledger of another run, or what has the name of the archive.
    """
    check_folder(output or tempfile.gettempdir())
    if run:
        check_run_id(run)
    if not output:
        return Store(tempfile.mkdtemp(prefix=temporary_prefix(run)), redactor)
    if os.path.exists(os.path.join(output, LEDGER)):
        raise ValueError(f"{output} already holds a ledger: take another folder")
    if archive and os.path.lexists(archive_of(output)):
        raise ValueError(f"{archive_of(output)} is there already: take another folder")
    return Store(output, redactor)


@contextlib.contextmanager
def lock_part(folder: str) -> Iterator[None]:
    """Lock the folder of a part within the block. The kernel drops the lock when the process ends, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def is_part_locked(folder: str) -> bool:
    """Return whether a process of this machine still captures into this folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a folder; return False where another has locked it. File systems that cannot lock folders say nothing."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def finish_part(store: Store, output: str | None, archive: bool, run: str = "") -> dict[str, str]:
    """Return where the part is in the end: {"output": folder, "archive": file}, one of which is empty.

    output, run: as for new_part(). Without output the archive gets a name that other users of the machine cannot
    foresee. OSError says where the captures are when they cannot be packed.
    """
    if not archive:
        return {"output": store.root, "archive": ""}
    try:
        if output:
            return {"output": "", "archive": pack_part(store.root)}
        descriptor, path = tempfile.mkstemp(
            prefix=temporary_prefix(run), suffix=".tar.gz", dir=os.path.dirname(store.root)
        )
        os.close(descriptor)
        return {"output": "", "archive": pack_part(store.root, path)}
    except OSError as error:
        raise OSError(f"the captures stay in {store.root}, because they cannot be packed: {error}") from error
