# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasons of failed requests, from the status and the body of the answer."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.problem import (
    ApiProblem,
    BadAnswer,
    NotALog,
    problem_of,
    status_object,
    status_text,
)

STATUS = {"kind": "Status", "apiVersion": "v1", "message": "no"}


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0, Reason.UNREACHABLE), (401, Reason.FORBIDDEN), (403, Reason.FORBIDDEN), (404, Reason.GONE),
     (410, Reason.GONE), (429, Reason.UNREACHABLE), (500, Reason.UNREACHABLE)],
)  # fmt: skip
def test_reason_follows_from_status_code(code, reason):
    problem = ApiProblem(code, "no")
    assert (problem.reason, problem.verdict.reason, str(problem)) == (reason, reason, "no")


def test_error_page_of_proxy_is_bad_answer():
    found = problem_of(403, b"<html>Forbidden</html>")
    assert isinstance(found, BadAnswer)
    assert found.text == "HTTP status 403, and no Status object: <html>Forbidden</html>"


def test_expired_page_of_list_is_not_gone():
    body = json.dumps({**STATUS, "reason": "Expired"}).encode()
    assert problem_of(410, body).reason is Reason.UNREACHABLE


def test_text_in_place_of_log_is_one_printable_line():
    problem = NotALog(b"failed to open\x1b[31m\nthe log\xff\n")
    assert problem.reason is Reason.LOG_UNAVAILABLE
    assert problem.text.isprintable()
    assert problem.text.startswith("failed to open")


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"kind": "Pod", "apiVersion": "v1"}'])
def test_other_bodies_are_no_status_object(body):
    assert status_object(body) is None


def test_message_of_status_object_or_beginning_of_body():
    assert status_text(json.dumps(STATUS).encode()) == "no"
    assert status_text(b"x" * 1000) == "x" * 200


def test_distinguishes_rejected_credentials_from_missing_permission():
    body = b'{"kind": "Status", "apiVersion": "v1", "message": "Unauthorized", "code": 401}'
    found = problem_of(401, body)
    assert found.reason is Reason.FORBIDDEN
    assert found.text == "the API server does not accept the credentials, which may have expired (Unauthorized)"
