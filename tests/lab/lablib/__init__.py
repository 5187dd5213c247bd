# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test cluster: a real multi-node Kubernetes in namespaces of one machine.

Each module owns one subject: cgroups, network, certificates, images, machines, nodes, faults. None of them may import
the collection or anything outside of the standard library. Start reading at `lifecycle.Lab`; `../README.md` lists the
files.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
