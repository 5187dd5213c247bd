# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that commit messages follow CONTRIBUTING.md: an imperative subject of at most 72 characters, then a blank line.

    python3 tests/tools/commit_message.py FILE            the message in this file (a commit-msg hook)
    python3 tests/tools/commit_message.py --range A..B    the messages of these commits

Own code, since the linters for commit messages on PyPI check lengths but no mood. Standard library only, so that the
hook needs no virtual environment.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from workspace import ROOT

MOST = 72
# What Git writes by itself.
GENERATED = re.compile(r"(Merge|Revert|fixup!|squash!|amend!) ")
# First words that begin a statement, not an instruction.
STATEMENT = frozenset(
    ("a", "all", "an", "and", "another", "any", "as", "at", "by", "each", "every", "for", "from", "how", "if",
     "in", "it", "its", "more", "most", "no", "not", "of", "on", "one", "only", "or", "same", "so", "some",
     "such", "than", "that", "the", "their", "these", "they", "this", "those", "to", "until", "what", "when",
     "where", "which", "who", "why", "with")
)  # fmt: skip
# Imperatives that look like another form of a verb.
IMPERATIVE = frozenset(
    ("bring", "embed", "exceed", "feed", "focus", "heed", "need", "ping", "proceed", "seed", "shed", "speed",
     "spring", "succeed", "weed")
)  # fmt: skip
COMMENT = "#"
SCISSORS = "# ------------------------ >8"


def problems(message: str) -> Iterator[str]:
    """Yield what is wrong with a commit message, one line each."""
    written, _scissors, _diff = message.partition(SCISSORS)
    lines = [line.rstrip() for line in written.splitlines() if not line.startswith(COMMENT)]
    subject = lines[0] if lines else ""
    if GENERATED.match(subject):
        return
    if not subject:
        yield "the subject is empty"
        return
    if len(subject) > MOST:
        yield f"the subject has {len(subject)} characters; at most {MOST}"
    if subject.endswith("."):
        yield "the subject ends with a period"
    word = re.split(r"[\s,:]", subject)[0]
    if not word[:1].isupper():
        yield "the subject does not begin with a capital letter"
    if not is_imperative(word.lower()):
        yield f"the subject does not begin with an imperative: {word}"
    if len(lines) > 1 and lines[1]:
        yield "the second line is not blank"


def is_imperative(word: str) -> bool:
    """Return False for a word that is certainly no imperative: an article, a pronoun, `fixes`, `fixed`, `fixing`."""
    if word in IMPERATIVE:
        return True
    other_form = re.search(r"(ed|ing|[^s]s)\Z", word)
    return word not in STATEMENT and not other_form


def messages(commits: str) -> Iterator[tuple[str, str]]:
    """Yield the abbreviated hash and the message of every commit in a range of Git. CalledProcessError."""
    command = ["git", "-C", str(ROOT), "log", "-z", "--no-merges", "--format=%h%n%B", commits]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for entry in filter(None, listed.split("\0")):
        name, _newline, message = entry.partition("\n")
        yield name, message


def main(arguments: list[str]) -> int:
    """Check what the command line names; return 1 when something is wrong."""
    if len(arguments) == 2 and arguments[0] == "--range":
        checked = list(messages(arguments[1]))
    elif len(arguments) == 1 and not arguments[0].startswith("-"):
        checked = [("message", Path(arguments[0]).read_text(encoding="utf-8"))]
    else:
        sys.exit(__doc__)
    wrong = [f"{name}: {problem}" for name, message in checked for problem in problems(message)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
