# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of API servers, and the private parts of libraries that reading them depends on."""

from __future__ import annotations

import contextlib
import inspect
import socket
import time

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api
from peers import OK, after, peer, server_tls

from patience import patience

BODY = b'{"items":[]}'
CLOSES = OK + b"Connection: close\r\n"
LENGTH, LONGER = b"Content-Length: 12\r\n\r\n" + BODY, b"Content-Length: 99\r\n\r\n" + BODY
CHUNK, END = b"Transfer-Encoding: chunked\r\n\r\nc\r\n" + BODY + b"\r\n", b"0\r\n\r\n"
ANSWERS = {
    "length": OK + LENGTH,
    "chunks": OK + CHUNK + END,
    "length, and it closes": CLOSES + LENGTH,
    "chunks, and it closes": CLOSES + CHUNK + END,
    "up to the end": CLOSES + b"\r\n" + BODY,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
}
BROKEN = {"length": OK + LONGER, "chunks": OK + CHUNK, "length, and it closes": CLOSES + LONGER}


@contextlib.contextmanager
def api(server):
    scheme = "https" if server.tls else "http"
    made = Api({"host": f"{scheme}://127.0.0.1:{server.port}", "api_key": "key", "verify_ssl": False}, 1)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("tls", [None, server_tls()], ids=["http", "https"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_reads_answer_to_its_end(answer, tls):
    with peer(answer, tls) as server, api(server) as made:
        assert made.get_json("/api", {}, Deadline(patience())) == {"items": []}
        assert len(server.heads) == 1


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_reports_answer_that_breaks_off(answer):
    with peer(answer) as server, api(server) as made:
        stream = made.open_any("/api", {}, Deadline(patience()))
        with contextlib.closing(stream):
            assert b"".join(stream.chunks()) == BODY
        assert stream.broken


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("tls", [None, server_tls()], ids=["http", "https"])
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_deadline_and_silence_end_answer_that_hangs(answer, tls):
    with peer(after(answer), tls) as server, api(server) as made:
        stream = made.open_any("/api", {}, Deadline(patience()))
        with contextlib.closing(stream):
            list(stream.chunks(silence=0.2))
        assert stream.broken
        stream = made.open_any("/api", {}, Deadline(patience()))
        began = time.monotonic()
        with contextlib.closing(stream), Deadline(0.2).guard(stream.cut_off):
            list(stream.chunks())
        assert stream.broken
        assert time.monotonic() - began < patience(30)  # the peer would go on for a minute and more


# Private parts of libraries (api.py and config.py say why). A release that changes them fails here.


@pytest.mark.parametrize("answer", [ANSWERS["length"], ANSWERS["length, and it closes"]], ids=["stays", "closes"])
def test_urllib3_response_has_the_socket_that_is_read(answer):
    with peer(answer) as server, api(server) as made:
        response = made.open_any("/api", {}, Deadline(patience()))._response
        with contextlib.closing(response):
            held = response.connection.sock
            assert (held is None) == (answer is not ANSWERS["length"])
            reader = response._fp.fp
            assert isinstance(reader.raw._sock, socket.socket)
            assert held is None or held is reader.raw._sock
            assert callable(response._fp.read1)
            assert (response._fp.chunked, response._fp.length) == (False, len(BODY))


def test_kubernetes_core_makes_configuration_in_three_steps():
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client  # noqa: PLC0415

    spec = client._create_auth_spec(None, host="https://api.example:6443", api_key="key")
    assert client._create_configuration(spec).host == "https://api.example:6443"
    assert isinstance(client._create_headers(None, host="https://api.example:6443"), dict)
    for step in (client._create_auth_spec, client._create_headers):
        first, *_rest, last = inspect.signature(step).parameters.values()
        assert (first.name, last.kind) == ("module", inspect.Parameter.VAR_KEYWORD)


def test_websocket_client_connects_and_accepts_connected_socket():
    import websocket  # noqa: PLC0415
    from websocket import _http  # noqa: PLC0415

    assert list(inspect.signature(_http.connect).parameters) == ["url", "options", "proxy", "socket"]
    assert "socket" in inspect.getsource(websocket.WebSocket.connect)
    assert _http.proxy_info(http_proxy_host="proxy", http_proxy_port=1).proxy_host == "proxy"
