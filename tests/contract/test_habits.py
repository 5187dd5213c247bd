# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Habits that keep the code easy to find and its tests honest, checked on the sources."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from rooms import UTILS
from workspace import ROOT

UNIT = ROOT / "tests" / "unit" / "plugins" / "module_utils"
SOURCES = sorted(path for path in UTILS.rglob("*.py") if path.name != "__init__.py")
PACKAGES = sorted(path.parent for path in UTILS.rglob("__init__.py") if path.parent != UTILS)
# Clocks of a module of ours. What belongs to another library (os, subprocess, a client) may be replaced.
CLOCKS = frozenset(("time", "monotonic", "sleep", "datetime", "utc_now"))


def test_no_public_class_has_the_name_of_another():
    places = defaultdict(list)
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(UTILS)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def is_data(path: Path) -> bool:
    """Return whether a source defines no function: tables, limits, and text that is generated."""
    return not any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text())))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(UTILS)))
def test_every_source_has_a_test_file_of_its_name_or_its_package_has(path):
    folder = UNIT / path.relative_to(UTILS).parent
    package = [folder / f"test_{path.parent.name}.py"] if path.parent != UTILS else []
    assert is_data(path) or any(found.exists() for found in [folder / f"test_{path.stem}.py", *package])


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(UTILS)))
def test_every_package_says_what_lives_there(package):
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    assert 3 <= len(said.splitlines()) <= 12


def patched(source: str) -> Iterator[str]:
    """Yield the constants and clocks of modules that a test replaces, as `line: name`."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "setattr":
            continue
        if isinstance(node.args[0], ast.Attribute) and node.args[0].attr == "constants":
            continue  # the settings of Ansible
        words = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        name = words[-1].rpartition(".")[2] if words else ""
        if re.fullmatch(r"_?[A-Z][A-Z0-9_]+", name) or name in CLOCKS:
            yield f"{node.lineno}: {name}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('monkeypatch.setattr(follow, "WAIT_SECONDS", 1)', ["1: WAIT_SECONDS"]),
        ('monkeypatch.setattr("some.module.WAIT_SECONDS", 1)', ["1: WAIT_SECONDS"]),
        ('monkeypatch.setattr(follow.time, "monotonic", clock)', ["1: monotonic"]),
        ('monkeypatch.setattr(follow, "time", clock)', ["1: time"]),
        ('monkeypatch.setattr(os, "kill", kill)', []),
        ('monkeypatch.setattr(progress.constants, "DEFAULT_LOCAL_TMP", path)', []),
    ],
)
def test_the_check_sees_patched_constants(source, found):
    assert list(patched(source)) == found


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_patches_a_constant_or_a_clock(path: Path):
    """Limits and clocks are values that are passed in."""
    assert list(patched(path.read_text())) == []
