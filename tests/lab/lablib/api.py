# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Minimal Kubernetes API client of the lab, by the standard library."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from .core import LabError
from .pki import Authority


class Api:
    """API server as seen by one user of the lab's authority."""

    def __init__(self, server: str, authority: Authority, user: str = "admin") -> None:
        pair = authority.pair_of(user)
        self.server = server
        self.context = ssl.create_default_context(cafile=str(authority.pair.cert))
        self.context.load_cert_chain(pair.cert, pair.key)

    def request(self, path: str, *, method: str = "GET", body: object = None, seconds: float = 5) -> bytes:
        """Send one request. LabError with the server's message unless the response is 2xx."""
        request = urllib.request.Request(  # noqa: S310 - the URL is our own server's
            self.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        # A proxy of the environment must not be used for the lab.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context)
        )
        try:
            with opener.open(request, timeout=seconds) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as refused:
            raise LabError(
                f"{method} {path}: {refused.code} {refused.read(2000).decode(errors='replace')}"
            ) from refused
        except OSError as failed:
            raise LabError(f"{method} {path}: {failed}") from failed

    def get(self, path: str) -> Any:
        """Return a JSON document."""
        return json.loads(self.request(path))

    def post(self, path: str, body: object) -> Any:
        """Create an object; return the JSON document of the response."""
        return json.loads(self.request(path, method="POST", body=body))

    def answers(self, path: str) -> bool:
        """Return whether this path returns 2xx now."""
        try:
            self.request(path)
        except LabError:
            return False
        return True

    def ready_nodes(self) -> set[str]:
        """Return the names of the nodes whose Ready condition is true; empty also if the server is unreachable."""
        try:
            nodes = self.get("/api/v1/nodes")["items"]
        except LabError:
            return set()
        return {
            node["metadata"]["name"]
            for node in nodes
            for condition in node["status"].get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        }
