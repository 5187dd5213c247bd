# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which Python libraries a run needs, and where. Pure."""

from __future__ import annotations

from typing import Any, Iterable

from ..sanitize import shortened
from .validation import EffectiveOptions, HostVariables
from .variables import AUDIT, PROFILES

# Role -> libraries that it needs on the controller.
ON_CONTROLLER = {AUDIT: ("jmespath", "PyYAML"), PROFILES: ("protobuf",)}
# Transport -> libraries that it needs where its module runs.
OF_TRANSPORT = {"kubernetes": ("kubernetes",), "keystone": ("keystoneauth1",)}


def at_access_point(values: HostVariables, role: str) -> tuple[str, ...]:
    """Return the libraries that a role's module needs at a host; none if its transport is unknown."""
    return OF_TRANSPORT.get(str(EffectiveOptions(values, role).value("transport")), ())


def needs_collection(every: Iterable[HostVariables], role: str) -> bool:
    """Return whether one of the hosts with these variables needs the collection kubernetes.core."""
    return any(EffectiveOptions(values, role).value("transport") == "kubernetes" for values in every)


def path_text(path: Any) -> str:
    """Return the path of a Python that another machine reported, made safe for display."""
    return shortened(path) if isinstance(path, str) and path else "python3"
