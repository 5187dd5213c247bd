# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries that a run needs."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.libraries import LIBRARIES
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.required_libraries import (
    OF_TRANSPORT,
    ON_CONTROLLER,
    at_access_point,
    needs_collection,
    path_text,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.variables import AUDIT, STACKS


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, ("kubernetes",)),
        ({"cloudpods_transport": "host"}, ()),
        ({"cloudpods_transport": "keystone"}, ("keystoneauth1",)),
        ({"cloudpods_transport": "other"}, ()),
    ],
)
def test_a_transport_needs_its_library(values, names):
    assert at_access_point(values, AUDIT) == names


def test_only_the_transport_kubernetes_needs_the_collection():
    host = {"cloudpods_transport": "host"}
    assert needs_collection([host, {}], STACKS)
    assert not needs_collection([host], STACKS)


def test_every_named_library_is_known():
    assert {name for names in (*ON_CONTROLLER.values(), *OF_TRANSPORT.values()) for name in names} <= set(LIBRARIES)


@pytest.mark.parametrize("path", [None, "", 5, ["x"]])
def test_a_path_that_is_no_text_is_not_shown(path):
    assert path_text(path) == "python3"
