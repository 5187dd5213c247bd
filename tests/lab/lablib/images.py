# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images as `docker save` archives: one layer of bytes and files, written without any tool.

The same input gives the same bytes: no times, no owners but root.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .core import LabError, run

PAUSE = "cloudpods.invalid/pause:lab"
BUSYBOX = "cloudpods.invalid/busybox:lab"
BUSYBOX_BINARY = Path("/bin/busybox")
ROOT_DIRECTORIES = {"dev": 0o755, "etc": 0o755, "proc": 0o555, "sys": 0o555, "tmp": 0o1777, "var": 0o755, "root": 0o700}


@dataclass(frozen=True)
class File:
    """Regular file with the content of a file of the machine, or with these bytes.

    mode: by default 0755 for a Path (programs), 0644 for bytes.
    """

    source: Path | bytes
    mode: int | None = None
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Symlink:
    """Symbolic link; the target is written unchanged."""

    target: str


@dataclass(frozen=True)
class HardLink:
    """Second name of a File of the same image: /proc/PID/exe shows the executed name."""

    target: str


Entry = File | Symlink | HardLink


@dataclass(frozen=True)
class Image:
    """Content of an image.

    name: full reference (`cloudpods.invalid/region:v4.0.1`); files: by absolute path;
    shell: add Debian's static busybox with all its applets;
    config: Entrypoint, Cmd, Env, User, WorkingDir, Labels … as in the OCI image configuration.
    """

    name: str
    files: Mapping[str, Entry]
    shell: bool = True
    config: Mapping[str, object] = field(default_factory=dict)


def write_archive(images: Sequence[Image], archive: Path) -> None:
    """Write the images as one `docker save` archive; a shared layer is in it once."""
    contents: dict[str, bytes] = {}
    entries = []
    for image in images:
        layer = layer_bytes({**(busybox_files() if image.shell else {}), **image.files})
        layer_name = hashlib.sha256(layer).hexdigest() + ".tar"
        config = image_config(image, layer_name.removesuffix(".tar"))
        config_name = hashlib.sha256(config).hexdigest() + ".json"
        contents |= {layer_name: layer, config_name: config}
        entries.append({"Config": config_name, "RepoTags": [image.name], "Layers": [layer_name]})
    with tarfile.open(archive, "w") as tar:
        for name, data in {**contents, "manifest.json": json.dumps(entries).encode()}.items():
            add(tar, member(name, 0o644, size=len(data)), data)


def image_config(image: Image, layer_digest: str) -> bytes:
    """Return the image configuration, whose hash is the image's id."""
    return json.dumps(
        {
            "architecture": architecture(),
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], **image.config},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        },
        sort_keys=True,
    ).encode()


def layer_bytes(files: Mapping[str, Entry]) -> bytes:
    """Return the tar of a root file system; directories are added as needed, links come after files."""
    for path in files:
        if not path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise LabError(f"an image holds absolute paths only, not {path!r}")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, mode in directories(files).items():
            add(tar, member(name, mode, kind=tarfile.DIRTYPE))
        for path, entry in sorted(files.items(), key=lambda item: (isinstance(item[1], HardLink), item[0])):
            name = path.lstrip("/")
            if isinstance(entry, File):
                data = entry.source if isinstance(entry.source, bytes) else entry.source.read_bytes()
                default = 0o644 if isinstance(entry.source, bytes) else 0o755
                mode = default if entry.mode is None else entry.mode
                add(tar, member(name, mode, size=len(data), owner=(entry.uid, entry.gid)), data)
            elif isinstance(entry, Symlink):
                add(tar, member(name, 0o777, kind=tarfile.SYMTYPE, target=entry.target))
            else:
                if not isinstance(files.get(entry.target), File):
                    raise LabError(f"{path} is a hard link to {entry.target}, which is no file of the image")
                add(tar, member(name, 0o755, kind=tarfile.LNKTYPE, target=entry.target.lstrip("/")))
    return buffer.getvalue()


def directories(files: Mapping[str, Entry]) -> dict[str, int]:
    """Yield every directory of the files and of a root file system, with its mode, parents first."""
    found = dict(ROOT_DIRECTORIES)
    for path in files:
        for parent in PurePosixPath(path.lstrip("/")).parents:
            if str(parent) != ".":
                found.setdefault(str(parent), 0o755)
    return dict(sorted(found.items()))


def member(
    name: str,
    mode: int,
    *,
    kind: bytes = tarfile.REGTYPE,
    size: int = 0,
    target: str = "",
    owner: tuple[int, int] = (0, 0),
) -> tarfile.TarInfo:
    """Return the header of an archive's member."""
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size, info.linkname = mode, kind, size, target
    info.uid, info.gid = owner
    return info


def add(tar: tarfile.TarFile, info: tarfile.TarInfo, data: bytes = b"") -> None:
    """Append a member."""
    tar.addfile(info, io.BytesIO(data) if data else None)


@functools.cache
def busybox_files() -> dict[str, Entry]:
    """Return busybox and its applets at the paths that busybox itself lists."""
    applets = run([BUSYBOX_BINARY, "--list-full"]).split()
    links: dict[str, Entry] = {f"/{applet}": Symlink("/bin/busybox") for applet in applets if applet != "bin/busybox"}
    return {
        **links,
        "/bin/busybox": File(BUSYBOX_BINARY),
        "/etc/passwd": File(b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        "/etc/group": File(b"root:x:0:\nnogroup:x:65534:\n"),
    }


def architecture() -> str:
    """Return this machine's architecture by Go's name for it."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    machine = os.uname().machine
    return names.get(machine, machine)


def own_images(pause: Path) -> list[Image]:
    """Return the images that the lab itself needs: the sandbox's, and one for experiments."""
    return [
        Image(PAUSE, {"/pause": File(pause)}, shell=False, config={"Entrypoint": ["/pause"]}),
        Image(BUSYBOX, {}, config={"Cmd": ["sleep", "infinity"]}),
    ]
