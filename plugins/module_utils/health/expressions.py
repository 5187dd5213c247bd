# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath expressions of rules: checked when they are loaded, evaluated on documents. Pure.

An expression returns the items that a rule finds: objects with fields. Some mistakes would only make a rule silent, so
they are errors at load time: unknown functions, wrong numbers of arguments, unknown thresholds, and results without
named fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Sequence

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
    from jmespath.functions import Functions as Builtin
    from jmespath.parser import ParsedResult
except ImportError:
    # Modules report the missing library before they call anything here (libraries.py).
    HAS_JMESPATH = False
else:
    HAS_JMESPATH = True


class ExpressionError(ValueError):
    """The expression is wrong, independent of any document."""


class EvaluationError(ValueError):
    """The expression cannot be evaluated on this document."""


@dataclass(frozen=True)
class Expression:
    """Checked expression.

    fields: of the items that it returns. thresholds: names that it uses. names_read: of all fields in it.
    """

    source: str
    parsed: Any
    fields: frozenset[str]
    thresholds: frozenset[str]
    names_read: frozenset[str]

    def bind(self, thresholds: dict[str, Any]) -> Bound:
        """Return the expression with the values of the thresholds, which are the same for every document."""
        return Bound(ParsedResult(self.source, _with_values(self.parsed.parsed, thresholds)))


