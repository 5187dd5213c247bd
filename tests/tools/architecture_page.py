# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page docs/architecture.md: a picture made from the imports, and a table made from ROOMS (see docs.py).

The prose between them stands in architecture.md.in beside this file.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from rooms import ROOMS, UTILS, Room, imports
from workspace import ROOT

TEMPLATE = Path(__file__).with_name("architecture.md.in")
DECISIONS = ROOT / "docs" / "decisions"

# Folders beside module_utils whose imports are drawn, and their name in the picture.
CALLERS = {"modules": "modules", "action": "action", "plugin_utils": "plugin_utils"}
# Packages that are drawn as the packages in them.
OPENED = ("captures", "transports")
# The node of all files that import no package.
BASICS = "basics"
OF_UTILS = re.compile(r"\bmodule_utils\.([\w.]+)")

Graph = dict[str, set[str]]


def page() -> str:
    """Return the text of the page."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for mark, made in (("@PICTURE@", picture()), ("@ROOMS@", table()), ("@DECISIONS@", decisions())):
        text = text.replace(mark, made)
    return text


def picture() -> str:
    """Return a Mermaid diagram: each package with those it imports, without the arrows that others imply."""
    arrows = graph()
    alone = basics(arrows)
    arrows = reduced(merged(arrows, alone))
    names = sorted({*arrows, *(each for found in arrows.values() for each in found)} - {BASICS})
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {name.replace(".", "_")}["{name.replace(".", "/")}"]' for name in names]
    lines.append(f'    {BASICS}["{"<br>".join(sorted(alone))}"]')
    for name in sorted(arrows):
        lines += [f"    {name.replace('.', '_')} --> {each.replace('.', '_')}" for each in sorted(arrows[name])]
    return "\n".join([*lines, "```"])


def basics(arrows: Graph) -> set[str]:
    """Return the files at the top of module_utils that import no package, neither by themselves nor by others."""
    names = {*arrows, *(each for found in arrows.values() for each in found)}
    files = {name for name in names if (UTILS / f"{name}.py").is_file()}
    return {name for name in files if _reached(arrows, name, without="") <= files}


def merged(arrows: Graph, alone: set[str]) -> Graph:
    """Return the graph with these nodes as one."""
    found: Graph = {}
    for name, ends in arrows.items():
        start = BASICS if name in alone else name
        found.setdefault(start, set()).update(({BASICS} if ends & alone else set()) | (ends - alone))
    return {name: ends - {name} for name, ends in found.items()}


def graph() -> Graph:
    """Return which package imports which; a file at the top of module_utils is a package of its own."""
    found: Graph = {}
    for path in sorted(UTILS.rglob("*.py")):
        name = path.relative_to(UTILS).as_posix()
        modules = [module[1:] for module, _inside in imports(name, path.read_text()) if module.startswith(".")]
        _add(found, package_of(name[:-3].replace("/", ".")), modules)
    for folder, name in CALLERS.items():
        for path in sorted((UTILS.parent / folder).glob("*.py")):
            _add(found, name, OF_UTILS.findall(path.read_text()))
    return found


def _add(found: Graph, package: str, modules: list[str]) -> None:
    arrows = {package_of(module) for module in modules} - {package, ""}
    if package and arrows:
        found.setdefault(package, set()).update(arrows)


def package_of(module: str) -> str:
    """Return the package of a module below module_utils, or the module itself if it is in none."""
    parts = [part for part in module.split(".") if part != "__init__"]
    depth = 2 if parts[:1] and parts[0] in OPENED else 1
    while parts and (len(parts) > depth or not (UTILS.joinpath(*parts) / "__init__.py").is_file()):
        if len(parts) == 1:
            return parts[0] if (UTILS / f"{parts[0]}.py").is_file() else ""
        parts.pop()
    return ".".join(parts)


def reduced(arrows: Graph) -> Graph:
    """Return the graph without each arrow whose end is reached on a longer way as well; arrows in circles stay."""
    return {
        name: {
            each for each in found if not any(each in _reached(arrows, other, without=name) for other in found - {each})
        }
        for name, found in arrows.items()
    }


def _reached(arrows: Graph, start: str, without: str) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        for each in arrows.get(todo.pop(), set()) - seen - {without}:
            seen.add(each)
            todo.append(each)
    return seen


def circles(arrows: Graph) -> list[str]:
    """Return the packages that import themselves by way of others."""
    return [name for name in sorted(arrows) if name in _reached(arrows, name, without="")]


def table() -> str:
    """Return the table of rooms."""
    rows = [("room", "holds", "may import"), ("---", "---", "---")]
    rows += [(f"`{name}`", _holds(name), _allowed(name, room)) for name, room in ROOMS.items() if name != "__init__.py"]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _holds(pattern: str) -> str:
    """Return the first line of the docstring of a file or, of a pattern of files, of their package."""
    path = UTILS / (pattern.replace("*", "__init__.py") if "*" in pattern else pattern)
    if not path.is_file():
        return ""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return docstring.partition("\n")[0].replace("|", r"\|")


def _allowed(name: str, room: Room) -> str:
    """Return what the files of a room may import, without the modules of their own package."""
    own = name.rpartition("/")[0].replace("/", ".")
    modules = {pattern.removesuffix(".*") for pattern in room.ours}
    modules = {module for module in modules if not own or not f"{module}.".startswith(f"{own}.")}
    ours = [f"`{module}`" for module in sorted(modules) if module.rpartition(".")[0] not in modules]
    libraries = [f"`{library}`" for library in sorted(room.libraries)]
    lazily = [f"`{library}` (in functions)" for library in sorted(room.lazily)]
    return ", ".join([*ours, *libraries, *lazily]) or "nothing"


def decisions() -> str:
    """Return a list of the decisions with links."""
    lines = []
    for path in sorted(DECISIONS.glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        lines.append(f"- [{title}](decisions/{path.name})")
    return "\n".join(lines)
