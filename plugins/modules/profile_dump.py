#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module profile_dump: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: profile_dump
short_description: Take profiles of Cloudpods services
version_added: 0.1.0
description:
  - Takes profiles from Go's C(/debug/pprof) of every instance of the selected components, and proves that each is
    whole.
  - Profiling is off by default in Cloudpods since 3.10.4. If it is off, a row of the ledger says how to switch it on.
  - The profiles of one instance are taken one after the other, snapshots first. A service without a free worker is not
    asked, because it would answer in the worker pool that is busy already.
  - If a profile is cut off, the part that arrived is kept, and its row is not complete.
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
      - In check mode no service is asked and nothing is written. RV(plan) and RV(would) say what would be done.
  diff_mode:
    support: none
options:
  profile_set:
    description:
      - Profiles to take, unless O(kinds) is set.
      - V(quick) takes goroutines (also as text, with states and waits) and heap. V(cpu) takes a CPU profile. V(full)
        takes everything.
    type: str
    choices: [quick, cpu, full]
    default: quick
  kinds:
    description:
      - Kinds of profiles to take. The index is always read first, because it shows whether profiling is on.
      - V(goroutine_debug1) and V(goroutine_debug2) are the goroutines as text. V(symbol) checks whether the service can
        name addresses.
      - V(block) and V(mutex) are always empty, because no Cloudpods service switches them on.
    type: list
    elements: str
    choices:
      - index
      - cmdline
      - symbol
      - goroutine
      - goroutine_debug1
      - goroutine_debug2
      - threadcreate
      - block
      - mutex
      - heap
      - allocs
      - cpu
      - trace
    default: []
  cpu_seconds:
    description:
      - Duration of a CPU profile in seconds. More than 60 needs O(force).
    type: int
    default: 10
  trace_seconds:
    description:
      - Duration of a trace in seconds. More than 10 needs O(force).
    type: int
    default: 1
  delta_seconds:
    description:
      - Seconds over which to take heap, goroutine and similar profiles (not those as text) as differences. V(0) takes
        snapshots.
    type: int
    default: 0
  gc:
    description:
      - Let the service collect its garbage before the heap profile, so that it shows only memory in use.
    type: bool
    default: false
  addresses:
    description:
      - Addresses of functions to name, such as C(0x4a1b2c). The names are in RV(names).
    type: list
    elements: str
    default: []
  addresses_of:
    description:
      - A file with a goroutine dump (C(debug=1)) or a profile. Its addresses without names are named.
      - It must come from the same build of the service, and be on the machine where the module runs.
    type: path
  force:
    description:
      - Also ask services without a free worker or whose workers cannot be seen, and allow longer profiles.
      - This can make a service in trouble worse.
    type: bool
    default: false
  max_replicas_at_once:
    description:
      - Number of replicas of a component that run a CPU profile or a trace at the same time.
    type: int
    default: 1
  max_bytes:
    description:
      - Largest number of bytes of one profile.
    type: int
    default: 67108864
notes:
  - RV(ignore:changed) is true if a CPU profile or a trace was started, or garbage was collected. The effect does not
    last. Snapshots change nothing.
  - O(timeout) is the deadline of one profile, in addition to the seconds that it runs. A profile that would not end
    before O(deadline) is not started.
  - If protobuf is not installed, as on most nodes, profiles are kept with the reason V(not_read_here).
    M(cloudpods.diagnostics.profile_analysis) reads them on the controller.
  - With O(transport=keystone) and O(transport=url), several replicas may answer at one address. Each request, also that
    for the workers, may reach another one.
seealso:
  - module: cloudpods.diagnostics.profile_analysis
  - module: cloudpods.diagnostics.stack_dump
"""

EXAMPLES = r"""
- name: Take CPU profiles of the suspects of a slow system
  cloudpods.diagnostics.profile_dump:
    scenario: slow_system
    profile_set: cpu
    output: /var/tmp/profiles
  register: profiles

- name: Show the time of each function
  cloudpods.diagnostics.profile_analysis:
    paths: [/var/tmp/profiles]
    in_place: true

- name: Take the growth of a heap within a minute, on a node and without the API server
  cloudpods.diagnostics.profile_dump:
    transport: host
    components: [host]
    kinds: [heap]
    delta_seconds: 60
  become: true

- name: Name an address of a dump
  cloudpods.diagnostics.profile_dump:
    components: [region]
    kinds: [symbol]
    addresses: ['0x4a1b2c']
  register: named
