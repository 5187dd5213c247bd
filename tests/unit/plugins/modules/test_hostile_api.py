# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules against a hostile API server: they end with a result and a ledger, and neither contains the token."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
from pathlib import Path

import kubernetes.client
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact import sent_credentials
from ansible_collections.cloudpods.diagnostics.plugins.modules import log_watch, service_info, stack_dump, status_info

sys.path.insert(0, str(Path(__file__).parents[1] / "module_utils" / "transports"))

from hostile import DEEP, PODS, STATUS, STDERR, TOKEN, answer, executing, flood, hostile, pod, pods, refusal
from peers import drip, with_length

ECHO = f"you said {TOKEN}\r\n"
BASIC = base64.b64encode(f"u:{TOKEN}".encode()).decode()
# A cut text must not end in a longer part of the token.
PIECE = TOKEN[:16]
WORKLOADS = {"/apis/apps/v1": answer({"items": []})}
LONGEST_ROW = 4000


@pytest.fixture(autouse=True)
def forgetful():
    yield
    sent_credentials.forget_all()
    # The client keeps a kubeconfig's settings for the whole process.
    kubernetes.client.Configuration.set_default(None)


def kubeconfig(folder: Path, server, user) -> str:
    """Write a kubeconfig file, so that no option contains the token."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c1", "user": "u"}}],
        "clusters": [{"name": "c1", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig.json"
    path.write_text(json.dumps(document))
    return str(path)


def ran(module, folder, answers, user=None, **options):
    """Run a module to its end; return its result and its ledger. Neither may contain the token."""
    output = folder / "out"
    said = io.StringIO()
    with hostile(answers) as server:
        given = {"namespaces": ["cloud"], "components": ["region"], "deadline": 20, "timeout": 5}
        given["kubeconfig"] = kubeconfig(folder, server, user or {"token": TOKEN})
        if module is not service_info:
            given["output"] = str(output)
        else:
            del given["timeout"]
        with (
            patch_module_args({**given, **options}),
            contextlib.redirect_stdout(said),
            pytest.raises(SystemExit) as ended,
        ):
            module.main()
        assert server.paths
    result = json.loads(said.getvalue())
    assert ended.value.code == 0, result
    left = [path.read_bytes() for path in output.rglob("*") if path.is_file()]
    for secret in (PIECE, BASIC):
        assert secret not in said.getvalue()
        assert not any(secret.encode() in data for data in left)
    rows = []
    if module is not service_info:
        lines = (output / "ledger.jsonl").read_bytes().splitlines()
        assert all(len(line) < LONGEST_ROW for line in lines)
        rows = [json.loads(line) for line in lines]
        assert rows
    return result, rows


LISTS = {
    "deep": answer(DEEP),
    "text": answer({"items": "x"}),
    "wrong types": pods(1, [], {"metadata": []}, pod(metadata__labels=1), pod(status__containerStatuses="x")),
    "names": pods(
        pod(metadata__name="../../x"), pod(metadata__name=f"a\n{TOKEN}"), pod(metadata__name="x" * 1_000_000)
    ),
    "token in a name": pods(pod(status__phase="Failed", status__message=ECHO, status__containerStatuses=[])),
    "circle": pods(**{"continue": "again"}),
    "endless": flood(b"HTTP/1.1 200 OK\r\n\r\n", b" " * (1 << 20), [0]),
    "refusal": refusal(ECHO + " " + "x" * (13 << 20)),
    "refusal that ends in the token": refusal("x" * (495 - len(ECHO)) + ECHO),
    "refusal cut in the token": refusal("x" * (500 - len(ECHO) + 10) + ECHO),
    "error": answer(ECHO.encode() * 1000, b"500 X"),
    "hanging": drip(b"X: " + b"y" * 1000, 0.05, b"HTTP/1.1 200 OK\r\n"),
}


@pytest.mark.parametrize("module", [stack_dump, status_info, service_info], ids=lambda module: module.__name__[41:])
@pytest.mark.parametrize("said", LISTS.values(), ids=LISTS.keys())
def test_hostile_list_becomes_a_row(module, said, tmp_path):
    result, rows = ran(module, tmp_path, {PODS: said, **WORKLOADS}, deadline=4)
    if module is service_info:
        assert result["problems"] or [one["state"] for one in result["instances"]] == ["terminated"]
    assert all(row["status"] in ("failed", "refused", "skipped") for row in rows)


GOOD = {PODS: pods(pod()), **WORKLOADS}
LOG = f"{PODS}/region-a/log"
EXEC = f"{PODS}/region-a/exec"
OPEN = b"HTTP/1.1 200 OK\r\n\r\n2026-01-02T03:04:05Z x\n"


def status(message):
    return json.dumps({"kind": "Status", "status": "Failure", "message": message}).encode()


EXECS = {
    "status of 13 MB": executing(lambda socket: socket.frame(STATUS + status(ECHO * 300_000))),
    "status of 900 KB": executing(lambda socket: socket.frame(STATUS + status(ECHO * 10_000))),
    "deep status": executing(lambda socket: socket.frame(STATUS + DEEP[: 1 << 19])),
    "errors": executing(lambda socket: [socket.frame(STDERR + ECHO.encode() * 9), socket.frame(STATUS + status("x"))]),
    "refusal": refusal(ECHO + "x" * (13 << 20)),
    "facts": executing(
        lambda socket: [
            socket.say(
                "pid 1", "start 2", "same cgroup", f"exe {ECHO * 1000}", "stderr pipe:[1]", "caught 200", "ready"
            ),
            socket.frame(STATUS + status("x")),
        ]
    ),
    "nonsense": b"\0" * 1000,
}


@pytest.mark.parametrize("said", EXECS.values(), ids=EXECS.keys())
def test_hostile_exec_becomes_a_row(said, tmp_path):
    answers = {**GOOD, LOG: OPEN, EXEC: said, f"{PODS}/region-a:": answer({}, b"404 X")}
    _result, rows = ran(stack_dump, tmp_path, answers, method="signal")
    (stack,) = [row for row in rows if row["capture"] == "stack"]
    assert stack["status"] in ("failed", "refused")


SERVICES = {
    "echo": answer(ECHO.encode(), b"500 X"),
    "echo in JSON": answer({"details": ECHO * 100}, b"500 X"),
    "status": refusal(ECHO * 100_000),
    "bad body": answer(b"x" * ((1 << 20) - 20) + ECHO.encode() * 10),
    "deep": answer(DEEP),
    "redirect": with_length(b"", f"Location: http://127.0.0.1:1/{TOKEN}".encode(), status=b"302 X"),
}


@pytest.mark.parametrize("said", SERVICES.values(), ids=SERVICES.keys())
def test_hostile_service_becomes_a_row(said, tmp_path):
    answers = {**GOOD, LOG: answer(ECHO.encode() * 1000), f"{PODS}/http": said, f"{PODS}/region-a:": said}
    _result, rows = ran(status_info, tmp_path, answers, log_seconds=60)
    assert [row for row in rows if row["status"] == "failed"]


def test_hostile_log_becomes_a_row(tmp_path):
    answers = {**GOOD, LOG: refusal(ECHO * 500)}
    _result, rows = ran(log_watch, tmp_path, answers, duration=1)
    assert [row for row in rows if row["reason"] == "forbidden"]


def test_redacts_a_sent_password(tmp_path):
    user = {"username": "u", "password": TOKEN}
    _result, rows = ran(status_info, tmp_path, {PODS: refusal(f"not {TOKEN}, and not {BASIC}")}, user)
    assert "not [redacted:own-credential], and not [redacted:own-credential]" in rows[0]["message"]
