#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module status_info: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status_info
short_description: Read the status of Cloudpods services
version_added: 0.1.0
description:
  - Reads counters, worker pools, database connections, process figures and version from every instance of the selected
    components. Each instance is asked directly, because its Kubernetes Service would answer from any of them.
  - Requests only the endpoints that the catalog of this collection lists as safe to read for the component.
  - With two samples or more, returns what happened in between. The counters are totals since the service started; if
    they started again in between, there are no rates.
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
      - The module changes nothing on any service. In check mode it reads and returns the same, but leaves no file.
  diff_mode:
    support: N/A
    details:
      - Nothing is changed.
options:
  endpoints:
    description:
      - Endpoints to read. If a component does not have an endpoint, it is not requested, and a row says so.
    type: list
    elements: str
    choices: [ping, version, stats, worker_stats, process_stats, db_stats]
    default: [ping, version, stats, worker_stats, process_stats, db_stats]
  databases:
    description:
      - Names of further databases to read, with V(db_stats) in O(endpoints).
    type: list
    elements: str
    default: []
  samples:
    description:
      - Number of samples. Rates need two.
    type: int
    default: 1
  interval:
    description:
      - Seconds from the start of one sample to the start of the next.
    type: float
    default: 10.0
  certificates:
    description:
      - Also read the certificates of the services, if they can be reached from where the module runs.
    type: bool
    default: false
  log_seconds:
    description:
      - Seconds of the logs to search for signs of trouble, back from now. V(0) searches no log.
      - The logs themselves are not kept.
    type: int
    default: 0
  max_bytes:
    description:
      - Largest number of bytes of one answer and of one log. Of a log, the newest are read.
    type: int
    default: 8388608
  bodies:
    description:
      - Raw answers to keep as files.
      - V(unread) keeps only those that could not be parsed. The documents have the content of all others, except for
        paths without requests. For thousands of instances, writing the files takes longer than reading the answers.
    type: str
    choices: [all, unread]
    default: all
  return_documents:
    description:
      - Return the documents in RV(documents). Outside of check mode they are always written to files as well.
      - V(auto) returns them for up to 50 instances.
    type: str
    choices: [auto, always, never]
    default: auto
notes:
  - RV(ignore:changed) is always false.
  - With O(transport=keystone) and O(transport=url), several replicas may answer at one address, each sample by another
    one. Counters that go back show this. Otherwise, the rates belong to no single replica.
  - O(timeout) is the deadline of one sample of one instance. A request that hangs takes only its share of it.
seealso:
  - module: cloudpods.diagnostics.service_info
  - module: cloudpods.diagnostics.bundle_seal
"""

EXAMPLES = r"""
- name: Read the status of all services, and what they did within ten seconds
  cloudpods.diagnostics.status_info:
    samples: 2
    output: /var/tmp/status
  register: status

- name: Read the worker pools
  cloudpods.diagnostics.status_info:
    components: [region, keystone]
    endpoints: [worker_stats]
  register: pools

- name: Show the pools that have a queue
  ansible.builtin.debug:
    msg: >-
      {{ pools.documents | map(attribute='samples') | flatten | selectattr('worker_stats', 'defined')
         | map(attribute='worker_stats.workers') | flatten | selectattr('queue', 'gt', 0)
         | map(attribute='name') | list }}

- name: Read on a node, without the API server, and search the logs of the last ten minutes
  cloudpods.diagnostics.status_info:
    transport: host
    log_seconds: 600
    certificates: true
  become: true

- name: Read without access to Kubernetes, as climc does (OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, …)
  cloudpods.diagnostics.status_info:
    transport: keystone
    keystone:
      region_name: region0
"""

RETURN = r"""
output:
  description: The folder with documents, raw answers and ledger. Empty with O(archive=true) and in check mode.
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
  sample: {complete: 24, partial: 0, refused: 0, failed: 1, skipped: 2}
table:
  description: A table for people with the answers and problems of each component.
  returned: success
  type: list
  elements: str
cluster:
  description: The cluster's name.
  returned: success
  type: str
found:
  description: Number of instances.
  returned: success
  type: int
documents:
  description:
    - The content of each instance's C(status.json). Empty if O(return_documents) says so.
    - The schema is C(docs/schemas/status.schema.json).
  returned: success
  type: list
  elements: dict
  contains:
    format:
      description: The format of the document, V(cloudpods.diagnostics/status).
      type: str
    version:
      description: The version of the format.
      type: int
    instance:
      description: The instance, in the form of RV(cloudpods.diagnostics.service_info#module:instances).
      type: dict
    expected:
      description: The endpoints that were requested.
      type: list
      elements: str
    samples:
      description: One entry for each sample, with one key for each endpoint that was read.
      type: list
      elements: dict
    window:
      description: What happened between the first and the last sample, or null.
      type: dict
    missing:
      description: The endpoints without an answer, with RV(ignore:reason) and RV(ignore:message).
      type: list
      elements: dict
    certificate:
      description: Subject, issuer and end of the certificate, or null.
      type: dict
    log:
      description: The known patterns in the log, or null.
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
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import StatusOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.status.collector import StatusCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import ENDPOINTS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import LedgerRow, count_by_status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.module_runner import (
    capturing_module,
    discard_part,
    open_access,
    run_with_progress,
    write_part,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress
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
    """Return the result for these options. Raises ValueError, SetupError, or OSError of the output folder."""
    options = StatusOptions(**{name: params[name] for name in StatusOptions.__dataclass_fields__ if name in params})
    most, documents = MAX_DOCUMENTS[params["return_documents"]], []
    with open_access(params, params["deadline"], options.concurrency, progress, everything=True) as access:

        def read(store: Store) -> list[LedgerRow]:
            collector = StatusCollector(access.transport, access.selection, store, options, most)
            rows = access.engine(store, options.concurrency, options.node_concurrency).run([collector], access.found)
            documents.extend(collector.documents)
            return rows

        finish = discard_part if check_mode else write_part
        rows, place = finish(params, access.deadline, read)
    return dict(
        place,
        changed=False,
        counts=count_by_status(rows),
        table=status_table(rows),
        cluster=access.transport.cluster,
        found=len(access.found.instances),
        documents=documents,
    )


def main() -> None:
    """Run the module."""
    spec = argument_spec(SELECTION, STATUS_TRANSPORT, KEYSTONE, FANOUT, PART, STATUS)
    module = capturing_module(AnsibleModule, spec)
    module.exit_json(**run_with_progress(module, run, module.params["deadline"]))


if __name__ == "__main__":
    main()
