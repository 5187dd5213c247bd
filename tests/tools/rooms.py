# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The walls between the rooms of module_utils: ROOMS says what each file may import.

The contract tests hold every file to this table.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from workspace import ROOT

UTILS = ROOT / "plugins" / "module_utils"
HERE = "ansible_collections.cloudpods.diagnostics.plugins.module_utils."

# Modules of the standard library by which code touches the machine, the network or time. And __import__: what is
# imported by a name that is made at run time cannot be checked.
SYSTEM = frozenset(
    ("os", "shutil", "tempfile", "pathlib", "subprocess", "signal", "select", "socket", "ssl", "http", "urllib",
     "ctypes", "threading", "multiprocessing", "concurrent", "asyncio", "time", "importlib", "__import__")
)  # fmt: skip
FILES = frozenset(("os", "shutil", "tempfile"))
THREADS = frozenset(("threading", "time"))
EVERYTHING = SYSTEM - {"importlib", "__import__", "multiprocessing", "asyncio", "pathlib"}
KUBERNETES = frozenset(("kubernetes", "urllib3", "websocket", "ansible_collections.kubernetes.core"))


@dataclass(frozen=True)
class Room:
    """Imports that are allowed to the files that match a pattern.

    ours: patterns of modules of the collection, by their names below module_utils. libraries: others' modules; lazily:
    only inside functions, since the machine need not have them. system: modules of SYSTEM.
    """

    ours: tuple[str, ...] = ()
    libraries: frozenset[str] = frozenset()
    lazily: frozenset[str] = frozenset()
    system: frozenset[str] = frozenset()


MODEL = ("reasons", "model", "vocabulary")
WORDS = (*MODEL, "catalog", "deadline", "pprof")
CAPTURES = (
    *WORDS, "capture_names", "capture_options", "json_values", "bounds", "fanout", "progress", "transports.base",
)  # fmt: skip
# Text for people: untrusted text sanitized, numbers and tables formatted.
TEXT = ("sanitize", "text")
# Log bytes and their timestamps.
LOGTEXT = ("logtext", "logtext.*")
TRANSPORT = (
    *WORDS,
    "transports.base",
    "transports.follow",
    "transports.http_client",
    *LOGTEXT,
)

