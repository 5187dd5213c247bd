# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A browser, and the reports of a service's profiles. tests/tools/browser.py installs the browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

import browser as tools
from patience import patience
from workspace import ROOT

sys.path.insert(0, str(ROOT / "tests" / "unit" / "plugins" / "module_utils" / "transports"))
sys.path.insert(0, str(ROOT / "tests" / "unit" / "plugins" / "module_utils" / "profiles"))

import golang


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=tools.browser(), args=tools.flags())
        yield started
        started.close()


@pytest.fixture
def page(chromium) -> Iterator[Page]:
    """Yield a page that may send no requests and must have no errors."""
    context = chromium.new_context(viewport={"width": 1000, "height": 700}, offline=True)
    context.set_default_timeout(1000 * patience())
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: wrong.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None,
    )
    yield page
    context.close()
    assert wrong == []


@pytest.fixture(scope="session")
def served() -> dict[str, Path]:
    return golang.served()
