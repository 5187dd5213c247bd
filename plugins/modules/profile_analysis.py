#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module profile_analysis: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: profile_analysis
short_description: Read profiles of services, and show them without Go
version_added: 0.1.0
description:
  - Reads the profiles that C(/debug/pprof) gives (CPU, heap, allocs, goroutine, goroutineleak, threadcreate, block,
    mutex), proves that they are whole, and tells which functions used the most, as C(go tool pprof -top) does.
  - Writes for each a table, folded stacks, a file for speedscope, and a flame graph as one page that needs nothing
    else; and with O(base) what changed.
  - Changes nothing at any service. What cannot be read is said in RV(errors); a damaged file is no failure of the
    module.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
requirements:
  - protobuf >= 4.22 (Python)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.info_module
options:
  paths:
    description:
      - Profiles; folders and archives of them; and parts and bundles, as folders or archives.
      - Files may be compressed (gzip, bzip2, xz, zlib; zstd where Python has a module for it) and archives be tar or
        zip, also inside each other. Their content tells that, not their name. Nothing is unpacked to the disk.
    type: list
    elements: path
    required: true
  patterns:
    description:
      - Of the files in folders and archives, only those are read whose name matches one of these shell patterns.
        Archives in folders and in other archives are opened where their name matches.
    type: list
    elements: str
    default:
      - '*.pb.gz'
      - '*.pb'
      - '*.pprof'
      - '*.pprof.gz'
      - '*.prof'
      - '*.prof.gz'
      - '*.tar'
      - '*.tar.*'
      - '*.tgz'
      - '*.tbz2'
      - '*.txz'
      - '*.zip'
  output:
    description:
      - Folder to write the reports to, private to the user. Each of O(paths) that is no single profile gets a folder
        of its name in it.
      - Without it, and without O(in_place), nothing is written.
    type: path
  in_place:
    description:
      - Write the reports beside the profiles, also into packed parts (C(.tar.gz)).
      - In the ledger of a part, rows that say V(not_read_here) get the verdict that can be given now, and those of all
        profiles the function that used the most.
      - A sealed bundle and any other archive cannot be changed; they take O(output).
    type: bool
    default: false
  base:
    description:
      - A profile, to tell what changed since; or a folder, part or bundle, of which the profile of the same instance
        is taken, or that of the only instance of the component.
    type: path
  normalize:
    description:
      - Scale each profile to the sum of the one that it is compared with, for profiles of different length.
    type: bool
    default: false
  sample_type:
    description:
      - What to show of profiles that count several things, for example V(alloc_space) of a heap profile.
      - Without it, what the profile itself says, mostly V(cpu) and V(inuse_space).
    type: str
  max_functions:
    description:
      - How many functions of each table are returned, the first ones. With V(0), all are returned. Files have all.
    type: int
    default: 20
  max_frames:
    description:
      - How many frames a flame graph has at most for each thing that is counted; smaller ones are put together.
    type: int
    default: 10000
  max_bytes:
    description:
      - How much of each profile is read, in bytes after unpacking. Reading takes up to forty times as much memory.
    type: int
    default: 67108864
seealso:
  - module: cloudpods.diagnostics.profile_dump
  - module: cloudpods.diagnostics.stack_analysis
"""

EXAMPLES = r"""
- name: Read a CPU profile
  cloudpods.diagnostics.profile_analysis:
    paths: [/tmp/region.pb.gz]
    output: /tmp/region
  register: analysis

- name: How much of the processor is used, and what uses most of it
  ansible.builtin.debug:
    msg: "{{ analysis.table }}"

- name: What grew in memory between two bundles
  cloudpods.diagnostics.profile_analysis:
    paths: [/var/tmp/20260102T040000Z-profiles.tar.gz]
    base: /var/tmp/20260102T030000Z-profiles.tar.gz
    patterns: ['heap*.pb.gz']
    output: /tmp/grown
