# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parser of certificates, compared with the library cryptography."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.json_values import BadValue
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.sanitize import clean
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.certificate import certificate_document
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

UTC = datetime.timezone.utc
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
TYPES = ((NameOID.ORGANIZATION_NAME, "O"), (NameOID.COMMON_NAME, "CN"), (NameOID.LOCALITY_NAME, ""))


def made(subject: str, issuer: str, begins: datetime.datetime, ends: datetime.datetime) -> bytes:
    """A certificate with these texts as organisation, common name, and in a part that is not shown."""
    names = [x509.Name([x509.NameAttribute(oid, text) for oid, _word in TYPES]) for text in (subject, issuer)]
    builder = x509.CertificateBuilder(names[1], names[0], KEY.public_key(), 7, begins, ends)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("year", [2026, 2049, 2050, 2150])
def test_returns_names_and_validity(year):
    ends = datetime.datetime(year, 3, 2, 3, 4, 5, tzinfo=UTC)
    found = certificate_document(made("region", "système", NOW, ends), NOW)
    assert found == {
        "subject": "O=region, CN=region",
        "issuer": "O=système, CN=système",
        "not_before": "2026-01-02T03:04:05Z",
        "not_after": f"{year}-03-02T03:04:05Z",
        "days_left": (ends - NOW).days,
    }


def test_writes_years_before_1000_with_four_digits():
    der = made("a", "b", NOW, datetime.datetime(2150, 3, 2, 3, 4, 5, tzinfo=UTC)).replace(b"2150", b"0950")
    assert certificate_document(der, NOW)["not_after"] == "0950-03-02T03:04:05Z"


def test_reads_two_digit_years_from_1950_on():
    begins, ends = (datetime.datetime(1950, month, 1, tzinfo=UTC) for month in (1, 6))
    assert certificate_document(made("a", "b", begins, ends), NOW)["not_after"] == "1950-06-01T00:00:00Z"


def test_days_left_are_negative_after_the_end():
    der = made("a", "b", NOW - datetime.timedelta(days=9), NOW - datetime.timedelta(hours=36))
    assert certificate_document(der, NOW)["days_left"] == -1.5


KEYS = {
    "EC": KEY,
    "RSA": rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
SHORT_NAMES = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COUNTRY_NAME: "C",
}
# Other attributes are left out.
OIDS = [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.LOCALITY_NAME]
TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=16)
PRINTABLE = st.text("abcXYZ019 -./:", min_size=1, max_size=16)
BASIC_PLANE = st.text(st.characters(exclude_categories=("Cs",), max_codepoint=0xFFFF), min_size=1, max_size=16)
ATTRIBUTES = st.one_of(
    st.builds(x509.NameAttribute, st.sampled_from(OIDS), TEXT),
    st.builds(x509.NameAttribute, st.sampled_from(OIDS), PRINTABLE, _type=st.just(_ASN1Type.PrintableString)),
    st.builds(x509.NameAttribute, st.sampled_from(OIDS), BASIC_PLANE, _type=st.just(_ASN1Type.BMPString)),
    st.builds(x509.NameAttribute, st.sampled_from(OIDS), TEXT, _type=st.just(_ASN1Type.UniversalString)),
    st.builds(x509.NameAttribute, st.just(NameOID.COUNTRY_NAME), st.sampled_from(["CN", "DE"])),
)
# One attribute a RDN mostly, several in some.
NAMES = st.lists(
    st.lists(ATTRIBUTES, min_size=1, max_size=2, unique_by=lambda each: each.oid).map(x509.RelativeDistinguishedName),
    max_size=4,
).map(x509.Name)
# From 2050 on, a certificate has a GeneralizedTime; before, a UTCTime.
MOMENTS = st.integers(0, 250_000_000_000).map(
    lambda seconds: datetime.datetime(1951, 1, 1, tzinfo=UTC) + datetime.timedelta(seconds=seconds)
)
EXTENSIONS = st.lists(
    st.sampled_from(
        [
            x509.SubjectAlternativeName([x509.DNSName("region.onecloud.svc"), x509.DNSName("localhost")]),
            x509.BasicConstraints(ca=True, path_length=None),
            x509.OCSPNoCheck(),
        ]
    ),
    unique_by=type,
)


@pytest.mark.parametrize("kind", KEYS)
@given(subject=NAMES, issuer=NAMES, ends=MOMENTS, extensions=EXTENSIONS, serial=st.integers(1, 2**159 - 1))
def test_agrees_with_the_library(kind, subject, issuer, ends, extensions, serial):
    begins = datetime.datetime(1950, 1, 2, tzinfo=UTC)
    builder = x509.CertificateBuilder(issuer, subject, KEYS[kind].public_key(), serial, begins, ends)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signed = builder.sign(KEYS[kind], None if kind == "Ed25519" else hashes.SHA256())
    der = signed.public_bytes(serialization.Encoding.DER)
    expected = x509.load_der_x509_certificate(der)
    assert certificate_document(der, NOW) == {
        "subject": shown(expected.subject),
        "issuer": shown(expected.issuer),
        "not_before": "1950-01-02T00:00:00Z",
        "not_after": expected.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days_left": round((expected.not_valid_after_utc - NOW).total_seconds() / 86400, 2),
    }


def shown(name: x509.Name) -> str:
    """Return a name as the document has it: the well-known attributes in their order, sanitized."""
    parts = [f"{SHORT_NAMES[each.oid]}={each.value}" for rdn in name.rdns for each in rdn if each.oid in SHORT_NAMES]
    return clean(", ".join(parts))


@given(TEXT)
def test_names_are_printable(text):
    found = certificate_document(made(text, "b", NOW, NOW + datetime.timedelta(days=1)), NOW)
    assert found["subject"].startswith("O=")
    assert not set(map(chr, range(32))) & set(found["subject"])


WHOLE = made("a", "b", NOW, NOW + datetime.timedelta(days=1))


@given(st.binary(max_size=80) | st.integers(0, len(WHOLE) - 1).map(lambda size: WHOLE[:size]))
def test_refuses_what_is_not_a_certificate(data):
    with pytest.raises(BadValue, match="no certificate"):
        certificate_document(data, NOW)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_wrong_byte_raises_nothing_but_bad_value(at, byte):
    try:
        found = certificate_document(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :], NOW)
    except BadValue:
        return
    assert set(found) == {"subject", "issuer", "not_before", "not_after", "days_left"}
