# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action bundle_fetch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_fetch
short_description: Fetch a packed part from another machine, and remove it there
version_added: 0.2.0
description:
  - Fetches the archive that a capture left on another machine into a folder of the controller, under a name that the
    controller chooses, and then removes it on that machine.
  - The other machine is not trusted. Its answers become neither variables nor paths on the controller, and it cannot
    send more than O(max_bytes).
  - If the transfer fails, the archive stays where it is, and the message names it.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
options:
  path:
    description:
      - The archive on the other machine.
    type: str
    required: true
  folder:
    description:
      - The folder on the controller, for example RV(cloudpods.diagnostics.bundle_start#module:parts).
    type: path
    required: true
  name:
    description:
      - The name of the file on the controller. Characters other than letters, digits, V(.), V(_) and V(-) are replaced.
      - If a file of that name exists, a number is added.
    type: str
    required: true
  max_bytes:
    description:
      - Largest size of the archive in bytes.
    type: int
    default: 4294967296
  cluster:
    description:
      - The cluster of the other machine. If it is set, an archive with files, rows or documents of another cluster is
        refused.
    type: str
    default: ""
notes:
  - With C(become), the whole archive is held in memory, as M(ansible.builtin.fetch) does.
seealso:
  - module: cloudpods.diagnostics.bundle_start
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: Capture on a node
  cloudpods.diagnostics.stack_dump:
    transport: host
    scenario: deadlock
    archive: true
  become: true
  register: dumps

- name: Fetch the captures
  cloudpods.diagnostics.bundle_fetch:
    path: "{{ dumps.archive }}"
    folder: "{{ started.parts }}"
    name: "{{ inventory_hostname }}"
  register: fetched
"""

RETURN = r"""
part:
  description: The file on the controller.
  returned: success
  type: str
  sample: /var/tmp/bundles/20260102T030405Z-1a2b/parts/cluster-a.tar.gz
"""
