# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that capture the components of findings, ready to paste into a shell. Pure.

Names of components and clusters are untrusted. Quoting is not enough, since Ansible evaluates the values of variables
as templates, so a component with an unusual name gets no command.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Iterable, Sequence

from ..catalog import MAY_DIE, NEVER, RELOADS, component_of
from .health_document import affected
from .rules import CRITICAL

PLAYBOOK = "cloudpods.diagnostics.capture_stacks"
# Transports that cannot capture stacks. The command leaves them out, which selects Kubernetes.
_HTTP_ONLY = ("keystone", "url")
_TRANSPORT = "cloudpods_transport"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@+-]{1,1000}")
_TEMPLATE = re.compile(r"\{[{%#]")


@dataclass(frozen=True)
class CommandRun:
    """Options of the current run that a command has to repeat.

    hosts: of the play. If clusters have names of hosts, a command is limited to these. variables: name -> the values
    that the hosts have. Values that differ come from the inventory and are not repeated.
    """

    inventories: Sequence[str] = ()
    limit: str = ""
    hosts: Sequence[str] = ()
    variables: dict[str, Sequence[Any]] = field(default_factory=dict)


def add_commands(document: dict[str, Any], run: CommandRun) -> None:
    """Set `capture_next` of each finding, and of the document for all critical findings together."""
    for entry in (*document["findings"], *document["covered"]):
        entry["capture_next"] = command_of(entry, run)
    places = affected(document, CRITICAL)
    components = sorted({name for place in places for name in place["components"] if _can_be_captured(name)})
    clusters = [place["cluster"] for place in places if any(_can_be_captured(name) for name in place["components"])]
    document["capture_next"] = _command(_components(components), clusters, run) if components else ""


def command_of(finding: dict[str, Any], run: CommandRun) -> str:
    """Return the command for a finding, or "" if stacks cannot explain it or cannot be captured."""
    if not finding["scenario"]:
        return ""
    clusters = [finding["cluster"]] if finding["cluster"] else []
    if not finding["component"]:
        return _command({"cloudpods_scenario": finding["scenario"]}, clusters, run)
    return (
        _command(_components([finding["component"]]), clusters, run) if _can_be_captured(finding["component"]) else ""
    )


def _can_be_captured(component: str) -> bool:
    """Return whether stacks of this component can be captured and its name is safe in a command."""
    return bool(_PLAIN.fullmatch(component)) and component_of(component).usr1 not in (NEVER, RELOADS, MAY_DIE)


def _components(names: Iterable[str]) -> dict[str, Any]:
    return {"cloudpods_components": ",".join(names)}


def _command(what: dict[str, Any], clusters: Sequence[str], run: CommandRun) -> str:
    words = ["ansible-playbook", PLAYBOOK]
    for source in run.inventories:
        words += ["-i", source]
    own = bool(clusters) and all(name in run.hosts for name in clusters)
    limit = ",".join(clusters) if own and len(run.hosts) > 1 else run.limit
    if limit:
        words += ["--limit", limit]
    given = {name: values[0] for name, values in sorted(run.variables.items()) if len(values) == 1 and values[0]}
    if given.get(_TRANSPORT) in _HTTP_ONLY:
        del given[_TRANSPORT]
    for name, value in {**what, **given}.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if not _TEMPLATE.search(text):
            words += ["-e", f"{name}={text}" if _is_plain(value) else json.dumps({name: value})]
    return " ".join(shlex.quote(word) for word in words)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and all(_PLAIN_VALUE.fullmatch(part) for part in value.split(","))
