# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Missing libraries, and the command that installs them."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import libraries
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.libraries import (
    COLLECTION,
    LIBRARIES,
    Interpreter,
    Library,
    missing_collection_message,
    missing_libraries,
    missing_libraries_message,
)


@pytest.fixture
def known(monkeypatch):
    """Libraries by name, for this test only."""
    for name, library in {
        "here": Library(("json", "email.message"), "here>=1", "to test"),
        "absent": Library(("no_such_module_of_ours",), "absent", "to test"),
        "absent package": Library(("no_such_package_of_ours.part",), "absent", "to test"),
        "part of a module": Library(("json.decoder.part",), "absent", "to test"),
        "old": Library(("pytest",), "pytest>=999", "to test", least=(999, 0)),
        "new": Library(("pytest",), "pytest>=1", "to test", least=(1, 0)),
    }.items():
        monkeypatch.setitem(LIBRARIES, name, library)


@pytest.mark.usefixtures("known")
def test_finds_libraries_that_are_absent_or_too_old():
    names = ["here", "absent", "absent package", "part of a module", "old", "new"]
    assert missing_libraries(names) == ["absent", "absent package", "part of a module", "old"]


def test_message_has_one_command_for_all_libraries():
    text = missing_libraries_message(["kubernetes", "jmespath"], Interpreter("/opt/my python/bin/python3", "on node-1"))
    assert text == (
        "The Python /opt/my python/bin/python3 on node-1 lacks kubernetes (to reach an API server) and jmespath (to "
        "evaluate health rules). Next: '/opt/my python/bin/python3' -m pip install 'kubernetes>=24.2.0' "
        "'jmespath>=1.0.0'"
    )


def test_message_says_how_to_install_into_the_python_of_the_system():
    assert "--break-system-packages" in missing_libraries_message(
        ["PyYAML"], Interpreter("python3", "here", managed=True)
    )


def test_names_this_interpreter():
    assert libraries.missing_here_message("PyYAML").startswith(f"The Python {libraries.this_interpreter().path} on ")
    assert libraries.this_interpreter("on the controller").place == "on the controller"


def test_message_about_the_collection_has_the_command():
    assert missing_collection_message().endswith(f"Next: ansible-galaxy collection install {COLLECTION}")
