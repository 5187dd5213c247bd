#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module profile_analysis: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: profile_analysis
short_description: Read Go profiles, and make tables and flame graphs without Go
version_added: 0.1.0
description:
  - Reads the profiles of C(/debug/pprof) (CPU, heap, allocs, goroutine, goroutineleak, threadcreate, block, mutex),
    proves that they are whole, and returns the table of functions, as C(go tool pprof -top) does.
  - Writes for each profile a table, folded stacks, a file for speedscope, and a flame graph as one self-contained page.
    With O(base), it also writes the difference.
  - Sends no request to any service. A file that is damaged or cannot be read gives an entry in RV(errors), and does not
    fail the module.
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
      - Profiles, folders and archives of profiles, and parts and bundles as folders or archives.
      - Files may be compressed (gzip, bzip2, xz, zlib; zstd if Python has a module for it). Archives may be tar or zip,
        also inside each other. The content decides, not the name. Nothing is unpacked to disk.
    type: list
    elements: path
    required: true
  patterns:
    description:
      - Shell patterns. In folders and archives, only files whose name matches one of them are read, and only archives
        whose name matches are opened.
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
      - The folder for the reports, private to the user. Each folder or archive in O(paths) gets a subfolder of its
        name.
      - Without this option and O(in_place), no file is written.
    type: path
  in_place:
    description:
      - Write the reports beside the profiles, also into packed parts (C(.tar.gz)).
      - In the ledger of a part, rows with the reason V(not_read_here) get the result of this reading, and the rows of
        all profiles get the function that used the most.
      - A sealed bundle or another archive cannot be changed. Use O(output) for them.
    type: bool
    default: false
  base:
    description:
      - An earlier profile to compare with. In a folder, part or bundle, the profile of the same instance is used, or
        that of the only instance of the component.
    type: path
  normalize:
    description:
      - Scale each profile to the sum of O(base), for profiles of different durations.
    type: bool
    default: false
  sample_type:
    description:
      - The sample type to show, for example V(alloc_space) of a heap profile.
      - The default is the one that the profile names, usually V(cpu) or V(inuse_space).
    type: str
  max_functions:
    description:
      - Largest number of functions of each table to return. V(0) returns all. Files have all.
    type: int
    default: 20
  max_frames:
    description:
      - Largest number of frames of a flame graph for each sample type. Smaller frames are merged.
    type: int
    default: 10000
  max_bytes:
    description:
      - Largest number of bytes of each profile to read, after unpacking. Reading takes up to forty times as much
        memory.
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

- name: Show how much of the processor is used, and by which function
  ansible.builtin.debug:
    msg: "{{ analysis.table }}"

- name: Show the memory that grew between two bundles
  cloudpods.diagnostics.profile_analysis:
    paths: [/var/tmp/20260102T040000Z-profiles.tar.gz]
    base: /var/tmp/20260102T030000Z-profiles.tar.gz
    patterns: ['heap*.pb.gz']
    output: /tmp/grown
"""

RETURN = r"""
profiles:
  description: One entry for each profile, in the order of O(paths) and of their names.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file. In an archive, the archive's path, C(!), and the name inside.
      type: str
    cluster:
      description: The cluster in the ledger. Empty for a file that no ledger names.
      type: str
    component:
      description: The component in the ledger, or empty.
      type: str
    instance:
      description: The instance in the ledger, or empty.
      type: str
    kind:
      description: The kind of profile, for example V(cpu). Empty if it is not known.
      type: str
    status:
      description: V(complete) or V(partial).
      type: str
    reason:
      description:
        - The reason in the ledger, one of V(profile_whole), V(profile_empty), V(profile_unproven),
          V(profile_cut), V(profile_bad) or V(profile_too_large).
      type: str
    message:
      description: The reason as a sentence.
      type: str
    samples:
      description: Number of samples.
      type: int
    duration:
      description: The duration in seconds, 0 for a snapshot.
      type: float
    load:
      description:
        - "The total of the profile, for people, for example C(0.01 s of 10 s: idle). Empty if it could not be read."
      type: str
    top_function:
      description:
        - The function with the largest flat value. Of goroutines, the function where most of them wait, which is the
          innermost function outside of Go's own packages. Empty if there is none, or if there are fewer than 30
          samples, because these do not rank functions reliably.
      type: str
    top_percent:
      description: Its share in percent.
      type: float
    top:
      description: The table of functions for O(sample_type). Null if the profile could not be read.
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
            - The sum of all samples. In RV(profiles[].diff), the sum of the earlier profile. Percentages refer to it.
          type: int
        total_text:
          description: The same as text with a unit.
          type: str
        functions:
          description: The functions, the largest flat value first.
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
              description: What the function itself used.
              type: int
            flat_percent:
              description: The same in percent.
              type: float
            flat_text:
              description: The same as text with a unit.
              type: str
            sum_percent:
              description: The sum of the flat values up to this function, in percent.
              type: float
            cum:
              description: What the function used together with the functions that it called.
              type: int
            cum_percent:
              description: The same in percent.
              type: float
            cum_text:
              description: The same as text with a unit.
              type: str
        functions_left_out:
          description: Number of functions beyond O(max_functions).
          type: int
    diff:
      description:
        - The difference to O(base), in the form of RV(profiles[].top). Null if there was nothing to compare with.
        - Each function also has C(may_be_chance), which is true if chance explains the change, such as that from one
          sample to two.
      type: dict
    problem:
      description: Why there is no table or no difference, or empty.
      type: str
    files:
      description: The reports that were written, in the form of RV(profiles[].path).
      type: list
      elements: str
errors:
  description: Files that could not be read, and files that are not profiles, with what they are.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file or folder, in the form of RV(profiles[].path).
      type: str
    message:
      description: The problem.
      type: str
table:
  description: A table for people with the load and the top function of each profile.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.libraries import missing_here_message
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
    """Return the request of these options. It writes nothing in check mode. Raises ValueError for a limit."""
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
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS, supports_check_mode=True, mutually_exclusive=[("output", "in_place")]
    )
    try:
        message_class("Profile")
        found = analyse(request(module.params, module.check_mode))
    except ProtobufMissing as error:
        module.fail_json(msg=missing_here_message("protobuf"), exception=str(error))
    except (ValueError, WriteError, OSError) as error:
        module.fail_json(msg=f"The profiles cannot be read: {error}")
    module.exit_json(changed=False, table=table(found["profiles"]), **found)


if __name__ == "__main__":
    main()
