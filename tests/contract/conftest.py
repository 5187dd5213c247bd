# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of modules in this process, with fake services instead of a cluster."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import module_runner

from workspace import ROOT

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(ROOT / "tests" / "unit" / "plugins" / "module_utils" / "profiles"))
sys.path.insert(0, str(ROOT / "tests" / "unit" / "plugins" / "module_utils" / "transports"))

from fake_transport import FakeTransport

MODULES = "ansible_collections.cloudpods.diagnostics.plugins.modules."


class Ended(Exception):
    """Result of a module, raised in place of its exit."""

    def __init__(self, failed: bool, result: dict[str, Any]) -> None:
        super().__init__(result.get("msg", ""))
        self.failed = failed
        self.result = result


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run a module's main(), with fake services instead of a cluster."""

    def end(failed: bool):
        def ended(_module: AnsibleModule, **result: Any) -> None:
            raise Ended(failed, result)

        return ended

    def run(name: str, check_mode: bool = False, **params: Any) -> Ended:
        module = importlib.import_module(MODULES + name)
        for opens in (module, module_runner):
            if hasattr(opens, "transport_of"):
                monkeypatch.setattr(opens, "transport_of", lambda *_params, **_named: cloud())
        with patch_module_args({**params, "_ansible_check_mode": check_mode}), pytest.raises(Ended) as ended:
            module.main()
        return ended.value

    monkeypatch.setattr(AnsibleModule, "exit_json", end(False))
    monkeypatch.setattr(AnsibleModule, "fail_json", end(True))
    return run


def cloud() -> FakeTransport:
    """Return a service that dumps, one that does not, and one of a node."""
    transport = FakeTransport()
    for component in ("region", "scheduler", "host"):
        transport.add(component)
    return transport
