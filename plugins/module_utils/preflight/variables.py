# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variable `cloudpods_*` for users, as data: accepted values, roles that use it, and defaults.

The defaults and argument specs of the roles, and docs/variables.md, agree with it: see
tests/contract/test_variables.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping

from ..bounds import BOUNDS, Bounds
from ..capture_options import ACTIONS, UNTIL
from ..catalog import BINARY_DIR, DEFAULT_NAMESPACE, SCENARIOS
from ..pprof import KINDS, SETS
from ..text import nearest

PREFIX = "cloudpods_"
STACKS, LOGS, AUDIT, PROFILES = "capture_stacks", "watch_logs", "audit_health", "capture_profiles"
CAPTURING = (STACKS, LOGS, AUDIT, PROFILES)
BUNDLE = "bundle"
EVERYWHERE = (*CAPTURING, BUNDLE)
# Statistics that a run sets. AWX passes those of one job to the next jobs of a workflow as extra variables.
STATISTICS = frozenset(("cloudpods_bundle", "cloudpods_counts", "cloudpods_verdict"))

# Kinds of values.
NUMBER, BOOL, TEXT, CHOICE, CHOICES, NAMES, COMPONENTS = (
    "number", "bool", "text", "choice", "choices", "names", "components"
)  # fmt: skip
FILE, FILES, NEW_FILE, DICT, DICTS, KUBECONFIG, SECRET = (
    "file", "files", "new_file", "dict", "dicts", "kubeconfig", "secret"
)  # fmt: skip


@dataclass(frozen=True)
class NamePattern:
    """Pattern of a name. description: the pattern in words, for messages."""

    expression: re.Pattern[str]
    description: str


# kubernetes staging/src/k8s.io/apimachinery/pkg/util/validation: IsDNS1123Label, IsValidLabelValue.
NAMESPACE = NamePattern(
    re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z"), "names of namespaces, with commas between them"
)
COMPONENT = NamePattern(
    re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z"), "names of components, with commas between them"
)
FOLDER = NamePattern(re.compile(r"[/~]"), "absolute paths of folders, with commas between them")


@dataclass(frozen=True)
class Variable:
    """Variable for users.

    name: without the prefix. kind: kind of value. default: default of the roles' option; by_role: other defaults of
    some roles. roles: roles that use it. option: suffix of the name of the roles' option, or "". bounds: of a number.
    choices: accepted values; choices_of: other accepted values of some roles. pattern: of each name.
    """

    name: str
    kind: str
    default: Any = ""
    roles: tuple[str, ...] = CAPTURING
    option: str = ""
    bounds: Bounds | None = None
    choices: tuple[str, ...] = ()
    choices_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_role: Mapping[str, Any] = field(default_factory=dict)
    pattern: NamePattern | None = None

    @property
    def full_name(self) -> str:
        return PREFIX + self.name

    def option_of(self, role: str) -> str:
        """Return the name of the option of a role that this variable sets, or ""."""
        return f"{role}_{self.option}" if self.option and role in self.roles else ""

    def default_of(self, role: str) -> Any:
        return self.by_role.get(role, self.default)

    def choices_for(self, role: str) -> tuple[str, ...]:
        return self.choices_of.get(role, self.choices)

    def expression(self, role: str) -> str:
        """Return the default of a role's option: the variable, unless it is empty or not set."""
        default = self.default_of(role)
        text = str(default).lower() if isinstance(default, bool) else repr(default)
        when = "true"
        if default and self.takes_nothing:
            when = f"{self.full_name} | default('') in ['', none]"
        made_bool = " | bool" if self.kind == BOOL else ""
        return f"{{{{ {self.full_name} | default({text}, {when}){made_bool} }}}}"

    @property
    def takes_nothing(self) -> bool:
        """Return whether 0 or false is a value of its own instead of "not set"."""
        return self.kind == BOOL or (self.bounds is not None and self.bounds.least == 0)


def _option(name: str, kind: str, default: Any = "", **more: Any) -> Variable:
    """Return a variable that sets an option of roles. The option has the name of the variable by default."""
    return Variable(name, kind, default, **{"option": name, **more})


def _number(name: str, default: float, bounds: str = "", **more: Any) -> Variable:
    """Return a variable with a number.

    bounds: option of a module whose bounds it has, by default the one of the same name.
    """
    return _option(name, NUMBER, default, bounds=BOUNDS[bounds or name], **more)


