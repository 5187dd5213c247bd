# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Keystone stand-in, started on request."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.login import (
    LoginSettings,
)
from keystones import (
    LISTENS,
    PASSWORD,
    USER,
)
from standins import Machine


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


@pytest.fixture
def keystone(machine):
    """Starts a Keystone: its settings, and the authority that verifies it."""

    def start(behaviour="", catalog=()):
        authority, entries = machine.folder / "ca.pem", machine.folder / "catalog.json"
        entries.write_text(json.dumps(list(catalog)))
        service = machine.start("keystone", f"cert_ca={authority} catalog={entries} {behaviour}", ("--port", "0"))
        port = int(LISTENS.search(service.log.read_bytes())[1])
        settings = LoginSettings(f"https://localhost:{port}/v3", USER, PASSWORD, project_name="system")
        return service, replace(settings, cacert=str(authority))

    return start
