# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parser of the DER of an X.509 certificate: subject, issuer and validity (RFC 5280 section 4.1, ITU-T X.690). Pure.

Written by hand because it runs on nodes, which have only the standard library. That decodes a certificate only after
it has verified it, and a private authority signs those of Cloudpods. The controller has the library cryptography, but
status.json with `days_left` is complete on the node. The test compares this parser with that library.
"""

from __future__ import annotations

import datetime
from typing import Any, Iterator

from ..json_values import BadValue
from ..logtext.timestamps import utc
from ..sanitize import clean

_SEQUENCE, _OID, _UTC_TIME, _GENERALIZED_TIME, _EXPLICIT_0 = 0x30, 0x06, 0x17, 0x18, 0xA0
_NAMES = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O", b"\x55\x04\x0b": "OU", b"\x55\x04\x06": "C"}
_WIDE = {0x1C: "utf-32-be", 0x1E: "utf-16-be"}


def certificate_document(der: bytes, now: datetime.datetime) -> dict[str, Any]:
    """Return {"subject", "issuer", "not_before", "not_after", "days_left"}. Raise BadValue for anything else."""
    try:
        return _read(der, now)
    except (IndexError, ValueError) as error:
        raise BadValue(f"no certificate: {error}") from error


def _read(der: bytes, now: datetime.datetime) -> dict[str, Any]:
    # tbsCertificate is the first of three parts; the signature algorithm and the signature follow.
    (certificate,) = _values(der, limit=1)
    (to_be_signed,) = _values(_expect(certificate, _SEQUENCE), limit=1)
    parts = list(_values(_expect(to_be_signed, _SEQUENCE), limit=8))
    if parts[0][0] == _EXPLICIT_0:  # version, absent in v1 certificates
        parts = parts[1:]
    _serial, _algorithm, issuer, validity, subject = parts[:5]
    begins, ends = (_time(*item) for item in _values(_expect(validity, _SEQUENCE), limit=2))
    return {
        "subject": _name(_expect(subject, _SEQUENCE)),
        "issuer": _name(_expect(issuer, _SEQUENCE)),
        "not_before": utc(begins.timestamp()),
        "not_after": utc(ends.timestamp()),
        "days_left": round((ends - now).total_seconds() / 86400, 2),
    }


def _values(data: bytes, limit: int = 64) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, content) of each value in a sequence of DER values, up to the limit."""
    at = 0
    while at < len(data) and limit:
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4:
                raise ValueError("a length of an unknown form")
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("it is cut short")
        yield tag, data[at : at + length]
        at += length
        limit -= 1


def _expect(value: tuple[int, bytes], tag: int) -> bytes:
    if value[0] != tag:
        raise ValueError(f"tag {value[0]} instead of {tag}")
    return value[1]


def _time(tag: int, content: bytes) -> datetime.datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        # RFC 5280, section 4.1.2.5.1: the two digits of a year stand for 1950 to 2049.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"tag {tag} instead of a time")
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.timezone.utc)


def _name(content: bytes) -> str:
    """Return a name such as "CN=region, O=system": the common attributes, in the order of the certificate."""
    words = []
    for _tag, group in _values(content):
        for _inner_tag, pair in _values(group):
            (oid_tag, oid), (text_tag, text) = _values(pair, limit=2)
            if oid_tag == _OID and oid in _NAMES:
                words.append(f"{_NAMES[oid]}={text.decode(_WIDE.get(text_tag, 'utf-8'), 'replace')}")
    return clean(", ".join(words))
