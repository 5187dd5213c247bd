# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings, requests and answers that the tests of the Keystone transport share."""

from __future__ import annotations

import json
import re

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.transport import (
    KeystoneTransport,
)
from peers import with_length

USER, PASSWORD = "sysadmin", "standin-admin-password"


LISTENS = re.compile(rb"Start listen on https?://[^:]+:(\d+)")


PING = HttpTarget("https", 1, "/ping")


FULL = {"OS_AUTH_URL": "https://k:30500/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p"}


GOOD_TOKEN = {"token": {"expires_at": "2099-01-01T00:00:00Z", "catalog": []}}


def deadline(seconds=60.0):
    return Deadline(seconds, "test")


def entry(kind, url, interface="internal", region="region0"):
    return {"type": kind, "url": url, "interface": interface, "region": region}


def logins(service):
    """Return the number of token requests in the access log."""
    return service.log.read_bytes().count(b"POST /v3/auth/tokens")


def discover(settings, *components):
    transport = KeystoneTransport(settings)
    return transport, transport.discover(select(components=components or ["region"]), deadline())


def problem_of(settings):
    _transport, found = discover(settings)
    assert found.instances == []
    ((place, verdict),) = found.problems
    return place, verdict


def token_said(body):
    return with_length(
        json.dumps(body).encode(), b"X-Subject-Token: t0ken", b"Content-Type: application/json", status=b"201 Created"
    )
