# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which commit messages are accepted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from commit_message import MOST, problems
from workspace import ROOT

GOOD = [
    "Reopen the log when the kubelet closes the stream",
    "Reopen the log\n\nThe kubelet closes it after a rotation.\n",
    "Feed the reader in pieces",
    "Process every line once",
    "Merge branch 'main'",
    'Revert "a subject that would be too long if it were checked, which it is not, since Git wrote it"',
    "Fix the parser\n# Please enter the commit message\n# On branch main\n",
    "Fix the parser\n# ------------------------ >8 ------------------------\ndiff --git a b\nnot blank",
    "A" * 1 + "dd " + "x" * (MOST - 4),
]
BAD = {
    "": "the subject is empty",
    "# only a comment": "the subject is empty",
    "Add " + "x" * (MOST - 3): f"the subject has {MOST + 1} characters; at most {MOST}",
    "Fix the parser.": "the subject ends with a period",
    "fix the parser": "the subject does not begin with a capital letter",
    "A log that does not go on": "the subject does not begin with an imperative: A",
    "What a missed rotation may be": "the subject does not begin with an imperative: What",
    "Fixed the parser": "the subject does not begin with an imperative: Fixed",
    "Fixes: the parser": "the subject does not begin with an imperative: Fixes",
    "Fixing the parser": "the subject does not begin with an imperative: Fixing",
    "Fix the parser\nand the reader": "the second line is not blank",
}


@pytest.mark.parametrize("message", GOOD)
def test_accepts_imperative_subjects(message):
    assert list(problems(message)) == []


@pytest.mark.parametrize(("message", "problem"), BAD.items())
def test_names_the_problem(message, problem):
    assert list(problems(message)) == [problem]


@pytest.mark.parametrize(("subject", "code"), [("Fix the parser", 0), ("The parser", 1)])
def test_checks_the_commits_of_a_range(tmp_path, subject, code):
    """The script looks at its own checkout, so a copy of it lies in a repository of this test."""
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    tools = tmp_path / "tests" / "tools"
    tools.mkdir(parents=True)
    for name in ("commit_message.py", "workspace.py"):
        (tools / name).write_bytes((ROOT / "tests" / "tools" / name).read_bytes())
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    for message in ("This one is not in the range", subject):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True)
    script = [sys.executable, tools / "commit_message.py", "--range", "HEAD~1..HEAD"]
    done = subprocess.run(script, check=False, capture_output=True, text=True)
    assert done.returncode == code
    assert ("does not begin with an imperative: The" in done.stdout) == bool(code)
