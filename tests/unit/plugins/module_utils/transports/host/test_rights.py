# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a process names, and may not read itself: each test is a way to borrow root's eyes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.rights import Rights, with_rights
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.safe_open import (
    open_descriptor,
    open_log,
    open_named,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="takes root and other users")
USER, OTHER, GROUP = 4711, 4712, 4713
ALL = (1 << 41) - 1
ROOT = Rights(0, 0, (), ALL)
ORDINARY = Rights(USER, USER)
BARE_ROOT = Rights(0, 0)


def made(path, mode=0o600, uid=0, gid=0, content="secret"):
    path.write_text(content)
    path.chmod(mode)
    os.chown(path, uid, gid)
    return path


def read(path, rights, root="/"):
    descriptor = open_named(str(root), str(path), rights)
    try:
        return os.read(descriptor, 100).decode()
    finally:
        os.close(descriptor)


def test_reads_root_file_for_root_only(public_path):
    path = made(public_path / "log")
    assert read(path, ROOT) == "secret"
    with pytest.raises(PermissionError):
        read(path, ORDINARY)


def test_root_without_capabilities_has_owner_rights_only(public_path):
    assert read(made(public_path / "own"), BARE_ROOT) == "secret"
    with pytest.raises(PermissionError):
        read(made(public_path / "others", uid=USER), BARE_ROOT)


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "rights", "allowed"),
    [
        (0o600, USER, 0, ORDINARY, True),
        (0o640, 0, GROUP, ORDINARY, False),
        (0o640, 0, GROUP, Rights(USER, USER, (GROUP,)), True),
        (0o640, 0, GROUP, Rights(USER, GROUP), True),
        (0o604, 0, 0, ORDINARY, True),
        (0o600, 0, 0, Rights(USER, USER, (0,), ALL), False),
    ],
)
def test_applies_file_modes_of_process(public_path, mode, uid, gid, rights, allowed):
    path = made(public_path / "log", mode, uid, gid)
    if allowed:
        assert read(path, rights) == "secret"
    else:
        with pytest.raises(PermissionError):
            read(path, rights)


def test_rejects_folder_that_process_may_not_enter(public_path):
    (public_path / "closed").mkdir(mode=0o700)
    made(public_path / "closed" / "log", 0o644)
    with pytest.raises(PermissionError):
        read(public_path / "closed" / "log", ORDINARY)


def test_handle_gives_no_right_to_read(public_path):
    path = made(public_path / "log")
    handle = os.open(path, os.O_PATH)
    try:
        with pytest.raises(PermissionError):
            open_descriptor(f"/proc/self/fd/{handle}", ORDINARY)
        os.close(open_descriptor(f"/proc/self/fd/{handle}", ROOT))
    finally:
        os.close(handle)


def test_does_not_follow_link_of_another_user(public_path):
    made(public_path / "target", 0o644)
    for uid, follows in ((0, True), (USER, True), (OTHER, False)):
        link = public_path / f"link-{uid}"
        link.symlink_to("target")
        os.lchown(link, uid, uid)
        if follows:
            assert read(link, ORDINARY) == "secret"
        else:
            with pytest.raises(OSError, match="belongs to another user"):
                read(link, ORDINARY)


def test_rejects_hard_link_to_root_file(public_path):
    made(public_path / "target")
    os.link(public_path / "target", public_path / "log")
    with pytest.raises(OSError, match="several hard links"):
        open_log("/", str(public_path / "log"), ROOT)


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/self/maps", "/sys/kernel/uevent_seqnum"])
def test_does_not_open_kernel_files(path):
    with pytest.raises(OSError, match="not a regular file"):
        read(path, ROOT)


def test_rejects_endless_path():
    with pytest.raises(OSError, match="too long"):
        read("/a/.." * 10000, ROOT)


def test_rights_end_with_the_work():
    before = os.getgroups(), os.geteuid(), os.getegid()
    seen = with_rights(Rights(USER, GROUP, (OTHER,)), Path("/proc/thread-self/status").read_text)
    status = dict(line.split(":\t", 1) for line in seen.splitlines())
    assert status["Uid"].split()[3] == str(USER)
    assert status["Gid"].split()[3] == str(GROUP)
    assert status["Groups"].split() == [str(OTHER)]
    assert (os.getgroups(), os.geteuid(), os.getegid()) == before
    os.close(os.open("/etc/shadow", os.O_RDONLY))


def test_passes_on_exceptions():
    with pytest.raises(ZeroDivisionError):
        with_rights(ORDINARY, lambda: 1 // 0)
