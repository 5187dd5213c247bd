# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of real clusters when a command cannot be run, and what they mean. Sources are issues of the projects."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.exec_errors import (
    reason_of,
    refused,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.problem import problem_of

INSTANCE = Instance("c1", "region", "region-a", "cloud", "node1", "region")
IN_CONTAINER = "Internal error occurred: error executing command in container: "
CONTAINERD = (
    f'{IN_CONTAINER}failed to exec in container: failed to start exec "a1": OCI runtime exec failed: exec failed: '
)
RUNC = "unable to start container process: "
OLD_RUNC = "container_linux.go:348: starting container process caused "

# reason -> what is said
SAID = {
    Reason.UNREACHABLE: (
        # kubernetes#110383, and containerd stopped on a node of the test cluster
        (
            "rpc error: code = Unavailable desc = connection error: desc = "
            '"transport: Error while dialing dial unix /run/containerd/containerd.sock: connect: no such file or '
            'directory"'
        ),
        (
            'connection error: desc = "transport: Error while dialing: dial unix '
            "/run/containerd/containerd.sock: connect: "
            'connection refused"'
        ),
        "dial unix /var/run/cri-dockerd.sock: connect: no such file or directory",
        "dial unix /run/crio/crio.sock: connect: connection refused",
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "dial tcp 10.0.0.5:10250: connect: network is unreachable",
        "error dialing backend: dial tcp 10.0.0.5:10250: connect: connection refused",
        "error dialing backend: dial tcp 10.0.0.5:10250: i/o timeout",
        "error dialing backend: dial tcp 10.0.0.5:10250: getsockopt: no route to host",
        "error dialing backend: dial tcp: lookup node1 on 10.96.0.10:53: no such host",
        "error dialing backend: remote error: tls: internal error",
        "error dialing backend: x509: certificate signed by unknown authority",
        "error dialing backend: No agent available",
        # k3s#11418 and RKE2: the tunnel to the agent
        "error dialing backend: proxy error from 127.0.0.1:6443 while dialing 10.0.0.5:10250, code 502: 502",
        "proxy error from 127.0.0.1:9345 while dialing 10.0.0.5:10250, code 503: 503 Service Unavailable",
        "failed to find Session for client node1",
        "Timeout occurred",
        "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        "net/http: TLS handshake timeout",
        "read tcp 10.0.0.1:4->10.0.0.5:10250: read: connection reset by peer",
    ),
    Reason.GONE: (
        # moby#37009, moby#39621, rancher#20226
        f"{CONTAINERD}cannot exec a container that has stopped: unknown",
        (
            "rpc error: code = 2 desc = oci runtime error: exec failed: cannot exec a container that "
            "has run and stopped\n"
            "read unix @->/var/run/docker.sock: read: connection reset by peer"
        ),
        f"{CONTAINERD}cannot exec in a stopped container: unknown",
        f"{CONTAINERD}cannot exec in a stopped state: unknown",
        f"{CONTAINERD}cannot exec in a deleted state: unknown",
        f"{IN_CONTAINER}container not running (3c7f1a)",
        # cri-tools#263
        f"{IN_CONTAINER}container is in CONTAINER_EXITED state",
        # gvisor#2219
        f"{IN_CONTAINER}container is not created or running",
        f'{IN_CONTAINER}could not find container "3c7f1a": container with ID starting with 3c7f1a not found',
        f"{IN_CONTAINER}container with ID starting with 3c7f1a not found: ID does not exist",
        # dockershim
        f"{IN_CONTAINER}Error response from daemon: Container 3c7f1a is not running",
        f"{IN_CONTAINER}Error: No such container: 3c7f1a",
        f"{IN_CONTAINER}failed to load task: no running task found: task 3c7f1a not found: not found",
        'unable to upgrade connection: container not found ("region")',
        "unable to upgrade connection: pod does not exist",
        "pod does not exist",
        'pods "default-region-5dc48" not found',
        "cannot exec into a container in a completed pod; current phase is Failed",
    ),
    Reason.NO_SHELL: (
        f'{CONTAINERD}{RUNC}exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown',
        f'{CONTAINERD}{RUNC}exec: "/bin/sh": executable file not found in $PATH: unknown',
        f'{CONTAINERD}{OLD_RUNC}"exec: \\"/bin/sh\\": stat /bin/sh: no such file or directory": unknown',
        f'{CONTAINERD}{OLD_RUNC}"exec: \\"/bin/sh\\": executable file not found in $PATH": unknown',
        f'{CONTAINERD}{RUNC}exec: "/bin/sh": permission denied: unknown',
        f"{CONTAINERD}{RUNC}exec /bin/sh: exec format error: unknown",
        (
            'rpc error: code = 2 desc = "oci runtime error: exec failed: exec: \\"/bin/sh\\": stat '
            "/bin/sh: no such file or "
            'directory"'
        ),
        (
            "executable file `/bin/sh` not found in $PATH: No such file or directory: OCI runtime "
            "attempted to invoke a "
            "command that was not found"
        ),
        # kata
        'failed to start exec "a": the file /bin/sh was not found: unknown',
        (
            f'{IN_CONTAINER}failed to start exec "a": error finding executable "/bin/sh" in PATH [/bin]: '
            "no such file or directory: unknown"
        ),
        # docker says the rest on the output
        "command terminated with non-zero exit code: exit status 126",
        "command terminated with exit code 127",
        "Error executing in Docker Container: 126",
    ),
    Reason.EXEC_FAILED: (
        # k3s-io/k3s#13470, kubernetes#34457: no page, which is not no pod
        "404 page not found",
        # canonical/k8s-snap#2
        "failed to create runc console socket: stat /run/user/0/snap.k8s: no such file or directory: unknown",
        (
            f"{CONTAINERD}{RUNC}error adding pid 7 to cgroups: failed to write 7: open "
            "/sys/fs/cgroup/pod1/cgroup.procs: "
            "no such file or directory: unknown"
        ),
        (
            "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: "
            "Get http://%2Fvar%2Frun%2Fdocker.sock/v1.40: dial unix /var/run/docker.sock: connect: permission denied"
        ),
        f'{CONTAINERD}{OLD_RUNC}"open /proc/self/fd: no such file or directory": unknown',
        f'{CONTAINERD}{RUNC}chdir to cwd ("/work") set in config.json failed: no such file or directory: unknown',
        f'{CONTAINERD}{RUNC}exec: "/bin/sh": resource temporarily unavailable: unknown',
        f"{CONTAINERD}cannot exec in a paused container (use --ignore-paused to override): unknown",
        f"{CONTAINERD}{RUNC}error writing to /proc/self/attr/exec: permission denied: unknown",
        "ttrpc: closed: unknown",
        "command terminated with exit code 137",
        "command terminated with exit code 1",
        "the connection closed",
        "",
    ),
    Reason.FORBIDDEN: ('admission webhook "no-exec.example.com" denied the request: exec is not allowed',),
}
TEXTS = [(text, reason) for reason, texts in SAID.items() for text in texts]


