# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity map: private, locked, and refused if it is unsafe."""

from __future__ import annotations

import json
import os
import stat
import threading

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.identity_map import (
    check_map,
    map_of_identities,
)
from planted_identities import ARTIFACTS, contents, sealed


def test_map_is_private_and_outside_of_the_bundle(tmp_path):
    made = sealed(tmp_path, ARTIFACTS, tmp_path / "sub/map")
    status = os.stat(tmp_path / "sub/map")
    assert stat.S_IMODE(status.st_mode) == 0o600
    tokens = json.loads((tmp_path / "sub/map").read_bytes())["tokens"]
    assert tokens["kvm-node-31"] == "host-0001"
    assert not [name for name in contents(made.archive) if "map" in name]
    with pytest.raises(ValueError, match="outside"):
        sealed(tmp_path, {}, tmp_path / "two/map", "two")


def bad_map(kind, path, outside):
    if kind == "link":
        outside.write_text("{}")
        outside.chmod(0o600)
        path.symlink_to(outside)
    elif kind == "link to nothing":
        path.symlink_to(outside)
    elif kind == "FIFO":
        os.mkfifo(path, 0o600)
    elif kind == "folder":
        path.mkdir()
    else:
        contents_of = {
            "readable": '{"format":"cloudpods.diagnostics/identities","version":1,"tokens":{}}',
            "cut": '{"format":"cloudpods.diagnostics/identities","ver',
            "empty": "",
            "deep": "[" * 100_000,
            "other": '{"tokens":{}}',
            "twice": '{"format":"cloudpods.diagnostics/identities","version":1,'
            '"tokens":{"a-1":"host-0001","b-1":"host-0001"}}',
            "no token": '{"format":"cloudpods.diagnostics/identities","version":1,"tokens":{"a-1":"x"}}',
        }
        path.write_text(contents_of[kind])
        path.chmod(0o644 if kind == "readable" else 0o600)


@pytest.mark.parametrize(
    "kind",
    ["link", "link to nothing", "FIFO", "folder", "readable", "cut", "empty", "deep", "other", "twice", "no token"],
)
def test_refuses_bad_map_before_sealing(tmp_path, kind):
    path = tmp_path / "map"
    bad_map(kind, path, tmp_path / "outside")
    with pytest.raises(ValueError, match=str(path)):
        check_map(str(path))
    with pytest.raises(ValueError, match=str(path)):
        sealed(tmp_path, {"a.txt": b"x"}, path)
    assert (tmp_path / "part-run/ledger.jsonl").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_refuses_map_of_another_user(tmp_path):
    path = tmp_path / "map"
    path.write_text("{}")
    path.chmod(0o600)
    os.chown(path, 65534, 65534)
    with pytest.raises(ValueError, match="another user"):
        check_map(str(path))


def test_refuses_map_in_a_writable_folder(tmp_path):
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(ValueError, match="any user"):
        check_map(str(place / "map"))


def test_concurrent_seals_lose_no_token(tmp_path):
    """All threads wait for the map, so each must see the tokens of the others."""
    path, folder = str(tmp_path / "map"), str(tmp_path / "bundle")
    together = threading.Barrier(8)

    def work(number):
        together.wait(60)
        for turn in range(5):
            with map_of_identities(path, folder) as tokens:
                tokens.of(b"host-of-%d-%d" % (number, turn), "host")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    tokens = json.loads((tmp_path / "map").read_bytes())["tokens"]
    assert len(tokens) == len(set(tokens.values())) == 40


def test_keeps_tokens_if_sealing_fails(tmp_path):
    def fail():
        with map_of_identities(str(tmp_path / "map"), str(tmp_path / "bundle")) as tokens:
            tokens.of(b"athena", "host")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert json.loads((tmp_path / "map").read_bytes())["tokens"] == {"athena": "host-0001"}
