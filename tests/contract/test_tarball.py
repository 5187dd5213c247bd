# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball has the files for users, and none for developers only."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

import collection
from workspace import ROOT

FOR_USERS = {
    "CHANGELOG.rst",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "SECURITY.md",
    "changelogs",
    "docs",
    "extensions",
    "meta",
    "playbooks",
    "plugins",
    "requirements.txt",
    "roles",
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return every file in the tarball."""
    with tarfile.open(collection.build(tmp_path_factory.mktemp("tarball"))) as archive:
        return [Path(member.name) for member in archive if member.isfile()]


def test_root_has_only_files_for_users(names):
    assert {name.parts[0] for name in names} == FOR_USERS


def test_has_no_hidden_or_cached_files(names):
    assert not [name for name in names if any(part.startswith((".", "__pycache__")) for part in name.parts)]


def test_has_every_tracked_plugin_role_and_page(names):
    folders = ["docs", "extensions/eda", "meta", "playbooks", "plugins", "roles"]
    tracked = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, check=True, capture_output=True, text=True)
    there = [name for name in tracked.stdout.splitlines() if (ROOT / name).exists()]
    assert there
    assert {*map(Path, there)} <= {*names}


def test_roles_and_collection_require_the_same_ansible():
    wanted = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["requires_ansible"]
    assert wanted == ">=2.17.0"
    for path in (ROOT / "roles").glob("*/meta/main.yml"):
        least = yaml.safe_load(path.read_text())["galaxy_info"]["min_ansible_version"]
        assert wanted == f">={least}.0", path
