# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check there is, as data. `check.py` runs them.

A command runs in the checkout with the virtual environment first on the PATH and the checkout linked
into ANSIBLE_COLLECTIONS_PATH. It passes with exit code 0; with 77 it says that this machine cannot
run it, which is a failure in CI.
"""

from __future__ import annotations

from dataclasses import dataclass

SKIP_CODE = 77
HERE = "ansible_collections/cloudpods/diagnostics"


@dataclass(frozen=True)
class Step:
    """A named command. With `in_collections` it runs in the collections path instead of the checkout.

    environment: variables that it gets besides. slow: `make test-fast` leaves it out.
    """

    name: str
    command: tuple[str, ...]
    in_collections: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    slow: bool = False


def python(script: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a script of ours with the virtual environment's Python."""
    return ("python3", script, *arguments)


# Used only where there is one: the code asks first.
GUARDED = tuple(
    word
    for name in ("os.pidfd_open", "signal.pidfd_send_signal", "compression", "compression.zstd")
    for word in ("--exclude", name)
)

LINT = (
    Step("ruff", ("ruff", "check", ".")),
    Step("ruff format", ("ruff", "format", "--check", "--diff", ".")),
    # Through the link, so that the full names the code imports itself by are found.
    Step(
        "mypy",
        ("mypy", "--config-file", "{root}/pyproject.toml", f"{HERE}/plugins", f"{HERE}/tests/tools"),
        in_collections=True,
    ),
    # What runs on a node must do with Python 3.7.
    Step(
        "vermin",
        ("vermin", "-t=3.7-", "--no-tips", "--violations", *GUARDED, "plugins/modules", "plugins/module_utils"),
    ),
    Step("prose", python("tests/tools/prose.py")),
    Step("codespell", ("codespell",)),
    Step("yamllint", ("yamllint", "--strict", ".")),
    Step("ansible-lint", ("ansible-lint", "--strict", "--nocolor"), slow=True),
    Step("antsibull-docs", ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "."), slow=True),
    Step("galaxy-importer", python("tests/tools/importer.py"), slow=True),
    Step("docs", python("tests/tools/docs.py", "--check")),
    Step("antsibull-changelog", ("antsibull-changelog", "lint")),
    Step("shellcheck", python("tests/tools/system_lint.py", "shellcheck")),
    Step("gofmt", python("tests/tools/system_lint.py", "gofmt")),
    Step("actionlint", python("tests/tools/system_lint.py", "actionlint"), slow=True),
    Step("zizmor", ("zizmor", "--offline", "--quiet", "--no-progress", ".github")),
    Step("pre-commit", ("pre-commit", "validate-config")),
    Step("go vet, go test", python("tests/tools/system_lint.py", "go"), slow=True),
)
PAGES = (Step("pages in a browser", python("tests/tools/browser.py")),)
SANITY = (Step("ansible-test sanity", python("tests/tools/sanity.py")),)
INSTALL = (Step("install and run", python("tests/tools/install.py")),)

LAB_BUILD = Step("lab build", python("tests/lab/lab.py", "build"))
LAB_UP = Step("lab up", python("tests/lab/lab.py", "up"))
# These take long; `test` runs the soak for a minute, and the others not at all.
BENCH = tuple(
    Step(name, python(f"tests/bench/{name}.py"))
    for name in ("capture", "audit", "parse", "redact", "profiles", "take", "watch", "watch_live")
)
SOAK_TEST = "tests/integration/test_soak.py"
SOAK = (Step(SOAK_TEST, ("pytest", "-s", SOAK_TEST), environment=(("SOAK_SECONDS", "600"),)),)
# Twenty times the examples take a test twenty times as long.
FUZZ = (
    Step(
        "fuzz",
        ("-o", "timeout=7200", "tests/unit", "tests/contract"),
        environment=(("HYPOTHESIS_PROFILE", "fuzz"),),
    ),
)

FAST_TESTS = ("tests/unit", "tests/contract")
LAB_TESTS = ("tests/integration",)
