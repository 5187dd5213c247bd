# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which docstrings are counted as questions."""

from __future__ import annotations

import prose

SOURCE = '''
"""What a module says is not counted."""

def one():
    """What it does."""

class A:
    """Who is no function."""

    def two(self):
        """Return whether it does it."""

    async def three(self):
        """how it does it."""

def four():
    """Whatever it is."""

def five():
    pass
'''


def test_finds_functions_whose_docstring_begins_with_a_question_word(tmp_path):
    path = tmp_path / "some.py"
    path.write_text(SOURCE)
    assert prose.questions([path]) == ([f"{path}:4: What it does.", f"{path}:13: how it does it."], 4)


def test_fails_above_the_limit_and_names_the_places(tmp_path, capsys):
    (tmp_path / "plugins").mkdir()
    functions = [f'def f{number}():\n    """Return {number}."""\n' for number in range(24)]
    (tmp_path / "plugins" / "some.py").write_text("\n".join([*functions, 'def last():\n    """What it is."""\n']))
    assert prose.main(tmp_path) == 0  # one of 25
    (tmp_path / "plugins" / "more.py").write_text('def more():\n    """Where it is."""\n')
    assert prose.main(tmp_path) == 1
    assert "2 of 26 docstrings begin with a question word: 7.7 %" in capsys.readouterr().out
