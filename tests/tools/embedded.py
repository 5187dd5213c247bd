# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the Python modules that hold a shell script or an HTML page.

Ansible sends only the Python files of module_utils to a node, so a script or page has to be a Python string there.
The sources stay files of their own kind, next to the modules made from them, where shellcheck and editors read them.
`make docs` writes the modules (docs.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from workspace import ROOT

HEAD = """\
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""


@dataclass(frozen=True)
class Embedded:
    """A source file and the module that holds its text. Paths are relative to the root.

    constant: the name of the text in the module. summary: of the module's docstring. reason: why it is made this way.
    header: whether the source begins with a comment, which ends at the first empty line and is left out.
    """

    source: str
    module: str
    constant: str
    summary: str
    reason: str
    header: bool = False

    def page(self) -> str:
        """Return the text of the module. ValueError when the source does not fit into a raw string."""
        text = (ROOT / self.source).read_text(encoding="utf-8")
        if self.header:
            text = text.partition("\n\n")[2]
        if '"""' in text or not text.endswith("\n"):
            raise ValueError(f'{self.source} has """ in it, or does not end with a line break')
        name = self.source.rpartition("/")[2]
        made = f"Made from {name} by tests/tools/embedded.py: change that file, then run `make docs`."
        docstring = f'"""{self.summary}\n\n{made}\n{self.reason}\n"""'
        start = "\n" if self.header else ""
        return f'{HEAD}{docstring}\n\nfrom __future__ import annotations\n\n{self.constant} = r"""{start}{text}"""\n'


EMBEDDED = (
    Embedded(
        source="plugins/module_utils/transports/kubernetes/probe.sh",
        module="plugins/module_utils/transports/kubernetes/probe_script.py",
        constant="SCRIPT",
        summary="The shell script that looks for the service's process inside a container.",
        reason="Ansible sends only Python files to a node, so the script is a string.",
        header=True,
    ),
    Embedded(
        source="plugins/module_utils/profiles/flamegraph_page.html",
        module="plugins/module_utils/profiles/flamegraph_page.py",
        constant="PAGE",
        summary="The HTML page of a flame graph, without its data. The data replace @DATA@.",
        reason="Ansible sends only Python files to a node, so the page is a string.",
    ),
)

# Module, relative to the root -> what makes its text.
MODULES = {each.module: each.page for each in EMBEDDED}
