# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a run on the controller: its name, its place, and the checks before anything is captured."""

from __future__ import annotations

import datetime
import os
import re
import secrets
from dataclasses import dataclass

from .place import check_place
from .store import DIRECTORY_MODE, archive_of, make_directory

# The folder inside the bundle where parts wait; what cannot be merged stays there and is sealed, too.
PARTS = "parts"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")


@dataclass(frozen=True)
class RunFolder:
    """A run: its id, its folder, and the folder inside it where the parts of the access points are gathered."""

    id: str
    folder: str
    parts: str


def new_id(now: datetime.datetime) -> str:
    """Return an id of the time (UTC) and a random number, for example 20260102T030405Z-1a2b."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def start_run(output: str, run_id: str, check_mode: bool = False) -> RunFolder:
    """Check that a run may leave its bundle in the folder output, and make the run's private folder there.

    In check mode nothing is made. ValueError says what is wrong: the id is no plain name, a bundle of this id is there,
    or the place is not safe, not writable or full. OSError: the folder cannot be made.
    """
    if not _NAME.match(run_id):
        raise ValueError(
            f"{run_id!r} is not the name of a run: use 1 to 64 letters, digits, '.', '_' and '-', with a letter, "
            "a digit or '_' first"
        )
    folder = os.path.join(output, run_id)
    if _taken(folder):
        raise ValueError(
            f"there is a bundle of the run {run_id} in {output}, and a bundle is never overwritten: take another id, "
            f"for example {_free_id(output, run_id)}"
        )
    check_place(output)
    run = RunFolder(run_id, folder, os.path.join(folder, PARTS))
    if not check_mode:
        make_directory(output)
        os.mkdir(folder, DIRECTORY_MODE)
        os.mkdir(run.parts, DIRECTORY_MODE)
    return run


def _taken(folder: str) -> bool:
    return os.path.lexists(folder) or os.path.lexists(archive_of(folder))


def _free_id(output: str, run_id: str) -> str:
    numbered = (f"{run_id[:60]}-{number}" for number in range(2, 1000))
    return next(name for name in numbered if not _taken(os.path.join(output, name)))
