# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs for users other than the lab's admin, for tests of permissions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .core import LabError
from .lifecycle import Lab
from .pki import certificate_credentials, kubeconfig, write_kubeconfig

TOKEN_SECONDS = 24 * 3600


def for_user(lab: Lab, user: str, groups: Sequence[str] = (), path: Path | None = None) -> Path:
    """Return a kubeconfig of a user and groups by client certificate; RBAC gives the permissions of these names."""
    name = f"user-{re.sub(r'[^A-Za-z0-9._-]', '_', user)}"
    credentials = certificate_credentials(lab.authority.issue(name, user, groups))
    return save(lab, user, credentials, path)


def for_service_account(lab: Lab, namespace: str, name: str, path: Path | None = None) -> Path:
    """Return a kubeconfig of an existing service account, by a token of one day."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    answer = lab.api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", body)
    return save(lab, f"{namespace}-{name}", {"token": answer["status"]["token"]}, path)


def save(lab: Lab, user: str, credentials: dict[str, str], path: Path | None) -> Path:
    """Write the kubeconfig to `path`, or to the lab's own directory, which `down` removes."""
    if user == "admin":
        raise LabError("the name `admin` is the lab's own; `lab.py status` shows its kubeconfig")
    text = kubeconfig(lab.plan.server, lab.authority.pair.cert, credentials, lab.name, user)
    return write_kubeconfig(path or lab.places.kubeconfig(user), text)
