# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the prefixes of log tools, also of several sources mixed."""

from __future__ import annotations

import itertools
import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.limits import ParseLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import CORPUS, LOG, PRINTED, REGION1, REGION2, spread

TIME = b"2026-11-23T00:22:28.123456789Z "
POD = b"default-region-6d5f9c7b9-x2x7k"


def prefixed(prefix: bytes, data: bytes) -> bytes:
    return b"".join(prefix + line for line in data.splitlines(keepends=True))


def docker(data: bytes, stream: str = "stderr") -> bytes:
    lines = data.decode("utf-8", "replace").splitlines(keepends=True)
    records = [{"log": line, "stream": stream, "time": TIME.decode().strip()} for line in lines]
    return b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records)


FORMS = {
    "timestamps": (lambda data: prefixed(TIME, data), None),
    "timestamps of a zone": (lambda data: prefixed(b"2026-11-23T08:22:28.5+08:00 ", data), None),
    "kubectl": (lambda data: prefixed(b"[pod/%s/region] " % POD, data), f"{POD.decode()}/region"),
    "kubectl timestamps": (lambda data: prefixed(b"[pod/%s/region] %s" % (POD, TIME), data), f"{POD.decode()}/region"),
    "stern": (lambda data: prefixed(POD + b" region ", data), f"{POD.decode()}/region"),
    "stern of all namespaces": (lambda data: prefixed(b"onecloud web-1 web ", data), "onecloud/web-1/web"),
    "stern timestamps": (lambda data: prefixed(POD + b" region " + TIME, data), f"{POD.decode()}/region"),
    "stern in colours": (
        lambda data: prefixed(b"\x1b[38;5;3mweb-1\x1b[0m \x1b[32mweb\x1b[0m ", data),
        "web-1/web",
    ),
    "CRI": (lambda data: prefixed(TIME + b"stderr F ", data), "stderr"),
    "docker": (docker, "stderr"),
}
NAMES = ["go1.27/debug1", "go1.27/debug2", "go1.27/quit", "go1.19/panic", "go1.27/stack", "go1.27/deadlock"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_strips_prefixes(form, name):
    wrap, source = FORMS[form]
    data = LOG + LOG + CORPUS[name] + LOG
    result, plain = parse(wrap(data)), parse(data)
    assert {dump.source for dump in result.dumps} == {source}
    for dump in result.dumps:
        dump.source = None
    assert result == plain


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_strips_long_file_in_parts(size):
    """A part may end within a line. A line without the prefix is found in any part."""
    limits = ParseLimits(strip_bytes=size)
    data = LOG + CORPUS["go1.27/debug2"]
    wrapped = prefixed(b"[pod/a-1/x] ", data)
    (dump,) = parse(data).dumps
    dump.source = "a-1/x"
    assert parse(wrapped, limits).dumps == [dump]
    for end in (b"\n", b""):
        result = parse(wrapped + b"not of kubectl" + end, limits)
        assert (result.dumps, result.errors) == ([dump], [])


@pytest.mark.parametrize("form", FORMS)
def test_truncated_dump_behind_prefixes_is_not_complete(form):
    wrap, _source = FORMS[form]
    for name in ("go1.27/debug1", "go1.27/debug2"):
        result = parse(wrap(CORPUS[name][:-700]))
        assert [dump.complete for dump in result.dumps] == [False], name


def mixed(*logs: bytes) -> bytes:
    """Return the lines of the logs in turn."""
    lines = itertools.zip_longest(*(log.splitlines(keepends=True) for log in logs), fillvalue=b"")
    return b"".join(itertools.chain.from_iterable(lines))


@pytest.mark.parametrize(
    "prefix", [b"[pod/%s/region] ", b"[pod/%s/region] " + TIME, b"%s region ", b"%s region " + TIME]
)
def test_separates_pods(prefix):
    texts = {b"default-region-1": REGION1, b"default-region-2": REGION2, b"web-0": CORPUS["go1.27/quit"]}
    quiet = prefixed(prefix % b"quiet-1", LOG * 50)
    result = parse(mixed(quiet, *(prefixed(prefix % pod, text) for pod, text in texts.items())))
    assert {dump.source: (dump.form, dump.goroutines, dump.complete) for dump in result.dumps} == {
        "default-region-1/region": ("debug1", 145, True),
        "default-region-2/region": ("debug2", 171, None),
        "web-0/region": ("fatal", 43, None),
    }
    assert [error for dump in result.dumps for error in dump.errors] == result.errors == []


def test_separates_streams():
    stdout = prefixed(TIME + b"stdout F ", LOG * 200)
    result = parse(mixed(stdout, prefixed(TIME + b"stderr F ", REGION1)))
    assert [(dump.source, dump.goroutines, dump.complete) for dump in result.dumps] == [("stderr", 145, True)]


def test_joins_lines_that_the_container_runtime_split():
    record = TIME + b"stderr %b %b\n"
    data = b"".join(
        record % (b"P", line[:60]) + record % (b"F", line[60:]) if len(line) > 60 else record % (b"F", line)
        for line in REGION1.splitlines()
    )
    (dump,) = parse(prefixed(TIME + b"stderr F ", LOG) + data).dumps
    assert (dump.goroutines, dump.complete, dump.line) == (145, True, 2)


def test_line_numbers_are_those_of_the_log():
    headers = REGION2.split(b"]:\n")
    text = b"]:\n".join(headers[:3]) + b"]\n" + b"]\n".join(headers[3:5]) + b"]:\n" + b"]:\n".join(headers[5:])
    log = mixed(prefixed(b"[pod/a-1/x] ", LOG * 3000), prefixed(b"[pod/b-1/y] ", text))
    (dump,) = parse(log).dumps
    lines = log.split(b"\n")
    assert dump.complete is False
    assert len(dump.errors) == 2
    for error in dump.errors:
        assert lines[error.line - 1].startswith(b"[pod/b-1/y] goroutine %d " % error.goroutine)


def test_log_without_prefixes_is_read_as_it_is():
    """Words before a goroutine are a prefix only if the next line has one, too."""
    for message in (b"recovered in goroutine 7 [running]:\n", TIME + b"goroutine 7 [running]:\n"):
        data = message + PRINTED.split(b"\n", 2)[2]
        assert [(dump.form, dump.goroutines, dump.source) for dump in parse(LOG + data + LOG).dumps] == [
            ("stack", 1, None)
        ]


def test_log_with_and_without_prefixes():
    result = parse(REGION1 + prefixed(b"[pod/b-1/y] ", REGION2) + CORPUS["go1.27/quit"])
    assert [(dump.form, dump.source, dump.line) for dump in result.dumps] == [
        ("debug1", None, 1),
        ("debug2", "b-1/y", REGION1.count(b"\n") + 1),
        ("fatal", None, (REGION1 + REGION2).count(b"\n") + 1),
    ]


def test_lines_without_prefix_among_prefixed_ones():
    wrapped = prefixed(b"[pod/a-1/x] ", spread(CORPUS["go1.27/debug2"], [LOG]))
    (dump,) = parse(spread(wrapped, [b"not of kubectl\n"], 7)).dumps
    assert (dump.goroutines, dump.errors) == (35, [])


def test_reports_sources_above_the_limit():
    data = b"".join(prefixed(b"[pod/p-%d/x] " % number, CORPUS["go1.27/deadlock"]) for number in range(6))
    result = parse(data, ParseLimits(sources=3))
    assert [dump.source for dump in result.dumps] == ["p-0/x", "p-1/x", "p-2/x"]
    assert {error.line: error.message.partition(":")[0] for error in result.errors} == {
        3 * CORPUS["go1.27/deadlock"].count(b"\n") + 1: "from here on, new sources are not separated",
        3 * CORPUS["go1.27/deadlock"].count(b"\n") + 3: "goroutines are in an unknown format",
    }
    assert result.complete is not True


@pytest.mark.parametrize(
    "record", [b'{"log":"goroutine 1 [x]:\\n"}\n', b'{"log":3,"stream":4}\n', b'{"log":[[[[\n', b'{"a\n']
)
def test_malformed_json_record_is_skipped(record):
    data = docker(LOG) + record + docker(REGION1)
    assert [(dump.goroutines, dump.complete) for dump in parse(data).dumps if dump.form == "debug1"] == [(145, True)]
