# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict YAML: no duplicate keys, no custom tags, bounded nesting. Pure."""

from __future__ import annotations

from typing import Any

try:
    import yaml

    _BASE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
except ImportError:
    # Modules report the missing library before they call anything here (libraries.py).
    HAS_YAML = False
    _BASE = object
else:
    HAS_YAML = True

# libyaml's composer recurses at each level: some ten thousand levels crash Python with a segmentation fault.
MAX_NESTING = 100
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(_BASE):  # type: ignore[misc,valid-type]
    """Safe loader that refuses duplicate keys, since YAML would silently drop one of the two."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _value in node.value if key.tag != _MERGE]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {sorted(twice)[0]!r} is there twice", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


def load_yaml(text: str) -> Any:
    """Return the single document of a text. Raise ValueError if it is malformed."""
    try:
        _check_nesting(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error


def _check_nesting(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_BASE):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if depth > MAX_NESTING:
            raise ValueError(f"it is nested more than {MAX_NESTING} levels deep")
