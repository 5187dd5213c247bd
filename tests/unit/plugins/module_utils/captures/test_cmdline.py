# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.cmdline import without_secrets
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        (["/opt/yunion/bin/region", "--config", "/etc/yunion/region.conf"], None),
        (["x", "--admin-password", "s3"], ["x", "--admin-password", "***"]),
        (["x", "--admin-password=s3", "--port", "1"], ["x", "--admin-password=***", "--port", "1"]),
        (["x", "--admin-password", "-s3"], ["x", "--admin-password", "***"]),
        (["x", "--use-auth", "--port", "1"], None),
        (["x", "-password", "s3"], ["x", "-password", "***"]),
        (["x", "--admin-password", "a=b"], ["x", "--admin-password", "***"]),
        (["x", "DB_PASSWORD=s3"], ["x", "DB_PASSWORD=***"]),
        (["x", "--sql-connection", "mysql://u:s3@db/y"], ["x", "--sql-connection", "***"]),
        (["x", "--etcd", "https://u:s3@db:1/y"], ["x", "--etcd", "https://***@db:1/y"]),
        (["x", "--redis=redis://:s3@db"], ["x", "--redis=redis://***@db"]),
    ],
)
def test_what_looks_like_a_secret_is_hidden(given_, shown):
    expected = given_ if shown is None else shown
    data = "\0".join(given_).encode()
    assert without_secrets(data) == ("\0".join(expected).encode(), 0 if shown is None else 1)


@given(st.binary(max_size=100))
def test_any_bytes_keep_their_number_of_arguments(data):
    shown, hidden = without_secrets(data)
    assert shown.count(b"\0") == data.count(b"\0")
    assert hidden <= shown.count(b"\0") + 1
