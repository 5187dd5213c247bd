# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by another user of the machine, who sees every name in the folder for temporary files.

The kernel settings fs.protected_* only matter for predictable names. The names of parts are not predictable, so the
tests pass with any setting.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import archive_files
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.part import finish_part, new_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import make_directory

USER = 4711
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="takes root: there have to be two users")

# Create something under each name that may come next, and try to read or replace files of others.
SPY = """
import os, sys
shared, own, user = sys.argv[1], sys.argv[2], int(sys.argv[3])
# Not earlier: the user may have no access to the interpreter.
os.setgroups([])
os.setgid(user)
os.setuid(user)
suffixes = (".tar.gz", ".tar.gz.part", ".part", ".spool", "/ledger.jsonl", "/c")
traps = (lambda path: os.symlink(own, path), lambda path: os.link(own, path), os.mkdir, os.mkfifo)
attacks = {
    "read": lambda path: os.open(path, os.O_RDONLY | os.O_NONBLOCK),
    "write": lambda path: os.open(path, os.O_WRONLY | os.O_NONBLOCK),
    "list": os.listdir,
    "rename": lambda path: os.rename(path, path + "-taken"),
    "remove": os.unlink,
    "remove the folder": os.rmdir,
}

def tried(attack, *arguments):
    try:
        attack(*arguments)
    except OSError:
        return False
    return True

told = set()
print("ready", flush=True)
for turn in iter(int, 1):
    for name in os.listdir(shared):
        path = os.path.join(shared, name)
        try:
            if os.lstat(path).st_uid == os.getuid():
                continue
        except OSError:
            continue
        for number, suffix in enumerate(suffixes):
            tried(traps[(turn + number) % len(traps)], path + suffix)
        done = [word for word, attack in attacks.items() if tried(attack, path)]
        for line in [f"{word} {name}" for word in done] + [f"saw {name}"]:
            if line not in told:
                print(line, flush=True)
            told.add(line)
"""


class Spy:
    """Process of the other user. seen: its output so far."""

    def __init__(self, shared: Path) -> None:
        self.own = shared / "own"
        self.own.write_text("his own")
        os.chown(self.own, USER, USER)
        command = [sys.executable, "-c", SPY, str(shared), str(self.own), str(USER)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.seen: list[str] = []
        self.until("ready")

    def until(self, line: str) -> None:
        """Wait until the process prints this line."""
        assert self._process.stdout is not None
        while line not in self.seen:
            told = self._process.stdout.readline()
            assert told, self.seen
            self.seen.append(told.rstrip("\n"))

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def shared(monkeypatch) -> Iterator[Path]:
    """Provide a folder for temporary files that any user can reach; those of pytest are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_keeps_parts_from_other_users(shared):
    spy = Spy(shared)
    try:
        for _turn in range(5):
            store = new_part(None, archive=True)
            spy.until(f"saw {Path(store.root).name}")
            store.keep(["c", "region", "pod-1"], "stack-1.txt", b"secret")
            store.finish([])
            archive = Path(finish_part(store, None, archive=True)["archive"])
            spy.until(f"saw {archive.name}")
            status = archive.lstat()
            assert (status.st_uid, status.st_mode & 0o777) == (0, 0o600)
            files = {path: stream.read() for path, stream in archive_files(str(archive))}
            assert files["c/region/pod-1/stack-1.txt"] == b"secret"
    finally:
        spy.end()
    assert [line for line in spy.seen if not line.startswith(("ready", "saw "))] == []
    assert spy.own.read_text() == "his own"


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777, 0o1777], ids=oct)
def test_writes_nothing_into_a_folder_of_another_user(shared, mode):
    output = shared / "output"
    output.mkdir()
    os.chown(output, USER, USER)
    output.chmod(mode)
    with pytest.raises(ValueError, match="belongs to another user"):
        new_part(str(output), archive=False)
    with pytest.raises(PermissionError, match="belongs to another user"):
        make_directory(str(output / "c" / "region"))
    assert list(output.iterdir()) == []


def test_follows_no_link_of_another_user(shared):
    """The target of the link belongs to root, such as the folder of cron jobs."""
    store = new_part(None, archive=False)
    for link, target in ((shared / "output", store.root), (Path(store.root, "c"), shared)):
        link.symlink_to(target)
        os.chown(link, USER, USER, follow_symlinks=False)
    with pytest.raises(PermissionError, match="belongs to another user"):
        new_part(str(shared / "output"), archive=False)
    with pytest.raises(PermissionError, match="belongs to another user"):
        store.keep(["c", "region"], "stack-1.txt", b"")


def test_writes_nothing_where_others_can_replace_it(shared):
    shared.chmod(0o777)
    with pytest.raises(ValueError, match="any user can write"):
        new_part(None, archive=True)
    with pytest.raises(ValueError, match="any user can write"):
        new_part(str(shared / "new"), archive=False)
