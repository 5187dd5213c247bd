# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity map: private, locked, and refused if it is unsafe."""

from __future__ import annotations

import gzip
import json
import os
import stat
import tarfile
import threading

import identity_kinds as kinds
import pprofs
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.identity_map import (
    check_map,
    map_of_identities,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store, json_bytes
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

INSTANCE = Instance(
    cluster="initrode-cloud-9", component="region", name="acme-region-7d9c5b6f4-q2q4z", node="kvm-node-31",
    namespace="initrode-ns", container="server",
)  # fmt: skip


TEXTS = {name: kinds.planted(name)[0] for name in kinds.KINDS}


OWN = (INSTANCE.cluster, INSTANCE.name, INSTANCE.node, INSTANCE.namespace)


LOG = "\n".join([*TEXTS.values(), *OWN]).encode()


DOCUMENT = json_bytes({"instance": INSTANCE.as_dict(), "texts": list(TEXTS.values()), "own": OWN})


ARTIFACTS = {
    "stack-1.log": LOG,
    "stack-1.txt": b"goroutine profile: total 1\n1 @ 0x1\n# labels: " + DOCUMENT,
    "stack-1.json": DOCUMENT,
    "status.json": DOCUMENT,
    "log.json": DOCUMENT,
    "log-windows.txt": LOG,
    "stats-1.json": DOCUMENT,
    "cmdline.txt": b"\0".join(text.encode() for text in TEXTS.values()),
    "old.log.gz": gzip.compress(LOG),
    "certificate.der": b"\x30\x82\x00\x01" + LOG,
    "trace.out": b"go 1.22 trace\0\0\0" + LOG,
    "cpu.pb.gz": gzip.compress(pprofs.profile(stacks=[([1, 10], ["main.main"])], labels={0: TEXTS})),
    "kvm-node-31.txt": LOG,
    "utf-16.log": LOG.decode().encode("utf-16"),
    "unmarked.log": LOG.decode().encode("utf-16-be"),
    "utf-16.log.gz": gzip.compress(LOG.decode().encode("utf-16")),
}


def part(folder, artifacts, instance=INSTANCE, said=""):
    """Make a part as a node leaves it. said: detail of its rows."""
    store = Store(str(folder))
    message = verdict(Reason.SERVER_ERROR, said)
    rows = []
    for name, data in artifacts.items():
        artifact = store.keep(instance.folders, name, data)
        details = {"said": said, "parsed": artifact.path} if name.endswith(".json") else {"said": list(OWN)}
        rows.append(row(instance, name, message, 1, artifact, details=details))
    store.finish(rows)
    return store.root


def sealed(folder, artifacts, map_path, name="run", redactor=None, **more):
    given_parts = [part(folder / f"part-{name}", artifacts, said=more.get("said", LOG.decode()))]
    return seal_bundle(str(folder / name), given_parts, more.get("absent", []), more.get("run", {}),
                       more.get("reports", []), redactor, identity_map=str(map_path))  # fmt: skip


def contents(archive):
    """Return the decompressed content of every file of the archive, by name."""
    found = {}
    with tarfile.open(archive) as bundle:
        for member in bundle:
            data = bundle.extractfile(member).read()
            found[member.name] = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    return found


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
