#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module stack_dump: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_dump
short_description: Capture complete goroutine dumps of Cloudpods services
version_added: 0.1.0
description:
  - Sends SIGUSR1 to every instance of the selected components at the same time, and reads their goroutine dumps from
    their logs.
  - A process is signalled only if it is the component's own process in the right container, catches the signal, and
    writes its standard error to the log. Otherwise nothing is sent, and a row of the ledger gives the reason.
  - A dump is complete only if the counts of its blocks add up to the total that the dump states.
  - The services keep running. Afterwards the module checks that no container restarted.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.actiongroup
  - cloudpods.diagnostics.selection
  - cloudpods.diagnostics.transport
  - cloudpods.diagnostics.fanout
  - cloudpods.diagnostics.part
  - cloudpods.diagnostics.kubernetes
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is sent, run or written. RV(would) lists what would be done to each instance.
      - With V(kubernetes) the process can only be seen by a command in its container, so the list names what remains to
        be checked. With V(host) everything is checked that a run checks before it sends the signal.
  diff_mode:
    support: none
options:
  count:
    description:
      - Number of dumps of each instance.
    type: int
    default: 1
  interval:
    description:
      - Seconds from the start of one dump to the start of the next.
    type: float
    default: 10.0
  method:
    description:
      - V(signal) takes the dump that answers SIGUSR1. V(pprof) reads the goroutines from C(/debug/pprof) if profiling
        is on, and sends no signal. V(both) does both, the signal first.
      - V(auto) sends the signal. It then reads the goroutines as well, if profiling is on and the service has a free
        worker. One replica of each component shows whether profiling is on. If it is off, no row says so.
      - C(/debug/pprof) gives each goroutine with its state and the minutes that it has waited. Through the API server
        it needs the right to C(pods/proxy).
    type: str
    choices: [auto, signal, pprof, both]
    default: auto
  max_bytes:
    description:
      - Largest number of bytes of log to read for one dump.
    type: int
    default: 268435456
notes:
  - RV(ignore:changed) is true only if a signal was sent.
seealso:
  - module: cloudpods.diagnostics.service_info
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: Capture the suspects of a slow system
  cloudpods.diagnostics.stack_dump:
    scenario: slow_system
    output: /var/tmp/stacks
  register: dumps

- name: Take three dumps of two components, ten seconds apart
  cloudpods.diagnostics.stack_dump:
    components: [region, host]
    count: 3
    interval: 10

- name: Capture on a node, without the API server
  cloudpods.diagnostics.stack_dump:
    transport: host
    components: [region, host]
  become: true
"""

RETURN = r"""
output:
  description: The folder with artifacts and ledger. Empty with O(archive=true) and in check mode.
  returned: success
  type: str
archive:
  description: The packed folder. Empty without O(archive=true) and in check mode.
  returned: success
  type: str
counts:
  description: Number of rows of the ledger by status.
  returned: success
  type: dict
  sample: {complete: 12, partial: 0, refused: 1, failed: 0, skipped: 0}
signals:
  description: Number of signals that were sent.
  returned: success
  type: int
spread_seconds:
  description: Seconds between the first and the last signal of each of O(count) rounds.
  returned: success
  type: list
  elements: float
table:
  description:
    - A table for people with one line for each component. In check mode, one line for each dump that would be taken.
  returned: success
  type: list
  elements: str
would:
  description: In check mode, what would be done to each instance.
  returned: success
  type: list
  elements: dict
  contains:
    cluster:
      description: The cluster's name.
      type: str
    namespace:
      description: The pod's namespace.
      type: str
    component:
      description: The component's name.
      type: str
    instance:
      description: The pod's name, or the component and process ID.
      type: str
    status:
      description: V(skipped) if a signal would be sent, V(refused) if not.
      type: str
    reason:
      description: The reason, a word from docs/reasons.md.
      type: str
    message:
      description: What would be done, or why nothing would be done.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.arguments import (
    FANOUT,
    PART,
    SELECTION,
    TRANSPORT,
    argument_spec,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.issue_report import stack_table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.stack_rows import signal_spread
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.tables import message_lines
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import StackOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import preview
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stack_dump import stack_collectors
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import LedgerRow, count_by_status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.module_runner import (
    NO_PLACE,
    capturing_module,
    open_access,
    run_with_progress,
    write_part,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress

DUMP = {
    "count": {"type": "int", "default": 1},
    "interval": {"type": "float", "default": 10.0},
    "max_bytes": {"type": "int", "default": 256 << 20},
    "method": {"type": "str", "choices": ["auto", "signal", "pprof", "both"], "default": "auto"},
}
WOULD = ("cluster", "namespace", "component", "instance", "status", "reason", "message")


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Return the result for these options. Raises ValueError, SetupError, or OSError of the output folder."""
    options = StackOptions(**{name: params[name] for name in StackOptions.__dataclass_fields__ if name in params})
    would: list[dict[str, Any]] = []
    with open_access(params, params["deadline"], options.concurrency, progress) as access:
        collectors = stack_collectors(access.transport, options)

        def capture(store: Store) -> list[LedgerRow]:
            return access.engine(store, options.concurrency, options.node_concurrency).run(collectors, access.found)

        if check_mode:
            place = NO_PLACE
            cluster, deadline = access.transport.cluster, access.deadline
            rows = preview(collectors, access.found, access.selection, cluster, deadline, options.timeout)
            would = [{key: getattr(entry, key) for key in WOULD} for entry in rows]
        else:
            rows, place = write_part(params, access.deadline, capture)
    signals, spread = signal_spread(rows)
    return dict(
        place,
        would=would,
        changed=bool(signals),
        counts=count_by_status(rows),
        signals=signals,
        spread_seconds=spread,
        table=message_lines(rows) if check_mode else stack_table(rows),
    )


def main() -> None:
    """Run the module."""
    spec = argument_spec(SELECTION, TRANSPORT, FANOUT, PART, DUMP)
    module = capturing_module(AnsibleModule, spec)
    module.exit_json(**run_with_progress(module, run, module.params["deadline"]))


if __name__ == "__main__":
    main()
