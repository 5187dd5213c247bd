# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the documentation that is made from the code.

    python3 tests/tools/docs.py            write the pages, render modules and roles as HTML, print where
    python3 tests/tools/docs.py --check    only compare the pages with what the code makes now

The pages in docs/ and the Python modules that hold a script or page (embedded.py) are under version control; the HTML
goes to the cache. No network. Wants the tools of the virtual environment on the PATH.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import architecture_page
import collection
import embedded
import endpoints_page
import patterns_page
import reasons
import rules_page
import variables_page
from workspace import ROOT, checkout_cache, locked

# File, relative to the root -> what makes its text.
FILES = {
    "docs/architecture.md": architecture_page.page,
    "docs/endpoints.md": endpoints_page.page,
    "docs/log-patterns.md": patterns_page.page,
    "docs/reasons.md": reasons.page,
    "docs/rules.md": rules_page.page,
    "docs/variables.md": variables_page.page,
    **embedded.MODULES,
}
# References into Ansible's own documentation, which is not here.
NOT_HERE = "suppress_warnings=ref.ref"


def compare() -> int:
    """Show how each file differs from what the code makes; return 1 when one does."""
    code = 0
    for name, make in FILES.items():
        path = ROOT / name
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        fresh = make()
        if there != fresh:
            code = 1
            lines = (there.splitlines(True), fresh.splitlines(True), name, "as the code makes it")
            sys.stdout.writelines(difflib.unified_diff(*lines))
            print(f"{name} is not what the code makes: run `make docs`")
    return code


def write() -> None:
    """Write the files."""
    for name, make in FILES.items():
        (ROOT / name).write_text(make(), encoding="utf-8")


def render() -> Path:
    """Render the pages of modules and roles; return the first one's path."""
    place = checkout_cache() / "docs"
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(collection.link()),
        "ANSIBLE_HOME": str(checkout_cache() / "ansible-home"),
    }
    sources, pages = place / "rst", place / "html"
    antsibull: list[str | Path] = ["antsibull-docs", "collection", "--use-current", "--squash-hierarchy"]
    antsibull += ["--fail-on-error", "--dest-dir", sources, "cloudpods.diagnostics"]
    sphinx: list[str | Path] = ["sphinx-build", "-C", "-q", "-W", "-D", "extensions=sphinx_antsibull_ext"]
    sphinx += ["-D", NOT_HERE, "-D", "project=cloudpods.diagnostics", "-D", "html_theme=alabaster", sources, pages]
    with locked(place):
        shutil.rmtree(place, ignore_errors=True)
        sources.mkdir(parents=True)
        for command in (antsibull, sphinx):
            subprocess.run(command, check=True, stdout=sys.stderr, env=environment)
    return pages / "index.html"


def main() -> int:
    """Do what is asked."""
    if sys.argv[1:] == ["--check"]:
        return compare()
    if sys.argv[1:]:
        sys.exit(__doc__)
    write()
    try:
        print(render())
    except subprocess.CalledProcessError as failed:
        sys.exit(f"docs: `{failed.cmd[0]}` ended with {failed.returncode}, see above")
    return 0


if __name__ == "__main__":
    sys.exit(main())
