# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection has one RFC 3339 parser, one list of secret names and one sanitizer."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from rooms import UTILS

PATTERN_OF_RFC3339 = re.compile(r"(?:\\d\\d|\\d\{2\})-?T\(?(?:\\d\\d|\\d\{2\})")
SECRET_NAMES = re.compile(r"(?i)\b(?:pwd|passwd|passphrase|jsessionid|bindpw)\b")
DIRECTION_OVERRIDE = re.compile("[\u202a-\u202e]" + r"|\\u202[a-e]")


def literals(tree: ast.AST) -> Iterator[str]:
    """Yield the text of all literals but docstrings."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            if isinstance(node.value, bytes):
                yield node.value.decode("latin-1")
            elif isinstance(node.value, str):
                yield node.value


def files_with(is_one: Callable[[ast.AST], bool]) -> set[str]:
    return {str(path.relative_to(UTILS)) for path in UTILS.rglob("*.py") if is_one(ast.parse(path.read_text()))}


def has_literal(form: re.Pattern[str]) -> Callable[[ast.AST], bool]:
    return lambda tree: any(form.search(text) for text in literals(tree))


def parses_dates_by_format(tree: ast.AST) -> bool:
    """Return whether strptime() reads a date and time as RFC 3339 has it, or fromisoformat() is called."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    names = {call.func.attr: call for call in calls if isinstance(call.func, ast.Attribute)}
    return "fromisoformat" in names or ("strptime" in names and any("%dT" in text for text in literals(tree)))


def replaces_unprintable(tree: ast.AST) -> bool:
    """Return whether a conditional expression decides by isprintable()."""
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.IfExp)]
    nodes = [node for test in tests for node in ast.walk(test)]
    return any(isinstance(node, ast.Attribute) and node.attr == "isprintable" for node in nodes)


def test_only_one_module_parses_rfc3339():
    assert files_with(has_literal(PATTERN_OF_RFC3339)) == {"logtext/timestamps.py"}
    assert files_with(parses_dates_by_format) == set()


def test_only_one_module_lists_secret_names():
    assert files_with(has_literal(SECRET_NAMES)) == {"redact/secret_fields.py"}


def test_only_one_module_decides_what_is_printable():
    found = files_with(lambda tree: has_literal(DIRECTION_OVERRIDE)(tree) or replaces_unprintable(tree))
    assert found == {"sanitize.py"}
