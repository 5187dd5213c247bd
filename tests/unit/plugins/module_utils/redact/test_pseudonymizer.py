# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacement of identities of every kind in every notation; words of every cloud stay."""

from __future__ import annotations

import gzip
import json
import random

import identity_kinds as kinds
import pprofs
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.identity_finder import IdentityFinder
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.identity_words import HOST, POD
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.limits import RedactionLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.pseudonym_table import (
    PseudonymTable,
    parse_table,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.pseudonymizer import Pseudonymizer
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import RedactionError
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from hypothesis import given
from hypothesis import strategies as st

from workspace import ROOT

UNIT = ROOT / "tests/unit"
CORPUS = sorted((UNIT / "plugins/module_utils/stacks/corpus").glob("go*/*.txt"))
LINE = "[info 2026-01-02 03:04:05 appsrv.(*Application).ServeHTTP(appsrv.go:300)] 200 0b1c2d3e GET /servers 1ms\n"


def replaced(data, tokens=None, stated=(), name="x.log", **limits):
    """Return the text or bytes with tokens, and the replacements of each kind."""
    tokens = tokens or PseudonymTable()
    finder = IdentityFinder(tokens, RedactionLimits(**limits))
    for word, kind in stated:
        finder.add_name(word, kind)
    content = data.encode() if isinstance(data, str) else data
    finder.add_text(gzip.decompress(content) if name.endswith(".gz") else content)
    pseudonymizer = Pseudonymizer(tokens, finder, RedactionLimits(**limits))
    made = pseudonymizer.data(content, name)
    return (made.decode() if isinstance(data, str) else made), pseudonymizer.counts


@pytest.mark.parametrize("name", kinds.KINDS)
def test_every_kind_is_replaced_in_a_log(name):
    text, identity = kinds.planted(name)
    made, counts = replaced(f"{LINE}{text}\n{LINE}it was {identity}, again\n")
    assert identity.lower() not in made.lower()
    assert counts[kinds.KINDS[name][2]] >= 2
    assert made.count(LINE) == 2
    token = made.splitlines()[-1][len("it was ") : -len(", again")]
    assert token in made.splitlines()[1]


def test_identities_have_distinct_tokens():
    text = "\n".join(kinds.planted(name)[0] for name in kinds.KINDS)
    tokens = PseudonymTable()
    replaced(text, tokens)
    given_tokens = list(tokens.document()["tokens"].values())
    assert len(given_tokens) == len(set(given_tokens)) >= len(kinds.KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "listen on 127.0.0.1:8080, 0.0.0.0 and [::1]:443, mask 255.255.255.0",
        "version v3.10.1.2 of Chrome/120.0.0.0",
        "user=admin project=system domain=default host=localhost tenant=service",
        'host: connection refused\nserver: EOF\n{"host": "", "user": null, "project": 17, "server": {"port": 1}}',
        'user "is not allowed" here, no such host: is',
        "https://github.com/yunionio/cloudpods/issues/1 http://www.w3.org/2000/svg",
        "https://default-keystone:30500/v3 region-slave default-region",
        "nic 00:00:00:00:00:00 at 03:04:05 of 2026-01-02T03:04:05Z",
        "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae std::string a::b",
        'pod_name="" {"cluster": "default", "namespace": "onecloud"}',
        "[redacted:password] user=[redacted:jwt]",
    ],
)
def test_keeps_words_of_every_cloud(text):
    assert replaced(text) == (text, {})


@pytest.mark.parametrize("path", [path for path in (UNIT / "fixtures").rglob("*") if path.is_file()])
def test_changes_only_addresses_and_host_hashes_in_samples(path):
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    made, counts = replaced(data)
    assert set(counts) <= {"id", "ip"}
    assert counts or made == data


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_dumps_stay_readable(path):
    data = path.read_bytes()
    names = ("goroutine", "running", "select", "main", "runtime", "gopark", "http", "models", "chan", "created")
    # Things are called like everything in a dump, and are talked about around it.
    called = "".join(f'"host": "{name}"\nproject={name}\n' for name in names).encode()
    before, after = parse(data), parse(replaced(called + data, stated=[(name, HOST) for name in names])[0])
    assert [(dump.form, dump.goroutines, dump.total, dump.complete) for dump in after.dumps] == [
        (dump.form, dump.goroutines, dump.total, dump.complete) for dump in before.dumps
    ]
    assert [[group.frames for group in dump.groups] for dump in after.dumps] == [
        [group.frames for group in dump.groups] for dump in before.dumps
    ]


def test_tokens_are_not_replaced():
    text = "\n".join(kinds.planted(name)[0] for name in kinds.KINDS)
    tokens = PseudonymTable()
    once = replaced(text, tokens)[0]
    again = parse_table(json.loads(json.dumps(tokens.document())))
    assert replaced(once, again) == (once, {})
    assert again.document() == tokens.document()


def test_avoids_tokens_that_are_real_names():
    made, _counts = replaced("host=host-0001\nhost=athena\n")
    assert sorted(line.partition("=")[2] for line in made.split()) == ["host-0002", "host-0003"]


def test_replaces_whole_words_only():
    text = "athena and pantheon, athena-1, /athena/, athenaeum, ATHENA, (athena)"
    made, _counts = replaced(text, stated=[("athena", HOST)])
    assert made == "host-0001 and pantheon, host-0001-1, /host-0001/, athenaeum, host-0001, (host-0001)"


