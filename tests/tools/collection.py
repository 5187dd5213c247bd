# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the checkout where Ansible finds collections.

    python3 tests/tools/collection.py link      a symlink: the checkout itself
    python3 tests/tools/collection.py build     the tarball, as it would be published
    python3 tests/tools/collection.py install   that tarball, installed as a user gets it

Each prints a path: for `link` and `install` the one for ANSIBLE_COLLECTIONS_PATH, for `build` the
tarball's. All lie in the cache of this checkout. `build` and `install` want `ansible-galaxy` on the
PATH, and use no network.

Own code, since antsibull-nox copies the collection for each session; a link keeps paths in messages those of the
checkout.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from workspace import ROOT, checkout_cache, digest, locked

PLACE = Path("ansible_collections/cloudpods/diagnostics")


def link() -> Path:
    """Make the checkout importable as a collection; return the collections path."""
    collections = checkout_cache() / "collections"
    place = collections / PLACE
    with locked(collections):
        if not (place.is_symlink() and os.readlink(place) == str(ROOT)):
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = place.with_name(f".{place.name}.{os.getpid()}")
            fresh.symlink_to(ROOT)
            fresh.replace(place)
    return collections


def build(into: Path) -> Path:
    """Build the tarball into this directory; return it."""
    into.mkdir(parents=True, exist_ok=True)
    galaxy("build", str(ROOT), "--force", "--output-path", str(into), into=into)
    (tarball,) = into.glob("cloudpods-diagnostics-*.tar.gz")
    return tarball


def install() -> Path:
    """Build and install the collection; return the collections path, named by the content."""
    with tempfile.TemporaryDirectory() as work:
        tarball = build(Path(work))
        installed = checkout_cache() / f"installed-{content(tarball)}"
        with locked(installed):
            if not installed.exists():
                fresh = installed.with_name(f".{installed.name}.{os.getpid()}")
                galaxy("install", str(tarball), "--no-deps", "--offline", into=fresh)
                fresh.rename(installed)
    return installed


def content(tarball: Path) -> str:
    """Return a digest of the tarball's content, from its lists of files and checksums."""
    with tarfile.open(tarball) as archive:
        lists = [archive.extractfile(name) for name in ("FILES.json", "MANIFEST.json")]
        return digest([file.read() for file in lists if file])


def galaxy(*arguments: str, into: Path) -> None:
    """Run `ansible-galaxy collection` with its output on stderr. CalledProcessError when it fails.

    into: its only collections path; it does not install a collection that it finds in another one.
    """
    home = checkout_cache() / "ansible-home"
    environment = {**os.environ, "ANSIBLE_HOME": str(home), "ANSIBLE_COLLECTIONS_PATH": str(into)}
    subprocess.run(["ansible-galaxy", "collection", *arguments], check=True, stdout=sys.stderr, env=environment)


def main() -> None:
    """Parse the command line, do it, print the path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=["link", "build", "install"])
    act = parser.parse_args().act
    try:
        print({"link": link, "build": lambda: build(checkout_cache() / "dist"), "install": install}[act]())
    except subprocess.CalledProcessError as failed:
        sys.exit(f"collection: `{' '.join(failed.cmd)}` ended with {failed.returncode}, see above")


if __name__ == "__main__":
    main()
