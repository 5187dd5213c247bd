# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of other processes stay inside their root, and only regular files are opened."""

from __future__ import annotations

import contextlib
import os

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.safe_open import (
    open_in_root,
    open_regular,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


def content(root, path):
    with open_in_root(str(root), path) as pinned:
        opened = open_regular(pinned)
    try:
        return os.read(opened, 100)
    finally:
        os.close(opened)


@pytest.fixture
def root(tmp_path):
    """A container's root directory, and a secret outside of it."""
    (tmp_path / "secret").write_text("outside")
    inside = tmp_path / "root"
    (inside / "etc" / "yunion" / "..data").mkdir(parents=True)
    (inside / "etc" / "yunion" / "..data" / "region.conf").write_text("inside")
    (inside / "etc" / "yunion" / "region.conf").symlink_to("..data/region.conf")
    (inside / "secret").write_text("its own")
    return inside


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/yunion/region.conf", b"inside"),
        ("etc/./yunion//region.conf", b"inside"),
        ("/etc/yunion/../../secret", b"its own"),
        ("/../../../secret", b"its own"),
    ],
)
def test_paths_stay_in_root(root, path, expected):
    assert content(root, path) == expected


@pytest.mark.parametrize(
    "target", ["/secret", "../../../../../../secret", "/etc/yunion/../../secret", "/etc/yunion/loop2"]
)
def test_links_stay_in_root(root, target):
    (root / "etc" / "yunion" / "loop2").symlink_to("/../secret")
    (root / "etc" / "link").symlink_to(target)
    assert content(root, "/etc/link") == b"its own"


def test_follows_link_to_directory(root):
    (root / "conf").symlink_to("/etc/yunion")
    assert content(root, "/conf/region.conf") == b"inside"


def test_rejects_circular_links(root):
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("/a")
    with pytest.raises(OSError, match="too many"):
        content(root, "/a")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_opens_regular_files_only(root, make):
    make(root / "odd")
    with pytest.raises(OSError, match="not a regular file"):
        content(root, "/odd")


@needs_root
def test_does_not_open_device(root):
    os.mknod(root / "odd", 0o600 | 0o020000, os.makedev(1, 5))
    with pytest.raises(OSError, match="not a regular file"):
        content(root, "/odd")


def test_leaves_no_descriptors_open(root):
    def used():
        return len(os.listdir("/proc/self/fd"))

    before = used()
    for path in ("/etc/yunion/region.conf", "/nonexistent", "/etc/yunion/region.conf/x", "/../.."):
        with contextlib.suppress(OSError):
            content(root, path)
    assert used() == before
