# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.json_values import BadValue
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.certificate import certificate_document
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
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
def test_a_certificate_is_read(year):
    ends = datetime.datetime(year, 3, 2, 3, 4, 5, tzinfo=UTC)
    found = certificate_document(made("region", "système", NOW, ends), NOW)
    assert found == {
        "subject": "O=region, CN=region",
        "issuer": "O=système, CN=système",
        "not_before": "2026-01-02T03:04:05Z",
        "not_after": f"{year}-03-02T03:04:05Z",
        "days_left": (ends - NOW).days,
    }


def test_a_year_before_1000_has_four_digits():
    der = made("a", "b", NOW, datetime.datetime(2150, 3, 2, 3, 4, 5, tzinfo=UTC)).replace(b"2150", b"0950")
    assert certificate_document(der, NOW)["not_after"] == "0950-03-02T03:04:05Z"


def test_years_of_two_digits_begin_with_1950():
    begins, ends = (datetime.datetime(1950, month, 1, tzinfo=UTC) for month in (1, 6))
    assert certificate_document(made("a", "b", begins, ends), NOW)["not_after"] == "1950-06-01T00:00:00Z"


def test_one_that_has_ended_has_less_than_no_days_left():
    der = made("a", "b", NOW - datetime.timedelta(days=9), NOW - datetime.timedelta(hours=36))
    assert certificate_document(der, NOW)["days_left"] == -1.5


TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=16)
MOMENT = st.integers(0, 250_000_000_000).map(
    lambda seconds: datetime.datetime(1951, 1, 1, tzinfo=UTC) + datetime.timedelta(seconds=seconds)
)


@given(TEXT, MOMENT)
def test_dates_are_those_that_the_library_reads_and_names_are_printable(text, ends):
    der = made(text, "b", datetime.datetime(1950, 1, 2, tzinfo=UTC), ends)
    found = certificate_document(der, NOW)
    assert found["not_after"] == x509.load_der_x509_certificate(der).not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found["subject"].startswith("O=")
    assert not set(map(chr, range(32))) & set(found["subject"])


WHOLE = made("a", "b", NOW, NOW + datetime.timedelta(days=1))


@given(st.binary(max_size=80) | st.integers(0, len(WHOLE) - 1).map(lambda size: WHOLE[:size]))
def test_what_is_no_certificate_is_refused(data):
    with pytest.raises(BadValue, match="no certificate"):
        certificate_document(data, NOW)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_byte_that_is_wrong_raises_nothing_else(at, byte):
    try:
        found = certificate_document(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :], NOW)
    except BadValue:
        return
    assert set(found) == {"subject", "issuer", "not_before", "not_after", "days_left"}
