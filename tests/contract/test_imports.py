# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file imports only what tests/tools/rooms.py allows; docs/architecture.md shows the rules."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase

import pytest

from rooms import FILES, HERE, ROOMS, SYSTEM, UTILS, imports, violations
from workspace import ROOT


def files() -> list[str]:
    return sorted(str(path.relative_to(UTILS)) for path in UTILS.rglob("*.py"))


@pytest.mark.parametrize("name", files())
def test_files_import_only_what_rooms_allow(name):
    assert violations(name, (UTILS / name).read_text()) == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_matches_a_file(room):
    assert any(fnmatchcase(name, room) for name in [*files(), "__init__.py"])


@pytest.mark.parametrize(
    ("name", "source", "count"),
    [
        ("model.py", "import json\nfrom dataclasses import dataclass", 0),
        ("model.py", "from .catalog import select", 1),
        ("model.py", "import os, json, socket", 2),
        ("model.py", f"from {HERE}catalog import select", 1),
        ("stacks/new.py", "from .debug1.reader import DumpReader\nfrom . import model", 0),
        ("stacks/new.py", "from ..model import Instance", 1),
        ("stacks/new.py", "from .. import model", 1),
        ("stacks/new.py", "from ansible.module_utils.basic import AnsibleModule", 1),
        ("stacks/new.py", "def read():\n    import subprocess", 1),
        ("captures/logs/new.py", "from ...transports.base import Transport", 0),
        ("captures/logs/new.py", "from ...transports.kubernetes.transport import KubernetesTransport", 1),
        ("captures/logs/new.py", "def late():\n    from ...transports import host", 1),
        ("captures/logs/new.py", "import kubernetes", 1),
        ("transports/host/new.py", "def late():\n    import kubernetes", 1),
        ("transports/host/new.py", "from ..kubernetes.api import Api", 1),
        ("transports/kubernetes/new.py", "def late():\n    import kubernetes.client, websocket, urllib3", 0),
        ("transports/kubernetes/new.py", "class A:\n    import websocket", 1),
        ("transports/kubernetes/new.py", "try:\n    import kubernetes\nexcept ImportError:\n    pass", 1),
        ("transports/kubernetes/new.py", "from ..host.transport import HostTransport", 1),
        ("transports/new.py", "import requests", 1),
        ("bundle/new.py", "from ..captures.engine.run import Engine", 1),
        ("bundle/new.py", "import importlib", 1),
        ("bundle/new.py", "__import__('kubernetes')", 1),
        ("new.py", "", 1),
        ("new/__init__.py", "", 0),
    ],
)  # fmt: skip
def test_finds_forbidden_imports(name, source, count):
    assert len(violations(name, source)) == count


MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_modules_import_only_ansible_and_the_collection(module):
    """Check that only transports and health import libraries."""
    for name, _inside in imports("module.py", module.read_text()):
        known = name.startswith(".") or name.partition(".")[0] in sys.stdlib_module_names
        assert known or name == "ansible.module_utils.basic", name
        assert name.partition(".")[0] not in SYSTEM - FILES
