# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins signed by an access key."""

from __future__ import annotations

import datetime
import json

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.signing import (
    login_body,
    signature_of,
)


def test_signature_matches_one_that_cloudpods_accepted():
    """A login of climc, from the documentation of Cloudpods (development/apisdk)."""
    text = """AWS4-HMAC-SHA256
20220220T172931Z
20220220/cn-beijing/s3/aws4_request
5ff6dad4605ea24e0f0be6c6885eddbbe1a5619c89f682b21d719aa50dcb9264"""
    secret = "OGVmTXNKQWpBWHpUejZTWDNKcndSdXlHQUNFeXhLVWI="  # noqa: S105
    found = signature_of(text, secret, ("20220220", "cn-beijing", "s3", "aws4_request"))
    assert found == "4c92b91266168fc650fec9303a9dc3309f12d0fe66c5b0a605082e0260c70ce2"


def test_login_body_of_access_key():
    now = datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
    body = login_body("key", "hush", "https://k:30500/v3/auth/tokens", now)
    assert "hush" not in json.dumps(body)
    assert body["auth"]["identity"]["methods"] == ["aksk"]
    proof = json.loads(body["auth"]["identity"]["access_key_secret"])
    assert proof["request"].splitlines()[:3] == [
        "AWS4-HMAC-SHA256",
        "20260203T040506Z",
        "20260203/cn-beijing/s3/aws4_request",
    ]
    assert (proof["access_key"], proof["sign_date"]) == ("key", "2026-02-03T04:05:06.000000Z")
