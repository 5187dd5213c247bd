# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay to the API server that a test can cut for one client while others stay connected."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit


class Relay:
    """Relay of TCP connections to an address. cut() ends all of them and refuses new ones."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._lock = threading.Lock()
        self._is_cut = False
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._accepter = threading.Thread(target=self._accept, daemon=True)
        self._accepter.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _address = self._listener.accept()
                with contextlib.suppress(OSError):
                    self._join(client, socket.create_connection(self._target))

    def _join(self, *ends: socket.socket) -> None:
        with self._lock:
            self._open += ends
            if self._is_cut:
                self._end(ends)
                return
        for source, sink in (ends, ends[::-1]):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # one of them was cut
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    @staticmethod
    def _end(ends: tuple[socket.socket, ...] | list[socket.socket]) -> None:
        for end in ends:
            with contextlib.suppress(OSError):  # the peer has closed it already
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        with self._lock:
            self._is_cut = True
            self._end([self._listener, *self._open])
        self._accepter.join()
        self._listener.close()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, _kind: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self.cut()
        for end in self._open:
            end.close()


def relay_to(kubeconfig: str, path: Path) -> Relay:
    """Start a relay to the API server of a kubeconfig, and write a kubeconfig that uses it to `path`."""
    config = json.loads(Path(kubeconfig).read_text())
    cluster = config["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    relay = Relay(str(server.hostname), int(server.port or 443))
    cluster["server"] = f"https://127.0.0.1:{relay.port}"
    path.write_text(json.dumps(config))
    return relay
