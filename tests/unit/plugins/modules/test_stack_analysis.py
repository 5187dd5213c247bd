# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module stack_analysis: run() on real files, and the module as Ansible calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.cloudpods.diagnostics.plugins.modules import stack_analysis

STACKS = Path(__file__).parents[1] / "module_utils" / "stacks"
sys.path.insert(0, str(STACKS))

from dumps import CORPUS, LOG, PRINTED, REGION1, REGION2  # noqa: E402

RETURNED = yaml.safe_load(stack_analysis.RETURN)


def run(*paths: object, **options: object) -> dict:
    defaults = {name: option.get("default") for name, option in stack_analysis.ARGUMENTS.items()}
    return stack_analysis.run({**defaults, "paths": [str(path) for path in paths], **options})


@pytest.fixture
def folder(tmp_path):
    for name, data in {
        "region.log": LOG + REGION1 + LOG + PRINTED,
        "sub/region.txt": REGION2,
        "sub/notes.md": b"nothing here\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_returns_every_dump_with_its_file(folder):
    result = run(folder / "region.log", folder / "sub" / "region.txt")
    assert [(dump["path"], dump["form"], dump["line"], dump["goroutines"]) for dump in result["dumps"]] == [
        (str(folder / "region.log"), "debug1", 2, 145),
        (str(folder / "region.log"), "stack", 4 + REGION1.count(b"\n"), 1),
        (str(folder / "sub" / "region.txt"), "debug2", 1, 171),
    ]
    assert [(file["dumps"], file["goroutines"], file["complete"]) for file in result["files"]] == [
        (2, 146, "true"),
        (1, 171, "unknown"),
    ]
    assert result["totals"] == {
        "files": 2, "dumps": 3, "goroutines": 317, "forms": {"debug1": 1, "stack": 1, "debug2": 1},
    }  # fmt: skip
    assert (result["complete"], result["errors"], result["changed"]) == ("unknown", [], False)


def test_reads_folders_recursively(folder):
    result = run(folder)
    assert [file["path"] for file in result["files"]] == [
        str(folder / name) for name in ("region.log", "sub/notes.md", "sub/region.txt")
    ]
    # A file found in a folder need not contain a dump, but a missing dump is reported.
    assert result["complete"] == "unknown"
    assert [(error["path"], error["message"]) for error in result["errors"]] == [
        (str(folder / "sub" / "notes.md"), "no goroutines were found")
    ]
    assert run(folder, patterns=["*.log"])["complete"] == "true"


def test_named_file_without_goroutines_is_not_complete(folder):
    assert run(folder / "region.log", folder / "sub" / "notes.md")["complete"] == "false"


def test_reports_unreadable_files(folder):
    os.mkfifo(folder / "fifo")
    result = run(folder / "none", folder / "fifo", "nul\0", folder / "region.log")
    assert [(file["dumps"], file["complete"]) for file in result["files"]] == [(0, "false")] * 3 + [(2, "true")]
    assert [error["message"] for error in result["errors"]][:2] == [
        "cannot be read: No such file or directory",
        "cannot be read: it is not a regular file",
    ]
    assert [error["line"] for error in result["errors"]] == [0, 0, 0]
    assert result["complete"] == "false"


def test_reports_link_loops_and_paths_below_a_file(folder):
    (folder / "loop").symlink_to(folder / "loop")
    messages = [error["message"] for error in run(folder / "loop", folder / "region.log" / "x")["errors"]]
    assert messages == ["cannot be read: Too many levels of symbolic links", "cannot be read: Not a directory"]


def test_reports_folders_without_matching_files(folder):
    assert run(folder, patterns=["*.none"])["complete"] == "false"
    (error,) = run(folder, patterns=["*.none"])["errors"]
    assert error["message"] == "no file in this folder matches a pattern"


def test_counts_groups_beyond_the_limit(folder):
    every = run(folder / "region.log", max_groups=0)["dumps"][0]
    few = run(folder / "region.log", max_groups=3)["dumps"][0]
    assert (len(few["groups"]), few["groups_left_out"]) == (3, len(every["groups"]) - 3)
    assert few["groups"] == every["groups"][:3]


def test_file_larger_than_the_limit_is_not_complete(folder):
    result = run(folder / "region.log", max_bytes=4000)
    assert result["complete"] == "false"
    assert [error["message"] for error in result["errors"]] == ["only the first 4000 bytes were read"]
    whole = len((folder / "region.log").read_bytes())
    assert run(folder / "region.log", max_bytes=whole)["errors"] == []


def test_rejects_invalid_limits(folder):
    for options in ({"max_groups": -1}, {"max_bytes": 0}):
        with pytest.raises(ValueError, match="max_"):
            run(folder, **options)


def described(contains: dict) -> set[str]:
    return set(contains)


def test_returns_what_is_documented(folder):
    (folder / "cut.txt").write_bytes(CORPUS["go1.27/debug2"][:-300])
    result = run(folder)
    del result["changed"]
    assert set(result) == set(RETURNED)
    assert described(RETURNED["totals"]["contains"]) == set(result["totals"])
    for name in ("dumps", "files"):
        for entry in result[name]:
            assert described(RETURNED[name]["contains"]) == set(entry)
    fields = RETURNED["dumps"]["contains"]
    for dump in result["dumps"]:
        for group in dump["groups"]:
            assert described(fields["groups"]["contains"]) == set(group)
    errors = [error for dump in result["dumps"] for error in dump["errors"]]
    assert errors
    assert all(described(fields["errors"]["contains"]) == set(error) for error in errors)
    json.dumps(result, allow_nan=False)


def test_runs_as_ansible_calls_it(folder):
    arguments = {"ANSIBLE_MODULE_ARGS": {"paths": [str(folder)], "_ansible_check_mode": True}}
    name = "ansible_collections.cloudpods.diagnostics.plugins.modules.stack_analysis"
    done = subprocess.run(
        [sys.executable, "-m", name],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.environ["ANSIBLE_COLLECTIONS_PATH"]},
    )
    assert json.loads(done.stdout)["totals"]["dumps"] == 3
