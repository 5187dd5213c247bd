# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever bytes come from elsewhere: every parser gives a result or the error that it documents, and no other.

What comes is a good input that was damaged: bytes changed, put in, taken out, or there twice. `make fuzz` tries many.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.merge import read_ledger, unpack_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.part_origin import check_origin
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select_everything
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.compare import read_baseline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.documents import (
    cluster_status,
    instance_status,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rules import load_rules
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.schema_checks import SchemaError, loads
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.json_values import BadValue
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.runtime_formats import RuntimeLogUnwrapper
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles import execution_trace
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileError, ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_proto import message_class
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.symbols import parse_symbol_answer
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.validation import KINDS, validate
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import RedactionError, Redactor
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import DumpReader
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.journal_blank_lines import (
    BlankLineRestorer,
    JournalctlOutput,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status import responses
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.binary_version import parse_version
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.fields import (
    document_of,
    page_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.pods import instances_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.probe import ProbeReader
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.problem import status_text
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples
from workspace import ROOT

UNIT = ROOT / "tests" / "unit" / "plugins" / "module_utils"
RULES = ROOT / "roles" / "audit_health" / "files" / "rules"
SMALL = 20_000  # bytes of a good input: more of it is more of the same


def file_of(*parts: str) -> bytes:
    return UNIT.joinpath(*parts).read_bytes()[:SMALL]


def tar_of(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"part/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def message(kind: str, **fields: Any) -> bytes:
    made: bytes = message_class(kind)(**fields).SerializeToString()
    return made


PROFILE = message(
    "Profile",
    sample_type=[message("ValueType", type=1, unit=2)],
    sample=[message("Sample", location_id=[1], value=[5], label=[message("Label", key=3, str=3)])],
    location=[message("Location", id=1, address=4096, line=[message("Line", function_id=1, line=7)])],
    function=[message("Function", id=1, name=3, filename=4)],
    string_table=[b"", b"samples", b"count", b"main.f", b"/src/main.go"],
)
LEDGER = json.dumps(row(Instance("c", "region", "r"), "stack", verdict(Reason.PROVEN)).as_dict()).encode() + b"\n"
REGION = dict(Instance("c", "region", "r").as_dict(), state="running")
STATUS = json.dumps(
    {
        "format": "cloudpods.diagnostics/status",
        "version": 1,
        "instance": REGION,
        "expected": ["ping"],
        "samples": [{"ping": {"answered": True, "duration_ms": 4.0}}],
        "window": None,
        "missing": [],
        "certificate": None,
        "log": None,
    }
).encode()
CLUSTER = json.dumps(
    {
        "format": "cloudpods.diagnostics/cluster-status",
        "version": 1,
        "cluster": "c",
        "transport": "kubernetes",
        "components": ["region"],
        "named": False,
        "workloads": [],
        "workloads_known": True,
        "problems": [],
    }
).encode()
HEALTH = (
    b'{"format": "cloudpods.diagnostics/health", "version": 1, "evaluated": "2026-01-02T03:04:05Z", "verdict": "ok", '
    b'"findings": []}'
)
PART = tar_of({"ledger.jsonl": LEDGER, "c/cluster.json": CLUSTER, "c/region/r/status.json": STATUS})
POD = json.dumps(
    {
        "metadata": {"name": "default-region-0", "namespace": "onecloud", "labels": {"app": "region"}},
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "region", "image": "region:v3.11", "ports": [{"containerPort": 1}]}],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "region", "ready": True, "restartCount": 1, "state": {"running": {}}}],
        },
    }
).encode()
PODS = b'{"metadata": {"continue": "next"}, "items": [%s]}' % POD
SECRETS = b'{"password": "hunter2hunter2", "list": [{"api_key": "0123456789abcdef0123"}]}\n'
PROBE = (
    b"W hello\nW pid 7\nW start 99\nW exe /opt/yunion/bin/region\nW caught 0000000000000200\nW memory 100 50 10\n"
    b"W impostor 8\nW version_begins\nYunion cloud version:\n{}\nW version_ends 0\n"
)
CRI = b"2026-01-02T03:04:05.000000006Z stderr F text\n2026-01-02T03:04:05.000000006Z stderr P half\n"
DOCKER = b'{"log": "text\\n", "stream": "stderr", "time": "2026-01-02T03:04:05.000000006Z"}\n'
VERSION = b'Yunion cloud version:\n{"gitVersion": "v3.11", "goVersion": "go1.24"}\n'


