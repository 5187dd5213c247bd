# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled log patterns, shipped and user-defined, and one expression that finds lines with any of them.

Logs are long and trouble is rare, so lines without a match must be skipped fast. The expression searches for the byte
of each text that is rarest in logs and compares the rest only there (a lookbehind and what follows). That is several
times as fast as an alternation of the texts, or as one search for each text.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import Any, Sequence

from ..log_patterns import CRITICAL, INFO, LOG_PATTERNS, WARNING, LogPattern

SEVERITIES = (INFO, WARNING, CRITICAL)
# Log levels. On a terminal, the log has their first letters.
LEVELS = ("debug", "info", "warning", "error", "fatal", "panic")
ANY_LEVEL = LEVELS[0]
MAX_PATTERNS = 100
MAX_TEXTS = 20
MIN_TEXT, MAX_TEXT = 3, 200
MAX_FORM = 1000
_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
_KEYS = {"id", "texts", "severity", "meaning", "form"}

# Bytes of logs by frequency; each counts as a tenth rarer than the one before it. Other bytes are the rarest.
_FREQUENT = b" 0123456789-:./eatsrionlcdupmbgf_,()[]\"'=&vTSGPEAMRykwhINDCBOVFLHUWxKqjzYJQXZ?!%"
_FREQUENCIES = {byte: 0.9**rank for rank, byte in enumerate(_FREQUENT)}
_RARE = 0.9 ** len(_FREQUENT)


@dataclass
class PatternSet:
    """A set of patterns. prefilter: finds a position in each line that contains any of the texts, and in no other.

    texts: each text with its pattern, in the order of the patterns. forms: compiled forms by pattern id. at_level:
    patterns that match every line of a level, by that level.
    """

    items: Sequence[LogPattern]
    prefilter: re.Pattern[bytes] = field(init=False)
    texts: list[tuple[str, LogPattern]] = field(init=False)
    forms: dict[str, re.Pattern[str]] = field(init=False)
    at_level: dict[str, list[LogPattern]] = field(init=False)

    def __post_init__(self) -> None:
        self.texts = [(text, item) for item in self.items if not item.at_level for text in item.texts]
        self.prefilter = re.compile(_prefilter([text.encode() for item in self.items for text in item.texts]))
        self.at_level = {}
        for item in self.items:
            for name in (item.at_level, item.at_level[:1].upper()) if item.at_level else ():
                self.at_level.setdefault(name, []).append(item)
        self.forms = {item.id: re.compile(item.form, re.DOTALL) for item in self.items if item.form}


def _prefilter(texts: Sequence[bytes]) -> bytes:
    by_pivot = {}
    left = set(texts)
    while left:
        # The byte with the lowest cost for each text that it finds.
        costs = {
            pivot: _FREQUENCIES.get(pivot, _RARE) / sum(pivot in text for text in left) for pivot in set(b"".join(left))
        }
        pivot = min(costs, key=lambda byte: (costs[byte], byte))
        by_pivot[pivot] = sorted(text for text in left if pivot in text)
        left.difference_update(by_pivot[pivot])
    return b"|".join(_around(pivot, found) for pivot, found in by_pivot.items())


def _around(pivot: int, texts: Sequence[bytes]) -> bytes:
    """Return an expression for a byte that is part of any of the texts."""
    letter = bytes([pivot])
    parts = [text.partition(letter) for text in texts]
    rests = [b"(?<=%s)%s" % (re.escape(before + letter), re.escape(after)) for before, _letter, after in parts]
    return b"%s(?:%s)" % (re.escape(letter), b"|".join(rests))


def load_patterns(own: Sequence[dict[str, Any]] = ()) -> PatternSet:
    """Return the shipped patterns and the user's own: {id, texts, severity, meaning, form}, of which two are needed.

    id and texts are needed. ValueError names the invalid pattern and the problem.
    """
    if not own:
        return _shipped()
    items = list(LOG_PATTERNS)
    known = {item.id for item in items}
    if len(own) > MAX_PATTERNS:
        raise ValueError(f"there are {len(own)} patterns; at most {MAX_PATTERNS} may be given")
    for number, each in enumerate(own, 1):
        item = _pattern(each, f"pattern {number}")
        if item.id in known:
            raise ValueError(f"pattern {number}: the id '{item.id}' is already taken")
        known.add(item.id)
        items.append(item)
    return PatternSet(tuple(items))


@functools.lru_cache(maxsize=1)
def _shipped() -> PatternSet:
    return PatternSet(LOG_PATTERNS)


def _pattern(given: Any, where: str) -> LogPattern:
    if not isinstance(given, dict):
        raise ValueError(f"{where}: must be a mapping with id and texts")
    name = given.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(f"{where}: id must be up to 40 lowercase letters, digits and _, and begin with a letter")
    where = f"{where} ({name})"
    unknown = sorted(str(key) for key in set(given) - _KEYS)
    if unknown:
        raise ValueError(f"{where}: has the unknown key {', '.join(unknown)}; the keys are {', '.join(sorted(_KEYS))}")
    texts = _texts(given.get("texts"), where)
    severity = given.get("severity") or WARNING
    if severity not in SEVERITIES:
        raise ValueError(f"{where}: severity must be one of {', '.join(SEVERITIES)}")
    meaning, form = given.get("meaning") or "", given.get("form") or ""
    if not isinstance(meaning, str) or not isinstance(form, str) or len(form) > MAX_FORM:
        raise ValueError(f"{where}: meaning and form must be text, and form at most {MAX_FORM} characters")
    try:
        re.compile(form, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{where}: form is not a regular expression: {error}") from error
    return LogPattern(name, texts, severity, meaning, form, level=ANY_LEVEL, bare=True)


def _texts(given: Any, where: str) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 1 <= len(texts) <= MAX_TEXTS:
        raise ValueError(f"{where}: texts must be a list of 1 to {MAX_TEXTS} texts")
    for text in texts:
        if not isinstance(text, str) or not MIN_TEXT <= len(text) <= MAX_TEXT or "\n" in text or "\x1b" in text:
            raise ValueError(f"{where}: each text must be one line of {MIN_TEXT} to {MAX_TEXT} characters")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{where}: a text is not Unicode") from error
    return tuple(texts)
