# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Select the variables of a host that describe its API server, and find facts that must not be set."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.variables import CONNECTION, PREFIX

# Options of kubernetes.core. The variables have a prefix, because a site may use `context` or `proxy` for itself.
CONNECTION_OPTIONS = tuple(variable.name for variable in CONNECTION)
# Values of ansible_connection for the controller itself.
LOCAL = ("local", "ansible.builtin.local")
UNPREFIXED = ("kubeconfig", "context")
# Only variables of this group and its hosts may lack the prefix.
GROUP = "cloudpods"
# Variables of the roles of this collection.
_OURS = re.compile(r"(cloudpods|bundle|capture_stacks|capture_profiles|audit_health|watch_logs|preflight)_")


@dataclass(frozen=True)
class ConnectionVariables:
    """Variables of one host that describe how to reach its API server.

    taken: option -> variable. deprecated: taken variables without the prefix. ignored: variables without the prefix
    that are not taken, because something else may have set them.
    """

    taken: dict[str, str]
    deprecated: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def connection_variables(
    names: Container[str], facts: Container[str], common: Container[str], groups: Iterable[str]
) -> ConnectionVariables:
    """Return the variables of a host that describe its connection.

    names: its variables. facts: its facts. common: variables of every host, such as those of `all` or of the run.
    groups: the groups of the host. Variables without the prefix are deprecated. They are taken only if nothing but the
    group cloudpods or its hosts can have set them: not from facts, from another group, or for all hosts.
    """
    taken = {option: PREFIX + option for option in CONNECTION_OPTIONS if PREFIX + option in names}
    bare = [name for name in UNPREFIXED if name in names and name not in taken]
    own = [name for name in bare if name not in facts and name not in common] if list(groups) == [GROUP] else []
    return ConnectionVariables(
        {**taken, **{name: name for name in own}}, tuple(own), tuple(name for name in bare if name not in own)
    )


def connection_of(
    host_vars: Mapping[str, Any], names: Container[str], hostvars: Mapping[str, Any]
) -> ConnectionVariables:
    """Apply connection_variables() to Ansible's variables. names: names of the host's variables."""
    return connection_variables(
        names, host_vars.get("ansible_facts") or {}, hostvars["localhost"], host_vars.get("group_names") or ()
    )


def own_facts(facts: Iterable[str]) -> list[str]:
    """Return the facts that have the name of a variable of this collection."""
    return sorted(name for name in facts if _OURS.match(name))


def facts_refusal(facts: Mapping[str, Iterable[str]]) -> str:
    """Return why a run must not begin: facts, by host, that would change what it does; "" if there are none."""
    found = {host: own_facts(names) for host, names in facts.items()}
    sentences = "; ".join(f"The facts of {host} set {', '.join(names)}" for host, names in found.items() if names)
    if not sentences:
        return ""
    return (
        f"{sentences}. Facts come from the machine itself, so they must not control a run. Next: set them in the "
        "inventory or with -e and clear the fact cache, or leave the machine out with --limit."
    )
