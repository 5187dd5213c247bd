# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials that this process has sent. Every redactor removes them, because a peer may echo them.

They are not all known in advance: a token may come from a file, from a program that a kubeconfig names, or from
Keystone.
"""

from __future__ import annotations

_SENT: set[bytes] = set()


def remember(credential: str) -> None:
    """Remember a credential before it is sent. Thread-safe."""
    _SENT.add(credential.encode("utf-8", "surrogateescape"))


def remembered() -> frozenset[bytes]:
    """Return the credentials remembered so far."""
    return frozenset(_SENT.copy())


def forget_all() -> None:
    """Forget all credentials."""
    _SENT.clear()
