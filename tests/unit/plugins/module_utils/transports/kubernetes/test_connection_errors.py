# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about API servers that cannot be reached."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.connection_errors import (
    server_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.problem import ApiProblem
from peers import OK, peer, server_tls

from patience import patience


def problem(server, **more):
    """Return the message of a request to a server that cannot be reached."""
    made = Api({"host": server, "api_key": "key", **more}, 1)
    with pytest.raises(ApiProblem) as failed:
        made.open_any("/api", {}, Deadline(patience()))
    made.close()
    return failed.value.text


def test_refused_connection_names_server_and_no_class():
    with peer(OK) as server:
        port = server.port
    assert problem(f"https://127.0.0.1:{port}") == f"API server https://127.0.0.1:{port}: the connection was refused"


def test_untrusted_certificate_names_option_for_its_authority():
    with peer(OK, server_tls()) as server:
        text = problem(f"https://127.0.0.1:{server.port}")
    assert text.startswith(f"API server https://127.0.0.1:{server.port}: its certificate is not trusted (self")
    assert "cloudpods_ca_cert, has to be the one that signed it" in text


def test_server_without_tls_has_short_message():
    with peer(OK + b"\r\n", listens=False) as server:
        text = problem(f"https://127.0.0.1:{server.port}")
    assert text.startswith(f"API server https://127.0.0.1:{server.port}: ")
    assert "HTTPSConnection" not in text


def test_unknown_host_name_is_reported():
    text = problem("https://nobody.invalid:6443")
    assert text.startswith("API server https://nobody.invalid:6443: its name cannot be resolved (")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:hush@h:6443/path", "https://h:6443"),
        ("https://[::1]:6443", "https://[::1]:6443"),
        ("https://h:99999999", "https://h"),
        ("h", "://"),
    ],
)
def test_shows_server_without_credentials(url, shown):
    assert server_of(url) == shown