# The first pattern that matches a file's name below module_utils is its room.
ROOMS: dict[str, Room] = {
    "catalog.py": Room(ours=("text",)),
    "log_patterns.py": Room(),
    "capture_names.py": Room(),
    "pprof.py": Room(ours=("capture_names", *TEXT)),
    "bounds.py": Room(ours=("pprof",)),
    "capture_options.py": Room(
        ours=("bounds", "catalog", "log_patterns", "pprof", "profiles.symbols", "status.samples", "watch.patterns"),
    ),
    "json_values.py": Room(ours=("sanitize",)),
    # It looks for libraries, and imports none.
    "libraries.py": Room(system=frozenset(("importlib", "os"))),
    # Variables and module options come from the same tables. On the controller only.
    "preflight/*": Room(
        ours=("preflight.*", "arguments", "bounds", "capture_options",
              "catalog", "pprof", *TEXT, "transports.base", "watch.patterns"),
        system=frozenset(("os",)),
    ),
    "vocabulary.py": Room(),
    "reason_texts.py": Room(ours=("vocabulary",)),
    "reasons.py": Room(ours=("reason_texts", "redact.redactor", "sanitize", "vocabulary")),
    "model.py": Room(ours=(*LOGTEXT, "reasons", "vocabulary")),
    "sanitize.py": Room(),
    "text.py": Room(),
    "deadline.py": Room(system=THREADS),
    "interruption.py": Room(ours=("deadline", "model"), system=frozenset(("os", "select", "signal", "threading"))),
    "progress.py": Room(system=FILES | THREADS),
    "fanout.py": Room(ours=("deadline",), system=THREADS),
    "regular_file.py": Room(system=frozenset(("os",))),
    # The words of the product itself are no identities.
    "redact/identity_words.py": Room(ours=("redact.*", "catalog", "vocabulary")),
    "redact/*": Room(ours=("redact.*", "inputs.encodings", "sanitize")),
    # zstd is there from Python 3.14 on; before, one of two libraries may be.
    "inputs/zstd.py": Room(ours=("inputs.*",), lazily=frozenset(("backports", "compression", "zstandard"))),
    "inputs/encodings.py": Room(),
    "inputs/inputs.py": Room(ours=("inputs.*", "regular_file"), system=frozenset(("os",))),
    "inputs/*": Room(ours=("inputs.*", *TEXT)),
    "logtext/*": Room(ours=("logtext.*",)),
    "stacks/analysis.py": Room(ours=("stacks.*", *TEXT, "inputs.*")),
    "stacks/*": Room(ours=("stacks.*",)),
    "status/samples.py": Room(
        ours=("status.*", "capture_names", "model", "reasons"), system=frozenset(("threading",))
    ),
    "status/*": Room(
        ours=("status.*", "redact.*", "capture_names", "json_values", *LOGTEXT, *MODEL, *TEXT, "watch.*")
    ),
    "watch/throttle.py": Room(system=THREADS),
    "watch/*": Room(ours=("watch.*", *LOGTEXT, *MODEL, *TEXT, "log_patterns", "redact.*")),
    # Bytes are judged on a node, too: without the library, less is proven.
    "profiles/pprof_proto.py": Room(lazily=frozenset(("google.protobuf",))),
    "profiles/analysis.py": Room(
        ours=("profiles.*", *MODEL, *TEXT, "bundle.*", "inputs.*", "regular_file"), system=FILES
    ),
    "profiles/profile_inputs.py": Room(ours=("profiles.*", "model", "bundle.*", "inputs.*"), system=frozenset(("os",))),
    "profiles/*": Room(ours=("profiles.*", "catalog", "pprof", *MODEL, *TEXT, "stacks.*", "inputs.*")),
    # On the controller only, so with libraries.
    "health/*": Room(
        ours=("health.*", *MODEL, *TEXT, "catalog", "log_patterns", "logtext.timestamps", "bundle.*",
              "inputs.*", "regular_file"),
        libraries=frozenset(("jmespath", "yaml")),
        system=FILES,
    ),
    "bundle/*": Room(
        ours=("bundle.*", "capture_names", *MODEL, *TEXT, "redact.*", "inputs.*", "regular_file"),
        system=FILES | THREADS,
    ),
    # The engine knows no collector, and collectors know no other one. Only a watched log starts those of the others.
    "captures/engine/*": Room(
        ours=("captures.engine.*", *CAPTURES, "bundle.*", *TEXT), system=THREADS
    ),
    "captures/stacks/signal_policy.py": Room(
        ours=("captures.engine.discovery", *MODEL, "catalog", "transports.base"),
    ),
    "captures/stack_dump.py": Room(
        ours=("capture_options", "captures.engine.*", "captures.stacks.*", "captures.profiles.*", "transports.base"),
    ),
    "captures/stacks/*": Room(
        ours=("captures.engine.*", "captures.stacks.*", *CAPTURES, "bundle.*", "logtext.timestamps", "stacks.*",
              "status.binary_version"),
        system=THREADS,
    ),
    "captures/status/*": Room(
        ours=("captures.engine.*", "captures.status.*", *CAPTURES, "bundle.*", "status.*"), system=THREADS
    ),
    "captures/profiles/*": Room(
        ours=("captures.engine.*", "captures.profiles.*", *CAPTURES, "bundle.*", *TEXT,
              "redact.*", "stacks.parse",
              "status.responses", "profiles.cost_estimate", "profiles.load_guard", "profiles.validation",
              "profiles.symbols"),
        system=THREADS,
    ),
    "captures/logs/*": Room(
        ours=("captures.*", *CAPTURES, *LOGTEXT, "bundle.*", *TEXT, "transports.follow", "watch.*", "log_patterns",
              "redact.*"),
        system=THREADS,
    ),
    "transports/base.py": Room(ours=(*WORDS, "transports.follow")),
    "transports/follow.py": Room(ours=(*MODEL, "deadline"), system=THREADS),
    # Pure: decisions about a followed log, and the meaning of what an API server sends.
    **dict.fromkeys(
        ("transports/kubernetes/continuity.py", "transports/kubernetes/continuity_steps.py",
         "transports/kubernetes/gap_events.py", "transports/kubernetes/log_position.py",
         "transports/kubernetes/problem.py"),
        Room(ours=(*MODEL, *LOGTEXT, "json_values", "transports.follow",
                   "transports.kubernetes.continuity_steps", "transports.kubernetes.gap_events",
                   "transports.kubernetes.log_position", "transports.kubernetes.problem")),
    ),
    "transports/kubernetes/probe.py": Room(
        ours=(*MODEL, "transports.base", "transports.kubernetes.probe_script")
    ),
    "transports/host/journal.py": Room(
        ours=(*TRANSPORT, "transports.host.*", "stacks.journal_blank_lines"), system=EVERYTHING
    ),
    "transports/host/*": Room(ours=(*TRANSPORT, "transports.host.*"), system=EVERYTHING),
    "transports/kubernetes/*": Room(
        ours=(*TRANSPORT, "transports.kubernetes.*", "json_values", *TEXT, "redact",
              "libraries"),
        lazily=KUBERNETES,
        system=EVERYTHING,
    ),
    "transports/keystone/*": Room(
        ours=(*TRANSPORT, "transports.keystone.*", "transports.url", "redact", "sanitize", "libraries"),
        lazily=frozenset(("keystoneauth1", "requests")),
        system=EVERYTHING,
    ),
    "transports/*": Room(ours=TRANSPORT, system=EVERYTHING),
    "auth_options.py": Room(),
    # Its transports are imported when they are asked for.
    "arguments.py": Room(
        ours=(*MODEL, "catalog", "transports.*", "redact.*", "auth_options", *TEXT),
        system=FILES,
    ),
    "module_runner.py": Room(
        ours=("arguments", "bounds", "bundle.*", "captures.engine.*", "catalog", "deadline",
              "interruption", "progress", "reasons", "redact.*", *TEXT, "transports.base"),
        system=FILES,
    ),
    "__init__.py": Room(),
}  # fmt: skip


