# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Timeline of log lines and hits by minute: a self-contained SVG, and a sparkline for tables. Pure.

The SVG is written by hand instead of by Jinja2, because it is made on the node that reads the log. Nodes have only the
standard library.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any, Sequence

from ..log_patterns import CRITICAL, INFO, WARNING
from ..logtext import timestamps
from ..sanitize import clean

_BLOCKS = "▁▂▃▄▅▆▇█"
MAX_BARS = 240
# Pixels.
_BAR, _GAP_BAR, _HEIGHT, _LEFT, _TOP, _FOOT = 6, 1, 60, 84, 34, 30
_SERIES = (
    ("hits", (CRITICAL, WARNING, INFO), {CRITICAL: "#c62828", WARNING: "#ef9a00", INFO: "#5c8bb0"}),
    ("lines", ("lines",), {"lines": "#8a8f98"}),
)
_STYLE = (
    "text{font:11px sans-serif;fill:#333}.title{font-weight:bold;font-size:13px}"
    "@media(prefers-color-scheme:dark){svg{background:#1c1e22}text{fill:#ddd}}"
)


def time_columns(minutes: Sequence[dict[str, Any]], most: int = MAX_BARS) -> tuple[list[dict[str, Any]], int]:
    """Return the minutes of log.json in at most `most` columns without gaps, and the number of minutes per column."""
    known = {_number(each["minute"]): each for each in minutes if each["minute"]}
    if not known:
        return [], 1
    # If a wrong clock makes the log jump by years, show only the minutes with lines.
    first, last = min(known), max(known)
    numbers = range(first, last + 1) if last - first < len(known) * most else sorted(known)
    width = math.ceil(len(numbers) / most)
    columns = []
    for start in range(0, len(numbers), width):
        part = numbers[start : start + width]
        sums = {
            name: sum(known[number][name] for number in part if number in known)
            for name in ("lines", INFO, WARNING, CRITICAL)
        }
        columns.append({"minute": timestamps.utc_minute(part[0] * 60), **sums})
    return columns, width


def sparkline(minutes: Sequence[dict[str, Any]], width: int = 20) -> str:
    """Return the warnings and criticals by minute as block characters, or "" if there are none."""
    columns, _minutes = time_columns(minutes, width)
    counts = [column[WARNING] + column[CRITICAL] for column in columns]
    if not any(counts):
        return ""
    top = len(_BLOCKS) / math.log1p(max(counts))
    return "".join(_BLOCKS[min(int(math.log1p(count) * top), len(_BLOCKS) - 1)] if count else " " for count in counts)


def timeline_svg(title: str, minutes: Sequence[dict[str, Any]], gaps: Sequence[dict[str, Any]] = ()) -> str:
    """Return an SVG of the minutes of log.json: hits by severity above, lines below, gaps as grey bands.

    Both scales are logarithmic.
    """
    columns, each = time_columns(minutes)
    width = _LEFT + max(len(columns) * (_BAR + _GAP_BAR), 380) + 12
    height = _TOP + len(_SERIES) * (_HEIGHT + _FOOT)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><style>{_STYLE}</style>',
        f'<title>{_escaped(title)}</title><text class="title" x="8" y="18">{_escaped(title)}</text>',
    ]
    for row, (name, stack, colours) in enumerate(_SERIES):
        bottom = _TOP + row * (_HEIGHT + _FOOT) + _HEIGHT
        parts += _bands(columns, gaps, bottom)
        parts += _chart(columns, name, stack, colours, bottom)
    if columns:
        unit = "minute" if each == 1 else f"{each} minutes"
        foot = f"{columns[0]['minute']} to {columns[-1]['minute']} UTC, one bar is {unit}"
    else:
        foot = "no line has a timestamp"
    parts.append(f'<text x="{_LEFT}" y="{height - 8}">{_escaped(foot)}</text></svg>')
    return "\n".join(parts) + "\n"


def _chart(
    columns: Sequence[dict[str, Any]], name: str, stack: Sequence[str], colours: dict[str, str], bottom: int
) -> list[str]:
    sums = [sum(column[part] for part in stack) for column in columns]
    most = max(sums, default=0)
    parts = [
        f'<text x="8" y="{bottom - _HEIGHT + 10}">{name}</text><text x="8" y="{bottom}">max {most}</text>',
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{_x(len(columns))}" y2="{bottom}" stroke="#999"/>',
    ]
    for place, (column, total) in enumerate(zip(columns, sums)):
        if not total:
            continue
        tall, low = _HEIGHT * math.log1p(total) / math.log1p(most), float(bottom)
        label = ", ".join(f"{column[part]} {part}" for part in stack if column[part])
        parts.append(f"<g><title>{column['minute']}: {label}</title>")
        for part in stack:
            size = tall * column[part] / total
            if size:
                low -= size
                parts.append(
                    f'<rect x="{_x(place)}" y="{low:.1f}" width="{_BAR}" height="{size:.1f}" fill="{colours[part]}"/>'
                )
        parts.append("</g>")
    return parts


def _bands(columns: Sequence[dict[str, Any]], gaps: Sequence[dict[str, Any]], bottom: int) -> list[str]:
    """Return a grey band for each gap."""
    parts = []
    for gap in gaps:
        since, until = (str(gap.get(name, ""))[:16] for name in ("since", "until"))
        inside = [
            place
            for place, column in enumerate(columns)
            if since <= column["minute"] and (not until or column["minute"] <= until)
        ]
        if since and inside:
            x, end = _x(inside[0]), _x(inside[-1]) + _BAR
            shape = (
                f'<rect x="{x}" y="{bottom - _HEIGHT}" width="{end - x}" height="{_HEIGHT}" fill="#999" opacity="0.35">'
            )
            parts.append(f"{shape}<title>{_escaped('not seen: ' + str(gap.get('message', '')))}</title></rect>")
    return parts


def _x(place: int) -> int:
    return _LEFT + place * (_BAR + _GAP_BAR)


def _escaped(text: str) -> str:
    return escape(clean(text))


def _number(minute: str) -> int:
    moment = timestamps.parse_rfc3339(minute + ":00Z")
    if moment is None:
        raise ValueError(f"not a minute: {minute}")
    return int(moment) // 60
