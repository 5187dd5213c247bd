# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What galaxy-importer lets pass and the check does not."""

from __future__ import annotations

import copy

import pytest

import importer

EXPECTED = [("module", "ask"), ("role", "do")]
STRINGS = {"doc": {"description": ["It asks."]}, "examples": "- ask:", "return": [{"name": "answer"}]}
RESULT = {
    "docs_blob": {
        "contents": [
            {"content_type": "module", "content_name": "ask", "doc_strings": STRINGS, "readme_html": None},
            {"content_type": "role", "content_name": "do", "doc_strings": None, "readme_html": "<p>It does.</p>"},
        ]
    },
    "contents": [
        {"content_type": "module", "name": "ask", "description": None},
        {"content_type": "role", "name": "do", "description": "It does"},
    ],
}


def test_accepts_an_import_without_a_shortfall():
    assert list(importer.problems("Loading module ask\n", RESULT, EXPECTED)) == []


@pytest.mark.parametrize("line", ["WARNING: no changelog", "ERROR: Error running ansible-doc"])
def test_names_every_warning_and_error(line):
    assert list(importer.problems(f"Loading\n{line}\nLoading\n", RESULT, EXPECTED)) == [line]


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (lambda result: result["docs_blob"]["contents"].pop(), "role do: it is not in the result"),
        (lambda result: documented(result, 0, doc_strings=None), "module ask: its documentation has no description"),
        (
            lambda result: documented(result, 0, doc_strings={**STRINGS, "examples": None}),
            "module ask: its documentation has no examples",
        ),
        (lambda result: documented(result, 1, readme_html=""), "role do: its README is empty"),
        (lambda result: result["contents"][1].update(description=None), "role do: it has no description"),
    ],
)
def test_names_what_has_no_documentation(break_it, problem):
    result = copy.deepcopy(RESULT)
    break_it(result)
    assert problem in list(importer.problems("", result, EXPECTED))


def documented(result, number, **changes):
    result["docs_blob"]["contents"][number].update(changes)


def test_expects_every_module_event_source_and_role():
    expected = importer.plugins()
    assert {kind for kind, _name in expected} == {"module", "eda/plugins/event_source", "role"}
    assert ("module", "stack_dump") in expected
    assert ("role", "bundle") in expected
