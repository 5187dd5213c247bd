# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that docstrings of functions say what the function does: at most 4 % of them begin with a question word.

    python3 tests/tools/prose.py

ruff's D401 finds first lines in another mood than the imperative, but takes "What the log says." for one. Reads
plugins/ and tests/tools/. Standard library only.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from workspace import ROOT

FOLDERS = ("plugins", "extensions", "tests/tools")
# Eight well-kept projects have 0 to 4 %: h11, httpcore, trio, build, packaging, attrs, community.dns, amazon.aws.
MOST_PERCENT = 4.0
QUESTION = re.compile(r"(what|whether|where|who|how)\b", re.IGNORECASE)


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the docstring of every function that has one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.lineno, text


def questions(paths: Iterable[Path]) -> tuple[list[str], int]:
    """Return the places of the docstrings that begin with a question word, and the number of all docstrings."""
    found, count = [], 0
    for path in paths:
        for line, text in docstrings(path.read_text(encoding="utf-8")):
            count += 1
            if QUESTION.match(text):
                found.append(f"{path}:{line}: {text.splitlines()[0]}")
    return found, count


def main(root: Path) -> int:
    """Print the docstrings that begin with a question word, where there are too many; return the exit code."""
    found, count = questions(path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py")))
    percent = 100 * len(found) / count
    if percent <= MOST_PERCENT:
        return 0
    print(*found, sep="\n")
    print(f"{len(found)} of {count} docstrings begin with a question word: {percent:.1f} %, at most {MOST_PERCENT} %")
    return 1


if __name__ == "__main__":
    sys.exit(main(ROOT))
