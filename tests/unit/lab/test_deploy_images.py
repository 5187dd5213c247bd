# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the stand-in cloud, and the program in them that is not a Go program."""

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
def test_every_container_finds_its_program_in_its_image(component: str) -> None:
    made = {image.name: image for image in images.images(BUILT)}
    service, *beside = components.COMPONENTS[component].containers
    for name, container in ((component, service), *((each.name, each) for each in beside)):
        program, *arguments = container.command
        assert program in made[images.name(name)].files or (program == "sh" and arguments[0] in images.SCRIPTS)


def test_every_image_has_a_name_and_an_id_of_its_own() -> None:
    made = images.images(BUILT)
    assert len({image.name for image in made}) == len(made)
    assert len({str(image.config) for image in made}) == len(made)


def test_the_service_images_share_one_layer() -> None:
    layers = {
        str(sorted(image.files.items(), key=str)) for image in images.images(BUILT) if "-" not in image.name[-10:]
    }
    assert len(layers) == 1


def test_binaries_are_hard_links_so_that_each_runs_under_its_own_path() -> None:
    files = images.images(BUILT)[0].files
    (standin,) = (path for path, content in files.items() if content == File(BUILT["services"]))
    names = {f"/opt/yunion/bin/{name}" for name in images.BINARIES} - {standin}
    assert {path for path, content in files.items() if content == HardLink(standin)} >= names


def test_images_is_pure() -> None:
    assert str(images.images(BUILT)) == str(images.images(BUILT))


def test_the_native_program_waits_and_dies_of_usr1(tmp_path: Path) -> None:
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


def test_the_native_program_names_the_machines_it_knows() -> None:
    assert images.native_program("aarch64") != images.native_program("x86_64")
    with pytest.raises(ValueError, match="no native program for vax, only for aarch64, x86_64"):
        images.native_program("vax")
    assert platform.machine() in {"aarch64", "x86_64"}
