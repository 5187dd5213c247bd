# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credentials that this process has sent. Every redactor removes them, because a peer may echo them.

They are not all known before: a token may come from a file, from a program that a kubeconfig names, or from Keystone.
"""

from __future__ import annotations

_SENT: set[bytes] = set()


def remember(credential: str) -> None:
    """Remember a credential before it is sent. Safe to call from several threads."""
    _SENT.add(credential.encode("utf-8", "surrogateescape"))


def remembered() -> frozenset[bytes]:
    """Return the credentials so far."""
    return frozenset(_SENT.copy())


def forget_all() -> None:
    """Forget all of them."""
    _SENT.clear()
