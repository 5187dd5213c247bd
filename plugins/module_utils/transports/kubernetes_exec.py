# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe script at work in a container, over one WebSocket to pods/exec.

The protocol v4.channel.k8s.io puts a channel number before each message: 0 stdin, 1 stdout, 2 stderr, and 3 for the
Status object at the end.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import select
import socket
from typing import Any

from ..deadline import Deadline, DeadlineExceeded
from ..model import Process, utc_now
from ..reasons import CaptureError, Reason
from .base import ProcessSession
from .kubernetes_api import REASONS, status_text
from .probe import ProbeReader

STDIN, STDOUT, STDERR, STATUS = b"\x00", 1, 2, 3
STDERR_KEPT = 500

# What the kubelet or the runtime says when a command cannot be run -> reason. First match wins.
EXEC_TEXTS = (
    ("no such file or directory", Reason.NO_SHELL),
    ("executable file not found", Reason.NO_SHELL),
    ("permission denied", Reason.NO_SHELL),
    ("container not found", Reason.GONE),
    ("not found", Reason.GONE),
    ("error dialing backend", Reason.UNREACHABLE),
    ("connection refused", Reason.UNREACHABLE),
    ("i/o timeout", Reason.UNREACHABLE),
    ("no route to host", Reason.UNREACHABLE),
    ("deadline exceeded", Reason.UNREACHABLE),
)
# The script's answer when it sent no signal -> reason.
_NOT_SENT = {
    "changed": Reason.PROCESS_CHANGED,
    "ignores": Reason.USR1_IGNORED,
    "uncaught": Reason.USR1_NOT_CAUGHT,
    "unsent": Reason.SIGNAL_FAILED,
}
# The API server repeats the whole command, which is no use to anybody.
_COMMAND = re.compile(r"(error executing command) \[.*\]", re.DOTALL)


def reason_of(text: str) -> Reason:
    """The reason behind a failed exec, from what the cluster says about it."""
    lowered = text.lower()
    return next((reason for part, reason in EXEC_TEXTS if part in lowered), Reason.EXEC_FAILED)


def _buffered(connection: Any) -> int:
    """Bytes that TLS has read and nobody has asked for: select() does not see them."""
    return int(connection.pending()) if hasattr(connection, "pending") else 0


class ExecSession(ProcessSession):
    """Opened when the script has said all it sees and waits for a command."""

    def __init__(self, options: dict[str, Any], word: str, deadline: Deadline) -> None:
        import websocket

        self._websocket = websocket
        self._deadline = deadline
        self._reader = ProbeReader(word)
        self._events: list[list[str]] = []
        self._stderr = b""
        self._cleanup = contextlib.ExitStack()
        self._connection = self._connect(dict(options))
        self._cleanup.callback(self._connection.shutdown)
        self._cleanup.enter_context(deadline.guard(self._cut_off))
        try:
            self._wait_for("ready")
        except BaseException:
            self.close()
            raise
        self.facts = self._reader.facts

    def _connect(self, options: dict[str, Any]) -> Any:
        self._deadline.check()
        url = options.pop("url")
        connection = self._websocket.WebSocket(sslopt=options.pop("sslopt", None), skip_utf8_validation=True)
        connection.settimeout(self._deadline.remaining())
        try:
            connection.connect(url, **options)
        except self._websocket.WebSocketBadStatusException as error:
            text = status_text(error.resp_body or str(error).encode())
            raise CaptureError(REASONS.get(error.status_code) or reason_of(text), text) from error
        except (self._websocket.WebSocketTimeoutException, socket.timeout) as error:
            raise DeadlineExceeded(self._deadline.scope) from error
        except (self._websocket.WebSocketException, OSError) as error:
            raise CaptureError(Reason.UNREACHABLE, str(error)) from error
        return connection

    def _cut_off(self) -> None:
        transport = self._connection.sock
        if transport is not None:
            transport.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # Closing without a word ends the script's standard input, and so the script.
        self._cleanup.close()

    def signal(self, process: Process) -> datetime.datetime:
        self._take_what_came()
        self._say(f"signal {process.pid} {process.start_time}")
        sent_at = utc_now()
        try:
            event = self._wait_for("sent", *_NOT_SENT)
        except CaptureError:
            # A service that dies of the signal takes the container and its last word along.
            self.confirmed = False
            return sent_at
        if event in _NOT_SENT:
            raise CaptureError(_NOT_SENT[event], f"process {process.pid}, just before the signal")
        return sent_at

    def version(self, process: Process) -> bytes:
        self._say(f"version {process.pid}")
        self._wait_for("version_ends")
        return self._reader.version

    def _take_what_came(self) -> None:
        """Whoever has ended already is not given an order. CaptureError says how it ended."""
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
        """Read on until the script says one of the wanted words."""
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
            # websocket-client trips over the socket that the cut-off took away (AttributeError).
            self._deadline.check()
            raise CaptureError(Reason.EXEC_FAILED, f"the connection broke: {error}") from error
        if opcode == self._websocket.ABNF.OPCODE_CLOSE:
            self._deadline.check()
            raise self._failure(b"")
        if not data or opcode in (self._websocket.ABNF.OPCODE_PING, self._websocket.ABNF.OPCODE_PONG):
            return
        channel, payload = data[0], data[1:]
        if channel == STDOUT:
            self._reader.feed(payload)
            self._events += self._reader.events()
        elif channel == STDERR:
            self._stderr = (self._stderr + payload)[:STDERR_KEPT]
        elif channel == STATUS:
            raise self._failure(payload)

    def _failure(self, status: bytes) -> CaptureError:
        """The script has ended although it was still needed."""
        text = _COMMAND.sub(r"\1", status_text(status)) if status else "the connection closed"
        try:
            succeeded = json.loads(status).get("status") == "Success"
        except (ValueError, AttributeError):
            succeeded = False
        if succeeded:
            text = "the shell in the container ended early"
        if self._stderr:
            text += f" ({self._stderr.decode('utf-8', 'replace').strip()})"
        return CaptureError(reason_of(text), text)
