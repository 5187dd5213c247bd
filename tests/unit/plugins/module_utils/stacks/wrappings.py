# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that tools and people make to a dump. Each function takes a dump and returns the file."""

from __future__ import annotations

import html
import itertools
import json
import quopri
import re
from collections.abc import Callable

import yaml
from dumps import LOG

Change = Callable[[bytes], bytes]


def each(change: Callable[[int, bytes], bytes]) -> Change:
    """Change every line, given its number and the line with its newline."""
    return lambda data: b"".join(change(number, line) for number, line in enumerate(data.splitlines(keepends=True)))


def before(prefix: bytes) -> Change:
    return each(lambda _number, line: prefix + line)


def at(form: bytes, *steps: int) -> Change:
    """Return a prefix with numbers, each of which grows by its step and stays below its bound."""
    return each(
        lambda number, line: form % tuple(number * step % (59 if step == 1 else 900000) for step in steps) + line
    )


def after(suffix: bytes, prefix: bytes = b"") -> Change:
    return each(lambda _number, line: prefix + line.rstrip(b"\n") + suffix + b"\n")


def mixed(*texts: bytes) -> bytes:
    """Return the lines of the texts in turn."""
    lines = itertools.zip_longest(*(text.splitlines(keepends=True) for text in texts), fillvalue=b"")
    return b"".join(itertools.chain.from_iterable(lines))


def among(prefix: bytes, *others: bytes) -> Change:
    """Return the dump with this prefix among log lines of others with theirs."""
    return lambda data: mixed(before(prefix)(data), *(before(other)(LOG * 40) for other in others))


def records(record: Callable[[int, str], object]) -> Change:
    """Return one JSON record per line, given its number and the line without its newline."""
    return each(lambda number, line: json.dumps(record(number, line.decode().rstrip("\n"))).encode() + b"\n")


def document(make: Callable[[list[str]], object], **options: int) -> Change:
    """Return one JSON document, given the lines."""
    return lambda data: json.dumps(make(data.decode().splitlines()), **options).encode()


def replaced(*pairs: tuple[bytes, bytes]) -> Change:
    def change(data: bytes) -> bytes:
        for old, new in pairs:
            data = data.replace(old, new)
        return data

    return change


def columns(width: int, offset: int = 0) -> Change:
    """Replace tabs by blanks up to the next tab stop, after a prefix of some width."""
    return each(lambda _number, line: ("x" * offset + line.decode()).expandtabs(width)[offset:].encode())


def broken(width: int) -> Change:
    """Break lines at the width of a terminal."""

    def change(data: bytes) -> bytes:
        out: list[str] = []
        for line in data.decode().splitlines():
            piece, column = "", 0
            for character in line:
                size = 8 - column % 8 if character == "\t" else 1
                if column + size > width:
                    out.append(piece)
                    piece, column = "", 0
                piece, column = piece + character, column + size
            out.append(piece)
        return ("\n".join(out) + "\n").encode()

    return change


def folded(width: int) -> Change:
    """Break lines like a mail program, at blanks and tabs."""

    def pieces_of(line: str) -> list[str]:
        blank = max(line.rfind(" ", 1, width), line.rfind("\t", 1, width))
        if len(line) <= width or not line[:blank].strip():
            later = re.search("[ \t]", line[width:])
            blank = width + later.start() if len(line) > width and later else -1
        return [line] if blank < 0 else [line[:blank], *pieces_of(line[blank:].lstrip())]

    return lambda data: "".join(
        piece + "\n" for line in data.decode().splitlines() for piece in pieces_of(line.expandtabs(8))
    ).encode()


def page(data: bytes) -> bytes:
    return html.escape(data.decode()).replace("+", "&#43;").encode()


def quoted(data: bytes) -> bytes:
    return json.dumps(data.decode()).encode()


def quoted_for_csv(text: bytes) -> bytes:
    """Quote a field only if it has a comma or a quote."""
    return b'"%b"' % text.replace(b'"', b'""') if b"," in text or b'"' in text else text


def hanging(data: bytes) -> bytes:
    """Indent the further lines of a message below its first one, like journalctl."""
    prefix = b"Nov 23 00:22:28 node1 region[1234]: "
    return each(lambda number, line: (b" " * len(prefix) if number else prefix) + line)(data)


def pieces(first: bytes, rest: bytes, last: bytes) -> Change:
    """Split long lines into two records."""
    return each(lambda _number, line: first + line[:50] + rest + line[50:] if len(line) > 60 else last + line)