def test_prefers_the_longest_name():
    made, _counts = replaced("node-7 node-7-b node-71 node-7.x", stated=[("node-7", HOST), ("node-7-b", HOST)])
    assert made == "host-0001 host-0002 node-71 host-0001.x"


def test_replaces_short_names_only_in_their_fields():
    tokens = PseudonymTable()
    finder = IdentityFinder(tokens)
    for name in ("c", "42"):
        finder.add_name(name, "cluster")
    pseudonymizer = Pseudonymizer(tokens, finder)
    assert pseudonymizer.text("c 42") == "c 42"
    assert [pseudonymizer.name(name) for name in ("c", "42")] == ["cluster-0001", "cluster-0002"]


def test_full_name_has_the_token_of_its_host():
    made, _counts = replaced("host=kvm-7\npost https://kvm-7.dc.example:443/ and https://kvm-8.dc.example/\n")
    assert made == "host=host-0001\npost https://host-0001.dns-0001:443/ and https://host-0002.dns-0001/\n"


def test_keeps_the_component_of_a_pod():
    tokens = PseudonymTable()
    finder = IdentityFinder(tokens)
    finder.add_name("acme-region-7d9c5b6f4-x2x4z", POD, "region")
    assert Pseudonymizer(tokens, finder).text("acme-region-7d9c5b6f4-x2x4z") == "region-pod-0001"


def test_knows_names_of_an_earlier_bundle():
    tokens = PseudonymTable()
    replaced("host=athena", tokens)
    assert replaced("it said athena", tokens)[0] == "it said host-0001"


def test_replaces_names_in_profiles():
    calls = ["main.work", "runtime.gopark"]
    labels = {0: {"host": "kvm-7.dc2.initrode.example", "peer": "10.168.222.17"}, 1: {"host": "gopark"}}
    data = gzip.compress(pprofs.profile(stacks=[([1, 10], calls), ([2, 20], calls[1:])], labels=labels))
    stated = [("kvm-7", HOST), ("dc2.initrode.example", "dns"), ("gopark", HOST)]
    made, counts = replaced(data, stated=stated, name="cpu.pb.gz")
    before, after = (read(gzip.decompress(each), ProfileLimits()) for each in (data, made))
    assert [sorted(dict(pairs).values()) for pairs in after.labels.values()] == [
        ["host-0001.dns-0001", "ip-0001"],
        ["host-0002"],
    ]
    assert counts == {"host": 2, "dns": 1, "ip": 1}
    assert after.functions == before.functions
    assert (after.values, after.stacks, after.locations) == (before.values, before.stacks, before.locations)


def test_binary_data_keeps_its_lengths():
    data = b"go 1.22 trace\0\x01\x06kvm-77\x017kvm-77 \x0010.168.222.17\0\xff\xfe" + bytes(range(256))
    made, counts = replaced(data, stated=[("kvm-77", HOST)], name="trace.out")
    assert len(made) == len(data)
    assert b"kvm-77" not in made
    assert b"10.168.222.17" not in made
    assert b"ip-0001******" in made
    assert counts == {"host": 2, "ip": 1}
    assert made.endswith(bytes(range(256)))


def test_searches_packed_log():
    data = gzip.compress(b"host=kvm-777\n" * 3)
    made, _counts = replaced(data, name="old.log.gz")
    assert gzip.decompress(made) == b"host=host-0001\n" * 3


@pytest.mark.parametrize("name", ["cpu.pb.gz", "x.gz"])
def test_searches_large_packed_file_in_pieces(name):
    rng = random.Random(7)
    filler = bytes(rng.choices(range(97, 123), k=1 << 20))
    content = (filler + b" kvm-777 " + filler[::-1]) * 4
    data = gzip.compress(content, 1)
    tokens = PseudonymTable()
    finder = IdentityFinder(tokens)
    finder.add_name("kvm-777", HOST)
    pseudonymizer = Pseudonymizer(tokens, finder, RedactionLimits(whole=1 << 20))
    made = gzip.decompress(pseudonymizer.data(data, name))
    assert len(made) == len(content)
    assert b"kvm-777" not in made


def test_refuses_decompression_bomb():
    with pytest.raises(RedactionError):
        replaced(gzip.compress(bytes(4 << 20)), name="cpu.pb.gz", unpacked=1 << 20)


@pytest.mark.parametrize("size", [7, 64, 4096])
def test_finds_names_across_windows(size):
    text = "x" * 40 + '\n{"host": "kvm-777"}\n' + "it is kvm-777 and 10.168.222.17 once more\n" * 60
    made, counts = replaced(text, window=size * 16)
    assert "kvm-777" not in made
    assert "10.168.222.17" not in made
    assert counts == {"host": 61, "ip": 60}


def test_examines_forgotten_words_again():
    text = "host=kvm-777\n" * 40 + "q=x%20kvm-777%20y z%3Dkvm-777 kvm-777\n" * 40
    made, _counts = replaced(text, remembered=10, window=64)
    assert "kvm-777" not in made


@given(st.text(alphabet="host=:\"'\\{}[], kvm-7%3Dn.\n", max_size=80), st.text(max_size=20))
def test_accepts_any_surrounding_text(before, after):
    made, _counts = replaced(f"{before}{after} kvm-777 {after}", stated=[("kvm-777", HOST)])
    assert "kvm-777" not in made.split()
