# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts and bundles with an identity of each kind planted in every kind of artifact."""

from __future__ import annotations

import gzip
import tarfile

import identity_kinds as kinds
import pprofs
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
IDENTITIES = (*(kinds.planted(name)[1] for name in kinds.KINDS), *OWN)
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
