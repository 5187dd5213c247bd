# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML that would crash Python or mislead a reader."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health import strict_yaml
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.strict_yaml import MAX_NESTING, load_yaml

DEEP = {
    "lists": "[" * 50_000 + "]" * 50_000,
    "lists that do not end": "[" * 50_000,
    "mappings": "{a: " * 50_000 + "}" * 50_000,
    "lists in lists": "- " * 50_000,
    "keys": "? " * 50_000,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_refuses_deep_nesting(text):
    """Load it in a process of its own, which would be ended by a signal."""
    code = "import runpy, sys; load = runpy.run_path(sys.argv[1])['load_yaml']; load(sys.stdin.read())"
    command = [sys.executable, "-c", code, strict_yaml.__file__]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.returncode
    assert "ValueError: " in done.stderr


def test_accepts_nesting_up_to_the_limit():
    assert load_yaml("[" * MAX_NESTING + "]" * MAX_NESTING) is not None
    with pytest.raises(ValueError, match="nested more than"):
        load_yaml("[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1))


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "!!python/object/apply:os.system [id]", "a: *b", "\0", "[a]: 1", "a: 1\n---\nb: 2", "a: [1"]
)
def test_refuses_anything_but_one_plain_document(text):
    with pytest.raises(ValueError, match="not YAML"):
        load_yaml(text)
