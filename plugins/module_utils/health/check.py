# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit from files to files: reads rules, parts and bundles, and writes the reports.

Parts and bundles, folders or archives, are read in place, one document after the other. Nothing is unpacked.
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

# The largest document of a real region has 0.5 MB.
MAX_DOCUMENT = 64 << 20
# The shipped rules have 73 KB together.
MAX_RULES = 4 << 20
_UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError)


class CheckError(ValueError):
    """The audit cannot be made as requested. The message says why."""


@dataclass(frozen=True)
class CheckRequest:
    """Input of an audit.

    thresholds: overrides by name. absent: {cluster, error} of access points without documents. run: the options of
    this run, for the commands in the report. max_document: bytes; a larger document is reported as a problem.
    """

    paths: Sequence[str]
    rules: Sequence[str]
    thresholds: dict[str, Any] = field(default_factory=dict)
    absent: Sequence[dict[str, str]] = ()
    baseline: str = ""
    run: CommandRun = field(default_factory=CommandRun)
    max_document: int = MAX_DOCUMENT


def check(request: CheckRequest, now: str) -> tuple[Audit, dict[str, Any]]:
    """Return the finished audit and its health.json.

    now: the time, as model.utc_text() writes it. Raise CheckError if rules, thresholds or baseline cannot be used.
    """
    try:
        rules = read_rules(request.rules)
        thresholds = rules.values(request.thresholds)
    except ValueError as error:
        raise CheckError(str(error)) from error
    baseline = _baseline(request.baseline) if request.baseline else None
    audit = Audit(rules, thresholds, now)
    for path in request.paths:
        _read_part(audit, path, request.max_document)
    for one in request.absent:
        audit.cannot_reach(one["cluster"], one["error"])
    audit.finish()
    document = health_document(audit)
    add_commands(document, request.run)
    if baseline is not None:
        compare(document, baseline)
    return audit, document


def read_rules(paths: Sequence[str]) -> RuleSet:
    """Load rules from files and folders. Raise RuleError if a rule is wrong or fails one of its examples."""
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
    """Yield (name, stream) of every file of a part or bundle. Bytes of names that are not UTF-8 are replaced."""
    for name, stream in _streams(path):
        yield name.encode("utf-8", "replace").decode("utf-8"), stream


def _streams(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield (name, stream) of every file of a part or bundle. Raise ValueError if not all of them can be read."""
    if os.path.isdir(path):
        yield from folder_files(path)
    elif layers_of(path) in ((), PART_LAYERS):
        yield from archive_files(path)
    else:
        yield from _repacked_files(path)


def _repacked_files(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield (name, stream) of every file of parts that were repacked in another format, or together in one archive."""
    seen = set()
    for found in open_inputs([path]):
        if found.problem or found.inner_path in seen:
            raise ValueError(f"{found.name}: {found.problem or 'it is there twice'}")
        seen.add(found.inner_path)
        content = found.open()
        top, _slash, rest = found.inner_path.rpartition(INSIDE)[2].partition("/")
        yield rest or top, cast("IO[bytes]", content)
        if content.damage:
            raise ValueError(f"{found.name}: {content.problem}")


def _read_part(audit: Audit, path: str, max_document: int) -> None:
    """Add all documents of a part or bundle. If it cannot be read to its end, add those before, and record a gap."""
    name = os.path.basename(path.rstrip("/"))
    try:
        waiting: set[str] = set()
        found = 0
        for place, data in _documents(path, max_document):
            found += 1
            if len(data) > max_document:
                audit.cannot_use(place, f"it is larger than {max_document} bytes")
            elif not audit.add(place, data, may_wait=True):
                waiting.add(place)
        if not found:
            audit.cannot_use(name, "it contains no status document")
        # Parts have cluster.json before the instances. In an archive of another order, read the waiting ones again.
        for place, data in _documents(path, max_document) if waiting else ():
            if place in waiting:
                audit.add(place, data)
    except _UNREADABLE as error:
        audit.cannot_use(name, f"cannot be read: {error}")


def _documents(path: str, max_document: int) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of each document. The content of a too large one is cut to max_document + 1 bytes."""
    for name, stream in _files(path):
        if name.rpartition("/")[2] in (STATUS_FILE, CLUSTER_FILE):
            yield name, stream.read(max_document + 1)


def _baseline(path: str) -> dict[str, Any]:
    """Return the earlier health.json: a file, maybe compressed, or the one at the top of a bundle."""
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
    """Return the content of a file that is no archive. Raise ValueError if it is damaged."""
    data = b""
    for found in open_inputs([path]):
        content = found.open()
        data = content.read(MAX_DOCUMENT)
        if content.damage:
            raise ValueError(content.problem)
    return data


def write_reports(output: str, audit: Audit, document: dict[str, Any], fail_on: str) -> list[str]:
    """Write the report in all formats into the folder and return the paths."""
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
