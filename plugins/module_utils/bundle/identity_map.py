# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File with the tokens of identities. It stays with its user, outside of every bundle."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from typing import Iterator

from ..redact.pseudonym_table import PseudonymTable, parse_table
from .store import FILE_MODE, json_bytes, make_directory, write_file

# One million identities take about 60 MiB.
MAX_BYTES = 256 << 20
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def check_map(path: str, bundle: str = "") -> None:
    """Check that the identity map can be read, or can be created if there is none. ValueError.

    bundle: folder of a bundle, which must not contain the map.
    """
    place = os.path.dirname(os.path.abspath(path))
    if bundle and os.path.commonpath([os.path.realpath(bundle), os.path.realpath(place)]) == os.path.realpath(bundle):
        raise ValueError(f"the identity map {path} would be inside the bundle: choose a path outside of {bundle}")
    _check_place(place, path)
    _read(path)
    for each in (path, _lock_of(path)):
        if os.path.lexists(each):
            _check_file(each, os.lstat(each))


@contextlib.contextmanager
def map_of_identities(path: str, bundle: str) -> Iterator[PseudonymTable]:
    """Provide the table of the map, and save the table when the block ends, however it ends. ValueError, OSError.

    Other users of the map wait until then, so that no token is lost or used twice.
    """
    make_directory(os.path.dirname(os.path.abspath(path)))
    with _locked(_lock_of(path)):
        check_map(path, bundle)
        tokens = _read(path)
        try:
            yield tokens
        finally:
            write_file(path, json_bytes(tokens.document(), indent=0))


def _lock_of(path: str) -> str:
    # The map is replaced as a whole, so a lock on the map itself would lock the previous file.
    return path + ".lock"


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _OPEN, FILE_MODE)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        _check_file(path, os.fstat(descriptor))
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: str) -> PseudonymTable:
    """Return the table in a map, or an empty one if there is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _OPEN)
    except FileNotFoundError:
        return PseudonymTable()
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        status = os.fstat(descriptor)
        _check_file(path, status)
        if status.st_size > MAX_BYTES:
            raise ValueError(f"the identity map {path} is larger than {MAX_BYTES >> 20} MiB")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_BYTES)
    finally:
        os.close(descriptor)
    try:
        return parse_table(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"the identity map {path} is damaged ({error}): restore it, or choose another file; with another file, "
            "the same identities get other tokens than in earlier bundles"
        ) from error


def _refusal(path: str, error: OSError) -> ValueError:
    if error.errno == errno.ELOOP:
        return ValueError(f"{path} is a symbolic link, so it is not used as the identity map: name the file itself")
    return ValueError(f"the identity map {path} cannot be opened: {error.strerror}")


def _check_file(path: str, status: os.stat_result) -> None:
    """Raise ValueError unless it is a regular file of this user without access for others."""
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is not a regular file, so it is not used as the identity map")
    if status.st_uid != os.geteuid():
        raise ValueError(f"{path} belongs to another user, so it is not used as the identity map")
    if status.st_mode & 0o077:
        raise ValueError(f"{path} is accessible for other users, who could read all identities: run chmod 600 on it")
    if status.st_nlink > 1:
        raise ValueError(f"{path} has several hard links, so it is not used as the identity map")


def _check_place(place: str, path: str) -> None:
    """Raise ValueError unless only this user can create and replace a file there."""
    place = os.path.realpath(place)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    status = os.stat(place)
    if not stat.S_ISDIR(status.st_mode):
        raise ValueError(f"{place} is not a folder, so the identity map {path} cannot be created")
    # Under sudo, the folder usually belongs to the user who called it.
    if str(status.st_uid) not in ("0", str(os.geteuid()), os.environ.get("SUDO_UID")):
        raise ValueError(f"{place} belongs to another user, who could replace the identity map {path}")
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise ValueError(f"any user can write to {place} and replace the identity map {path}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(f"{place} is not writable for this user, so the identity map {path} cannot be created")
