# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import the tarball as Ansible Galaxy does, and fail on errors, warnings and missing documentation.

    python3 tests/tools/importer.py [--again]

galaxy-importer runs in an environment without other collections. It succeeds with warnings and with empty
documentation, so its messages and its result are checked here. A tarball that passed is not imported a second time with
the same tools; `--again` does. Wants `ansible-galaxy` on the PATH, to build the tarball.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import collection
import make_venv
from workspace import ROOT, checkout_cache, digest, locked

CONFIG = """\
[galaxy-importer]
run_ansible_test = False
"""
MESSAGE = re.compile(r"^(WARNING|ERROR|CRITICAL): ")
# What has to be there of each plugin, by its content type in the result.
PARTS = {"module": ("description", "examples", "return"), "eda/plugins/event_source": ("description", "examples")}


def plugins() -> list[tuple[str, str]]:
    """Return the content type and name of everything in the checkout that has documentation."""
    folders = {
        "module": ROOT / "plugins/modules",
        "eda/plugins/event_source": ROOT / "extensions/eda/plugins/event_source",
    }
    found = [(kind, path.stem) for kind, folder in folders.items() for path in sorted(folder.glob("*.py"))]
    return found + [("role", path.name) for path in sorted((ROOT / "roles").iterdir())]


def problems(output: str, result: dict[str, Any], expected: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Return what is wrong with an import, a line each. expected: see plugins()."""
    yield from (line for line in output.splitlines() if MESSAGE.match(line))
    documented = {(each["content_type"], each["content_name"]): each for each in result["docs_blob"]["contents"]}
    described = {(each["content_type"], each["name"]): each["description"] for each in result["contents"]}
    for kind, name in expected:
        found = documented.get((kind, name))
        if found is None:
            yield f"{kind} {name}: it is not in the result"
        elif kind == "role":
            if not found["readme_html"]:
                yield f"role {name}: its README is empty"
            if not described.get((kind, name)):
                yield f"role {name}: it has no description"
        else:
            strings = found["doc_strings"] or {}
            parts = {**strings, "description": (strings.get("doc") or {}).get("description")}
            yield from (
                f"{kind} {name}: its documentation has no {part}" for part in PARTS[kind] if not parts.get(part)
            )


def run(tarball: Path, venv: Path) -> tuple[int, str, dict[str, Any]]:
    """Import the tarball; return the exit code, what was said, and the result."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "importer.cfg").write_text(CONFIG, encoding="utf-8")
        environment = {
            "GALAXY_IMPORTER_CONFIG": f"{folder}/importer.cfg",
            "HOME": folder,
            "LANG": "C.UTF-8",
            "PATH": os.pathsep.join((f"{venv}/bin", os.defpath)),
            "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", ""),
        }
        done = subprocess.run(
            [venv / "bin/python", "-m", "galaxy_importer.main", tarball],
            cwd=folder,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        written = Path(folder) / "importer_result.json"
        return done.returncode, done.stdout, json.loads(written.read_text()) if written.exists() else {}


def main() -> int:
    """Build, import, check; remember a pass."""
    venv = make_venv.ensure("galaxy")
    work = checkout_cache() / "importer"
    with locked(work):
        tarball = collection.build(work)
        stamp = digest([collection.content(tarball).encode(), str(venv).encode(), Path(__file__).read_bytes()])
        passed = work / "passed"
        if "--again" not in sys.argv and passed.exists() and passed.read_text(encoding="utf-8") == stamp:
            print("galaxy-importer: this very tarball passed before (--again imports it anew)")
            return 0
        code, output, result = run(tarball, venv)
        wrong = list(problems(output, result, plugins())) if result else [output]
        print(*wrong, sep="\n")
        if code or wrong:
            return 1
        passed.write_text(stamp, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
