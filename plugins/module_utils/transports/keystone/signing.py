# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign a login at Cloudpods' Keystone with an access key. Pure.

The secret is not sent. It signs a text like AWS Signature Version 4 does, and Keystone computes the same signature.
Sources: cloudpods pkg/mcclient/aksk.go, pkg/util/s3auth.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
from typing import Any, Sequence
from urllib.parse import urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
# A constant of climc: part of the signed text, not a real location.
LOCATION = "cn-beijing"


def login_body(access_key: str, secret_key: str, url: str, now: datetime.datetime) -> dict[str, Any]:
    """Return the body to POST to this URL of Keystone for a token. now: in UTC."""
    place, moment = urlsplit(url), now.strftime("%Y%m%dT%H%M%SZ")
    scope = (moment[:8], LOCATION, "s3", "aws4_request")
    headers = {
        "date": now.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "host": place.netloc,
        "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-amz-date": moment,
    }
    request = ["POST", place.path, "", *(f"{name}:{value}" for name, value in headers.items()), ""]
    request += [";".join(headers), headers["x-amz-content-sha256"]]
    signed = "\n".join((ALGORITHM, moment, "/".join(scope), hashlib.sha256("\n".join(request).encode()).hexdigest()))
    proof = {
        "access_key": access_key,
        "algorithm": ALGORITHM,
        "location": LOCATION,
        "request": signed,
        "sign_date": now.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        "signature": signature_of(signed, secret_key, scope),
        "signed_headers": list(headers),
    }
    identity = {"methods": ["aksk"], "access_key_secret": json.dumps(proof)}
    return {"auth": {"context": {"source": "cli"}, "identity": identity}}


def signature_of(text: str, secret_key: str, scope: Sequence[str]) -> str:
    """Return the signature of a text by a key that is derived for a day, a location and a service."""
    key = f"AWS4{secret_key}".encode()
    for part in (*scope, text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()
