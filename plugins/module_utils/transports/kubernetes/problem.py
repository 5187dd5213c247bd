# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of an API server, and the reasons that follow from them. Pure.

The API server explains itself in a Status object (kubernetes staging/src/k8s.io/apimachinery/pkg/apis/meta/v1).
Any other body of an error comes from elsewhere: a page of a proxy or load balancer, or the plain text of a kubelet.
Such a 403 is no missing permission, and such a 404 no deleted pod.
"""

from __future__ import annotations

from typing import Any

from ...json_values import BadValue, json_object
from ...reasons import Reason, Verdict, peer_text, verdict

# HTTP status of the API server -> reason. For all others the target does not answer.
REASONS = {401: Reason.FORBIDDEN, 403: Reason.FORBIDDEN, 404: Reason.GONE, 410: Reason.GONE}
# The API server writes this for a 404 of the kubelet, which has no such page. The pod may exist
# (NewGenericServerResponse in apimachinery/pkg/api/errors).
_NO_SUCH_PAGE = "the server could not find the requested resource"
# Reason of a 410 for a page of a list that expired: no pod is gone.
_EXPIRED = "Expired"


class ApiProblem(Exception):
    """Failed request to the API server: its HTTP status (0: no answer), reason and text.

    broken: the server had received the request and closed the connection.
    """

    def __init__(self, code: int, text: str, broken: bool = False) -> None:
        self.code = code
        self.text = peer_text(text)
        self.broken = broken
        self.reason = REASONS.get(code, Reason.UNREACHABLE)
        super().__init__(self.text)

    @property
    def verdict(self) -> Verdict:
        return verdict(self.reason, self.text)


class BadAnswer(ApiProblem):
    """Answer of the API server that cannot be used."""

    def __init__(self, text: str, code: int = 200) -> None:
        super().__init__(code, text)
        self.reason = Reason.BAD_ANSWER


def status_object(body: bytes) -> dict[str, Any] | None:
    """Return the Status object in a body, None for any other body."""
    try:
        document = json_object(body)
    except BadValue:
        return None
    is_status = document.get("kind") == "Status" and document.get("apiVersion") == "v1"
    return document if is_status else None


def status_text(body: bytes) -> str:
    """Return the message of a Status object, or the beginning of another body."""
    try:
        message = json_object(body).get("message")
    except BadValue:
        message = None
    return message if isinstance(message, str) and message else body[:200].decode("utf-8", "replace")


def problem_of(code: int, body: bytes) -> ApiProblem:
    """Return the problem of an answer with this HTTP status."""
    status, text = status_object(body), status_text(body) or f"HTTP status {code}"
    if code not in REASONS:
        return ApiProblem(code, text)
    if status is None:
        return BadAnswer(f"HTTP status {code}, and no Status object: {text}", code)
    if code == 401:
        text = f"the API server does not accept the credentials, which may have expired ({text})"
    problem = ApiProblem(code, text)
    if _NO_SUCH_PAGE in text or status.get("reason") == _EXPIRED:
        problem.reason = Reason.UNREACHABLE
    return problem


class NoBytes(ApiProblem):
    """Nothing came in time: a stream of an empty log says nothing, and neither does one of a hung node."""


class NotALog(ApiProblem):
    """A text came in place of the log, or behind its last line."""

    def __init__(self, text: bytes) -> None:
        super().__init__(200, text.decode("utf-8", "replace").strip())
        self.reason = Reason.LOG_UNAVAILABLE
