# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the supported releases of ansible-core."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import cores
import debian_python
import make_venv
from workspace import ROOT


def test_reads_versions_pythons_and_pins():
    first, second = cores.read(["# head", "", "2.17.14   3.10 to 3.12  a==1 b==2\n", "2.21.5 3.12 to 3.14"])
    assert (first.kind, first.requirements) == ("core-2.17", ["ansible-core==2.17.14", "a==1", "b==2"])
    assert (list(first.pythons), list(second.pythons), second.pins) == ([10, 11, 12], [12, 13, 14], ())


@pytest.mark.parametrize("line", ["2.17 3.10 to 3.12", "2.17.1 3.10", "2.17.1 3.10 to 3.12 resolvelib"])
def test_refuses_a_line_of_another_form(line):
    with pytest.raises(ValueError, match=re.escape(line)):
        cores.read([line])


@pytest.mark.parametrize("kind", cores.CORES)
def test_constraints_do_not_contradict_a_release(kind):
    core = cores.CORES[kind]
    pinned = {line.partition("==")[0] for line in core.constraints() if not line.startswith("#")}
    assert pinned
    assert not pinned & {requirement.partition("==")[0] for requirement in core.requirements}


def test_other_environments_have_a_release_of_the_table():
    pinned = re.findall(r"^ansible-core==(\S+)", cores.CONSTRAINTS.read_text(), re.MULTILINE)
    assert pinned
    assert set(pinned) <= {core.version for core in cores.CORES.values()}


def test_the_readme_names_the_oldest_and_the_newest_release():
    releases = [core.release for core in cores.CORES.values()]
    text = " ".join((ROOT / "README.md").read_text().split())
    assert f"ansible-core {releases[0]} or later (tested up to {releases[-1]})" in text


@pytest.mark.parametrize("kind", cores.CORES)
def test_takes_a_newer_python_where_this_one_does_not_fit(monkeypatch, kind):
    newer = Path("/newer")
    monkeypatch.setattr(debian_python, "can_have", lambda: True)
    monkeypatch.setattr(debian_python, "ensure", lambda: newer)
    assert make_venv.interpreter(kind) == (
        Path(sys.executable) if sys.version_info.minor in cores.CORES[kind].pythons else newer
    )


def test_says_which_python_a_release_needs(monkeypatch):
    monkeypatch.setattr(debian_python, "can_have", lambda: False)
    monkeypatch.setitem(make_venv.PYTHONS, "core-2.21", range(98, 100))
    with pytest.raises(make_venv.Unfit, match=r"core-2\.21 needs Python 3\.98 to 3\.99; .* is 3\."):
        make_venv.interpreter("core-2.21")
