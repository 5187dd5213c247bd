# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the checkout: license headers, short files and playbooks, a README that matches the code."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import COMPONENTS, DUMPS, SCENARIOS

from workspace import ROOT

HEADER = (
    "Copyright: cloudpods.diagnostics contributors",
    "GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "SPDX-License-Identifier: GPL-3.0-or-later",
)
SOURCES = (".py", ".yml", ".yaml", ".sh", ".go", ".toml")
NO_HEADER = (
    "plugins/module_utils/redact/gitleaks.py",  # files of other projects, under their own license
    "changelogs/",  # antsibull-changelog generates these
    "tests/unit/plugins/module_utils/stacks/corpus/",  # sources whose line numbers are in the dumps
)
MOST_LINES = 400
MOST_PLAYBOOK_LINES = 20
MOST_README_LINES = 150


def files(folder: str = ".") -> list[str]:
    """Return the files of the checkout, without those that .gitignore names."""
    ignored = {".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().split())}
    found = []
    for path in (ROOT / folder).rglob("*"):
        name = path.relative_to(ROOT)
        if path.is_file() and not any(fnmatchcase(part, pattern) for part in name.parts for pattern in ignored):
            found.append(str(name))
    return sorted(found)


def test_sources_have_the_license_header():
    bare = []
    for name in files():
        text = (ROOT / name).read_text(errors="replace")
        if Path(name).suffix in SOURCES and text and not name.startswith(NO_HEADER):
            head = text.splitlines()[:6]
            if not all(any(line in each for each in head) for line in HEADER):
                bare.append(name)
    assert bare == []


def test_plugin_files_are_short():
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in files("plugins")}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize("name", files("playbooks"))
def test_playbooks_are_short(name):
    lines = [line for line in (ROOT / name).read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) < MOST_PLAYBOOK_LINES


def test_action_group_lists_modules_with_kubernetes_options():
    taking = set()
    for path in (ROOT / "plugins" / "modules").glob("*.py"):
        fragments = documentation(path)["extends_documentation_fragment"]
        if "cloudpods.diagnostics.kubernetes" in fragments:
            taking.add(path.stem)
            assert "cloudpods.diagnostics.attributes.actiongroup" in fragments
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert set(runtime["action_groups"]["cloudpods"]) == taking


def documentation(path: Path) -> dict:
    return yaml.safe_load(re.search(r'^DOCUMENTATION = r"""$(.*?)^"""$', path.read_text(), re.MULTILINE | re.DOTALL)[1])


# README.md


def rows(*heads: str) -> list[list[str]]:
    """Return the cells of each row of the README's tables whose first heading is one of these."""
    found, table = [], []
    for line in [*(ROOT / "README.md").read_text().splitlines(), ""]:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells:
            table.append(cells)
        elif table:
            head, _line, *body = table
            found += body if head[0] in heads else []
            table = []
    return found


def test_readme_lists_the_scenarios_of_the_catalog():
    told = {row[0].split("`")[1]: row[1] for row in rows("`cloudpods_scenario`")}
    assert set(told) == set(SCENARIOS)
    assert set(SCENARIOS["deadlock"]) == {name for name, component in COMPONENTS.items() if component.usr1 == DUMPS}
    assert told.pop("deadlock") == "every component that dumps"
    assert {name: tuple(text.split(", ")) for name, text in told.items()} == {name: SCENARIOS[name] for name in told}


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_README_LINES


def test_usage_page_names_every_module():
    page = (ROOT / "docs" / "usage.md").read_text()
    modules = [path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")]
    assert modules
    assert [name for name in modules if f"`{name}`" not in page] == []
