# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the checkout is, and where everything made from it goes (never into the checkout)."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache() -> Path:
    """Return the project's cache directory, shared by all checkouts."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cloudpods-diagnostics"


def checkout_cache() -> Path:
    """Return the cache directory of this checkout alone."""
    return cache() / f"checkout-{digest([str(ROOT).encode()])}"


def digest(parts: Iterable[bytes]) -> str:
    """Return a short digest of these parts; each is delimited by its length."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(b"%d:" % len(part) + part)
    return sha.hexdigest()[:16]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock beside `path`; a crash of the holder releases it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
