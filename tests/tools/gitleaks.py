# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make plugins/module_utils/redact/gitleaks.py out of the rules of gitleaks, as Go's module proxy has them.

    python3 tests/tools/gitleaks.py [VERSION]       such as v8.30.1; without, the version that is there now

Taken are the tokens that can be told by their own form. Left out are rules that need the name of a vendor near to a
word of a certain length, and the ones of LEFT_OUT. Needs Go and Python >= 3.11.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tomllib

from workspace import ROOT

MODULE = "github.com/zricethezav/gitleaks/v8"
TARGET = ROOT / "plugins/module_utils/redact/gitleaks.py"
# Of rules that look for a vendor's name and then for a word.
_NEAR_A_NAME = "{0,50}?"
# Of a line of source text, and of an expression in it, in characters.
LINE, WIDTH = 120, 90
LEFT_OUT = {
    "curl-auth-header": "headers and options are rules of our own, without the backtracking over lines",
    "curl-auth-user": "the same",
    "freemius-secret-key": "named secrets are rules of our own",
    "generic-api-key": "the same",
    "kubernetes-secret-yaml": "the same",
    "nuget-config-password": "the same",
    "private-key": "a rule of our own, which does not need the end of the key",
    "sidekiq-sensitive-url": "all URLs with a password are a rule of our own",
    "sourcegraph-access-token": "it takes each commit (40 hexadecimal digits) for a token",
    "facebook-access-token": "it takes numbers with a percent sign for a token",
    "pkcs12-file": "it is about names of files",
    "vault-service-token": "its older form takes names of Go's methods for tokens; the newer one is a rule of our own",
}
HEAD = '''# Copyright (c) 2019 Zachary Rice
# SPDX-License-Identifier: MIT
# fmt: off
"""Tokens that can be told by their own form: rules of gitleaks {version} (MIT, see LICENSES/MIT-gitleaks.txt).

Made by tests/tools/gitleaks.py. Each: its name, lower-case words of which one has to be there, the expression, and the
number of its group that is the secret.
"""

from __future__ import annotations

TOKENS: tuple[tuple[str, tuple[str, ...], str, int], ...] = (
'''
_TAIL = re.compile(r"\(\?:\[\\x60'\"\\s;\]\|\\\\\[nr\]\|\$(?:\|\\b)?\)\Z")


def downloaded(version: str) -> tuple[str, Path]:
    """Return the exact version and the folder where Go has put it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "go.mod").write_text("module rules\n\ngo 1.21\n", encoding="utf-8")
        command = ["go", "mod", "download", "-json", f"{MODULE}@{version}"]
        told = json.loads(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)
    return told["Version"], Path(told["Dir"])


def for_python(expression: str) -> str:
    """Translate an expression of Go to Python: anything may follow the secret, flags belong to a group."""
    made = _TAIL.sub(r"(?![A-Za-z0-9_])", expression)
    made = made.replace(r"\z", r"\Z").replace("[[:alnum:]]", "[A-Za-z0-9]")
    while (place := made.find("(?i)", 1)) > 0:
        end = _end_of_group(made, place + 4)
        made = f"{made[:place]}(?i:{made[place + 4 : end]}){made[end:]}"
    return made


def _end_of_group(text: str, place: int) -> int:
    """Where the group ends in which this place is."""
    depth, in_set = 0, False
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if in_set:
            in_set = text[place] != "]"
        elif text[place] == "[":
            in_set = True
        elif text[place] == "(":
            depth += 1
        elif text[place] == ")":
            if not depth:
                break
            depth -= 1
        place += 1
    return place


def taken(rules: list[dict[str, Any]]) -> list[tuple[str, tuple[str, ...], str, int]]:
    """Return id, keywords, expression and group of the secret of each rule that is taken over."""
    found = []
    for rule in sorted(rules, key=lambda one: str(one["id"])):
        expression = rule.get("regex", "")
        if rule["id"] in LEFT_OUT or _NEAR_A_NAME in expression:
            continue
        made = for_python(expression)
        groups = re.compile(made.encode()).groups
        words = tuple(word.lower() for word in rule["keywords"])
        found.append((str(rule["id"]), words, made, int(groups == 1)))
    return found


def in_lines(name: str, words: tuple[str, ...], expression: str, group: int) -> str:
    """Return the source text of a rule in short lines."""
    line = f"    {(name, words, expression, group)!r},\n"
    if len(line) <= LINE:
        return line
    parts = "".join(f"        {expression[at : at + WIDTH]!r}\n" for at in range(0, len(expression), WIDTH))
    return f"    ({name!r}, {words!r}, (\n{parts}    ), {group}),\n"


def main() -> None:
    """Write the module."""
    version, folder = downloaded(sys.argv[1] if len(sys.argv) > 1 else "latest")
    rules = tomllib.loads((folder / "config/gitleaks.toml").read_text(encoding="utf-8"))["rules"]
    lines = [in_lines(*rule) for rule in taken(rules)]
    TARGET.write_text(HEAD.replace("{version}", version) + "".join(lines) + ")\n", encoding="utf-8")
    license_text = (folder / "LICENSE").read_text(encoding="utf-8")
    (ROOT / "LICENSES").mkdir(exist_ok=True)
    (ROOT / "LICENSES/MIT-gitleaks.txt").write_text(license_text, encoding="utf-8")
    print(f"{len(lines)} of {len(rules)} rules of {version}")


if __name__ == "__main__":
    main()
