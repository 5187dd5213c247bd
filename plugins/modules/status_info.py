#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module status_info: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status_info
short_description: Read what Cloudpods services say of themselves
version_added: 0.1.0
description:
  - Asks every instance of the selected components itself (its Service would answer from any of them) for its counters,
    worker pools, database connections, process figures and version, and says what came of each question.
  - Only asks what the catalog of this collection names as safe to read, and what it knows a component to answer.
  - With two samples or more, tells what happened in between, since the counters are totals since the service began.
    Where they began anew, there are no rates.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.actiongroup
  - cloudpods.diagnostics.selection
  - cloudpods.diagnostics.keystone
  - cloudpods.diagnostics.transport
  - cloudpods.diagnostics.fanout
  - cloudpods.diagnostics.part
  - cloudpods.diagnostics.kubernetes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is changed on any service. In check mode the same is read and returned, but no file is left.
  diff_mode:
    support: N/A
    details:
      - Nothing is changed.
options:
  endpoints:
    description:
      - What to ask for. A component that does not have one of them is not asked for it, and its row says so.
    type: list
    elements: str
    choices: [ping, version, stats, worker_stats, process_stats, db_stats]
    default: [ping, version, stats, worker_stats, process_stats, db_stats]
  databases:
    description:
      - Further databases of a service to ask for by name, with V(db_stats) among O(endpoints).
    type: list
    elements: str
    default: []
  samples:
    description:
      - How many times to ask. Rates need two.
    type: int
    default: 1
  interval:
    description:
      - Seconds from the start of one sample to the start of the next.
    type: float
    default: 10.0
  certificates:
    description:
      - Also look at the certificates that the services show, where they can be seen from here.
    type: bool
    default: false
  log_seconds:
    description:
      - Also look through the logs of the last so many seconds for the words that tell of trouble. V(0) does not.
      - The logs themselves are not kept.
    type: int
    default: 0
  max_bytes:
    description:
      - How many bytes of one answer, and of one log, to read at most. Of a log the newest are read.
    type: int
    default: 8388608
  bodies:
    description:
      - Which of the bodies that were received to keep.
      - V(unread) keeps only those that no document could be made of. The documents hold what is in the others, but for
        paths without requests; of thousands of instances, the files cost more time than the reading.
    type: str
    choices: [all, unread]
    default: all
  return_documents:
    description:
      - Whether to return the documents. They always are in the files, unless in check mode.
      - V(auto) returns them for up to 50 instances.
    type: str
    choices: [auto, always, never]
    default: auto
notes:
  - RV(ignore:changed) is always false.
  - Behind one address, such as O(transport=keystone) and O(transport=url) ask, there may be several replicas, and each
    sample may be of another one. Counters that go back show it; where they do not, the rates are of no one replica.
  - O(timeout) is the deadline of one instance and sample. A question that hangs takes its share of it only.
seealso:
  - module: cloudpods.diagnostics.service_info
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: What all services say of themselves, and what they did within ten seconds
  cloudpods.diagnostics.status_info:
    samples: 2
    output: /var/tmp/status
  register: status

- name: The worker pools that have a queue
  cloudpods.diagnostics.status_info:
    components: [region, keystone]
    endpoints: [worker_stats]
  register: pools

- name: Name them
  ansible.builtin.debug:
    msg: >-
      {{ pools.documents | map(attribute='samples') | flatten | selectattr('worker_stats', 'defined')
         | map(attribute='worker_stats.workers') | flatten | selectattr('queue', 'gt', 0)
         | map(attribute='name') | list }}

- name: The same on a node, without the API server, with the words in the logs of the last ten minutes
  cloudpods.diagnostics.status_info:
    transport: host
    log_seconds: 600
    certificates: true
  become: true

- name: Where there is no access to Kubernetes, as climc does it (OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, …)
  cloudpods.diagnostics.status_info:
    transport: keystone
    keystone:
      region_name: region0
"""

RETURN = r"""
output:
  description: The folder with documents, raw bodies and ledger; empty with O(archive=true) and in check mode.
  returned: success
  type: str