"""

RETURN = r"""
output:
  description: The folder with profiles and ledger. Empty with O(archive=true) and in check mode.
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
  sample: {complete: 24, partial: 0, refused: 1, failed: 0, skipped: 2}
table:
  description: A table for people with one line for each component.
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
plan:
  description: Which profiles are taken from which instances, for how long, and their cost, as lines for people.
  returned: success
  type: list
  elements: str
seconds:
  description: Estimated seconds of profiling. Answers take additional time.
  returned: success
  type: float
touched:
  description: Number of instances where a CPU profile or a trace was started, or garbage was collected.
  returned: success
  type: int
names:
  description: The names of O(addresses) and of the addresses in O(addresses_of), by instance.
  returned: success
  type: list
  elements: dict
  contains:
    cluster:
      description: The cluster's name.
      type: str
    component:
      description: The component's name.
      type: str
    instance:
      description: The instance that named it.
      type: str
    address:
      description: The address, in hexadecimal.
      type: str
    name:
      description: The function that contains it.
      type: str
would:
  description: In check mode, what would be requested from each instance.
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
    capture:
      description: The profile, for example V(profile:heap).
      type: str
    status:
      description: V(skipped) if it would be requested or does not exist, V(refused) if it would not be requested.
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
    KEYSTONE,
    PART,
    SELECTION,
    STATUS_TRANSPORT,
    argument_spec,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.profile_report import profile_table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import ProfileOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import preview
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.profiles.collector import ProfileCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import LedgerRow, count_by_status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.module_runner import (
    NO_PLACE,
    capturing_module,
    open_access,
    run_with_progress,
    write_part,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import KINDS, SETS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.addresses import (
    addresses_from,
    addresses_in,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress

PROFILES = {
    "profile_set": {"type": "str", "choices": list(SETS), "default": "quick"},
    "kinds": {"type": "list", "elements": "str", "choices": list(KINDS), "default": []},
    "cpu_seconds": {"type": "int", "default": 10},
    "trace_seconds": {"type": "int", "default": 1},
    "delta_seconds": {"type": "int", "default": 0},
    "gc": {"type": "bool", "default": False},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "addresses_of": {"type": "path"},
    "force": {"type": "bool", "default": False},
    "max_replicas_at_once": {"type": "int", "default": 1},
    "max_bytes": {"type": "int", "default": 64 << 20},
}
WOULD = ("cluster", "namespace", "component", "instance", "capture", "status", "reason", "message")


def options_of(params: dict[str, Any]) -> ProfileOptions:
    """Return the options of the capture. Raises ValueError for an option, or OSError of the file."""
    addresses = addresses_from(params["addresses"])
    if params["addresses_of"]:
        with open(params["addresses_of"], "rb") as stream:
            addresses += addresses_in(stream.read(params["max_bytes"]))
    given = {name: params[name] for name in ProfileOptions.__dataclass_fields__}
    return ProfileOptions(**dict(given, kinds=params["kinds"] or SETS[params["profile_set"]], addresses=addresses))


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Return the result for these options. Raises ValueError, SetupError, or OSError of files."""
    options = options_of(params)
    would: list[dict[str, Any]] = []
    with open_access(params, params["deadline"], options.concurrency, progress) as access:
        collector = ProfileCollector(access.transport, options)
        estimate = collector.estimate(access.found, params["deadline"])

        def capture(store: Store) -> list[LedgerRow]:
            return access.engine(store, options.concurrency, options.node_concurrency).run([collector], access.found)

        if check_mode:
            place = NO_PLACE
            cluster, deadline = access.transport.cluster, access.deadline
            rows = preview([collector], access.found, access.selection, cluster, deadline, options.timeout)
            would = [{key: getattr(entry, key) for key in WOULD} for entry in rows]
        else:
            rows, place = write_part(params, access.deadline, capture)
    return dict(
        place,
        would=would,
        changed=bool(collector.touched),
        counts=count_by_status(rows),
        table=profile_table(rows),
        cluster=access.transport.cluster,
        found=len(access.found.instances),
        plan=estimate.lines,
        seconds=estimate.seconds,
        touched=collector.touched,
        names=collector.names,
    )


def main() -> None:
    """Run the module."""
    spec = argument_spec(SELECTION, STATUS_TRANSPORT, KEYSTONE, FANOUT, PART, PROFILES)
    module = capturing_module(AnsibleModule, spec)
    module.exit_json(**run_with_progress(module, run, module.params["deadline"]))


if __name__ == "__main__":
    main()