@pytest.mark.parametrize(("text", "reason"), TEXTS)
def test_tells_reason_from_text(text, reason):
    assert reason_of(text) is reason
    assert reason_of(text.upper()) is reason


def status(code, message, reason="InternalError"):
    said = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return json.dumps(said).encode()


def page(title):
    return f"<html>\r\n<head><title>{title}</title></head>\r\n<body><center>nginx</center></body></html>".encode()


# HTTP status, body -> reason of an exec, reason of any other question
ANSWERS = [
    (404, b"404 page not found\n", Reason.EXEC_FAILED, Reason.BAD_ANSWER),
    (404, page("404 Not Found"), Reason.EXEC_FAILED, Reason.BAD_ANSWER),
    (404, b"", Reason.EXEC_FAILED, Reason.BAD_ANSWER),
    (404, b"pod does not exist", Reason.GONE, Reason.BAD_ANSWER),
    (404, status(404, 'pods "region-a" not found', "NotFound"), Reason.GONE, Reason.GONE),
    (
        404,
        status(404, "the server could not find the requested resource ( pods/log region-a)", "NotFound"),
        Reason.GONE,
        Reason.UNREACHABLE,
    ),
    (403, page("403 Forbidden"), Reason.EXEC_FAILED, Reason.BAD_ANSWER),
    (401, b"Unauthorized", Reason.EXEC_FAILED, Reason.BAD_ANSWER),
    (
        403,
        status(403, 'pods "region-a" is forbidden: User "u" cannot', "Forbidden"),
        Reason.FORBIDDEN,
        Reason.FORBIDDEN,
    ),
    (401, status(401, "Unauthorized", "Unauthorized"), Reason.FORBIDDEN, Reason.FORBIDDEN),
    (410, status(410, "The provided continue parameter is too old", "Expired"), Reason.EXEC_FAILED, Reason.UNREACHABLE),
    (502, page("502 Bad Gateway"), Reason.UNREACHABLE, Reason.UNREACHABLE),
    (503, b"<html><body><h1>503 Service Unavailable</h1></body></html>", Reason.UNREACHABLE, Reason.UNREACHABLE),
    (504, page("504 Gateway Time-out"), Reason.UNREACHABLE, Reason.UNREACHABLE),
    (500, status(500, "error dialing backend: dial tcp 10.0.0.5:10250: i/o timeout"), Reason.UNREACHABLE, None),
    (500, status(500, SAID[Reason.NO_SHELL][0]), Reason.NO_SHELL, None),
    (400, status(400, "pod region-a does not have a host assigned", "BadRequest"), Reason.EXEC_FAILED, None),
    (200, b"<html>a load balancer's greeting</html>", Reason.EXEC_FAILED, None),
]


@pytest.mark.parametrize(("code", "body", "of_exec", "of_others"), ANSWERS)
def test_only_status_object_is_the_api_servers_own_answer(code, body, of_exec, of_others):
    reason, text = refused(code, body)
    assert reason is of_exec
    assert text.strip()
    if of_others is not None:
        problem = problem_of(code, body)
        assert problem.reason is of_others
        assert problem.text
