# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error texts of API servers, kubelets and container runtimes for commands that cannot be run, as data. Pure.

One text has several meanings: "no such file or directory" may be about a missing shell, the socket of a runtime that is
down, or a cgroup. So each entry names the missing thing. A text without a matching entry only means that the command
was not run.
"""

from __future__ import annotations

import re

from ...reasons import Reason
from .problem import status_object, status_text

# The shell as runtimes write it: plain, or in quotes of some kind, which may be escaped.
_SHELL = r"[\\\"'`]*/bin/sh[\\\"'`]*"

# Reason -> regular expressions of its texts, matched case-insensitively. The first reason that matches counts: if two
# match, the first is the cause of the second.
EXEC_ERRORS: dict[Reason, tuple[str, ...]] = {
    # containerd and runc: has stopped, in a stopped container, in a stopped state. docker: has run and stopped, is not
    # running, no such container. CRI-O: not created or running, could not find container. The kubelet: container not
    # found ("name"), pod does not exist. The API server: in a completed pod, pods "name" not found.
    Reason.GONE: (
        r"cannot exec (in )?an? .*\b(stopped|deleted|exited)\b",
        r"cannot exec into a container in a completed pod",
        r"container_exited",
        r"container (\S+ )?(is )?not running",
        r"container is not created or running",
        r"(could not find container|no such container|no such task|no running task found)",
        r"container not found\b",
        r"container with id starting with \S+ not found",
        r"task \S+ not found",
        r"pod does not exist",
        r"pods? [\\\"']*[a-z0-9][-a-z0-9._/]*[\\\"']* not found",
        r"container [\\\"']*[a-z0-9][-a-z0-9]*[\\\"']* not found in pod",
    ),
    # The node or its runtime does not answer. The API server writes "error dialing backend" for all connections to a
    # kubelet: direct, by konnectivity, and by the tunnel of k3s and RKE2 ("proxy error from").
    Reason.UNREACHABLE: (
        r"error dialing backend",
        r"proxy error from .* while dialing",
        r"failed to find session for client",
        r"no agent available",
        r"error sending request: post",
        r"dial tcp\b",
        r"dial unix \S+: connect: (no such file or directory|connection refused)",
        r"rpc error: code = unavailable",
        r"cannot connect to the docker daemon",
        r"connection (refused|reset by peer|timed out)",
        r"(no route to host|network is unreachable|host is down|no such host)",
        r"(i/o timeout|tls handshake timeout|timeout occurred|deadline ?exceeded)",
    ),
    # runc: exec: "/bin/sh": stat /bin/sh: no such file or directory; executable file not found in $PATH. crun:
    # executable file `/bin/sh` not found in $PATH. kata: the file /bin/sh was not found. gVisor: error finding
    # executable "/bin/sh". docker writes such a text to the output and exits with 126 or 127.
    Reason.NO_SHELL: (
        rf"{_SHELL}:? (was )?not found",
        rf"{_SHELL}: (no such file or directory|permission denied|is a directory|not a directory|exec format error)",
        rf"error finding executable {_SHELL}",
        r"executable file not found in \$path",
        r"(exit code|exit status|docker container:) 12[67]\b",
    ),
    Reason.FORBIDDEN: (r"admission webhook .* denied the request",),
}
_COMPILED = [(reason, re.compile("|".join(parts), re.IGNORECASE)) for reason, parts in EXEC_ERRORS.items()]
# Characters of a text that are searched.
SEARCHED = 4000


def reason_of(text: str) -> Reason:
    """Return the reason of a failed exec from the text of the error."""
    return next((reason for reason, pattern in _COMPILED if pattern.search(text[:SEARCHED])), Reason.EXEC_FAILED)


def refused(code: int, body: bytes) -> tuple[Reason, str]:
    """Return the reason and the text of an exec that was refused with this HTTP status.

    Only a Status object comes from the API server itself. It passes on the plain text of a kubelet, and a proxy may
    answer as well: their status codes do not describe the pod.
    """
    status, text = status_object(body), status_text(body) or f"HTTP status {code}"
    if status is not None and code in (401, 403):
        return Reason.FORBIDDEN, text
    if status is not None and status.get("reason") == "NotFound" and reason_of(text) is Reason.EXEC_FAILED:
        return Reason.GONE, text
    if status is None and code in (502, 503, 504):
        return Reason.UNREACHABLE, f"HTTP status {code}: {text}"
    return reason_of(text), text if status is not None else f"HTTP status {code}: {text}"
