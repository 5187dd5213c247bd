# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets planted in every kind of artifact are absent from parts and sealed archives."""

from __future__ import annotations

import gzip
import json
import tarfile
from dataclasses import replace

import kinds
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store, json_bytes, ledger_bytes
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.limits import RedactionLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import NONE, Redactor

INSTANCE = Instance(cluster="c", component="region", name="region-1")
TEXTS = {name: kinds.planted(name)[0].decode() for name in kinds.KINDS}
SECRETS = {name: kinds.planted(name)[1] for name in kinds.KINDS}
# A document has them as strings, and so have profiles and logs.
DOCUMENT = json_bytes({"labels": TEXTS, "list": list(TEXTS.values())})
LOG = "\n".join(TEXTS.values()).encode()
ARTIFACTS = {
    "stack-1.log": LOG,
    "stack-1.txt": b"goroutine profile: total 1\n1 @ 0x1\n# labels: " + LOG,
    "stack-1.json": DOCUMENT,
    "status.json": DOCUMENT,
    "log.json": DOCUMENT,
    "windows.txt": LOG,
    "stats-1.txt": LOG,
    "stats-1.json": DOCUMENT,
    "version.txt": LOG,
    "cmdline.txt": b"\0".join(text.encode() for text in TEXTS.values()),
    "names.txt": LOG,
    "certificate.der": b"\x30\x82\x00\x01" + LOG,
    "cpu.pb.gz": gzip.compress(b"\x0a\x04" + LOG),
    "trace.out": b"go 1.22 trace\0\0\0" + LOG,
    "utf-16.log": LOG.decode().encode("utf-16"),
    "utf-16-be.log": b"\xfe\xff" + LOG.decode().encode("utf-16-be"),
    "utf-32.log": LOG.decode().encode("utf-32"),
    "unmarked.log": LOG.decode().encode("utf-16-le"),
    "utf-16.json": DOCUMENT.decode().encode("utf-16"),
    "utf-16.log.gz": gzip.compress(LOG.decode().encode("utf-16")),
}
REPORTS = {
    "health.json": DOCUMENT,
    "health.md": LOG,
    "junit.xml": b"<testsuite>" + LOG.replace(b"<", b"&lt;") + b"</testsuite>",
    "health.prom": LOG,
    "top.html": b"<pre>" + LOG + b"</pre>",
}


def contents(archive):
    """Yield every file of the archive, decompressed as far as possible."""
    with tarfile.open(archive) as bundle:
        for member in bundle:
            data = bundle.extractfile(member).read() if member.isfile() else b""
            yield member.name, gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def left(data):
    """Return the kinds that occur in the data, in plain text, as JSON or in UTF-16."""
    data += data.replace(b"\0", b"")
    found = []
    for name, secret in SECRETS.items():
        lines = [line for line in secret.replace(b"\\n", b"\n").split(b"\n") if line]
        forms = [*lines, *(json.dumps(line.decode()).strip('"').encode() for line in lines)]
        found += [name] if any(form in data for form in forms) else []
    return found


def rows_of(store):
    message = verdict(Reason.SERVER_ERROR, LOG.decode())
    for name, data in ARTIFACTS.items():
        artifact = store.keep(INSTANCE.folders, name, data)
        yield row(INSTANCE, name, message, 1, artifact, details={"labels": TEXTS, "said": list(TEXTS.values())})


def test_part_contains_no_secret(tmp_path):
    store = Store(str(tmp_path / "part"))
    store.record(rows_of(store))
    for path in (tmp_path / "part").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert left(gzip.decompress(data) if path.suffix == ".gz" else data) == [], path.name


def test_archive_contains_no_secret_of_any_part(tmp_path):
    """Parts of a node with an older release, which redacted nothing."""
    store = Store(str(tmp_path / "part"), Redactor(NONE))
    store.finish(list(rows_of(store)))
    reports = tmp_path / "reports"
    reports.mkdir()
    for name, data in REPORTS.items():
        (reports / name).write_bytes(data)
    absent = [{"cluster": "d", "error": TEXTS["URL"], "reason": "unreachable"}]
    run = {"id": "run", "asked": TEXTS["option"]}
    sealed = seal_bundle(str(tmp_path / "run"), [store.root], absent, run, [str(reports)])
    found = {name: left(data) for name, data in contents(sealed.archive)}
    assert len(found) == len(ARTIFACTS) + len(REPORTS) + 3
    assert {name: names for name, names in found.items() if names} == {}
    checked = verify(sealed.archive)
    assert checked.intact, checked.problems
    assert checked.level == "secrets"
    assert checked.replaced["password"] > 100
    assert not left("\n".join(sealed.table).encode())


def test_json_stays_valid(tmp_path):
    store = Store(str(tmp_path))
    for name in ("status.json", "stack-1.json"):
        document = json.loads((tmp_path / store.keep(INSTANCE.folders, name, DOCUMENT).path).read_bytes())
        assert set(document["labels"]) == set(TEXTS)


def test_level_none_keeps_everything(tmp_path):
    store = Store(str(tmp_path / "part"), Redactor(NONE))
    # Messages of several lines have no secrets at any level, see reasons.peer_text().
    store.finish([replace(entry, message="") for entry in rows_of(store)])
    sealed = seal_bundle(str(tmp_path / "run"), [store.root], [], {}, redactor=Redactor(NONE))
    logs = [data for name, data in contents(sealed.archive) if name.endswith("stack-1.log")]
    assert logs == [LOG]
    assert (verify(sealed.archive).level, verify(sealed.archive).replaced) == (NONE, {})


@pytest.mark.parametrize("where", ["node", "controller"])
def test_drops_files_that_cannot_be_searched(tmp_path, where):
    bomb = gzip.compress(bytes(4 << 20))
    redactor = Redactor(limits=RedactionLimits(unpacked=1 << 20))
    store = Store(str(tmp_path / "part"), redactor if where == "node" else Redactor(NONE))
    artifact = store.keep(INSTANCE.folders, "cpu.pb.gz", bomb)
    other = store.keep(INSTANCE.folders, "heap.pb.gz", gzip.compress(b"x"))
    rows = [row(INSTANCE, "profile:cpu", verdict(Reason.PROFILE_WHOLE), 1, artifact)]
    rows.append(row(INSTANCE, "profile:heap", verdict(Reason.PROFILE_WHOLE), 1, other))
    store.finish(rows)
    sealed = seal_bundle(str(tmp_path / "run"), [store.root], [], {}, redactor=redactor)
    kept = {entry.capture: (entry.status, entry.reason, entry.path) for entry in sealed.rows}
    assert kept["profile:cpu"] == ("failed", "not_redacted", "")
    assert kept["profile:heap"] == ("complete", "profile_whole", other.path)
    assert not any("cpu.pb.gz" in name for name, _data in contents(sealed.archive))
    assert verify(sealed.archive).intact


def test_redacted_row_is_a_valid_row(tmp_path):
    store = Store(str(tmp_path / "part"))
    rows = list(rows_of(store))
    store.finish(rows)
    written = (tmp_path / "part/ledger.jsonl").read_bytes()
    assert written != ledger_bytes(rows)
    assert [json.loads(line)["capture"] for line in written.splitlines()] == list(ARTIFACTS)
