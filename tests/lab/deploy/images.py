# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the stand-in cloud. Pure: `images` returns their content, the lab builds them.

As in a real cloud every component has an image of its own, so that image ids tell the components apart. All of them
hold the same files and differ in their configuration only, so that the nodes need one layer for all.
"""

from __future__ import annotations

import platform
import struct
from pathlib import Path

from lablib.images import File, HardLink, Image

REGISTRY = "cloudpods.invalid"
TAG = "v4.0.1"

# Base names under /opt/yunion/bin of all components that are built from the Cloudpods sources or installed like them.
BINARIES = (
    "aiproxy", "ansibleserver", "apigateway", "apimap", "autoupdate", "baremetal-agent", "bastionhost", "billing",
    "climc", "cloudevent", "cloudid", "cloudmon", "cloudnet", "cloudproxy", "devtool", "esxi-agent", "extdb", "glance",
    "host", "host-deployer", "host-health", "host-image", "keystone", "kubeserver", "lbagent", "llm", "logger",
    "mcp-server", "meter", "monitor", "notify", "region", "region-dns", "report", "s3gateway", "scheduledtask",
    "scheduler", "sdnagent", "suggestion", "torrent", "vpcagent", "webconsole", "yunionagent", "yunionapi",
    "yunionconf",
)  # fmt: skip

# One image each: the components, and the others that the sets deploy.
COMPONENTS = (*(name for name in BINARIES if name not in {"sdnagent", "torrent", "yunionapi"}),
              "etcd", "guacd", "host-sdnagent", "itsm", "web")  # fmt: skip

# Programs elsewhere that are stand-ins as well.
OTHER_STANDINS = ("/usr/sbin/nginx", "/usr/local/bin/etcd")
# Programs that are not written in Go.
NATIVE = ("/usr/bin/java", "/usr/local/sbin/guacd")
SCRIPTS = {
    "/opt/climc-entrypoint.sh": "#!/bin/sh\nexec sleep 2147483647\n",
    # Not `exec`: the Java process is a child, because as PID 1 it would survive every signal that it does not catch.
    "/opt/itsm/start.sh": "#!/bin/sh\njava -jar /opt/itsm/itsm.jar\necho java ended with $?\nexit 1\n",
}

# Machine (platform.machine) -> ELF machine number, code that waits for signals for ever.
_WAITING = {
    "x86_64": (62, bytes.fromhex("b8 22000000 0f05 ebf7")),  # pause() in a loop
    "aarch64": (183, struct.pack("<7I", 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001,
                                 0x17FFFFFA)),  # ppoll(NULL, 0, NULL, NULL) in a loop
}  # fmt: skip


def native_program(machine: str = "") -> bytes:
    """Return a static Linux executable without runtime that only waits: signals have their default action.

    machine: as platform.machine() names it, default this one. ValueError for an unknown one.
    """
    machine = machine or platform.machine()
    if machine not in _WAITING:
        raise ValueError(f"no native program for {machine}, only for {', '.join(sorted(_WAITING))}")
    number, code = _WAITING[machine]
    load, headers = 0x400000, 64 + 56
    size = headers + len(code)
    identification = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf = struct.pack("<HHIQQQIHHHHHH", 2, number, 1, load + headers, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, load, load, size, size, 0x10000)
    return identification + elf + segment + code


def name(component: str, variant: str = "") -> str:
    """Return the full name of a component's image."""
    return f"{REGISTRY}/{component}:{TAG}{variant}"


def images(binaries: dict[str, Path]) -> list[Image]:
    """Return all images. binaries: name of a main package -> its built, static executable."""
    standin = File(binaries["services"])
    first, *others = (f"/opt/yunion/bin/{binary}" for binary in BINARIES)
    links = {path: HardLink(first) for path in (*others, *OTHER_STANDINS)}
    native = {path: File(native_program(), mode=0o755) for path in NATIVE}
    scripts = {path: File(text.encode(), mode=0o755) for path, text in SCRIPTS.items()}
    everything = {first: standin, **links, **native, **scripts}
    region = "/opt/yunion/bin/region"
    return [
        *(image(component, files=everything) for component in COMPONENTS),
        image("region", "-noshell", files={region: standin}, bare=True),
        image("region", "-hungshell", files={region: standin, "/bin/sh": HardLink(region)}, bare=True),
        image("region", "-native", files={region: File(native_program(), mode=0o755)}),
    ]


def image(component: str, variant: str = "", *, files: dict[str, File | HardLink], bare: bool = False) -> Image:
    """Return one image; its label makes the image id unique to the component. bare: without busybox."""
    labels = {"cloudpods.lab/component": component + variant}
    return Image(name=name(component, variant), files=files, shell=not bare, config={"Labels": labels})
