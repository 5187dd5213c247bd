# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resume an interrupted run: find its parts, wait until no process writes to them, repair truncated files."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import time
from typing import Callable

from ..capture_names import DISCOVERY
from ..model import LedgerRow
from ..reasons import Reason, Status
from ..regular_file import read_at_most
from ..text import did_you_mean
from .manifest import archive_files, folder_files
from .merge import LIMITS, pack_part, read_ledger
from .part import is_part_locked, temporary_prefix
from .run_folder import PARTS, RunFolder, check_run_id, is_unsealed, owner_of, remove_empty, unsealed_runs
from .store import LEDGER, archive_of, write_file

# An interrupted module ends within interruption.GRACE_SECONDS, and then writes its ledger.
WAIT_SECONDS = 15.0
LOOK_SECONDS = 0.2
# Temporary file names of store.py, which remain if its process is killed.
_UNFINISHED = re.compile(r"\.[0-9]+-[0-9]+\.(part|spool)\Z")


def resume_run(output: str, run_id: str, patience: float = WAIT_SECONDS) -> RunFolder:
    """Return the folder of an interrupted run once nothing of it is running.

    ValueError: there is no such run in output, it is sealed, it is still running, or it is empty (its folder is
    removed). OSError: output cannot be read. patience: seconds to wait for captures that are about to end.
    """
    folder = _folder_of(output, run_id)
    parts = os.path.join(folder, PARTS)

    def running() -> str:
        held = locked_part(folder)
        return owner_of(folder) or (held and f"a capture into {held}")

    still = _wait_while(running, patience)
    if still:
        raise ValueError(f"the run {run_id} is still running ({still}). Next: interrupt it, or wait until it has ended")
    return RunFolder(run_id, folder, parts)


def _folder_of(output: str, run_id: str) -> str:
    """Return the folder of an unsealed run. ValueError lists the unsealed runs."""
    if not os.path.isdir(output):
        raise ValueError(
            f"{output} is not a folder, so there is no run in it. Next: set cloudpods_output to the right folder"
        )
    unsealed = unsealed_runs(output)
    there = f"runs that can be sealed there: {', '.join(unsealed[:10]) or 'none'}"
    if not run_id:
        raise ValueError(f"set cloudpods_run_id to the id of a run; {there}")
    check_run_id(run_id)
    folder = os.path.join(output, run_id)
    if is_unsealed(folder):
        return folder
    if os.path.lexists(archive_of(folder)) or os.path.isdir(folder):
        raise ValueError(f"the run {run_id} in {output} is sealed already; {there}")
    raise ValueError(f"there is no run {run_id} in {output}{did_you_mean(run_id, unsealed).rstrip('.')}; {there}")


def locked_part(folder: str) -> str:
    """Return a part of a run that a process of this machine is still capturing into, or ""."""
    parts = os.path.join(folder, PARTS)
    with os.scandir(parts) as entries:
        folders = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    return next(filter(is_part_locked, folders), "")


def wait_until_ended(folder: str, patience: float = WAIT_SECONDS) -> bool:
    """Wait until no process of this machine captures into the folder of a run. Return whether that happened."""
    return not _wait_while(lambda: locked_part(folder), patience)


def wait_until_free(part: str, patience: float = WAIT_SECONDS) -> None:
    """Wait until no process of this machine captures into this part, at most `patience` seconds."""
    _wait_while(lambda: part if os.path.isdir(part) and is_part_locked(part) else "", patience)


def _wait_while(what: Callable[[], str], patience: float) -> str:
    """Wait while what() returns text, at most `patience` seconds. Return its last text."""
    end = time.monotonic() + patience
    state = what()
    # Poll: a lock, or the end of a process that is not a child, cannot be awaited with a timeout.
    while state and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
        state = what()
    return state


def parts_in(folder: str) -> list[str]:
    """Return the parts, packed or not, in the folder of parts of a run. OSError."""
    return sorted(
        os.path.join(folder, name)
        for name in os.listdir(folder)
        if os.path.isdir(os.path.join(folder, name)) or name.endswith(".tar.gz")
    )


# Reasons that imply that the instances were listed.
_LOOKED_AT = frozenset((Reason.NOT_FOUND.value, Reason.NO_CATALOG_ENTRY.value))


def discovery_failures(part: str) -> list[LedgerRow] | None:
    """Return the rows of a part that contains only failures to list instances.

    Return None if it contains more, or if its content is unknown: it has files without a row, or cannot be read.
    """
    rows: list[LedgerRow] = []
    has_files = False
    try:
        for path, stream in folder_files(part) if os.path.isdir(part) else archive_files(part):
            if path == LEDGER:
                rows = read_ledger(read_at_most(stream, LIMITS.ledger, "the ledger of a part"))
                if not all(map(_is_unlisted, rows)):
                    return None
            else:
                has_files = True
    except FileNotFoundError:
        return []
    except Exception:  # noqa: BLE001  # pylint: disable=broad-except
        # Merging reports what is wrong with the part, and keeps it.
        return None
    return None if has_files and not rows else rows


def _is_unlisted(entry: LedgerRow) -> bool:
    return entry.capture == DISCOVERY and entry.status == Status.FAILED.value and entry.reason not in _LOOKED_AT


def repair_part(part: str) -> None:
    """Remove unfinished writes of a killed process from the folder of a part. OSError.

    Files without a final name are incomplete and not redacted. A ledger line without a newline is not a row. A packed
    part needs no repair, because its process had ended before.
    """
    if not os.path.isdir(part) or os.path.islink(part):
        return
    for place, _folders, names in os.walk(part):
        for name in names:
            if _UNFINISHED.search(name):
                os.unlink(os.path.join(place, name))
    ledger = os.path.join(part, LEDGER)
    if os.path.isfile(ledger) and not os.path.islink(ledger):
        with open(ledger, "rb") as stream:
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            write_file(ledger, whole)


def pack_leftovers(run_id: str, folder: str = "", patience: float = WAIT_SECONDS) -> list[str]:
    """Pack the parts of an interrupted run in the temporary folder of this machine. Return all of its archives there.

    Only folders and files of this user are used. Empty parts are removed. ValueError: a capture is still running.
    folder: temporary folder, by default that of this user. OSError.
    """
    check_run_id(run_id)
    folder = folder or tempfile.gettempdir()
    archives, left = _left(folder, temporary_prefix(run_id))
    still = _wait_while(lambda: next(filter(is_part_locked, left), ""), patience)
    if still:
        raise ValueError(
            f"a capture of the run {run_id} is still running here, into {still}. Next: wait until it has ended"
        )
    for part in left:
        if not remove_empty(part):
            repair_part(part)
            archives.append(pack_part(part))
    return sorted(archives)


def _left(folder: str, prefix: str) -> tuple[list[str], list[str]]:
    """Return the archives and folders of this user with this prefix."""
    archives, left = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if not entry.name.startswith(prefix) or status.st_uid != os.geteuid():
                continue
            if stat.S_ISDIR(status.st_mode):
                left.append(entry.path)
            elif stat.S_ISREG(status.st_mode) and entry.name.endswith(".tar.gz") and status.st_size:
                # An empty archive was not finished, and its folder still exists.
                archives.append(entry.path)
    return archives, sorted(left)
