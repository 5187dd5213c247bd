# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the picture docs/flamegraph.png: the flame graph of a stand-in region that computes, in a browser.

    python3 tests/tools/flamegraph_picture.py

Wants the tools of the virtual environment on the PATH, and Go.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import browser
import collection
from workspace import ROOT

SHARED = ROOT / "tests" / "unit" / "plugins" / "module_utils"
PICTURE = ROOT / "docs" / "flamegraph.png"


def main() -> None:
    """Take a profile, make its page, open it, search in it, and keep what is seen."""
    sys.path[:0] = [str(collection.link()), str(SHARED / "transports"), str(SHARED / "profiles")]
    import golang  # type: ignore[import-not-found]
    from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.report import ReportSettings, read_one
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="picture-") as scratch:
        page = Path(scratch, "page.html")
        profile = golang.served()["cpu"].read_bytes()
        page.write_bytes(read_one("region-5d9c7b9f6-x2x7k", "cpu", profile, ReportSettings()).files[".flame.html"])
        with sync_playwright() as playwright:
            started = playwright.chromium.launch(executable_path=browser.browser(), args=browser.flags())
            shown = started.new_page(viewport={"width": 1000, "height": 430})
            shown.goto(page.as_uri())
            shown.locator("#search").fill("sortRows")
            shown.screenshot(path=PICTURE)
            started.close()
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