def fed(reader: Any, end: bool = True) -> Callable[[bytes], Any]:
    """Feed a reader in two pieces, and its end."""

    def feed(data: bytes) -> None:
        made = reader()
        for piece in (data[: len(data) // 2], data[len(data) // 2 :], *([b""] if end else [])):
            made.feed(piece)

    return feed


def probed(data: bytes) -> None:
    reader = ProbeReader("W")
    reader.feed(data)
    assert reader.events() is not None
    assert reader.facts is not None
    assert reader.version is not None


def from_file(work: Callable[[str, str], Any]) -> Callable[[bytes], Any]:
    """Give a file of these bytes, packed, to what takes a path and a folder to write to."""

    def call(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "part.tar.gz")
            path.write_bytes(gzip.compress(data, 1))
            work(str(path), f"{folder}/out")

    return call


def answers(data: bytes) -> None:
    for endpoint in responses._PARSERS:
        responses.parse_response(endpoint, 200, {}, data)


def pod(data: bytes) -> list[Instance]:
    return instances_of(document_of(data), "c", select_everything())


def redacted(name: str) -> Callable[[bytes], Any]:
    return lambda data: Redactor().data(data, name)


class Parser(NamedTuple):
    """parse: takes the bytes. good: inputs that it takes. errors: what it may raise."""

    parse: Callable[[bytes], Any]
    good: tuple[bytes, ...]
    errors: tuple[type[Exception], ...] = ()


PARSERS = {
    "dumps": Parser(
        parse, tuple(file_of("stacks", "corpus", "go1.27", f"{form}.txt") for form in ("debug1", "debug2"))
    ),
    "a live dump": Parser(fed(DumpReader), (file_of("stacks", "corpus", "go1.27", "debug1.txt"),)),
    "a file of containerd": Parser(fed(lambda: RuntimeLogUnwrapper("cri", None, with_timestamps=True)), (CRI,)),
    "a file of docker": Parser(fed(lambda: RuntimeLogUnwrapper("docker")), (DOCKER,)),
    "a journal": Parser(fed(BlankLineRestorer), (file_of("stacks", "corpus", "go1.27", "debug1.txt"),)),
    "the history of a journal": Parser(fed(JournalctlOutput), (b"text\n-- cursor: s=1;i=2\n",)),
    "the probe": Parser(probed, (PROBE,)),
    "a version": Parser(parse_version, (VERSION,), (CaptureError,)),
    "answers": Parser(answers, (b'{"workers": []}', file_of("status", "samples", "worker_stats")[:4000])),
    "a profile": Parser(
        lambda data: read(data, ProfileLimits()),
        (PROFILE,),
        (ProfileError,),
    ),
    "proofs": Parser(lambda data: [validate(kind, data) for kind in KINDS], (gzip.compress(PROFILE), PROFILE)),
    "a trace": Parser(
        execution_trace.check,
        (file_of("profiles", "traces", "go1.27.trace"),),
        (execution_trace.TraceCut, execution_trace.TraceBad),
    ),
    "symbols": Parser(parse_symbol_answer, (b"num_symbols: 1\n0x1 main.main\n",)),
    "a pod": Parser(pod, (POD,), (BadValue,)),
    "a list of the API server": Parser(lambda data: page_of(document_of(data)), (PODS,), (BadValue,)),
    "an error of the API server": Parser(status_text, (b'{"kind": "Status", "message": "no"}',)),
    "a ledger": Parser(read_ledger, (LEDGER * 3,), (ValueError,)),
    "a part": Parser(from_file(lambda path, folder: unpack_part(folder, path)), (PART,), (ValueError,)),
    "the origin of a part": Parser(from_file(lambda path, _folder: check_origin(path, "c")), (PART,), (ValueError,)),
    "a bundle": Parser(from_file(lambda path, _folder: verify(path)), (PART,)),
    "a status": Parser(lambda data: instance_status(loads(data), "p"), (STATUS,), (SchemaError,)),
    "an access point": Parser(lambda data: cluster_status(loads(data)), (CLUSTER,), (SchemaError,)),
    "a baseline": Parser(lambda data: read_baseline(loads(data)), (HEALTH,), (SchemaError,)),
    "rules": Parser(
        lambda data: load_rules([("own.yml", data.decode("utf-8", "replace"))]),
        ((RULES / "versions.yml").read_bytes(),),
        (ValueError,),
    ),
    **{
        f"a redactor of {name}": Parser(
            redacted(name), (b"password=hunter2hunter2\n" + LEDGER, SECRETS), (RedactionError,)
        )
        for name in ("stack-1.log", "ledger.jsonl", "status.json", "stack-1.txt")
    },
    "a redactor of packed files": Parser(
        lambda data: Redactor().data(gzip.compress(data), "heap.pb.gz"),
        (b"password=hunter2hunter2\n",),
        (RedactionError,),
    ),
}


@st.composite
def damaged(draw: st.DrawFn, good: tuple[bytes, ...]) -> bytes:
    """A good input after a few accidents."""
    data = draw(st.sampled_from(good))
    for _accident in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 64)))
        between = draw(
            st.binary(max_size=8)
            | st.sampled_from(
                [b"[" * 50_000, b'{"a":' * 20_000, b"9" * 5000, b"\n", b"\0", b"-1", b'""', b"null", b"1e999"]
            )
            | st.just(data[start:end] * 2)
        )
        data = data[:start] + between + data[end:]
    return data


@pytest.mark.parametrize("name", PARSERS)
def test_good_input_is_taken(name):
    """Else only errors would be tested."""
    for data in PARSERS[name].good:
        PARSERS[name].parse(data)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=examples(40))
@given(st.data())
def test_damaged_input_gives_a_result_or_the_documented_error(name, data):
    parser = PARSERS[name]
    given_bytes = data.draw(damaged(parser.good) | st.binary(max_size=100))
    try:
        parser.parse(given_bytes)
    except parser.errors:
        pass
