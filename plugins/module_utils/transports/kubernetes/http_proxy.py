# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests to a pod through the API server (pods/proxy). Tells answers of the pod from those of the API server.

The API server passes on request and answer, and reports its own errors in a Status object. Sources:
kubernetes staging/src/k8s.io/apimachinery/pkg/util/proxy (upgradeaware.go), apiserver pkg/server/filters.
"""

from __future__ import annotations

import threading

from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance
from ...reasons import CaptureError, Reason
from ..base import HttpAnswer, HttpTarget, Sink
from ..http_client import SHOWN, USER_AGENT, answer, error_text, succeeded
from .api import Api
from .fields import pod_path
from .problem import REASONS, ApiProblem, status_object

# A throttling API server answers this text, without a Status object (priority-and-fairness.go).
_BUSY = b"Too many requests, please try again later."

# Text of the API server about a pod that it could not reach -> reason. The first match counts. The texts are those of
# Go's net, net/http and crypto/tls. In any other text the same words are not about the pod's port.
_TEXTS = (
    ("connection refused", Reason.CONNECTION_REFUSED),
    ("tls handshake timeout", Reason.NO_ANSWER),
    ("tls:", Reason.TLS_FAILED),
    ("http response to https client", Reason.TLS_FAILED),
    ("x509:", Reason.TLS_FAILED),
    ("malformed http", Reason.NOT_HTTP),
    ("awaiting response headers", Reason.NO_ANSWER),
    ("connection reset", Reason.CONNECTION_BROKEN),
    ("connection broken", Reason.CONNECTION_BROKEN),
    ("server closed idle connection", Reason.CONNECTION_BROKEN),
    ("broken pipe", Reason.CONNECTION_BROKEN),
    ("eof", Reason.CONNECTION_BROKEN),
)
_UNREACHED = "error trying to reach service: "
# The second is the text before Kubernetes 1.20.
_ABOUT_THE_PORT = (_UNREACHED.strip(), "trying to reach: ")
# HTTP status of an HTML page -> reason. It is of a proxy or load balancer: appsrv answers errors in JSON.
_PAGES = {401: Reason.BAD_ANSWER, 403: Reason.BAD_ANSWER, 404: Reason.BAD_ANSWER}
_PAGES.update(dict.fromkeys((502, 503, 504), Reason.UNREACHABLE))
_BUSY_PAUSE_SECONDS = 1.0
# Small, since a partly filled chunk is lost if the connection breaks.
_CHUNK = 1 << 12


def proxy_path(instance: Instance, target: HttpTarget) -> str:
    """Return the path of a pod's port at the API server."""
    scheme = "https:" if target.scheme == "https" else ""
    return f"{pod_path(instance, f'{scheme}{instance.name}:{target.port}')}/proxy{target.path}"


def ask(api: Api, path: str, deadline: Deadline, max_bytes: int, posted: bytes = b"", sink: Sink = None) -> HttpAnswer:
    """GET a pod's path, or POST these bytes, and return the answer. sink: as of Transport.http_get().

    Raise CaptureError if the pod does not answer, or the API server refuses the request.
    """
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    try:
        reply = _read(api, path, headers, deadline, max_bytes, posted, sink)
        while _is_busy(reply) and deadline.remaining() > _BUSY_PAUSE_SECONDS:
            threading.Event().wait(_BUSY_PAUSE_SECONDS)
            reply = _read(api, path, headers, deadline, max_bytes, posted, sink)
    except ApiProblem as problem:
        # The API server passes on an answer that breaks off within its first packet as a broken connection.
        reason = Reason.CONNECTION_BROKEN if problem.broken else problem.reason
        raise CaptureError(reason, "by way of the API server: " + error_text(problem.text)) from problem
    except DeadlineExceeded as passed:
        raise CaptureError(Reason.NO_ANSWER, "by way of the API server") from passed
    error = error_of(reply)
    if error is not None:
        raise error
    return reply


def _read(
    api: Api, path: str, headers: dict[str, str], deadline: Deadline, max_bytes: int, posted: bytes, sink: Sink
) -> HttpAnswer:
    stream = api.open_any(path, headers, deadline, posted)
    body = bytearray()
    take = sink if sink is not None and succeeded(stream.status) else body.extend
    size = 0
    try:
        with deadline.guard(stream.cut_off):
            for data in stream.chunks(_CHUNK):
                take(data[: max(0, max_bytes - size)])
                size += len(data)
                if size > max_bytes:
                    break
    finally:
        stream.close()
    truncated_by = ""
    if size > max_bytes:
        truncated_by = "size"
    elif stream.broken:
        truncated_by = "time" if deadline.expired else "end"
    return answer(stream.status, stream.headers, bytes(body), truncated_by, max_bytes)


def _is_busy(reply: HttpAnswer) -> bool:
    """Return True if the API server rejected the request because it has too many."""
    return reply.status == 429 and reply.body.startswith(_BUSY)


def error_of(reply: HttpAnswer) -> CaptureError | None:
    """Return the error that the API server, or a proxy in front of it, reports. None for an answer of the pod."""
    if _is_busy(reply):
        return CaptureError(Reason.UNREACHABLE, "the API server has too many requests")
    if reply.status in _PAGES and reply.body.lstrip()[:1] == b"<":
        page = reply.body[:SHOWN].decode("utf-8", "replace")
        return CaptureError(_PAGES[reply.status], error_text(f"HTTP status {reply.status}, a page of HTML: {page}"))
    document = status_object(reply.body) if reply.status >= 400 else None
    if document is None:
        return None
    said = document.get("message") or document.get("reason")
    text = said if isinstance(said, str) else str(reply.status)
    if reply.status in REASONS:
        return CaptureError(REASONS[reply.status], error_text(text))
    return CaptureError(_reason_in(text), error_text(text.replace(_UNREACHED, "")))


def _reason_in(text: str) -> Reason:
    lowered = text[: 4 * SHOWN].lower()
    if not any(words in lowered for words in _ABOUT_THE_PORT):
        return Reason.UNREACHABLE
    return next((reason for part, reason in _TEXTS if part in lowered), Reason.UNREACHABLE)
