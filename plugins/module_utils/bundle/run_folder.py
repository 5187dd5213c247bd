# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folder of a run on the controller: its name, its place, and the checks before any capture."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import re
import secrets
import shlex
import shutil
from dataclasses import dataclass
from typing import Sequence

from .folder_checks import check_folder
from .manifest import MANIFEST
from .store import DIRECTORY_MODE, LEDGER, archive_of, json_bytes, make_directory, write_file

# File that identifies the process that owns a run. Sealing removes it.
RUNNING = "running.json"
# Prefix of the folders that hold captures on other machines.
PREFIX = "cloudpods-"
# Folder inside the bundle for parts before merging. Parts that cannot be merged stay there and are sealed as well.
PARTS = "parts"

_PLAIN = re.compile(r"[A-Za-z0-9_./~+@%:-]+\Z")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")


@dataclass(frozen=True)
class RunFolder:
    """A run: its id, its folder, and the folder inside it that collects the parts of the access points."""

    id: str
    folder: str
    parts: str


def new_run_id(now: datetime.datetime) -> str:
    """Return an id made of the time (UTC) and a random number, for example 20260102T030405Z-1a2b."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def check_run_id(run_id: str) -> None:
    """Raise ValueError unless this is a valid run id."""
    if not _NAME.match(run_id):
        raise ValueError(
            f"{run_id!r} is not the name of a run: use 1 to 64 letters, digits, '.', '_' and '-', with a letter, "
            "a digit or '_' first"
        )


def start_run(output: str, run_id: str, check_mode: bool = False) -> RunFolder:
    """Check that a run may leave its bundle in the folder output, and create the private folder of the run there.

    In check mode nothing is created. ValueError: the id is invalid, a bundle with this id exists, or the folder is
    unsafe, not writable or full. OSError: the folder cannot be created.
    """
    check_run_id(run_id)
    folder = os.path.join(output, run_id)
    if _taken(folder):
        raise ValueError(
            f"the bundle of the run {run_id} in {output} exists already, and is never overwritten: choose another id, "
            f"for example {_free_id(output, run_id)}"
        )
    check_folder(output)
    run = RunFolder(run_id, folder, os.path.join(folder, PARTS))
    if not check_mode:
        is_new = not os.path.isdir(output)
        make_directory(output)
        try:
            os.mkdir(folder, DIRECTORY_MODE)
            os.mkdir(run.parts, DIRECTORY_MODE)
        except OSError:
            for made in (folder, output) if is_new else (folder,):
                with contextlib.suppress(OSError):
                    os.rmdir(made)
            raise
    return run


def location_line(folder: str, run_id: str, output: str, remote: bool = False, inventory: Sequence[str] = ()) -> str:
    """Return one line that states where the captures of a run go, and how to seal them after an interruption.

    remote: some captures stay on another machine until they are fetched. inventory: sources that the user gave.
    """
    elsewhere = f" (on other machines to {PREFIX}{run_id}-* in the temporary folder until they are fetched)"
    command = seal_command(run_id, output, inventory if remote else ())
    return f"Captures go to {folder}{elsewhere if remote else ''}. If the run is interrupted: {command}"


def seal_command(run_id: str, output: str, inventory: Sequence[str] = ()) -> str:
    """Return the shell command that seals the captures of an interrupted run."""
    variables = [f"cloudpods_run_id={run_id}", f"cloudpods_output={output}"]
    if not _PLAIN.match(output):
        # ansible-playbook splits key=value at blanks and quotes, but not JSON.
        variables = [json.dumps({"cloudpods_run_id": run_id, "cloudpods_output": output})]
    words = ["ansible-playbook", "cloudpods.diagnostics.seal_bundle"]
    for source in inventory:
        words += ["-i", source]
    for variable in variables:
        words += ["-e", variable]
    return " ".join(shlex.quote(word) for word in words)


def mark_running(run: RunFolder, owner: int) -> None:
    """Record in the folder of the run which process of this machine owns the run. OSError.

    A process is identified by its pid, its start time and the boot id of the machine.
    """
    mark = {"id": run.id, "host": platform.node(), "boot": _boot_id(), "pid": owner, "start": _start_time(owner)}
    write_file(os.path.join(run.folder, RUNNING), json_bytes(mark))


def owner_of(folder: str) -> str:
    """Return the process that may still own the run in this folder, in words; "" if there is none.

    ValueError: this cannot be determined from this machine.
    """
    try:
        with open(os.path.join(folder, RUNNING), "rb") as stream:
            mark = json.loads(stream.read())
        host, boot, pid, start = str(mark["host"]), str(mark["boot"]), int(mark["pid"]), mark["start"]
    except FileNotFoundError:
        return ""
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{os.path.join(folder, RUNNING)} cannot be read: {error}") from error
    if host != platform.node():
        raise ValueError(
            f"the run was started on {host}, as process {pid}, and only {host} can tell whether it is still running. "
            f"Next: run this there; or, if it has ended, remove {os.path.join(folder, RUNNING)} first"
        )
    if boot != _boot_id() or start is None or _start_time(pid) != start:
        return ""
    return f"process {pid}"


def _boot_id() -> str:
    """Return the id of the current boot of Linux (random(4)), or "" on other systems."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()
    return ""


def _start_time(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot (field 22 of proc_pid_stat(5)), or None."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
        state, *fields = stream.read().rpartition(")")[2].split()
        return None if state in "ZX" else int(fields[18])
    return None


def is_unsealed(folder: str) -> bool:
    """Return whether this is the folder of a run that was started and not sealed."""
    return os.path.isdir(os.path.join(folder, PARTS)) and not (
        os.path.lexists(os.path.join(folder, MANIFEST)) or os.path.lexists(archive_of(folder))
    )


def unsealed_runs(output: str) -> list[str]:
    """Return the ids of unsealed runs in the folder output, the newest first. OSError."""
    with os.scandir(output) as entries:
        found = [(entry.stat().st_mtime, entry.name) for entry in entries if entry.is_dir() and is_unsealed(entry.path)]
    return [name for _moment, name in sorted(found, reverse=True)]


def remove_empty(folder: str, also: Sequence[str] = ()) -> bool:
    """Remove the folder of a run if it contains no capture. Return whether it was removed.

    also: files and folders of the run that may be removed as well, such as empty reports.
    """
    gone = {os.path.abspath(path) for path in also}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if os.path.abspath(os.path.join(place, name)) not in gone]
        for name in names:
            path = os.path.abspath(os.path.join(place, name))
            if path not in gone and name != RUNNING and (name != LEDGER or os.lstat(path).st_size):
                return False
    for path in (*gone, folder):
        if os.path.isdir(path):
            shutil.rmtree(path)
    return True


def _taken(folder: str) -> bool:
    return os.path.lexists(folder) or os.path.lexists(archive_of(folder))


def _free_id(output: str, run_id: str) -> str:
    numbered = (f"{run_id[:60]}-{number}" for number in range(2, 1000))
    return next(name for name in numbered if not _taken(os.path.join(output, name)))