"""

RETURN = r"""
profiles:
  description: One entry for each profile that was found, in the order of O(paths) and of their names.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file; in an archive, that of the archive, C(!), and its name in there.
      type: str
    cluster:
      description: Where it is from, as the ledger has it; empty for a file that no ledger names.
      type: str
    component:
      description: Likewise.
      type: str
    instance:
      description: Likewise.
      type: str
    kind:
      description: What it is a profile of, for example V(cpu); empty where it cannot be told.
      type: str
    status:
      description: V(complete) or V(partial).
      type: str
    reason:
      description:
        - Why, one of the reasons of the ledger, V(profile_whole), V(profile_empty), V(profile_unproven),
          V(profile_cut), V(profile_bad) or V(profile_too_large).
      type: str
    message:
      description: The same for people.
      type: str
    samples:
      description: How many samples it has.
      type: int
    duration:
      description: Over how many seconds it was taken; 0 for a snapshot.
      type: float
    load:
      description:
        - "How much the profile has in all, for people, for example C(0.01 s of 10 s: idle). Empty where it could not be
          read."
      type: str
    top_function:
      description:
        - The function that itself used the most. Of goroutines, where most of them wait, the innermost function that
          is not of Go's own packages. Empty where there is none, or where fewer than 30 samples were taken, which tell
          nothing of single functions.
      type: str
    top_percent:
      description: How much that is of all.
      type: float
    top:
      description: The table of functions, for the sample type that was asked for; null for what could not be read.
      type: dict
      contains:
        type:
          description: The sample type.
          type: str
        unit:
          description: Its unit.
          type: str
        total:
          description:
            - The sum of all samples; in RV(profiles[].diff), that of the profile before. Percentages are of it.
          type: int
        total_text:
          description: The same with a unit for people.
          type: str
        functions:
          description: The functions, the one that itself used the most first.
          type: list
          elements: dict
          contains:
            function:
              description: Its full name.
              type: str
            file:
              description: Its source file.
              type: str
            flat:
              description: What it used itself.
              type: int
            flat_percent:
              description: How much that is of all.
              type: float
            flat_text:
              description: The same with a unit for people.
              type: str
            sum_percent:
              description: How much it and the ones above it used.
              type: float
            cum:
              description: What it used together with all that it called.
              type: int
            cum_percent:
              description: How much that is of all.
              type: float
            cum_text:
              description: The same with a unit for people.
              type: str
        functions_left_out:
          description: How many more functions there are than O(max_functions).
          type: int
    diff:
      description:
        - What changed since O(base), shaped as RV(profiles[].top); null where there was nothing to compare with.
        - Each function has C(may_be_chance) besides, which is true where the change is within what chance explains, as
          that from one sample to two.
      type: dict
    problem:
      description: Why there is no table, or no difference; else empty.
      type: str
    files:
      description: The reports that were written, shaped as RV(profiles[].path).
      type: list
      elements: str
errors:
  description: What could not be read, and what is something else than a profile, with what it is.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file or folder, shaped as RV(profiles[].path).
      type: str
    message:
      description: Why.
      type: str
table:
  description: The profiles, each with its load and the function that used the most, as lines for people.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.libraries import lacks_here
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.analysis import (
    AnalysisRequest,
    WriteError,
    analyse,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_proto import (
    ProtobufMissing,
    message_class,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.report import ReportSettings, table

PATTERNS = [
    "*.pb.gz", "*.pb", "*.pprof", "*.pprof.gz", "*.prof", "*.prof.gz",
    "*.tar", "*.tar.*", "*.tgz", "*.tbz2", "*.txz", "*.zip",
]  # fmt: skip
ARGUMENTS = {
    "paths": {"type": "list", "elements": "path", "required": True},
    "patterns": {"type": "list", "elements": "str", "default": PATTERNS},
    "output": {"type": "path"},
    "in_place": {"type": "bool", "default": False},
    "base": {"type": "path"},
    "normalize": {"type": "bool", "default": False},
    "sample_type": {"type": "str"},
    "max_functions": {"type": "int", "default": 20},
    "max_frames": {"type": "int", "default": 10000},
    "max_bytes": {"type": "int", "default": 64 << 20},
}


def request(params: dict[str, Any], check_mode: bool) -> AnalysisRequest:
    """What these options ask for; in check mode nothing is written. ValueError for a limit that is none."""
    if params["max_functions"] < 0 or params["max_frames"] < 1 or params["max_bytes"] < 1:
        raise ValueError("max_functions must be 0 or more, max_frames and max_bytes more than 0")
    return AnalysisRequest(
        paths=params["paths"],
        patterns=params["patterns"],
        settings=ReportSettings(
            params["sample_type"], params["normalize"], params["max_frames"], ProfileLimits(content=params["max_bytes"])
        ),
        max_bytes=params["max_bytes"],
        functions=params["max_functions"],
        output="" if check_mode else params["output"] or "",
        in_place=params["in_place"] and not check_mode,
        base=params["base"] or "",
    )


def main() -> None:
    """Wire options to the work, and its result to Ansible."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS, supports_check_mode=True, mutually_exclusive=[("output", "in_place")]
    )
    try:
        message_class("Profile")
        found = analyse(request(module.params, module.check_mode))
    except ProtobufMissing as error:
        module.fail_json(msg=lacks_here("protobuf"), exception=str(error))
    except (ValueError, WriteError, OSError) as error:
        module.fail_json(msg=f"The profiles cannot be read: {error}")
    module.exit_json(changed=False, table=table(found["profiles"]), **found)


if __name__ == "__main__":
    main()
