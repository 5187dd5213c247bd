# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Required Python libraries: find the ones that an interpreter lacks, and the command that installs them.

No library is imported before it has been found, so this file also runs where none of them is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import shlex
import sys
import sysconfig
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

COLLECTION = "kubernetes.core"


@dataclass(frozen=True)
class Library:
    """Python library as pip knows it.

    modules: modules that must be importable. requirement: argument for pip. least: lowest usable version (major,
    minor), if an older one may be installed. purpose: why it is needed.
    """

    modules: tuple[str, ...]
    requirement: str
    purpose: str
    least: tuple[int, ...] = ()


# Same as requirements.txt. kubernetes depends on websocket-client, and keystoneauth1 on requests.
LIBRARIES = {
    "kubernetes": Library(("kubernetes", "websocket"), "kubernetes>=24.2.0", "to reach an API server"),
    "keystoneauth1": Library(("keystoneauth1", "requests"), "keystoneauth1>=4.0.0", "to log in to Keystone"),
    "jmespath": Library(("jmespath",), "jmespath>=1.0.0", "to evaluate health rules"),
    "protobuf": Library(("google.protobuf",), "protobuf>=4.22", "to read profiles", least=(4, 22)),
    "PyYAML": Library(("yaml",), "PyYAML", "to read health rules"),
}  # type: dict[str, Library]


@dataclass(frozen=True)
class Interpreter:
    """Python interpreter.

    place: its machine, as the end of a sentence. managed: pip refuses to install into it, because it belongs to the
    operating system (PEP 668).
    """

    path: str
    place: str
    managed: bool = False


def this_interpreter(place: str = "") -> Interpreter:
    """Return the interpreter that runs this code.

    place: name of the machine in messages; by default its host name.
    """
    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    managed = sys.prefix == sys.base_prefix and os.path.exists(marker)
    return Interpreter(sys.executable or "python3", place or f"on {platform.node()}", managed)


def missing_libraries(names: Iterable[str]) -> list[str]:
    """Return the libraries that this interpreter cannot use, because they are not installed or too old."""
    return [name for name in names if not _usable(LIBRARIES[name])]


def _usable(library: Library) -> bool:
    if not all(_found(module) for module in library.modules):
        return False
    return not library.least or _version(library.modules[0]) >= library.least


def _found(module: str) -> bool:
    """Return whether a module can be found. Its parent packages are imported, and may be missing as well."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(module: str) -> tuple[int, ...]:
    loaded: Any = importlib.import_module(module)
    return tuple(int(number) for number in re.findall(r"\d+", str(getattr(loaded, "__version__", "0")))[:2])


def missing_libraries_message(names: Sequence[str], interpreter: Interpreter) -> str:
    """Return the error message for libraries that an interpreter lacks, with the command that installs them all."""
    wanted = [LIBRARIES[name] for name in names]
    lacking = " and ".join(f"{name} ({library.purpose})" for name, library in zip(names, wanted))
    requirements = " ".join(shlex.quote(library.requirement) for library in wanted)
    text = f"The Python {interpreter.path} {interpreter.place} lacks {lacking}."
    text += f" Next: {shlex.quote(interpreter.path)} -m pip install {requirements}"
    if interpreter.managed:
        text += (
            " (it is the system's Python: add --break-system-packages, or set ansible_python_interpreter to the Python "
            "of a virtual environment)"
        )
    return text


def missing_here_message(*names: str) -> str:
    """Return the error message for libraries that could not be imported here."""
    return missing_libraries_message(names, this_interpreter())


def missing_collection_message(place: str = "on the controller") -> str:
    """Return the error message for the missing collection kubernetes.core."""
    return (
        f"The collection {COLLECTION} is missing {place}, and the transport kubernetes needs it. "
        f"Next: ansible-galaxy collection install {COLLECTION}"
    )
