# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the variables of a host say how its API server is reached, and which facts must not be there."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.variables import CONNECTION, PREFIX

# Options of kubernetes.core. Their variables have the prefix: a site's own context or proxy is not meant for us.
CONNECTION_OPTIONS = tuple(variable.name for variable in CONNECTION)
# Values of ansible_connection for the controller itself.
LOCAL = ("local", "ansible.builtin.local")
UNPREFIXED = ("kubeconfig", "context")
# The only group whose variables, and those of its hosts, may lack the prefix.
GROUP = "cloudpods"
# Variables of the roles of this collection.
_OURS = re.compile(r"(cloudpods|bundle|capture_stacks|capture_profiles|audit_health|watch_logs|preflight)_")


@dataclass(frozen=True)
class Connection:
    """Variables of one host that say how the API server is reached.

    taken: option -> variable. deprecated: those of them without the prefix. ignored: variables without the prefix that
    are not taken, because something else may have set them.
    """

    taken: dict[str, str]
    deprecated: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def connection_variables(
    names: Container[str], facts: Container[str], common: Container[str], groups: Iterable[str]
) -> Connection:
    """Return which variables of a host are taken for its connection.

    names: its variables. facts: its facts. common: the variables of every host, such as those of `all` or of the run.
    groups: the groups that it is in. Variables without the prefix are taken, for now, where only the group cloudpods or
    its hosts can have set them: not from facts, from another group, or for all hosts.
    """
    taken = {option: PREFIX + option for option in CONNECTION_OPTIONS if PREFIX + option in names}
    bare = [name for name in UNPREFIXED if name in names and name not in taken]
    own = [name for name in bare if name not in facts and name not in common] if list(groups) == [GROUP] else []
    return Connection(
        {**taken, **{name: name for name in own}}, tuple(own), tuple(name for name in bare if name not in own)
    )


def connection_of(host_vars: Mapping[str, Any], names: Container[str], hostvars: Mapping[str, Any]) -> Connection:
    """Return the same of variables as Ansible has them. names: the names of the host's variables."""
    return connection_variables(
        names, host_vars.get("ansible_facts") or {}, hostvars["localhost"], host_vars.get("group_names") or ()
    )


def own_facts(facts: Iterable[str]) -> list[str]:
    """Return the facts that have the name of a variable of this collection."""
    return sorted(name for name in facts if _OURS.match(name))


def refusal(facts: Mapping[str, Iterable[str]]) -> str:
    """Return why a run must not begin: facts, by host, that would decide what it does. "" where there are none."""
    found = {host: own_facts(names) for host, names in facts.items()}
    told = "; ".join(f"The facts of {host} set {', '.join(names)}" for host, names in found.items() if names)
    if not told:
        return ""
    return (
        f"{told}. Facts come from the machine itself, so they may not decide what a run does. Next: set them in the "
        "inventory or with -e and clear the fact cache, or leave the machine out with --limit."
    )
