# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of API servers, and of what stands before them."""

from __future__ import annotations

import contextlib
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
def test_an_answer_is_read_to_its_end_however_it_is_told(answer, tls):
    with peer(answer, tls) as server, api(server) as made:
        assert made.get_json("/api", {}, Deadline(patience())) == {"items": []}
        assert len(server.heads) == 1


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_that_breaks_off_is_told(answer):
    with peer(answer) as server, api(server) as made:
        stream = made.open_any("/api", {}, Deadline(patience()))
        with contextlib.closing(stream):
            assert b"".join(stream.chunks()) == BODY
        assert stream.broken


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("tls", [None, server_tls()], ids=["http", "https"])
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_that_stands_still_ends_with_the_deadline_and_with_silence(answer, tls):
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
