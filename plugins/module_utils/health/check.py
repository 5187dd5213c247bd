# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit from files to files: reads rules, parts and bundles, and leaves the reports. Pure but for the file system.

Parts and bundles are read as they are, folder or archive, one document after the other: nothing is unpacked.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Iterator, Sequence, cast

from ..bundle.manifest import PART_LAYERS, archive_files, folder_files
from ..bundle.store import json_bytes, make_directory, write_file
from ..inputs.inputs import INSIDE, is_archive, layers_of, open_inputs
from ..regular_file import open_regular, read_at_most
from .audit import CLUSTER_FILE, STATUS_FILE, Audit
from .capture_commands import CommandRun, add_commands
from .compare import compare, read_baseline
from .health_document import health_document
from .junit_prometheus import junit, prometheus
from .report import markdown
from .rule_examples import failed_examples
from .rules import RuleError, RuleSet, load_rules
from .schema_checks import SchemaError, loads

HEALTH, MARKDOWN, JUNIT, PROMETHEUS = "health.json", "health.md", "health.junit.xml", "health.prom"

# A real region's is 0.5 MB; one beyond this is not read, but is a problem.
MAX_DOCUMENT = 64 << 20
# All shipped rules are 73 KB.
MAX_RULES = 4 << 20
_UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError)


class CheckError(ValueError):
    """The audit cannot be made as it was asked for; the message says why."""


@dataclass(frozen=True)
class CheckRequest:
    """What to audit. thresholds: overrides by name. absent: {cluster, error} of access points that brought nothing.

    run: how it was started, for the commands that go on from it.
    """

    paths: Sequence[str]
    rules: Sequence[str]
    thresholds: dict[str, Any] = field(default_factory=dict)
    absent: Sequence[dict[str, str]] = ()
    baseline: str = ""
    run: CommandRun = field(default_factory=CommandRun)


def check(request: CheckRequest, now: str) -> tuple[Audit, dict[str, Any]]:
    """The finished audit and its health.json. CheckError when rules, thresholds or baseline cannot be used.

    now: the time, as model.utc_text() writes it.
    """
    try:
        rules = read_rules(request.rules)
        thresholds = rules.values(request.thresholds)
    except ValueError as error:
        raise CheckError(str(error)) from error
    baseline = _baseline(request.baseline) if request.baseline else None
    audit = Audit(rules, thresholds, now)
    for path in request.paths:
        _read_part(audit, path)
    for one in request.absent:
        audit.cannot_reach(one["cluster"], one["error"])
    audit.finish()
    document = health_document(audit)
    add_commands(document, request.run)
    if baseline is not None:
        compare(document, baseline)
    return audit, document


def read_rules(paths: Sequence[str]) -> RuleSet:
    """The rules of files, or of all *.yml files of folders. RuleError when one is wrong, also by its own examples."""
    sources = []
    for path in paths:
        try:
            for name in _rule_files(path):
                with open_regular(name) as stream:
                    sources.append((name, read_at_most(stream, MAX_RULES, "it").decode("utf-8")))
        except (OSError, ValueError) as error:
            raise RuleError(path, "", f"cannot be read: {error}") from error
    rules = load_rules(sources)
    failed = failed_examples(rules)
    if failed:
        raise RuleError(*failed[0].split(": ", 2))
    return rules


def _rule_files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith((".yml", ".yaml"))]


def _files(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Every file of a part or bundle. Names come from elsewhere: what is no text in them is replaced."""
    for name, stream in _streams(path):
        yield name.encode("utf-8", "replace").decode("utf-8"), stream


def _streams(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The same with the names as they are. ValueError where not all can be read."""
    if os.path.isdir(path):
        yield from folder_files(path)
    elif layers_of(path) in ((), PART_LAYERS):
        yield from archive_files(path)
    else:
        yield from _packed_anew(path)


def _packed_anew(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Every file of parts and bundles that were packed in another form, or several of them in one archive."""
    seen = set()
    for found in open_inputs([path]):
        if found.problem or found.place in seen:
            raise ValueError(f"{found.name}: {found.problem or 'it is there twice'}")
        seen.add(found.place)
        content = found.open()
        top, _slash, rest = found.place.rpartition(INSIDE)[2].partition("/")
        yield rest or top, cast("IO[bytes]", content)
        if content.damage:
            raise ValueError(f"{found.name}: {content.problem}")


def _read_part(audit: Audit, path: str) -> None:
    """Everything that one part or bundle holds. Where it cannot be read to its end, what was read counts, and that it
    is not all is noted."""
    name = os.path.basename(path.rstrip("/"))
    try:
        waiting: set[str] = set()
        found = 0
        for place, data in _documents(path):
            found += 1
            if len(data) > MAX_DOCUMENT:
                audit.cannot_use(place, f"it is larger than {MAX_DOCUMENT} bytes")
            elif not audit.add(place, data, may_wait=True):
                waiting.add(place)
        if not found:
            audit.cannot_use(name, "there is no status document in it")
        # Parts have cluster.json before the instances'; in an archive of another order they are read again.
        for place, data in _documents(path) if waiting else ():
            if place in waiting:
                audit.add(place, data)
    except _UNREADABLE as error:
        audit.cannot_use(name, f"cannot be read: {error}")


def _documents(path: str) -> Iterator[tuple[str, bytes]]:
    """(path, content) of each document that audits read; of one that is too large, a byte more than it may have."""
    for name, stream in _files(path):
        if name.rpartition("/")[2] in (STATUS_FILE, CLUSTER_FILE):
            yield name, stream.read(MAX_DOCUMENT + 1)


def _baseline(path: str) -> dict[str, Any]:
    """The earlier health.json: the file itself, maybe compressed, or the one at the top of a bundle."""
    try:
        if os.path.isdir(path) or is_archive(path):
            data = next((stream.read(MAX_DOCUMENT) for name, stream in _files(path) if name == HEALTH), None)
        else:
            data = _only_content(path)
        if data is None:
            raise SchemaError(f"it has no {HEALTH}")
        return read_baseline(loads(data))
    except _UNREADABLE as error:
        raise CheckError(f"the baseline {path} cannot be used: {error}") from error


def _only_content(path: str) -> bytes:
    """The content of a file that is no archive. ValueError."""
    data = b""
    for found in open_inputs([path]):
        content = found.open()
        data = content.read(MAX_DOCUMENT)
        if content.damage:
            raise ValueError(content.problem)
    return data


def write_reports(output: str, audit: Audit, document: dict[str, Any], fail_on: str) -> list[str]:
    """Write all forms of the report into the folder; their paths."""
    make_directory(output)
    files: dict[str, Callable[[], bytes]] = {
        HEALTH: lambda: json_bytes(document),
        MARKDOWN: lambda: markdown(document).encode("utf-8", "replace"),
        JUNIT: lambda: junit(document, audit, fail_on),
        PROMETHEUS: lambda: prometheus(document).encode("utf-8", "replace"),
    }
    for name, made in files.items():
        write_file(os.path.join(output, name), made())
    return [os.path.join(output, name) for name in files]
