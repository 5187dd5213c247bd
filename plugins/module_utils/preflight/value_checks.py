# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the value of one variable, and describe what is wrong in sentences that begin with its name.

Values are accepted in every form that Ansible would convert: numbers and booleans as text (`-e name=5`), lists as text
with commas, dictionaries as JSON. Empty text means that a variable is not set.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Mapping, Sequence

from ..bounds import wrong_number
from ..sanitize import shortened
from ..text import did_you_mean, is_path
from . import variables
from .variables import Variable

_TRUE = ("y", "yes", "on", "1", "true", "t")
_FALSE = ("n", "no", "off", "0", "false", "f")
MOST_SHOWN = 60  # characters of a value in messages


def is_set(value: Any) -> bool:
    """Return whether a variable is set. `-e name=` and an empty value in YAML unset it."""
    return value is not None and value != ""


def is_true(value: Any) -> bool:
    """Return whether Ansible takes a value for true."""
    return value is True or str(value).lower() in _TRUE


def as_list(value: Any) -> list[Any]:
    """Return a list, one value, or text with commas, as a list."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value]


def as_dict(value: Any) -> Mapping[str, Any] | None:
    """Return a dictionary, also if it is text that Ansible understands (JSON, k=v); None for anything else."""
    if isinstance(value, str):
        if value.strip().startswith("{"):
            try:
                value = json.loads(value)
            except ValueError:
                return None
        elif "=" in value:
            return dict(pair.partition("=")[::2] for pair in value.replace(",", " ").split())
    return value if isinstance(value, Mapping) else None


def shown_value(value: Any) -> str:
    """Return a value as a user would write it, shortened."""
    text = shortened(str(value), MOST_SHOWN)
    return f"'{text}'" if isinstance(value, str) else text


def join_names(names: Sequence[str], last: str = "or") -> str:
    """Join names with commas and a last word: "a", "a or b", "a, b or c"."""
    return f" {last} ".join((*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]))


def wrong_value(name: str, value: Any, variable: Variable, role: str) -> str | None:
    """Return the error message for a value that a role cannot use, or None."""
    return _CHECKS[variable.kind](name, value, variable, role)


def _number(name: str, value: Any, variable: Variable, _role: str) -> str | None:
    return wrong_number(name, value, variable.bounds) if variable.bounds else None


def _bool(name: str, value: Any, _variable: Variable, _role: str) -> str | None:
    if isinstance(value, bool) or (isinstance(value, (str, int)) and str(value).lower() in _TRUE + _FALSE):
        return None
    return f"{name} is {shown_value(value)}. It has to be true or false."


def _choice(name: str, value: Any, variable: Variable, role: str) -> str | None:
    choices = variable.choices_for(role)
    if value in choices:
        return None
    text = f"{name} is {shown_value(value)}{did_you_mean(str(value), choices)} "
    if any(value in some for some in variable.choices_of.values()):
        return f"{text}{role} takes {join_names(choices)}."
    return f"{text}It has to be {join_names(choices)}."


def _choices(name: str, value: Any, variable: Variable, role: str) -> str | None:
    choices = variable.choices_for(role)
    for each in as_list(value):
        if each not in choices:
            near = did_you_mean(str(each), choices)
            return (
                f"{name} has {shown_value(each)}{near} It takes {join_names(choices, 'and')}, with commas between them."
            )
    return None


def _names(name: str, value: Any, variable: Variable, _role: str) -> str | None:
    pattern = variable.pattern
    if pattern is None:
        return None
    for each in as_list(value):
        if not isinstance(each, (str, int)) or not pattern.expression.match(str(each)):
            return f"{name} has {shown_value(each)}. It takes {pattern.description}."
    return None


def _text(name: str, value: Any, _variable: Variable, _role: str) -> str | None:
    if isinstance(value, (str, int, float)):
        return None
    return f"{name} is {_kind_of(value)}. It has to be text."


def _file(name: str, value: Any, _variable: Variable, _role: str) -> str | None:
    for each in as_list(value) if not isinstance(value, str) else [value]:
        if not isinstance(each, str):
            return f"{name} has {shown_value(each)}. It takes paths on the controller."
        path = os.path.abspath(os.path.expanduser(each))
        if not os.path.exists(path):
            return f"{name} is {shown_value(each)}. There is no {path} on the controller."
        if not os.access(path, os.R_OK):
            return f"{name} is {shown_value(each)}. {path} on the controller cannot be read by this user."
    return None


def _files(name: str, value: Any, variable: Variable, role: str) -> str | None:
    return _file(name, as_list(value), variable, role)


def _dict(name: str, value: Any, _variable: Variable, _role: str) -> str | None:
    # The text may contain credentials, so it is not shown.
    return None if as_dict(value) is not None else f"{name} is {_kind_of(value)}. It has to be a dictionary."


def _dicts(name: str, value: Any, _variable: Variable, _role: str) -> str | None:
    if isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        return None
    return f"{name} is {_kind_of(value)}. It has to be a list of dictionaries."


def _kubeconfig(name: str, value: Any, _variable: Variable, _role: str) -> str | None:
    if isinstance(value, Mapping) or is_path(value):
        return None
    kind = "the text of a kubeconfig" if isinstance(value, str) else _kind_of(value)
    return f"{name} is {kind}. It has to be the path of a kubeconfig, or a dictionary with its content."


def _secret(name: str, value: Any, _variable: Variable, _role: str) -> str | None:
    return None if isinstance(value, (str, int)) else f"{name} is {_kind_of(value)}. It has to be text."


def _kind_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "a text" if isinstance(value, str) else f"a {type(value).__name__}"


_CHECKS: dict[str, Callable[[str, Any, Variable, str], str | None]] = {
    variables.NUMBER: _number,
    variables.BOOL: _bool,
    variables.TEXT: _text,
    variables.CHOICE: _choice,
    variables.CHOICES: _choices,
    variables.NAMES: _names,
    variables.COMPONENTS: _names,
    variables.FILE: _file,
    variables.FILES: _files,
    variables.NEW_FILE: _text,
    variables.DICT: _dict,
    variables.DICTS: _dicts,
    variables.KUBECONFIG: _kubeconfig,
    variables.SECRET: _secret,
}
