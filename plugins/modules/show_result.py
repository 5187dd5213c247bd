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
  - Shows one table, the worst first, and then the path of the bundle, as plain text on standard output.
  - Where a program reads standard output, such as with the callback P(ansible.posix.json#callback), it shows nothing.
    The result of the task has the same for programs.
  - It runs on the controller only, and never on a host.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode it shows what would be done.
  diff_mode:
    support: none
options:
  run:
    description:
      - The run, as RV(cloudpods.diagnostics.bundle_start#module:id) names it.
    type: str
    required: true
  captured:
    description:
      - What M(cloudpods.diagnostics.bundle_capture) returned of each access point, in
        RV(cloudpods.diagnostics.bundle_capture#module:captured). Entries of other runs are left out.
    type: list
    elements: dict
    default: []
  sealed:
    description:
      - What M(cloudpods.diagnostics.bundle_seal) returned.
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
      - Why the run counts as failed, for example by its verdict. Empty texts are left out; the first other one counts.
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
      - In check mode, V(none) means that the run does not count as failed where nothing would be captured.
      - Otherwise the option of the same name of M(cloudpods.diagnostics.bundle_seal) decides.
    type: str
    choices: [none, failed, partial, any]
    default: failed
notes:
  - The task fails where the run counts as failed. Where a callback for people shows the result of the failed task,
    RV(run) and RV(msg) are all of it. With C(-v) it is whole.
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
  description: The run.
  returned: always
  type: str
  sample: 20260102T030405Z-1a2b
msg:
  description: Why the run counts as failed; empty when it does not.
  returned: always
  type: str
table:
  description: What is shown, as lines.
  returned: success
  type: list
  elements: str
errors:
  description: Each error that kept access points from bringing anything, once.
  returned: success
  type: list
  elements: dict
  contains:
    error:
      description: What went wrong.
      type: str
    access_points:
      description: Where.
      type: list
      elements: str
archive:
  description: The sealed bundle; empty where there is none.
  returned: success
  type: str
counts:
  description: How many rows of the ledger have each status.
  returned: success
  type: dict
  sample: {complete: 12, partial: 0, refused: 1, failed: 0, skipped: 0}
verdict:
  description: The verdict; empty where there is none.
  returned: success
  type: str
"""
