# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text for users about a failed connection to an API server, made from the HTTP library's exception."""

from __future__ import annotations

import socket
import ssl
from typing import Iterator
from urllib.parse import urlsplit


def server_of(url: str) -> str:
    """Return the URL of an API server without user name, password and path."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{host}{port}"


def connection_error(error: BaseException) -> str:
    """Return why a request failed: the most specific cause, without addresses of objects."""
    chain = list(_chain(error))
    for found in chain:
        if isinstance(found, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({found.verify_message}). The certificate authority in the "
                "kubeconfig, or cloudpods_ca_cert, has to be the one that signed it"
            )
    for found in chain:
        if isinstance(found, ssl.SSLError):
            return f"the TLS handshake failed ({found.reason or found.strerror or found})"
        if isinstance(found, socket.gaierror):
            return f"its name cannot be resolved ({found.strerror})"
        if isinstance(found, ConnectionRefusedError):
            return "the connection was refused"
        if isinstance(found, socket.timeout):
            return "connecting timed out"
        if isinstance(found, OSError) and found.strerror and type(found).__module__ == "builtins":
            return f"{found.strerror}"
    text = str(chain[-1])
    return text.split(">: ", 1)[-1] if ">: " in text else text


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the outermost first."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
        error = next((each for each in inner if isinstance(each, BaseException)), error)
