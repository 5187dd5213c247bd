# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate the variables of all hosts of a play: unknown names, wrong values, and pairs that contradict each other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Mapping, Sequence

from ..arguments import urls_of
from ..capture_options import LONGEST
from ..sanitize import shortened
from ..transports.base import SetupError
from ..watch.patterns import load_patterns
from .value_checks import as_dict, as_list, is_set, is_true, wrong_value
from .variables import (
    AUDIT,
    BUNDLE,
    LOGS,
    PREFIX,
    PROFILES,
    STACKS,
    STATISTICS,
    VARIABLES,
    Variable,
    similar_variables,
    used_by,
)

MOST_HOSTS = 3
# Sentences that fit on one screen.
MOST_SENTENCES = 12


@dataclass(frozen=True)
class UnreadableValue:
    """Value of a variable whose template cannot be evaluated. why: first line of Ansible's message."""

    why: str


_UNDEFINED = re.compile(r"'[^']{1,80}' is undefined")


def template_error(words: str) -> str:
    """Return the cause in Ansible's message about a template."""
    found = _UNDEFINED.search(words)
    if found:
        return found.group()
    return shortened(words.strip().partition("\n")[0]).rstrip(".") or "a variable in it is undefined"


# The variables of one host that belong to this collection, by name.
HostVariables = Mapping[str, Any]


def find_mistakes(hosts: Mapping[str, HostVariables], role: str) -> list[str]:
    """Return one sentence for each mistake in the variables of these hosts.

    role: the capturing role that is about to run. A sentence names the hosts that it concerns, unless it concerns all.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for host, values in hosts.items():
        for each in dict.fromkeys(_of_host(values, role)):
            found.setdefault(each, []).append(host)
    sentences = [_sentence(name, text, at, len(hosts)) for (name, text), at in found.items()]
    more = len(sentences) - MOST_SENTENCES
    return sentences if more <= 1 else [*sentences[:MOST_SENTENCES], f"There are {more} more mistakes."]


def _sentence(name: str, text: str, at: Sequence[str], hosts: int) -> str:
    """Return the sentence with the hosts after the name of the variable."""
    if len(at) == hosts:
        return text
    named = ", ".join(at[:MOST_HOSTS])
    more = len(at) - MOST_HOSTS
    named = f"{named} and {more} more" if more > 0 else named
    return text.replace(name, f"{name} of {named}", 1)


def _of_host(values: HostVariables, role: str) -> Iterator[tuple[str, str]]:
    """Yield the mistakes of one host: name of the variable, and sentence."""
    for name in sorted(values):
        if name.startswith(PREFIX) and name not in VARIABLES and name not in STATISTICS:
            yield name, _unknown(name, role)
    wrong = set()
    for name, variable, value, used_in in _set_by_user(values, role):
        text = _wrong(name, value, variable, used_in)
        if text:
            wrong.add(variable.name)
            yield name, text
    for needed, check in _TOGETHER.get(role, ()):
        if not wrong & set(needed):
            clash = check(EffectiveOptions(values, role))
            if clash:
                yield clash


def _unknown(name: str, role: str) -> str:
    near = similar_variables(name)
    if near:
        return f"There is no variable {name}; did you mean {' or '.join(near)}?"
    return f"There is no variable {name}. Next: ansible-doc -t role cloudpods.diagnostics.{role} lists the variables."


def _wrong(name: str, value: Any, variable: Variable, role: str) -> str | None:
    if isinstance(value, UnreadableValue):
        return f"{name} cannot be evaluated: {value.why}."
    return wrong_value(name, value, variable, role) if is_set(value) else None


def roles_of(values: HostVariables, role: str) -> list[str]:
    """Return the capturing roles that run: the requested one, and the one that an audit may call."""
    calls = role == AUDIT and EffectiveOptions(values, role).value("on_critical") == STACKS
    return [role, STACKS] if calls else [role]


def _set_by_user(values: HostVariables, role: str) -> Iterator[tuple[str, Variable, Any, str]]:
    """Yield the variables that the user set and the run uses: name as written, variable, value, and role."""
    for used_in in roles_of(values, role):
        for variable in used_by(used_in):
            # An option of a role overrides the variable.
            options = [variable.option_of(used_in), variable.option_of(BUNDLE)]
            for name in [each for each in options if each in values] or [variable.full_name]:
                if name in values:
                    yield name, variable, values[name], used_in


class EffectiveOptions:
    """Effective options of a role, with the names by which the user set them."""

    def __init__(self, values: HostVariables, role: str) -> None:
        self._values = values
        self._role = role

    def name(self, short: str) -> str:
        variable = VARIABLES[PREFIX + short]
        option = variable.option_of(self._role)
        return option if option in self._values else variable.full_name

    def value(self, short: str) -> Any:
        given = self._values.get(self.name(short))
        return given if is_set(given) else VARIABLES[PREFIX + short].default_of(self._role)


def _urls(options: EffectiveOptions) -> tuple[str, str] | None:
    """Check that each component has a URL if the transport is url."""
    name = options.name("urls")
    if options.value("transport") != "url":
        return None
    try:
        urls_of(dict(as_dict(options.value("urls")) or {}), as_list(options.value("components")))
    except SetupError as error:
        return name, str(error).replace("urls", name, 1)
    return None


def _longest(kind: str) -> Callable[[EffectiveOptions], tuple[str, str] | None]:
    def check(options: EffectiveOptions) -> tuple[str, str] | None:
        name, forced = options.name(f"{kind}_seconds"), options.name("profile_force")
        seconds = int(float(options.value(f"{kind}_seconds")))
        if seconds <= LONGEST[kind] or is_true(options.value("profile_force")):
            return None
        return name, (
            f"{name} is {seconds}. More than {LONGEST[kind]} seconds slow a service down for long, so {forced} has to "
            "be true for it."
        )

    return check


def _patterns(options: EffectiveOptions) -> tuple[str, str] | None:
    name = options.name("log_patterns")
    try:
        load_patterns(options.value("log_patterns"))
    except ValueError as error:
        return name, f"{name}: {error}."
    return None


# Checks of combinations, with the variables that must be valid by themselves first.
_TOGETHER = {
    LOGS: ((("log_patterns",), _patterns),),
    AUDIT: ((("transport", "urls", "components"), _urls),),
    PROFILES: (
        (("transport", "urls", "components"), _urls),
        *(((f"{kind}_seconds", "profile_force"), _longest(kind)) for kind in sorted(LONGEST)),
    ),
}  # type: dict[str, tuple[Any, ...]]
