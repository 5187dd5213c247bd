# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Session with the probe script in a container, over one WebSocket to pods/exec.

The protocol v4.channel.k8s.io puts a channel number before each message: 0 stdin, 1 stdout, 2 stderr, and 3 for the
Status object at the end.
"""

from __future__ import annotations

import contextlib
import datetime
import http.cookies
import select
import socket
from typing import Any

from ...deadline import Deadline, DeadlineExceeded, in_time
from ...json_values import BadValue, json_object
from ...model import BLOCKED, Process, state_words, utc_now
from ...reasons import CaptureError, Reason, peer_text
from ..base import ProcessSession
from .exec_errors import reason_of, refused
from .probe import ProbeReader
from .problem import status_text

STDIN, STDOUT, STDERR, STATUS = b"\x00", 1, 2, 3
STDERR_KEPT = 500
# Most bytes of: the API server's response head with a Status object, if it refuses; one message, of which the kubelet
# sends 32 KiB; all messages of a session, in which the script sends some KiB and a version.
MAX_HEAD, MAX_MESSAGE, MAX_SESSION = 256 << 10, 1 << 20, 16 << 20

# Answer of the script that sent no signal -> reason.
_NOT_SENT = {
    "changed": Reason.PROCESS_CHANGED,
    "ignores": Reason.USR1_IGNORED,
    "uncaught": Reason.USR1_NOT_CAUGHT,
    "unsent": Reason.SIGNAL_FAILED,
}
# The API server repeats the whole command, which is left out of messages.
_COMMAND = "error executing command"


def _buffered(connection: Any) -> int:
    """Return the number of bytes that TLS has read and holds back. select() does not see them."""
    return int(connection.pending()) if hasattr(connection, "pending") else 0


def _without_command(text: str) -> str:
    begin, found, rest = text.partition(f"{_COMMAND} [")
    return begin + _COMMAND + rest.rpartition("]")[2] if found else text


class SessionTooLarge(OSError):
    """The peer sent more than the limit."""


class MeteredSocket:
    """Connected socket with a limit on the bytes that are received; allow() sets the limit anew.

    websocket-client accepts heads, messages and bodies of any size.
    """

    def __init__(self, sock: Any, most: int) -> None:
        self._sock = sock
        self._left = most

    def allow(self, most: int) -> None:
        self._left = most

    def recv(self, size: int) -> bytes:
        data: bytes = self._sock.recv(size)
        self._left -= len(data)
        if self._left < 0:
            raise SessionTooLarge("the peer sent more than the limit")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class ExecSession(ProcessSession):
    """Session whose script has reported what it sees and waits for a command."""

    def __init__(self, options: dict[str, Any], nonce: str, deadline: Deadline) -> None:
        import websocket

        self._websocket = websocket
        self._deadline = deadline
        self._reader = ProbeReader(nonce)
        self._events: list[list[str]] = []
        self._stderr = b""
        self._size = 0
        self._began = False
        self._cleanup = contextlib.ExitStack()
        self._connection = self._connect(dict(options))
        self._cleanup.callback(self._connection.shutdown)
        self._cleanup.enter_context(deadline.guard(self._cut_off))
        try:
            self._wait_for("ready")
        except BaseException as error:
            self.close()
            blocked = [state_words(one) for one in self._reader.facts.candidates if one.state == BLOCKED]
            if isinstance(error, DeadlineExceeded) and blocked:
                # Reading the command line of a blocked process may hang as well.
                words = f"the deadline of the {error.scope}; the process is {blocked[0]}, and looking at it did not end"
                raise CaptureError(Reason.TIMEOUT, words) from error
            raise
        self.facts = self._reader.facts

    def _connect(self, options: dict[str, Any]) -> Any:
        self._deadline.check()
        url = options.pop("url")
        connection = self._websocket.WebSocket(sslopt=options.pop("sslopt", None), skip_utf8_validation=True)
        connection.settimeout(self._deadline.remaining())
        try:
            # The timeout applies to each read, and a head may come a byte at a time.
            in_time(self._deadline, lambda: self._shake_hands(connection, url, options), "exec")
        except self._websocket.WebSocketBadStatusException as error:
            raise CaptureError(*refused(error.status_code, error.resp_body or b"")) from error
        except (self._websocket.WebSocketTimeoutException, socket.timeout) as error:
            raise DeadlineExceeded(self._deadline.scope) from error
        except (self._websocket.WebSocketException, OSError, ValueError, http.cookies.CookieError) as error:
            self._deadline.check()
            raise CaptureError(Reason.UNREACHABLE, str(error)) from error
        return connection

    def _shake_hands(self, connection: Any, url: str, options: dict[str, Any]) -> None:
        """Connect and request the upgrade. Follow no redirect: it would send the credentials to another host."""
        from websocket import _http

        sock, _address = _http.connect(url, connection.sock_opt, _http.proxy_info(**options), None)
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(sock.close)
            with self._deadline.guard(lambda: sock.shutdown(socket.SHUT_RDWR)):
                connection.connect(url, socket=MeteredSocket(sock, MAX_HEAD), redirect_limit=0, **options)
            self._deadline.check()
            cleanup.pop_all()
        connection.sock.allow(MAX_MESSAGE)

    def _cut_off(self) -> None:
        transport = self._connection.sock
        if transport is not None:
            transport.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # Closing the connection ends the script's standard input, and so the script.
        self._cleanup.close()

    def signal(self, process: Process) -> datetime.datetime:
        self._drain()
        self._say(f"signal {process.pid} {process.start_time}")
        sent_at = utc_now()
        try:
            event = self._wait_for("sent", *_NOT_SENT)
        except CaptureError:
            # If the signal ends the service, its container ends, too, before the script can answer.
            self.confirmed = False
            return sent_at
        if event in _NOT_SENT:
            raise CaptureError(_NOT_SENT[event], f"process {process.pid}, just before the signal")
        return sent_at

    def version(self, process: Process) -> bytes:
        self._say(f"version {process.pid}")
        self._wait_for("version_ends")
        return self._reader.version

    def _drain(self) -> None:
        """Receive what has arrived. Raise CaptureError if the session has ended."""
        connection = self._connection.sock
        while connection is not None and (_buffered(connection) or select.select([connection], [], [], 0)[0]):
            self._receive()

    def _say(self, command: str) -> None:
        self._deadline.check()
        try:
            self._connection.send_binary(STDIN + command.encode() + b"\n")
        except (self._websocket.WebSocketException, OSError) as error:
            self._deadline.check()
            raise CaptureError(Reason.EXEC_FAILED, f"the connection broke: {error}") from error

    def _wait_for(self, *wanted: str) -> str:
        """Read until the script reports one of the wanted events, and return its name."""
        while True:
            while self._events:
                event = self._events.pop(0)
                if event[0] in wanted:
                    return event[0]
            self._receive()

    def _receive(self) -> None:
        try:
            opcode, data = self._connection.recv_data(control_frame=True)
        except (self._websocket.WebSocketException, OSError, AttributeError) as error:
            # After a cut-off websocket-client has no socket (AttributeError).
            self._deadline.check()
            raise CaptureError(Reason.EXEC_FAILED, f"the connection broke: {error}") from error
        if opcode == self._websocket.ABNF.OPCODE_CLOSE:
            self._deadline.check()
            raise self._failure(b"")
        if opcode in (self._websocket.ABNF.OPCODE_PING, self._websocket.ABNF.OPCODE_PONG):
            return
        if self._connection.sock is not None:
            self._connection.sock.allow(MAX_MESSAGE)
        if data:
            self._take(data[0], data[1:])

    def _take(self, channel: int, payload: bytes) -> None:
        """Process one message of a channel."""
        self._size += len(payload)
        if self._size > MAX_SESSION:
            raise CaptureError(Reason.EXEC_FAILED, f"the container sent more than {MAX_SESSION} bytes")
        if channel == STDOUT:
            self._reader.feed(payload)
            self._began = self._began or self._reader.began
            self._events += self._reader.events()
        elif channel == STDERR:
            self._stderr = (self._stderr + payload)[:STDERR_KEPT]
        elif channel == STATUS:
            raise self._failure(payload)

    def _failure(self, status: bytes) -> CaptureError:
        """Return the error of a script that ended while it was still needed. status: the Status object, or b""."""
        text = peer_text(_without_command(status_text(status))) if status else "the connection closed"
        try:
            succeeded = json_object(status).get("status") == "Success"
        except BadValue:
            succeeded = False
        if succeeded:
            text = "the shell in the container ended early"
        reason, stderr = reason_of(text), self._stderr.decode("utf-8", "replace").strip()
        if self._began:
            reason = Reason.EXEC_FAILED if reason is Reason.NO_SHELL else reason
        elif reason is Reason.EXEC_FAILED and reason_of(stderr) is Reason.NO_SHELL:
            # CRI-O passes on its runtime's message in this way.
            reason = Reason.NO_SHELL
        if stderr:
            text += f" ({stderr})"
        return CaptureError(reason, text)
