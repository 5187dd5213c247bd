# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every path of the checkout that a page names exists, and every link of a page leads to a file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from workspace import ROOT

FOLDERS = ("plugins", "tests", "docs", "roles", "playbooks", "extensions", "changelogs", "requirements")
# A path in backquotes, perhaps with a test's name, as in `tests/contract/test_x.py::test_name`.
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[^`\s:]*)(?:::\w+)?`")
# Paths that are patterns, or that have a part for the reader to fill in: `roles/ROLE/tasks/main.yml`.
PATTERN = re.compile(r"[*<>{}…]|\b[A-Z]+\b(?!\.md)")
# A source file of the collection; a page may leave out the beginning of its path.
SOURCE = re.compile(r"`([\w/]+\.py)`")
BELOW = (ROOT, ROOT / "plugins" / "module_utils")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def pages() -> list[str]:
    """Return the Markdown pages that Git knows."""
    found = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in found.stdout.splitlines() if (ROOT / name).is_file()]


def paths(text: str) -> list[str]:
    """Return the paths of the checkout in backquotes, without patterns."""
    return [path for path in PATH.findall(text) if not PATTERN.search(path)]


@pytest.mark.parametrize("page", pages())
def test_paths_exist(page):
    text = (ROOT / page).read_text()
    assert [path for path in paths(text) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", ["docs/security.md", "docs/architecture.md"])
def test_source_files_exist(page):
    named = [name for name in SOURCE.findall((ROOT / page).read_text()) if not PATTERN.search(name)]
    assert named
    assert [name for name in named if not any((folder / name).exists() for folder in BELOW)] == []


@pytest.mark.parametrize("page", pages())
def test_links_lead_to_files(page):
    links = [link for link in LINK.findall((ROOT / page).read_text()) if "://" not in link]
    assert [link for link in links if not (ROOT / Path(page).parent / link).exists()] == []


def test_finds_the_paths_of_a_page():
    text = "`plugins/a.py`, `tests/x/test_y.py::test_z`, `docs/*.md`, `roles/ROLE/meta/main.yml`, `make docs`"
    assert paths(text) == ["plugins/a.py", "tests/x/test_y.py"]