def imports(name: str, source: str) -> Iterator[tuple[str, bool]]:
    """Yield each module that a file of module_utils imports, with True inside a function. Ours begin with a dot."""
    package = name.split("/")[:-1]
    for node, inside in walk(ast.parse(source), inside=False):
        if isinstance(node, ast.Import):
            yield from ((ours(alias.name), inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield ours(str(node.module)), inside
                continue
            base = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (("." + ".".join([*base, each]), inside) for each in names)
        elif isinstance(node, ast.Name) and node.id == "__import__":
            yield "__import__", inside


def walk(node: ast.AST, inside: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the node and all below it, each with True where it runs only in a call of a function."""
    yield node, inside
    for child in ast.iter_child_nodes(node):
        yield from walk(child, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def ours(module: str) -> str:
    """Return the module name with a leading dot for ours, below module_utils."""
    return "." + module[len(HERE) :] if module.startswith(HERE) else module


def is_below(module: str, packages: frozenset[str]) -> bool:
    """Return whether the module is one of these packages or below one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def violations(name: str, source: str) -> list[str]:
    """Return the imports of this file that are against the rules, one line each."""
    found = [pattern for pattern in ROOMS if fnmatchcase(name, pattern)]
    if not found and name.endswith("__init__.py"):
        found = ["__init__.py"]
    if not found:
        return [f"{name}: no room has such a file"]
    room, wrong = ROOMS[found[0]], []
    for module, inside in imports(name, source):
        if module.startswith("."):
            allowed = any(fnmatchcase(module[1:], pattern) for pattern in room.ours)
        elif module.partition(".")[0] in SYSTEM:
            allowed = module.partition(".")[0] in room.system
        elif module.partition(".")[0] in sys.stdlib_module_names:
            allowed = True
        else:
            allowed = is_below(module, room.libraries) or (inside and is_below(module, room.lazily))
        if not allowed:
            wrong.append(f"{name} imports {module}{'' if inside else ' at its top'}")
    return wrong
