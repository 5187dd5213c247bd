# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of a bundle that one module call leaves: a folder, or one archive for the transfer."""

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
    """Return the prefix of names of temporary parts of a run.

    run: id of the run, or "".
    """
    return f"{PREFIX}{run}-" if run else PREFIX


def new_part(output: str | None, archive: bool, redactor: Redactor | None = None, run: str = "") -> Store:
    """Create the store of a new part, in the folder output or in a new temporary folder with the prefix of the run.

    Problems are detected here, before the capture. ValueError: other users could replace the folder, there is no room,
    the folder has the ledger of another run, or a file has the name of the archive.
    """
    check_folder(output or tempfile.gettempdir())
    if run:
        check_run_id(run)
    if not output:
        return Store(tempfile.mkdtemp(prefix=temporary_prefix(run)), redactor)
    if os.path.exists(os.path.join(output, LEDGER)):
        raise ValueError(f"{output} already holds a ledger: choose another folder")
    if archive and os.path.lexists(archive_of(output)):
        raise ValueError(f"{archive_of(output)} is there already: choose another folder")
    return Store(output, redactor)


@contextlib.contextmanager
def lock_part(folder: str) -> Iterator[None]:
    """Lock the folder of a part within the block.

    The kernel drops the lock when the process ends, however it ends.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def is_part_locked(folder: str) -> bool:
    """Return whether a process of this machine is still capturing into this folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a folder. False: another process has locked it. Always True if the file system cannot lock folders."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def finish_part(store: Store, output: str | None, archive: bool, run: str = "") -> dict[str, str]:
    """Pack the part if requested. Return its place, {"output": folder, "archive": file}, one of which is empty.

    output, run: see new_part(). Without output, the archive gets a name that other users cannot predict. OSError names
    the folder of the captures if they cannot be packed.
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