archive:
  description: The packed folder, with O(archive=true) and outside of check mode; else empty.
  returned: success
  type: str
counts:
  description: How many rows of the ledger have each status.
  returned: success
  type: dict
  sample: {complete: 24, partial: 0, refused: 0, failed: 1, skipped: 2}
table:
  description: Per component how many instances answered, and what was wrong, as lines for people.
  returned: success
  type: list
  elements: str
cluster:
  description: The cluster's name.
  returned: success
  type: str
found:
  description: How many instances there are.
  returned: success
  type: int
documents:
  description:
    - One for each instance, as the file C(status.json) has it; empty where O(return_documents) says so.
    - The schema is C(docs/schemas/status.schema.json).
  returned: success
  type: list
  elements: dict
  contains:
    format:
      description: What kind of document it is, V(cloudpods.diagnostics/status).
      type: str
    version:
      description: Version of the format.
      type: int
    instance:
      description: The instance, as RV(cloudpods.diagnostics.service_info#module:instances) has it.
      type: dict
    expected:
      description: The endpoints that it was asked for.
      type: list
      elements: str
    samples:
      description: What it answered, one entry for each sample with one key for each endpoint that was read.
      type: list
      elements: dict
    window:
      description: What happened between the first and the last sample, or null.
      type: dict
    missing:
      description: What it was asked for and did not answer, with RV(ignore:reason) and RV(ignore:message).
      type: list
      elements: dict
    certificate:
      description: Subject, issuer and end of its certificate, or null.
      type: dict
    log:
      description: The known words that are in its log, or null.
      type: dict
"""

import sys
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.arguments import (
    FANOUT,
    KEYSTONE,
    PART,
    SELECTION,
    STATUS_TRANSPORT,
    argument_spec,
    selection_of,
    transport_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.status.collector import (
    Options,
    Report,
    read_all,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import ENDPOINTS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import count_by_status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.running import (
    capturing_module,
    leaving_nothing,
    leaving_part,
    run_shown,
    targets_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.status_table import status_table

STATUS = {
    "endpoints": {"type": "list", "elements": "str", "choices": list(ENDPOINTS), "default": list(ENDPOINTS)},
    "databases": {"type": "list", "elements": "str", "default": []},
    "samples": {"type": "int", "default": 1},
    "interval": {"type": "float", "default": 10.0},
    "certificates": {"type": "bool", "default": False},
    "log_seconds": {"type": "int", "default": 0},
    "max_bytes": {"type": "int", "default": 8 << 20},
    "bodies": {"type": "str", "choices": ["all", "unread"], "default": "all"},
    "return_documents": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
}
MAX_DOCUMENTS = {"auto": 50, "always": sys.maxsize, "never": 0}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """The module's result for these options. ValueError and SetupError as the functions it calls; OSError of output."""
    selection = selection_of(params, everything=True)
    options = Options(**{name: params[name] for name in Options.__dataclass_fields__})
    deadline = Deadline(params["deadline"])
    transport = transport_of(params, options.concurrency)
    found = targets_of(params, transport, selection, deadline)

    def read(store: Store) -> Report:
        most = MAX_DOCUMENTS[params["return_documents"]]
        return read_all(transport, found, selection, store, options, deadline, most, progress)

    report, place = leaving_nothing(params, deadline, read) if check_mode else leaving_part(params, deadline, read)
    transport.close()
    return dict(
        place,
        changed=False,
        counts=count_by_status(report.rows),
        table=status_table(report.rows),
        cluster=transport.cluster,
        found=len(found.instances),
        documents=report.documents,
    )


def main() -> None:
    """Wire options to the work, and its result to Ansible."""
    spec = argument_spec(SELECTION, STATUS_TRANSPORT, KEYSTONE, FANOUT, PART, STATUS)
    module = capturing_module(AnsibleModule, spec)
    module.exit_json(**run_shown(module, run, module.params["deadline"]))


if __name__ == "__main__":
    main()
