# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client of an API server: one connection pool, errors translated in one place, a deadline for every call.

Requests go to the client's connection pool directly. The generated API methods would build model objects for every pod,
and kubernetes.stream patches the shared client, which is not thread-safe.
The libraries are imported when a cluster is used, so other transports do not need them.

Two places use private parts of libraries, because there is no public way:
- Stream needs the socket of a response that is still being read, to set its timeout and to shut it down from another
  thread: `_fp` of urllib3's response, `fp.raw._sock` of http.client's.
- config.py makes the configuration as kubernetes.core does, without the discovery of all API groups that its public
  function begins with: `_create_auth_spec`, `_create_configuration`, `_create_headers`.
tests/unit/plugins/module_utils/transports/kubernetes/test_api.py fails when a release no longer has them.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import os
import socket
import ssl
import threading
from typing import Any, Iterator, Sequence
from urllib.parse import urlencode, urlsplit

from ...deadline import Deadline, DeadlineExceeded, in_time
from ...json_values import BadValue
from ...redact import sent_credentials
from .config import configure
from .connection_errors import connection_error, server_of
from .fields import document_of, page_of
from .problem import ApiProblem, BadAnswer, problem_of

CONNECT_SECONDS = 10.0
CHUNK = 1 << 16
# Most bytes read of an answer (a page of 500 pods of 64 KiB each) and of an error (more than a Status object).
MAX_ANSWER_BYTES, MAX_ERROR_BYTES = 32 << 20, 64 << 10
PAGE_SIZE = 500
# Kubernetes supports 150,000 pods in a cluster. A page may have fewer items than were requested.
MAX_ITEMS, MAX_PAGES = 150_000, 1000
# HTTP statuses that are worth another try (0: no answer, or a broken one), and the pauses before each, in seconds.
TRANSIENT = (0, 429, 502, 503, 504)
PAUSES = (0.3, 0.6, 1.2)


