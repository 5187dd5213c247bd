# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What API servers, kubelets and container runtimes say when a command cannot be run, as data. Pure.

The same words stand for different things: "no such file or directory" is said of a missing shell, of the socket of a
runtime that is down, and of a cgroup. So each entry names the thing that is missing, and a text that no entry matches
says nothing but that the command was not run.
"""

from __future__ import annotations

import re

from ...reasons import Reason
from .problem import status_object, status_text

# The shell as the runtimes write it: alone, or within quotes of some kind, which may be escaped themselves.
_SHELL = r"[\\\"'`]*/bin/sh[\\\"'`]*"

# Reason -> what is said in that case (regular expressions, matched without regard to case). The first reason that has
# a match counts: of two that match, the one is the cause of the other.
EXEC_TEXTS: dict[Reason, tuple[str, ...]] = {
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
    # The node or its runtime does not answer. The API server says "error dialing backend" of all its ways to a kubelet:
    # directly, by konnectivity, and by the tunnel of k3s and RKE2 ("proxy error from").
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
    # executable "/bin/sh". docker writes such a text to the output, and ends with 126 or 127.
    Reason.NO_SHELL: (
        rf"{_SHELL}:? (was )?not found",
        rf"{_SHELL}: (no such file or directory|permission denied|is a directory|not a directory|exec format error)",
        rf"error finding executable {_SHELL}",
        r"executable file not found in \$path",
        r"(exit code|exit status|docker container:) 12[67]\b",
    ),
    Reason.FORBIDDEN: (r"admission webhook .* denied the request",),
}
_COMPILED = [(reason, re.compile("|".join(parts), re.IGNORECASE)) for reason, parts in EXEC_TEXTS.items()]
# So much of a text is looked through.
MOST = 4000


def reason_of(text: str) -> Reason:
    """Return the reason behind a failed exec, from what the cluster says about it."""
    return next((reason for reason, pattern in _COMPILED if pattern.search(text[:MOST])), Reason.EXEC_FAILED)


def refused(code: int, body: bytes) -> tuple[Reason, str]:
    """Return the reason and the text of an exec that was answered with this HTTP status instead of a connection.

    Only a Status object is the API server's own word. A kubelet answers in plain text, which the API server hands on as
    it is, and so may any proxy: their codes say nothing of the pod.
    """
    status, text = status_object(body), status_text(body) or f"HTTP status {code}"
    if status is not None and code in (401, 403):
        return Reason.FORBIDDEN, text
    if status is not None and status.get("reason") == "NotFound" and reason_of(text) is Reason.EXEC_FAILED:
        return Reason.GONE, text
    if status is None and code in (502, 503, 504):
        return Reason.UNREACHABLE, f"HTTP status {code}: {text}"
    return reason_of(text), text if status is not None else f"HTTP status {code}: {text}"