DAY = "2024-05-01T10:"
PREFIXES: dict[str, Change] = {
    "journalctl": at(b"Nov 23 00:22:%02d node1 region[1234]: ", 1),
    "journalctl short-iso": at(b"2024-05-01T10:00:%02d+0800 node1 region[1234]: ", 1),
    "journalctl short-monotonic": at(b"[%5d.%06d] node1 region[1234]: ", 1, 7),
    "journalctl short-unix": at(b"1700000%03d.%06d node1 region[1234]: ", 1, 7),
    "journalctl of one message": hanging,
    "journalctl export": at(b"__CURSOR=s=%d\n_PID=77\nMESSAGE=", 7),
    "syslog of RFC 5424": at(b"<30>1 2024-05-01T10:00:%02d.%06d+02:00 node1 region 1234 - - ", 1, 31),
    "GitHub Actions": at(b"2024-05-01T10:00:%02d.%07dZ ", 1, 977),
    "gh run view": at(b"build\tRun tests\t2024-05-01T10:00:%02d.%07dZ ", 1, 977),
    "GitLab": at(b"2024-05-01T10:00:%02d.%06dZ 01O ", 1, 3),
    "GitLab in pieces": pieces(
        b"2024-05-01T10:00:00.1Z 01O ", b"\n2024-05-01T10:00:00.1Z 01O+", b"2024-05-01T10:00:00.1Z 01O "
    ),
    "Jenkins": at(b"[2024-05-01T10:00:%02d.%03dZ] ", 1, 3),
    "Jenkins timestamper": at(b"10:00:%02d  ", 1),
    "mail in a mail": before(b"> > "),
    "mail without blanks": before(b">"),
    "mail, blanks cut off": each(lambda _number, line: (b"> " + line).rstrip() + b"\n"),
    "bar": before(b"| "),
    "box": before("│ ".encode()),
    "tab": before(b"\t"),
    "docker compose": before(b"region-1  | "),
    "docker compose, blanks cut off": each(lambda _number, line: (b"region-1  | " + line).rstrip() + b"\n"),
    "docker compose 1": before(b"region_1    | "),
    "docker compose --timestamps": at(b"region-1  | 2024-05-01T10:00:%02d.%dZ ", 1, 1001),
    "docker compose of several": among(b"region-1  | ", b"web-1     | ", b"glance-1  | "),
    "docker compose in colours": among(b"\x1b[33mregion-1  |\x1b[0m ", b"\x1b[36mweb-1     |\x1b[0m "),
    "colours after cat -v": before(b"^[[36mregion-1 |^[[0m "),
    "kubectl": before(b"[pod/region-7d-x/region] "),
    "kubectl of several": among(b"[pod/region-7d-x/region] ", b"[pod/web-7d-x/web] "),
    "kubectl --timestamps": at(b"[pod/region-7d-x/region] 2024-05-01T10:00:%02d.%09dZ ", 1, 977),
    "stern": before(b"region-7d-x region "),
    "stern with signs": before("+ region-7d-x › region ".encode()),
    "CRI": at(b"2024-05-01T10:00:%02d.%09dZ stderr F ", 1, 977),
    "CRI in pieces": pieces(
        b"2024-05-01T10:00:00.1Z stderr P ", b"\n2024-05-01T10:00:00.1Z stderr F ", b"2024-05-01T10:00:00.1Z stderr F "
    ),
    "klog": at(b"E0501 10:00:%02d.%06d    1234 main.go:22] ", 1, 7),
    "Go's log": at(b"2024/05/01 10:00:%02d [ERROR] region: ", 1),
    "log4j": at(b"2024-05-01 10:00:%02d,%03d ERROR [pool-1-thread-3] region - ", 1, 3),
    "apache": at(b"[01/May/2024:10:00:%02d +0000] region: ", 1),
    "ctime": at(b"[Wed May  1 10:00:%02d 2024] ", 1),
    "American": at(b"5/1/2024, 10:00:%02d AM | ", 1),
    "Heroku": at(b"2024-05-01T10:00:%02d.%06d+00:00 app[web.1]: ", 1, 7),
    "cat -n": at(b"%6d\t", 3),
    "grep -n": each(lambda number, line: (b"%d-" if number % 3 else b"%d:") % (number + 17) + line),
    "counter": at(b"seq=%d host=a ", 7),
    "hexadecimal counter": at(b"[a%05x] ", 7919),
    "diff": before(b"+"),
    "comment": before(b"// "),
    "YAML": before(b"    "),
    "list": lambda data: b"* dump:\n\n" + before(b"      ")(data),
    "HTML breaks": after(b"<br>"),
    "red": after(b"\x1b[0m", b"\x1b[31m"),
    "table": after(b" |", b"| "),
    "CSV": each(lambda number, line: b'"2024-05-01 10:00:%02d","%b"\n' % (number % 60, line.rstrip(b"\n"))),
}
QUOTES: dict[str, Change] = {
    "CSV, where needed": each(
        lambda number, line: b"10:00:%02d,region-1,%b\n" % (number % 60, quoted_for_csv(line.rstrip(b"\n")))
    ),
    "Ansible": lambda data: b'ok: [node1] => {\n    "dump.stdout_lines": ' + document(list, indent=8)(data) + b"\n}\n",
    "YAML": lambda data: yaml.safe_dump({"lines": data.decode().splitlines()}, width=10**6).encode(),
    "YAML, indented": lambda data: before(b"    ")(QUOTES["YAML"](data)),
}
RECORDS: dict[str, Change] = {
    "docker": records(lambda number, line: {"log": line + "\n", "stream": "stderr", "time": f"{DAY}00:00.{number}Z"}),
    "docker, another order": records(lambda number, line: {"time": f"{number}", "stream": "x", "log": line + "\n"}),
    "Fluent Bit": records(
        lambda number, line: {"date": 17e8 + number, "log": line, "_p": "F", "kubernetes": {"pod_name": "region-1"}}
    ),
    "Filebeat": records(
        lambda number, line: {
            "@timestamp": f"{DAY}00:00.{number % 1000:03}Z",
            "message": line,
            "log": {"offset": number * 100, "file": {"path": "/var/log/a"}},
        }
    ),
    "Elasticsearch": document(
        lambda lines: {
            "took": 3,
            "hits": {"hits": [{"_id": f"x{n}", "_source": {"message": line}} for n, line in enumerate(lines)]},
        }
    ),
    "Elasticsearch, the newest first, over several lines": document(
        lambda lines: {
            "hits": {
                "hits": [
                    {"_id": f"x{n}", "_source": {"@timestamp": f"{DAY}{n // 60:02}:{n % 60:02}Z", "message": line}}
                    for n, line in reversed(list(enumerate(lines)))
                ]
            }
        },
        indent=2,
    ),
    "Loki": document(
        lambda lines: {
            "data": {
                "result": [
                    {"stream": {"pod": "web"}, "values": [[f"{17 * 10**17 + n}", f"hello {n}"] for n in range(9)]},
                    {
                        "stream": {"pod": "region"},
                        "values": [[f"{17 * 10**17 + n}", line] for n, line in enumerate(lines)],
                    },
                ]
            }
        }
    ),
    "Loki, the newest first": document(
        lambda lines: [
            {
                "stream": {"pod": "region"},
                "values": [[f"{17 * 10**17 + n}", line] for n, line in reversed(list(enumerate(lines)))],
            }
        ]
    ),
    "logcli": records(
        lambda number, line: {"labels": {"pod": "region"}, "line": line, "timestamp": f"{DAY}00:00.{number:09}Z"}
    ),
    "journalctl -o json": records(
        lambda number, line: {
            "__CURSOR": f"s={number}",
            "__REALTIME_TIMESTAMP": f"{17 * 10**14 + number}",
            "_PID": "77",
            "MESSAGE": line,
        }
    ),
    "journalctl -o json, bytes": records(
        lambda number, line: {"__CURSOR": f"s={number}", "_PID": "77", "MESSAGE": list(line.encode())}
    ),
    "two services": lambda data: mixed(
        records(lambda _number, line: {"log": line, "pod": "a"})(data),
        records(lambda _number, line: {"log": line, "pod": "b"})(LOG * 50),
    ),
    "records behind a prefix": lambda data: before(b"fluent-1  | ")(RECORDS["docker"](data)),
    "a text": quoted,
    "a list of lines": document(lambda lines: {"lines": lines}, indent=1),
    "zap": lambda data: json.dumps({"level": "error", "msg": "boom", "stacktrace": data.decode()}).encode() + b"\n",
}
ESCAPES: dict[str, Change] = {
    "logrus": lambda data: b'time="2024-05-02T10:00:00Z" level=error msg=' + quoted(data) + b" pod=x\n",
    "logrus in docker": lambda data: RECORDS["docker"](ESCAPES["logrus"](data)),
    "three times": lambda data: b"x: " + quoted(quoted(quoted(data))) + b"\n",
    "without quotes": lambda data: b"err: " + replaced((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\t", b"\\t"))(data),
    "rsyslog": lambda data: b"Nov 23 00:22:28 n r[7]: " + replaced((b"\n", b"#012"), (b"\t", b"#011"))(data) + b"\n",
    "URL": replaced((b"%", b"%25"), (b"\n", b"%0A"), (b"\t", b"%09")),
    "HTML": lambda data: replaced((b"\n", b"<br/>"), (b"\t", b"&#9;"))(html.escape(data.decode()).encode()),
}
CHARACTERS: dict[str, Change] = {
    "Windows": replaced((b"\n", b"\r\n")),
    "terminal": replaced((b"\n", b"\r\r\n")),
    "old Macintosh": replaced((b"\n", b"\r")),
    "byte order mark within": lambda data: LOG + b"\xef\xbb\xbf" + data,
    "page": lambda data: b"<html><body><pre>" + page(data) + b"</pre></body></html>",
    "page in a page": lambda data: page(page(data)),
    "quoted on a page": lambda data: before(b"&gt; ")(html.escape(data.decode()).encode()),
    "blanks of a page": replaced((b"\t", b"&nbsp;" * 8), (b" ", b"&nbsp;")),
    "no-break blanks": replaced((b" ", b"\xc2\xa0")),
    "zero-width blanks": replaced((b"/", b"/\xe2\x80\x8b"), (b" [", b"\xe2\x80\x8b [")),
    "quoted-printable": quopri.encodestring,
    "quoted mail, quoted-printable": lambda data: quopri.encodestring(before(b"> ")(data)),
    "grep in colours": replaced((b"goroutine", b"\x1b[01;31m\x1b[Kgoroutine\x1b[m\x1b[K")),
    "trailing blanks": after(b"   "),
    "two bytes for a character": lambda data: data.decode().encode("utf-16-le"),
}
LAYOUTS: dict[str, Change] = {
    "fence": lambda data: b"Hello\n\n```\n" + data + b"```\n\nThanks\n",
    "fence in a list": lambda data: b"1. x\n   ```go\n" + before(b"   ")(data) + b"   ```\n",
    "fence in a quote": lambda data: before(b"> ")(b"```\n" + data + b"```\n"),
    "in a message": lambda data: b"dump: " + data,
    "one blank": lambda data: b" " + data,
    "empty lines": replaced((b"\n", b"\n\n")),
    "empty lines of Windows, quoted": lambda data: before(b"> ")(data.replace(b"\n", b"\n\n")).replace(b"\n", b"\r\n"),
    "tabs of 2": replaced((b"\t", b"  ")),
    "tabs of 4": replaced((b"\t", b"    ")),
    "tabs of 8": replaced((b"\t", b" " * 8)),
    "tab stops of 8": columns(8),
    "tab stops of 4": columns(4),
    "tab stops behind a prefix": columns(8, 12),
    "tab stops with their prefix": each(lambda _number, line: ("region-1  | " + line.decode()).expandtabs(8).encode()),
    "blanks on a page": lambda data: page(data).replace(b"\t", b"    "),
    "blanks in a mail": lambda data: before(b"> ")(data.replace(b"\t", b" " * 8)),
    "Windows terminal": replaced((b"\t", b"    "), (b"\n", b" \r\n")),
    "80 columns": broken(80),
    "132 columns": broken(132),
    "100 columns in a mail": lambda data: before(b"> ")(broken(100)(data)),
    "80 columns without tabs": lambda data: broken(80)(columns(8)(data)),
}
# The proof that a debug=1 dump is complete is lost.
LOSSES: dict[str, Change] = {
    "no tabs": replaced((b"\t", b"")),
    "one blank for tabs": lambda data: re.sub(rb"\t+", b" ", data),
    "no indent": each(lambda _number, line: line.lstrip(b" \t") if line.strip() else line),
    "72 columns of a mail": folded(72),
    "78 columns of a quoted mail": lambda data: before(b"> ")(folded(78)(data)),
    "no empty line at the end": lambda data: data.rstrip(b"\n") + b"\n",
    "no empty line before the fence": lambda data: b"```\n" + data.rstrip(b"\n") + b"\n```\n",
    "no empty lines": lambda data: re.sub(rb"\n\n+", b"\n", data),
}
LOSSLESS: dict[str, Change] = {
    f"{kind}: {name}": change
    for kind, changes in {
        "prefix": PREFIXES,
        "quotes": QUOTES,
        "record": RECORDS,
        "escape": ESCAPES,
        "characters": CHARACTERS,
        "layout": LAYOUTS,
    }.items()
    for name, change in changes.items()
}
