# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the stand-in cloud, and their native program."""

from __future__ import annotations

import platform
import re
import signal
import subprocess
from pathlib import Path

import pytest
from deploy import components, images
from lablib.images import File, HardLink

from patience import patience

BUILT = {"services": Path("/nonexistent/services")}


@pytest.mark.parametrize("component", components.COMPONENTS)
def test_images_contain_the_programs_of_their_containers(component: str) -> None:
    made = {image.name: image for image in images.images(BUILT)}
    service, *beside = components.COMPONENTS[component].containers
    for name, container in ((component, service), *((each.name, each) for each in beside)):
        program, *arguments = container.command
        assert program in made[images.name(name)].files or (program == "sh" and arguments[0] in images.SCRIPTS)


def test_images_have_unique_names_and_ids() -> None:
    made = images.images(BUILT)
    assert len({image.name for image in made}) == len(made)
    assert len({str(image.config) for image in made}) == len(made)


def test_service_images_share_one_layer() -> None:
    layers = {
        str(sorted(image.files.items(), key=str)) for image in images.images(BUILT) if "-" not in image.name[-10:]
    }
    assert len(layers) == 1


def test_binaries_are_hard_links_with_their_own_paths() -> None:
    files = images.images(BUILT)[0].files
    (standin,) = (path for path, content in files.items() if content == File(BUILT["services"]))
    names = {f"/opt/yunion/bin/{name}" for name in images.BINARIES} - {standin}
    assert {path for path, content in files.items() if content == HardLink(standin)} >= names


def test_images_is_deterministic() -> None:
    assert str(images.images(BUILT)) == str(images.images(BUILT))


def test_native_program_waits_and_ends_by_sigusr1(tmp_path: Path) -> None:
    program = tmp_path / "java"
    program.write_bytes(images.native_program())
    program.chmod(0o755)
    with subprocess.Popen([program, "-v"]) as process:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            masks = dict(re.findall(r"^(Sig(?:Cgt|Ign|Blk)):\s+([0-9a-f]{16})$", status, re.MULTILINE))
            assert len(masks) == 3
            assert not any(int(mask, 16) & 1 << (signal.SIGUSR1 - 1) for mask in masks.values())
            assert process.poll() is None
            process.send_signal(signal.SIGUSR1)
            assert process.wait(patience()) == -signal.SIGUSR1
        finally:
            process.kill()


def test_native_program_error_lists_the_known_machines() -> None:
    assert images.native_program("aarch64") != images.native_program("x86_64")
    with pytest.raises(ValueError, match="no native program for vax, only for aarch64, x86_64"):
        images.native_program("vax")
    assert platform.machine() in {"aarch64", "x86_64"}
