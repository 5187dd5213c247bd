# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that a folder is safe for captures: no other user can replace its content, and there is enough room."""

from __future__ import annotations

import os
import stat

# A capture of one service takes a few MB. A run does not start with less room than this.
MIN_FREE_BYTES = 64 << 20


def ownership_problem(path: str) -> str:
    """Return why another user could replace the content of an existing folder, or "".

    For a link, both the link and its target are checked. Another user may have created it to read or replace what is
    written there.
    """
    for status in (os.lstat(path), os.stat(path)):
        # Under sudo, the folder usually belongs to the user who called it.
        if str(status.st_uid) not in ("0", str(os.geteuid()), os.environ.get("SUDO_UID")):
            return f"{path} belongs to another user, who could replace its content"
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        return f"any user can write to {path} and replace its content"
    return ""


def check_folder(output: str) -> None:
    """Raise ValueError unless only this user can create and replace a folder in output, and there is enough room.

    If output does not exist yet, its nearest existing parent is checked.
    """
    place = os.path.realpath(output)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise ValueError(f"{place} is not a folder, so nothing can be written to {output}")
    problem = ownership_problem(place)
    if problem:
        raise ValueError(f"{problem}: choose another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(f"{place} is not writable for this user, so nothing can be written to {output}")
    space = os.statvfs(place)
    free = space.f_bavail * space.f_frsize
    if free < MIN_FREE_BYTES:
        raise ValueError(f"{place} has {free >> 20} MiB of free space; a run needs at least {MIN_FREE_BYTES >> 20} MiB")
