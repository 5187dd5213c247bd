# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step that installs the tarball says which releases this machine cannot have, and fails with the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import cores
import install
import make_venv
from steps import SKIP_CODE

NEWEST = list(cores.CORES)[-1]


@pytest.mark.parametrize(
    ("lacks", "codes", "expected"),
    [("", [0, 0], 0), (NEWEST, [0, 0], SKIP_CODE), (NEWEST, [1], 1), ("", [0, 1], 1), (NEWEST, [0, 1], 1)],
)
def test_exit_code(monkeypatch, capsys, lacks, codes, expected):
    def ensure(kind):
        if kind == lacks:
            raise make_venv.Unfit(f"{kind} cannot be had")
        return Path("/venv")

    left = list(codes)
    monkeypatch.setattr(make_venv, "ensure", ensure)
    monkeypatch.setattr(install, "run", lambda *_arguments, path=None: left.pop(0))  # noqa: ARG005
    assert install.main() == expected
    assert left == []
    assert (f"{NEWEST} cannot be had" in capsys.readouterr().out) is bool(lacks)