class Api:
    """Client of one API server.

    params: the authentication options of kubernetes.core. connections: most at a time. max_items: most items of a list.
    page_size: most items of a page of a list.
    Raises SetupError if a library is missing or no configuration is found.
    """

    def __init__(
        self, params: dict[str, Any], connections: int, max_items: int = MAX_ITEMS, page_size: int = PAGE_SIZE
    ) -> None:
        self._page_size = page_size
        found = configure(params, os.environ)
        configuration = found.configuration
        configuration.connection_pool_maxsize = connections + 4
        import kubernetes.client
        import urllib3

        self._configuration = configuration
        self._max_items = max_items
        # When the client renews a token (refresh_api_key_hook), it sets all values of the kubeconfig again. An option
        # such as host would be lost.
        self._settings = copy.copy(configuration)
        self._errors = (urllib3.exceptions.HTTPError, OSError)
        self._urllib3 = urllib3
        self._pool = kubernetes.client.ApiClient(configuration).rest_client.pool_manager
        self._headers = found.headers
        self._ssl_context: ssl.SSLContext | None = None
        self.cluster_name = found.cluster or urlsplit(configuration.host).hostname or "cluster"

    def close(self) -> None:
        self._pool.clear()

    def _request_headers(self) -> dict[str, Any]:
        headers = {"Accept": "application/json, */*"}
        # Reading the settings again renews a token that is about to expire.
        for setting in self._configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"].lower()] = setting["value"]
        if self._configuration.username and "authorization" not in headers:
            headers["authorization"] = self._configuration.get_basic_auth_token()
        _note_credentials(str(headers.get("authorization", "")))
        headers.update(self._headers)
        return headers

    def get_json(self, path: str, query: dict[str, str], deadline: Deadline) -> dict[str, Any]:
        """Return the JSON object of one GET. Retry after busy answers and broken connections, within the deadline.

        Raise ApiProblem or DeadlineExceeded.
        """
        for pause in PAUSES:
            try:
                return self._get_json(path, query, deadline)
            except ApiProblem as problem:
                if problem.code not in TRANSIENT:
                    raise
            threading.Event().wait(min(pause, deadline.remaining()))
        return self._get_json(path, query, deadline)

    def _get_json(self, path: str, query: dict[str, str], deadline: Deadline) -> dict[str, Any]:
        stream = self.open_any(f"{path}?{urlencode(query)}", {}, deadline)
        if stream.status != 200:
            raise problem_of(stream.status, _beginning(stream, deadline, MAX_ERROR_BYTES))
        body = _beginning(stream, deadline, MAX_ANSWER_BYTES + 1)
        if len(body) > MAX_ANSWER_BYTES:
            raise BadAnswer(f"it is larger than {MAX_ANSWER_BYTES} bytes")
        if stream.broken:
            raise ApiProblem(0, "the connection broke in the middle of the answer", broken=True)
        try:
            return document_of(body)
        except BadValue as error:
            raise BadAnswer(str(error)) from error

    def items(self, path: str, query: dict[str, str], deadline: Deadline) -> Iterator[Any]:
        """Yield the items of a list, page by page.

        Raise ApiProblem, also if the list does not end, or DeadlineExceeded.
        """
        query = dict(query, limit=str(self._page_size))
        known: set[str] = set()
        count = 0
        while True:
            try:
                items, token = page_of(self.get_json(path, query, deadline))
            except BadValue as error:
                raise BadAnswer(str(error)) from error
            count += len(items)
            if count > self._max_items:
                raise BadAnswer(f"the list has more than {self._max_items} items")
            yield from items
            if not token:
                return
            if token in known:
                raise BadAnswer("the list has a loop: a page continues with an earlier one")
            known.add(token)
            if len(known) == MAX_PAGES:
                raise BadAnswer(f"the list has more than {MAX_PAGES} pages")
            query["continue"] = token

    def open_stream(self, path: str, query: dict[str, str], deadline: Deadline, timeout: float) -> Stream | None:
        """Send a GET and return its body as a stream, or None if no byte came within `timeout` seconds.

        Raise ApiProblem or DeadlineExceeded.
        """
        try:
            stream = self._send(f"{path}?{urlencode(query)}", {}, deadline, min(timeout, deadline.remaining()))
        except _NoAnswerYet:
            return None
        if stream.status != 200:
            raise problem_of(stream.status, _beginning(stream, deadline, MAX_ERROR_BYTES))
        return stream

    def open_any(self, path: str, headers: dict[str, str], deadline: Deadline, posted: bytes = b"") -> Stream:
        """Send a GET with these additional headers, or POST these bytes, once. Return the answer, whatever its status.

        Raise ApiProblem or DeadlineExceeded.
        """
        try:
            return self._send(path, headers, deadline, deadline.remaining(), posted)
        except _NoAnswerYet as error:
            raise DeadlineExceeded(deadline.scope) from error

    def _send(
        self, path: str, headers: dict[str, str], deadline: Deadline, timeout: float, posted: bytes = b""
    ) -> Stream:
        """Send a GET or POST once and wait `timeout` seconds for the beginning of the answer."""
        deadline.check()
        limits = self._urllib3.Timeout(connect=min(CONNECT_SECONDS, deadline.remaining()), read=max(timeout, 0.001))

        def ask() -> Any:
            response = self._pool.request(
                "POST" if posted else "GET",
                self._settings.host.rstrip("/") + path,
                body=posted or None,
                headers=dict(self._request_headers(), **headers),
                retries=False,
                redirect=False,
                timeout=limits,
                preload_content=False,
            )
            if deadline.expired:
                # The caller has given up waiting.
                response.close()
            return response

        try:
            # The timeout applies to each read, and the head of an answer may come a byte at a time.
            response = in_time(deadline, ask, "request")
        except self._urllib3.exceptions.ReadTimeoutError as error:
            raise _NoAnswerYet(0, f"no answer within {timeout:.0f} s") from error
        except self._errors as error:
            broken = isinstance(error, self._urllib3.exceptions.ProtocolError)
            raise ApiProblem(
                0, f"API server {server_of(self._settings.host)}: {connection_error(error)}", broken
            ) from error
        return Stream(response, self._errors)

    def websocket_options(self, path: str, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Return a WebSocket client's options for a path: url, sslopt, and the keyword arguments of its connect()."""
        configuration = self._settings
        scheme, _colon, rest = configuration.host.rstrip("/").partition("://")
        header: list[str] = []
        for name, value in self._request_headers().items():
            values = value if isinstance(value, list) else [value]
            header += [f"{name}: {item}" for item in values]
        options = {
            "url": "{}://{}{}?{}".format("wss" if scheme == "https" else "ws", rest, path, urlencode(query)),
            "header": header,
            "subprotocols": ["v4.channel.k8s.io"],
            "suppress_origin": True,
        }  # type: dict[str, Any]
        if scheme == "https":
            options["sslopt"] = {"context": self._tls()}
            if configuration.tls_server_name:
                options["sslopt"]["server_hostname"] = configuration.tls_server_name
        if configuration.proxy:
            from kubernetes.stream.ws_client import websocket_proxycare

            options = websocket_proxycare(options, configuration, options["url"], self._headers)
        return options

    def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            configuration = self._settings
            context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
            if configuration.assert_hostname is False or not configuration.verify_ssl:
                context.check_hostname = False
            if not configuration.verify_ssl:
                context.verify_mode = ssl.CERT_NONE
            if configuration.cert_file:
                context.load_cert_chain(configuration.cert_file, configuration.key_file)
            self._ssl_context = context
        return self._ssl_context


def _note_credentials(authorization: str) -> None:
    """Note the credentials of a request header for redaction: a peer may echo the header, or the password in it."""
    scheme, _blank, value = authorization.rpartition(" ")
    sent_credentials.remember(value)
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            sent_credentials.remember(base64.b64decode(value).decode().partition(":")[2])


class _NoAnswerYet(ApiProblem):
    """A connection on which no byte of an answer came in time."""


class Stream:
    """Response body, read as it arrives. Another thread may cut it off.

    broken: the connection ended before the body did.
    """

    def __init__(self, response: Any, errors: tuple[Any, ...]) -> None:
        self._response = response
        self._errors = errors
        self.status = int(response.status)
        self.headers: list[tuple[str, str]] = list(response.headers.items())
        self.broken = False

    def chunks(self, size: int = CHUNK, silence: float | None = None) -> Iterator[bytes]:
        """Yield the bytes until the body ends or the connection breaks or is cut off.

        They end as well after `silence` seconds without a byte; then the stream is broken.
        """
        try:
            # The request's read timeout was for the headers. From here on the deadline's guard applies.
            self._socket().settimeout(silence)
            yield from self._pieces(size)
        except (*self._errors, http.client.HTTPException, AttributeError, ValueError):
            # After a cut-off the libraries fail on attributes that are None by then.
            self.broken = True

    def _pieces(self, size: int) -> Iterator[bytes]:
        """Yield the bytes as they arrive. urllib3 would read a chunk of size -1 whole, that is, all that ever comes."""
        reader = self._response._fp
        left = None if reader.chunked else reader.length
        while left != 0:
            data = reader.read1(size if left is None else min(size, left))
            if not data:
                break
            left = None if left is None else left - len(data)
            yield data
        self.broken = bool(left)
        if not self.broken:
            # The connection can serve the next request.
            reader.close()
            self._response.release_conn()

    def _socket(self) -> Any:
        held = self._response.connection.sock
        # If the server announces that it closes the connection after this answer, http.client drops the socket at
        # once, and only the answer still reads from it.
        return self._response._fp.fp.raw._sock if held is None else held

    def cut_off(self) -> None:
        """End a blocked read. If the body ends at the same time, nothing is left to do."""
        with contextlib.suppress(AttributeError, OSError):
            self._socket().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._response.close()


def _beginning(stream: Stream, deadline: Deadline, most: int) -> bytes:
    """Return the first bytes of a body, `most` at most. Raise DeadlineExceeded if they take too long."""
    body = bytearray()
    with contextlib.closing(stream), deadline.guard(stream.cut_off):
        for data in stream.chunks():
            body += data[: most - len(body)]
            if len(body) == most:
                break
    deadline.check()
    return bytes(body)
