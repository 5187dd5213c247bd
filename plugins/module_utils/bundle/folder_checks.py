# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that a folder is safe for captures: nobody else can replace what is in it, and there is room."""

from __future__ import annotations

import os
import stat

# A capture of one service takes a few MB; a run that finds less room than this is not begun.
MIN_FREE_BYTES = 64 << 20


def ownership_problem(path: str) -> str:
    """Why a folder that is there is not ours to write to, or "". A link counts as well as the folder that it leads to.

    Another user of the machine may have made it, to read or to replace what is written there.
    """
    for status in (os.lstat(path), os.stat(path)):
        # Under sudo, the folder usually belongs to the user who called it.
        if str(status.st_uid) not in ("0", str(os.geteuid()), os.environ.get("SUDO_UID")):
            return f"{path} belongs to another user, who could replace what is in it"
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        return f"everybody can write to {path} and replace what is in it"
    return ""


def check_folder(output: str) -> None:
    """ValueError unless this user, and nobody else, can make and replace a folder in output, and there is room.

    output need not be there yet: then it is about the folder that it would be made in.
    """
    place = os.path.realpath(output)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise ValueError(f"{place} is not a folder, so nothing can be written to {output}")
    problem = ownership_problem(place)
    if problem:
        raise ValueError(f"{problem}: take another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(f"{place} is not writable for this user, so nothing can be written to {output}")
    space = os.statvfs(place)
    free = space.f_bavail * space.f_frsize
    if free < MIN_FREE_BYTES:
        raise ValueError(f"{place} has {free >> 20} MiB of room left; a run needs at least {MIN_FREE_BYTES >> 20} MiB")