_SELECTION = (
    _option(
        "scenario", CHOICE, "deadlock", choices=tuple(sorted(SCENARIOS)), by_role={AUDIT: "", PROFILES: "slow_system"}
    ),
    _option("components", COMPONENTS, [], pattern=COMPONENT),
    _option(
        "transport",
        CHOICE,
        "kubernetes",
        choices=("kubernetes", "host"),
        choices_of=dict.fromkeys((AUDIT, PROFILES), ("kubernetes", "host", "keystone", "url")),
    ),
    _option("cluster", TEXT),
    _option("namespace", NAMES, DEFAULT_NAMESPACE, pattern=NAMESPACE),
    _option("binary_dir", NAMES, BINARY_DIR, pattern=FOLDER),
    _option("keystone", DICT, {}, roles=(AUDIT, PROFILES)),
    _option("urls", DICT, {}, roles=(AUDIT, PROFILES)),
)
_LIMITS = (
    _number("concurrency", 40),
    _number("node_concurrency", 20),
    _number("timeout", 30),
    _number("deadline", 300),
)
_OF_STACKS = (
    _option("dump_method", CHOICE, "auto", roles=(STACKS,), choices=("auto", "signal", "pprof", "both")),
    _number("dump_count", 1, "count", roles=(STACKS,)),
    _number("dump_interval", 10, "interval", roles=(STACKS,)),
    _number("max_bytes", 256 << 20, roles=(STACKS,)),
)
_OF_LOGS = (
    _number("watch_since", 600, "since", roles=(LOGS,), option="since"),
    _number("watch_duration", 90, "duration", roles=(LOGS,), option="duration"),
    _option("watch_until", CHOICE, "verdict", roles=(LOGS,), option="until", choices=tuple(UNTIL)),
    _option("log_patterns", DICTS, [], roles=(LOGS,), option="patterns"),
    _option("on_hit", CHOICES, [], roles=(LOGS,), choices=tuple(ACTIONS)),
    _number("cooldown", 300, roles=(LOGS,)),
    _option(
        "fail_on_verdict", CHOICE, "stuck", roles=(LOGS,), choices=("none", "unknown", "busy", "stuck", "dropping")
    ),
)
_OF_AUDITS = (
    _number("samples", 2, roles=(AUDIT,)),
    _number("interval", 10, roles=(AUDIT,)),
    _number("log_seconds", 600, roles=(AUDIT,)),
    _option("certificates", BOOL, True, roles=(AUDIT,)),
    _option("bodies", CHOICE, "all", roles=(AUDIT,), choices=("all", "unread")),
    _option("rules", FILES, [], roles=(AUDIT,)),
    _option("thresholds", DICT, {}, roles=(AUDIT,)),
    _option("baseline", FILE, roles=(AUDIT,)),
    _option("fail_on_severity", CHOICE, "critical", roles=(AUDIT,), choices=("none", "critical", "warning", "unknown")),
    _option("on_critical", CHOICE, "nothing", roles=(AUDIT,), choices=("nothing", STACKS)),
)
_OF_PROFILES = (
    _option("profile_set", CHOICE, "quick", roles=(PROFILES,), choices=tuple(SETS)),
    _option("profile_kinds", CHOICES, [], roles=(PROFILES,), choices=tuple(KINDS)),
    _number("cpu_seconds", 10, roles=(PROFILES,)),
    _number("trace_seconds", 1, roles=(PROFILES,)),
    _number("delta_seconds", 0, roles=(PROFILES,)),
    _option("profile_gc", BOOL, False, roles=(PROFILES,)),
    _option("profile_force", BOOL, False, roles=(PROFILES,)),
    _number("profile_replicas", 1, "max_replicas_at_once", roles=(PROFILES,)),
    _number("profile_max_bytes", 64 << 20, "max_bytes", roles=(PROFILES,)),
    _option("profile_base", FILE, roles=(PROFILES,)),
    _option("show_plan", BOOL, True, roles=(PROFILES,)),
)
_OF_BUNDLES = (
    _option("output", TEXT, "cloudpods-diagnostics", roles=(BUNDLE,)),
    _option("run_id", TEXT, roles=(BUNDLE,)),
    _option("fail_on", CHOICE, "failed", roles=(BUNDLE,), choices=("none", "failed", "partial", "any")),
    _option("redact", CHOICE, "secrets", roles=EVERYWHERE, choices=("secrets", "identity", "none")),
    _option("identity_map", NEW_FILE, roles=(BUNDLE,)),
)
# Connection to an API server. The role bundle passes these on, and the modules check whether they can be used.
CONNECTION = (
    Variable("kubeconfig", KUBECONFIG),
    *(Variable(name, TEXT) for name in ("context", "host", "ca_cert", "client_cert", "client_key")),
    Variable("api_key", SECRET),
    Variable("proxy", SECRET),
    Variable("validate_certs", BOOL),
)
_OF_THE_TERMINAL = (Variable("progress_seconds", NUMBER, 10, bounds=BOUNDS["progress_seconds"]),)

VARIABLES = {
    variable.full_name: variable
    for variable in (
        *_SELECTION, *_LIMITS, *_OF_STACKS, *_OF_LOGS, *_OF_AUDITS, *_OF_PROFILES, *_OF_BUNDLES, *CONNECTION,
        *_OF_THE_TERMINAL,
    )
}  # type: dict[str, Variable]  # fmt: skip


def used_by(role: str) -> list[Variable]:
    """Return the variables that a run of a capturing role uses, including those of its bundle."""
    return [variable for variable in VARIABLES.values() if role in variable.roles or BUNDLE in variable.roles]


def options_of(role: str) -> dict[str, Variable]:
    """Return the options of a role that variables set, by name."""
    return {one.option_of(role): one for one in VARIABLES.values() if one.option_of(role)}


def similar_variables(name: str) -> list[str]:
    """Return the known variables that are similar to an unknown one, or contain all of its words."""
    bare = {variable.name: full for full, variable in VARIABLES.items()}
    wanted = name[len(PREFIX) :]
    words = set(wanted.lower().split("_"))
    found = nearest(wanted, bare) or [each for each in bare if words <= set(each.split("_"))]
    return [bare[each] for each in found[:3]]