class Bound:
    """Expression that is ready for evaluation on many documents."""

    def __init__(self, parsed: Any) -> None:
        self._parsed = parsed
        # jmespath only calls call_function() of it.
        functions: Any = Functions()
        self._options = jmespath.Options(custom_functions=functions)

    def items(self, document: Any) -> list[dict[str, Any]]:
        """Return the items in the document. Raise EvaluationError if they cannot be determined."""
        try:
            result = self._parsed.search(document, options=self._options)
        except (JMESPathError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # jmespath's own errors, and those that its functions raise for values of other types.
            raise EvaluationError(f"{type(error).__name__}: {error}") from error
        found = [item for item in (result if isinstance(result, list) else [result]) if item is not None]
        if not all(isinstance(item, dict) for item in found):
            raise EvaluationError("the result is not made of objects")
        return found


class Functions:
    """Functions of expressions: those of jmespath, and a few for arithmetic and for comparing replicas."""

    def __init__(self) -> None:
        self._builtin = Builtin()

    def call_function(self, name: str, arguments: list[Any]) -> Any:
        """Call a function. The interpreter of jmespath uses this method."""
        own = OWN.get(name)
        return own(*arguments) if own else self._builtin.call_function(name, arguments)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ratio(part: Any, whole: Any) -> Any:
    """Return part / whole, or null if one is not a number or the whole is 0."""
    return part / whole if _is_number(part) and _is_number(whole) and whole else None


def _difference(one: Any, other: Any) -> Any:
    """Return one - other, or null if one is not a number."""
    return one - other if _is_number(one) and _is_number(other) else None


def _group(elements: Any, key: Any) -> Any:
    """Return [{key, items}], sorted by key. Elements with a null key are left out."""
    if elements is None:
        return None
    groups: dict[str, dict[str, Any]] = {}
    for element in elements:
        value = key.visit(key.expression, element)
        if value is not None:
            groups.setdefault(json.dumps(value, sort_keys=True), {"key": value, "items": []})["items"].append(element)
    return [groups[name] for name in sorted(groups)]


def _beside_others(elements: Any, figure: Any) -> Any:
    """Return the objects whose figure is a number, each with `others`: the median of the figures of all others.

    A single object has no others and is left out.
    """
    if elements is None:
        return None
    figures = [(figure.visit(figure.expression, element), element) for element in elements]
    pairs = sorted(((value, element) for value, element in figures if _is_number(value)), key=lambda pair: pair[0])
    values = [value for value, _element in pairs]
    return [
        dict(element, others=_median_without(values, index))
        for index, (_value, element) in enumerate(pairs)
        if len(values) > 1
    ]


def _median_without(values: Sequence[Any], index: int) -> Any:
    """Return the median of sorted values without the one at the index."""
    count = len(values) - 1
    low, high = ((count - 1) // 2, count // 2)
    return (values[low + (low >= index)] + values[high + (high >= index)]) / 2


OWN: dict[str, Callable[..., Any]] = {
    "ratio": _ratio,
    "difference": _difference,
    "group": _group,
    "beside_others": _beside_others,
}
_ARITY = {"threshold": 1, "ratio": 2, "difference": 2, "group": 2, "beside_others": 2}
# Function -> fields that it adds to those of its elements.
_ADDS = {"beside_others": frozenset(["others"])}
_SAME_ELEMENTS = ("sort_by", "reverse", "max_by", "min_by", "to_array")


def compile_expression(source: str) -> Expression:
    """Parse and check an expression. Raise ExpressionError if it is wrong."""
    try:
        return _compiled(source)
    except RecursionError as error:
        raise ExpressionError("not a JMESPath expression: it is nested too deeply") from error


def _compiled(source: str) -> Expression:
    try:
        parsed = jmespath.compile(source)
    except (JMESPathError, ValueError) as error:
        raise ExpressionError(f"not a JMESPath expression: {' '.join(str(error).split())}") from error
    nodes = list(_walk(parsed.parsed))
    thresholds = set()
    for node in nodes:
        if node["type"] == "subexpression" and node["children"][0]["type"] == "multi_select_list":
            raise ExpressionError("[a].{…} asks the list itself for fields, which it never has: write [a][].{…}")
        if node["type"] == "function_expression":
            _check_call(node)
            if node["value"] == "threshold":
                thresholds.add(_literal_name(node["children"][0]))
    names_read = frozenset(node["value"] for node in nodes if node["type"] == "field")
    fields = _fields(parsed.parsed)
    if fields is None:
        raise ExpressionError("it has to end in named fields, as in […].{subject: name, value: count}")
    return Expression(source.strip(), parsed, fields, frozenset(thresholds), names_read)


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    todo = [node]
    while todo:
        current = todo.pop()
        yield current
        todo += [child for child in current.get("children", []) if isinstance(child, dict)]


def _with_values(node: Any, thresholds: dict[str, Any]) -> Any:
    """Return the tree with each call of threshold() replaced by its value."""
    if node["type"] == "function_expression" and node["value"] == "threshold":
        return {"type": "literal", "value": thresholds[_literal_name(node["children"][0])], "children": []}
    children = [
        _with_values(child, thresholds) if isinstance(child, dict) else child for child in node.get("children", [])
    ]
    return dict(node, children=children)


def _check_call(node: dict[str, Any]) -> None:
    name, given = node["value"], len(node["children"])
    builtin = Builtin.FUNCTION_TABLE.get(name)
    if name in _ARITY:
        fits = given == _ARITY[name]
    elif builtin is None:
        raise ExpressionError(f"there is no function {name}()")
    else:
        signature = builtin["signature"]
        variadic = signature and signature[-1].get("variadic")
        fits = given >= len(signature) if variadic else given == len(signature)
    if not fits:
        raise ExpressionError(f"{name}() is called with {given} arguments")


def _literal_name(node: dict[str, Any]) -> str:
    if node["type"] != "literal" or not isinstance(node["value"], str):
        raise ExpressionError("threshold() takes the name of a threshold, in single quotes")
    return str(node["value"])


def _fields(node: Any, current: frozenset[str] | None = None) -> frozenset[str] | None:
    """Return the names of the fields that this node returns, or None if they are not known.

    current: the fields of the current value, or of each element of it.
    """
    kind, children = node["type"], node.get("children", [])
    if kind in ("identity", "current"):
        return current
    if kind == "multi_select_dict":
        return frozenset(child["value"] for child in children)
    if kind in ("pipe", "subexpression", "projection", "filter_projection"):
        return _fields(children[1], _fields(children[0], current))
    if kind == "multi_select_list":
        found = [_fields(child, current) for child in children]
        return None if None in found else frozenset().union(*[one for one in found if one])
    if kind in ("flatten", "index_expression"):
        return _fields(children[0], current)
    if kind == "function_expression" and node["value"] in (*_SAME_ELEMENTS, *_ADDS):
        given = _fields(children[0], current)
        return None if given is None else given | _ADDS.get(node["value"], frozenset())
    return None
