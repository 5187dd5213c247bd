# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action show_result."""

from __future__ import annotations

DOCUMENTATION = r"""
module: show_result
short_description: Show the result of a run as plain text
version_added: 0.2.0
description:
  - Shows one table, the worst first, and the path of the bundle, as plain text on standard output.
  - If a program reads standard output, such as with the callback P(ansible.posix.json#callback), the module shows
    nothing. The result of the task has the same content.
  - Runs on the controller only.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode the module shows what would be done.
  diff_mode:
    support: none
options:
  run:
    description:
      - The name of the run, from RV(cloudpods.diagnostics.bundle_start#module:id).
    type: str
    required: true
  captured:
    description:
      - The values of RV(cloudpods.diagnostics.bundle_capture#module:captured) of all access points. Entries of other
        runs are ignored.
    type: list
    elements: dict
    default: []
  sealed:
    description:
      - The result of M(cloudpods.diagnostics.bundle_seal).
    type: dict
    default: {}
  tables:
    description:
      - Tables to show, each a list of lines. In check mode they are left out.
    type: list
    elements: list
    default: []
  failures:
    description:
      - Reasons why the run counts as failed, for example its verdict. The first text that is not empty counts.
    type: list
    elements: str
    default: []
  verdict:
    description:
      - The verdict, for the result.
    type: str
    default: ""
  fail_on:
    description:
      - In check mode, V(none) means that the run does not count as failed if nothing would be captured.
      - Otherwise the option of the same name of M(cloudpods.diagnostics.bundle_seal) decides.
    type: str
    choices: [none, failed, partial, any]
    default: failed
notes:
  - The task fails if the run counts as failed. A callback for people then shows only RV(run) and RV(msg). With C(-v) it
    shows the whole result.
seealso:
  - module: cloudpods.diagnostics.bundle_capture
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: Show the result
  cloudpods.diagnostics.show_result:
    run: 20260102T030405Z-1a2b
    tables:
      - - component  instances
        - region     2
    sealed:
      archive: /var/tmp/bundles/20260102T030405Z-1a2b.tar.gz
  run_once: true
"""

RETURN = r"""
run:
  description: The name of the run.
  returned: always
  type: str
  sample: 20260102T030405Z-1a2b
msg:
  description: Why the run counts as failed, or empty.
  returned: always
  type: str
table:
  description: The lines that are shown.
  returned: success
  type: list
  elements: str
errors:
  description: The errors of access points without a part, each error once.
  returned: success
  type: list
  elements: dict
  contains:
    error:
      description: The error.
      type: str
    access_points:
      description: The access points with this error.
      type: list
      elements: str
archive:
  description: The sealed bundle, or empty.
  returned: success
  type: str
counts:
  description: Number of rows of the ledger by status.
  returned: success
  type: dict
  sample: {complete: 12, partial: 0, refused: 1, failed: 0, skipped: 0}
verdict:
  description: The verdict, or empty.
  returned: success
  type: str
"""
