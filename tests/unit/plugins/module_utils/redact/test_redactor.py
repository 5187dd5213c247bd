# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redaction of secrets of every kind in every file format; all other bytes stay the same."""

from __future__ import annotations

import gzip
import json
import random
import re
import time
import zlib

import kinds
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import reason_texts
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact import sent_credentials
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.binary_formats import PIECE
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.limits import LIMITS, RedactionLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import (
    DIVIDERS,
    MARKER,
    NONE,
    RedactionError,
    Redactor,
    count_markers,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.secret_rules import RULES
from hypothesis import example, given
from hypothesis import strategies as st

from workspace import ROOT

REDACTOR = Redactor()
UNIT = ROOT / "tests/unit"
# What real services said, and what people sent.
SAMPLES = (
    UNIT / "fixtures",
    UNIT / "plugins/module_utils/stacks/corpus",
    UNIT / "plugins/module_utils/profiles/traces",
)
LINE = b"[info 2026-01-02 03:04:05 appsrv.(*Application).ServeHTTP(appsrv.go:300)] 200 0b1c2d3e GET /servers 1ms\n"


def assert_gone(secret: bytes, made: bytes) -> None:
    """Check that neither the secret nor one of its lines is left."""
    lines = [line for line in secret.replace(b"\\n", b"\n").split(b"\n") if line]
    assert not [line for line in lines if line in made]


@pytest.mark.parametrize("name", kinds.KINDS)
def test_redacts_every_kind_in_a_log(name):
    text, secret = kinds.planted(name)
    made = REDACTOR.data(LINE + text + b"\n" + LINE)
    assert_gone(secret, made)
    assert count_markers(made)
    assert made.startswith(LINE)
    assert made.endswith(LINE)


@pytest.mark.parametrize("name", kinds.KINDS)
def test_redacts_every_kind_in_json(name):
    text, secret = kinds.planted(name)
    data = json.dumps({"message": text.decode(), "more": ["x", text.decode()], "n": 1}).encode()
    made = REDACTOR.data(data, "x.json")
    shown = json.loads(made)
    assert_gone(secret, shown["message"].encode())
    assert_gone(secret, shown["more"][1].encode())
    assert (shown["more"][0], shown["n"]) == ("x", 1)


@pytest.mark.parametrize("name", kinds.KINDS)
def test_redacts_every_kind_in_packed_binary_data(name):
    text, secret = kinds.planted(name)
    content = b"\x0a\x05" + LINE + b"\n" + text + b"\n\x12\x00"
    made = gzip.decompress(REDACTOR.data(gzip.compress(content), "cpu.pb.gz"))
    assert_gone(secret, made)
    assert len(made) == len(content)


ENCODINGS = {
    "utf-16-le": "\ufeff", "utf-16-be": "\ufeff", "utf-32-le": "\ufeff", "utf-32-be": "\ufeff", "gb18030": "\ufeff",
}  # fmt: skip
UNMARKED = {"utf-16-le": "", "utf-16-be": "", "utf-32-le": "", "utf-32-be": ""}


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(("encoding", "mark"), [*ENCODINGS.items(), *UNMARKED.items()])
def test_redacts_every_kind_in_other_encodings(encoding, mark, is_packed):
    """One file has several kinds, each in a line of its own."""
    texts = [kinds.planted(name) for name in kinds.KINDS]
    plain = LINE + b"\n".join(text for text, _secret in texts) + b"\n" + LINE + "\u4e2d\u6587\n".encode()
    data = (mark + plain.decode()).encode(encoding)
    made = REDACTOR.data(gzip.compress(data), "x.log.gz") if is_packed else REDACTOR.data(data, "x.log")
    made = gzip.decompress(made) if is_packed else made
    text = made.decode(encoding)
    assert text.startswith(mark + LINE.decode())
    assert text.endswith("\u4e2d\u6587\n")
    assert text.removeprefix(mark).encode() == REDACTOR.data(plain)
    for _text, secret in texts:
        assert_gone(secret, text.encode())


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_keeps_harmless_text_in_other_encodings(encoding):
    data = ("\ufeff" + LINE.decode() * 9 + "\u4e2d").encode(encoding) + b"\0"
    assert REDACTOR.data(data, "x.log") is data
    packed = gzip.compress(data)
    assert REDACTOR.data(packed, "x.log.gz") is packed


def test_json_in_other_encodings_stays_valid():
    data = json.dumps({"password": kinds.planted("assigned")[1].decode(), "x": 1}).encode("utf-16")
    assert json.loads(REDACTOR.data(data, "x.json")) == {"password": "[redacted:password]", "x": 1}


def test_redacts_utf8_after_text_in_another_encoding():
    """PowerShell's Add-Content writes such files."""
    text, secret = kinds.planted("assigned")
    for data in (("\ufeff" + LINE.decode()).encode("utf-16-le") + text, b"\xff\xfe" + text):
        assert_gone(secret, REDACTOR.data(data, "x.log"))
        assert_gone(secret, gzip.decompress(REDACTOR.data(gzip.compress(data), "x.log.gz")))


def test_refuses_text_with_a_wrong_byte_order_mark():
    with pytest.raises(RedactionError):
        REDACTOR.data(b"\xff\xfe\0\0" + b"password=hunter2hunter2" * 9, "x.log")


def test_refuses_large_packed_text_in_another_encoding():
    redactor = Redactor(limits=RedactionLimits(whole=1 << 10))
    with pytest.raises(RedactionError, match="too large"):
        redactor.data(gzip.compress((LINE.decode() * 99).encode("utf-16")), "x.log.gz")


@pytest.mark.parametrize("name", kinds.KINDS)
def test_redaction_is_idempotent(name):
    made = REDACTOR.data(kinds.planted(name)[0])
    assert REDACTOR.data(made) is made


def test_samples_cover_enough_kinds():
    assert len(kinds.KINDS) >= 100
    assert all(text.format("").encode() != kinds.planted(name)[0] for name, (text, _secret) in kinds.KINDS.items())


# What is no secret


@pytest.mark.parametrize(
    "text",
    [
        "token: expired", "auth.go:123", "PWD=/root", "http://a:80/path?x=a@b", "compass: 3", "token=0xc000123456",
        "password: ", "password=''", "password=***", "password: null", "--password", "secretName: region-token",
        "the password is wrong", "token_count=3", "pkg/mod/yunion.io/x/pkg@v0.0.1/util/x.go:12", "a@b.example",
        "passed=12 failed=0", "[::1]:8889", "10.0.0.1:30500", "sessions: 12", "key: guest-0b1c2d3e-4f50",
        "yunion.io/x/onecloud/pkg/mcclient/auth.(*authManager).verifyToken(0xc0001, 0x12)", "12:30:00@node1",
        "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "git@github.example:x/y.git",
    ],
)  # fmt: skip
def test_keeps_harmless_text(text):
    assert REDACTOR.text(text) == text


def test_keeps_samples_of_real_services():
    samples = [path for folder in SAMPLES for path in folder.rglob("*") if path.is_file() and path.suffix != ".mod"]
    assert len(samples) > 50
    assert [path for path in samples if REDACTOR.data(path.read_bytes(), path.name) != path.read_bytes()] == []


def test_keeps_words_of_the_collection():
    for meaning in reason_texts.MEANINGS.values():
        assert (
            REDACTOR.text(f"{meaning.what}: x. Next: {meaning.next_step}.")
            == f"{meaning.what}: x. Next: {meaning.next_step}."
        )


# Forms of files


@given(st.dictionaries(st.sampled_from(["password", "token", "x", "Cookie"]), st.text() | st.integers() | st.none()))
def test_json_stays_valid(document):
    made = json.loads(REDACTOR.data(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"), "x.json"))
    assert set(made) == set(document)


@example(["pw:'", "'"], "x.json")
@given(st.lists(st.text("abc=:\"'\\ {}[],pasword@/-", max_size=30)), st.sampled_from(["x.json", "x.jsonl"]))
def test_json_of_any_texts_stays_valid(texts, name):
    data = (json.dumps({"a": texts}) + "\n").encode() * (2 if name.endswith("l") else 1)
    for line in REDACTOR.data(data, name).splitlines():
        assert len(json.loads(line)["a"]) == len(texts)


@given(st.binary(max_size=300))
def test_accepts_any_bytes(data):
    try:
        made = REDACTOR.data(data)
    except RedactionError:  # It has a mark of an encoding, and is none.
        return
    assert REDACTOR.data(made) == made
    assert made.count(b"\0") == data.count(b"\0")


def test_redacts_secret_in_a_field_name():
    text, secret = kinds.planted("assigned")
    assert_gone(secret, REDACTOR.data(json.dumps({text.decode(): [1]}).encode(), "x.json"))


def test_redacts_secret_across_windows():
    text, secret = kinds.planted("private key")
    filler = LINE * (LIMITS.window // len(LINE) + 1)
    assert_gone(secret, REDACTOR.data(filler[: LIMITS.window] + b"\n" + text + b"\n" + LINE))
    small = 4096
    redactor = Redactor(limits=RedactionLimits(window=small, overlap=1024))
    for shift in range(len(text) + 2):
        data = b"x" * (small - shift - 1) + b"\n" + text + b"\n" + LINE * 50
        assert_gone(secret, redactor.data(data))
    assert LIMITS.overlap < LIMITS.window


def test_keeps_harmless_packed_file():
    data = gzip.compress(LINE * 1000)
    assert REDACTOR.data(data, "x.gz") is data


def test_changes_only_strings_of_a_profile():
    text, secret = kinds.planted("assigned")
    numbers = b"\x12" + bytes([len(text) + 1]) + text + b"\0"
    content = numbers + b"\x32" + bytes([len(text)]) + text + b"\x32\x03abc" + b"\x50\x96\x01"
    made = gzip.decompress(REDACTOR.data(gzip.compress(content), "c/region/p/heap.pb.gz"))
    assert made == content.replace(
        b"\x32" + bytes([len(text)]) + text, b"\x32" + bytes([len(text)]) + b"password=" + b"*" * len(secret)
    )


def test_keeps_numbers_of_a_profile():
    """Numbers are any bytes, so they may look like a secret by chance."""
    numbers = b"".join(kinds.planted(name)[0] for name in kinds.KINDS) + bytes(range(256))
    size = bytes([len(numbers) & 0x7F | 0x80, len(numbers) >> 7 & 0x7F | 0x80, len(numbers) >> 14])
    data = gzip.compress(b"\x12" + size + numbers + b"\x32\x00\x32\x03cpu")
    assert REDACTOR.data(data, "cpu.pb.gz") is data


def test_finds_no_secrets_in_random_bytes():
    noise = random.Random(7).randbytes(8 << 20)
    data = gzip.compress(noise, 1)
    assert REDACTOR.data(data, "x.gz") is data
    assert REDACTOR.data(noise, "trace.out") is noise


def test_redacts_truncated_packed_file():
    text, secret = kinds.planted("assigned")
    packed = gzip.compress(text + b"\n" + bytes(range(256)) * 4000)
    made = REDACTOR.data(packed[: len(packed) // 2], "x.gz")
    content = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(made)
    assert content.startswith(b"password=*")
    assert_gone(secret, content)
    whole = REDACTOR.data(gzip.compress(LINE * 1000)[:-8], "x.gz")
    assert whole == gzip.compress(LINE * 1000)[:-8]


def test_redacts_large_packed_file():
    redactor = Redactor(limits=RedactionLimits(whole=1 << 20))
    text, secret = kinds.planted("assigned")
    # The first piece of what is unpacked ends in the middle of it.
    for before in (PIECE - 12, PIECE - len(text), PIECE):
        content = b"\0" * (before - 1) + b"\n" + text + b"\n" + b"\0" * PIECE
        made = gzip.decompress(redactor.data(gzip.compress(content), "cpu.pb.gz"))
        assert len(made) == len(content)
        assert_gone(secret, made)


def test_redacts_packed_file_of_several_members():
    text, secret = kinds.planted("assigned")
    made = REDACTOR.data(gzip.compress(LINE) + gzip.compress(text) + gzip.compress(LINE), "x.gz")
    assert_gone(secret, gzip.decompress(made))


def test_refuses_decompression_bomb():
    redactor = Redactor(limits=RedactionLimits(unpacked=1 << 20))
    with pytest.raises(RedactionError, match="more than"):
        redactor.data(gzip.compress(bytes(2 << 20)), "x.gz")


def test_refuses_or_redacts_unreadable_json():
    deep = b"[" * 100000 + b'{"password": 12345678}'
    try:
        made = REDACTOR.data(deep, "x.json")
    except RedactionError:
        return
    assert b"12345678" not in made


# Values


def test_redacts_values_by_name():
    value = {
        "password": "x1",
        "port": 3306,
        "token": "y",
        "list": [{"secret_key": "z1"}],
        "admin_password": 7,
        "pwd": True,
    }
    assert REDACTOR.value(value) == {
        "password": "[redacted:password]",
        "port": 3306,
        "token": "y",
        "list": [{"secret_key": "[redacted:password]"}],
        "admin_password": "[redacted:password]",
        "pwd": True,
    }
    assert REDACTOR.value({"name": "DB_PASSWORD", "value": "x1"})["value"] == "[redacted:password]"


def test_redacts_own_credentials_at_every_level():
    for level in ("secrets", NONE):
        made = Redactor(level, ["s3cret-of-ours", "abc"]).text('403: {"echo": "xs3cret-of-oursx abc"}')
        assert made == '403: {"echo": "x[redacted:own-credential]x abc"}'


def test_redacts_beginning_of_truncated_own_credential():
    redactor = Redactor(NONE, ["0123456789-0123456789-0123456789"])
    assert redactor.text("so: 0123456789-0123456789-01… and 0123456789-0123456789-0123456789.") == (
        "so: [redacted:own-credential]… and [redacted:own-credential]."
    )
    assert redactor.text("so: 0123456789-0123") == "so: 0123456789-0123"


def test_redacts_credentials_that_were_sent():
    """A token may come from a file or a program instead of an option."""
    redactor = Redactor(NONE)
    sent_credentials.remember("token-of-a-file-0123456789")
    try:
        assert redactor.text("no token-of-a-file-0123456789") == "no [redacted:own-credential]"
    finally:
        sent_credentials.forget_all()
    assert redactor.text("no token-of-a-file-0123456789") == "no token-of-a-file-0123456789"


def test_ignores_own_credentials_that_are_words():
    """Otherwise documents and paths would lose ordinary words."""
    assert (
        Redactor(known=["cloudpods", "x1"]).text("cloudpods.diagnostics/status x1") == "cloudpods.diagnostics/status x1"
    )


def test_level_none_changes_nothing():
    text, _secret = kinds.planted("assigned")
    assert Redactor(NONE).data(text) is text
    with pytest.raises(ValueError, match="'all' is not one of"):
        Redactor("all")


# Rules


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rules_are_well_formed(rule):
    compiled = re.compile(rule.expression.encode())
    assert compiled.groups >= rule.group
    assert MARKER.fullmatch(b"[redacted:%s]" % rule.name.encode())
    for word in (*rule.words, rule.also):
        assert word == word.lower()
        assert word.encode().translate(DIVIDERS).split() == ([word.encode()] if word else [])
    assert rule.words


@pytest.mark.parametrize(
    "piece",
    [
        b"password=", b'password="', b"password:[", b"password: |\n", b"password, ", b"://", b"a:", b"a.b-c_d",
        b"-----BEGIN PRIVATE KEY-----", b"curl -u ", b"mysql -p ", b"$6$a", b"eyaaaaaaaaaaaaaaaaaaa.",
        b"machine x login y password ", b"name: DB_PASSWORD value ", b"password\\\\", b"IDENTIFIED BY ",
    ],
)  # fmt: skip
def test_time_is_linear_for_hostile_text(piece):
    """Twice the text takes less than four times the processor time (best of three)."""
    text = piece * (200_000 // len(piece))

    def seconds(data):
        best = []
        for _round in range(3):
            began = time.process_time()
            REDACTOR.data(data)
            best.append(time.process_time() - began)
        return min(best)

    REDACTOR.data(text)
    assert seconds(text * 2) < 4 * seconds(text) + 0.05
