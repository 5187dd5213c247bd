# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that capture what findings tell of, to be pasted into a shell. Pure.

Names of components and clusters come from hostile places: what is no plain name gets no command, since Ansible takes
the values of variables for templates, whatever a shell makes of them.
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
# Transports by which no stacks are taken: the command leaves them out, and Kubernetes is asked.
_HTTP_ONLY = ("keystone", "url")
_TRANSPORT = "cloudpods_transport"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./:@+-]{1,1000}")
_TEMPLATE = re.compile(r"\{[{%#]")


@dataclass(frozen=True)
class CommandRun:
    """How this run was started: what a command has to repeat.

    hosts: of the play; where a cluster has the name of one, only that one is meant. variables: name -> the values that
    the hosts have. Where they differ, they come from the inventory and are not repeated.
    """

    inventories: Sequence[str] = ()
    limit: str = ""
    hosts: Sequence[str] = ()
    variables: dict[str, Sequence[Any]] = field(default_factory=dict)


def add_commands(document: dict[str, Any], run: CommandRun) -> None:
    """Set `capture_next` of each finding, and of the document: the command that captures all that is critical."""
    for entry in (*document["findings"], *document["covered"]):
        entry["capture_next"] = command_of(entry, run)
    places = affected(document, CRITICAL)
    components = sorted({name for place in places for name in place["components"] if _dumps(name)})
    clusters = [place["cluster"] for place in places if any(_dumps(name) for name in place["components"])]
    document["capture_next"] = _command(_components(components), clusters, run) if components else ""


def command_of(finding: dict[str, Any], run: CommandRun) -> str:
    """The command that captures what a finding tells of, "" where stacks cannot explain it or there are none."""
    if not finding["scenario"]:
        return ""
    clusters = [finding["cluster"]] if finding["cluster"] else []
    if not finding["component"]:
        return _command({"cloudpods_scenario": finding["scenario"]}, clusters, run)
    return _command(_components([finding["component"]]), clusters, run) if _dumps(finding["component"]) else ""


def _dumps(component: str) -> bool:
    """Whether stacks of this component can be had, and its name can be put into a command."""
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
