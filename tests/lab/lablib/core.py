# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared parts of the lab: its only exception, commands, waiting, atomic writes of files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from patience import DEFAULT_SECONDS, patience, poll

POLL_SECONDS = 0.05
T = TypeVar("T")


class LabError(Exception):
    """Failure of the lab; the message has the object, the cause and where to look."""


def say(text: str) -> None:
    """Print progress for people on stderr; stdout stays for results."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def run(argv: Sequence[str | Path], *, stdin: str | Path = "", env: dict[str, str] | None = None) -> str:
    """Run a short command and return its stdout; a failure is a LabError that quotes its stderr.

    `stdin` is text, or the path of a file to read from.
    """
    command = list(map(str, argv))
    if isinstance(stdin, Path):
        with open(stdin, "rb") as source:
            done = subprocess.run(command, stdin=source, env=env, capture_output=True, text=True, check=False)
    else:
        done = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(map(str, argv))}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def stream(argv: Sequence[str | Path], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a long command whose output a person watches (on stderr); a failure is a LabError."""
    done = subprocess.run(list(map(str, argv)), cwd=cwd, env=env, stdout=sys.stderr, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(map(str, argv))}` ended with {done.returncode}, see above")


def wait_for(
    what: str,
    probe: Callable[[], T | None],
    *,
    seconds: float = DEFAULT_SECONDS,
    poll_seconds: float = POLL_SECONDS,
    log: Path | None = None,
) -> T:
    """Poll `probe` until it returns something true; after `patience(seconds)` fail with the log's tail.

    poll_seconds: the pause between two polls; longer if a poll is expensive.
    The probe may itself raise LabError to end the wait at once (the awaited process ended).
    """
    limit = patience(seconds)
    try:
        found = poll(probe, limit, poll_seconds)
    except LabError as failed:
        raise LabError(f"{what}: {failed}{tail(log)}") from failed
    if found is None:
        raise LabError(f"{what}: not within {limit:g} s{tail(log)}")
    return found


def tail(log: Path | None, lines: int = 15) -> str:
    """Return the end of a log as an appendix to an error message; empty without a log."""
    if log is None:
        return ""
    try:
        text = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError as failed:
        return f"\n(no log: {failed})"
    return f"\nend of {log}:\n" + "\n".join(f"  | {line}" for line in text)


def write(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    """Write a file atomically; it has its mode from the beginning, so others can never read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
    os.replace(fresh, path)
    return path
