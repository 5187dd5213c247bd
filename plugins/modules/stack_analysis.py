#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module stack_analysis: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_analysis
short_description: Read goroutine dumps from files and logs
version_added: 0.1.0
description:
  - Finds every goroutine dump in the files, and groups the goroutines with equal stacks.
  - Reads the dumps that answer C(SIGUSR1), the profiles of C(/debug/pprof/goroutine) with C(debug=1) and C(debug=2),
    the dumps of panics, fatal errors and C(SIGQUIT), and single stacks in log messages.
  - Dumps may be in logs, with log lines between their lines. Changes that tools and people make to a dump are undone.
  - Line prefixes are inferred. A prefix is recognized if it has the same words on every line, with times or counters
    in it. Examples are those of C(kubectl logs), C(stern), C(docker compose logs), C(journalctl), syslog, CI systems,
    quoted mails, and the log files of containers. Lines of several pods, containers or streams in one file are
    separated.
  - JSON records are read whatever the name of the field, one on each line or all in one document. Examples are those
    of Docker, Fluent Bit, Elasticsearch, Loki and C(journalctl -o json).
  - Dumps in a single line are read, with newlines escaped as in JSON strings, by rsyslog, in URLs or in HTML.
  - Quoted lines are read, as in CSV, YAML and lists that Ansible shows.
  - Lost tabs, colors, HTML entities, invisible characters, doubled or lost empty lines, and lines broken by a terminal
    or a mail are read. If such a change removed the proof that a V(debug1) dump is complete, RV(dumps[].complete) is
    V(unknown) and RV(dumps[].errors) gives the reason.
  - If goroutines are present but cannot be read, RV(errors) says so.
  - Needs only the files. A file that is damaged or cannot be read gives an entry in RV(errors), and does not fail the
    module.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.info_module
options:
  paths:
    description:
      - Files to read. All files in folders and archives are read, also in subfolders.
      - Files may be compressed (gzip, bzip2, xz, zlib; zstd if Python has a module for it). Archives may be tar or zip,
        also inside each other; bundles are archives. The content decides, not the name. Nothing is unpacked to disk.
      - Text may be UTF-8, or any encoding that a byte order mark names.
    type: list
    elements: path
    required: true
  patterns:
    description:
      - Shell patterns. In folders and archives, only files whose name matches one of them are read, and only archives
        whose name matches are opened.
    type: list
    elements: str
    default: ['*']
  max_groups:
    description:
      - Largest number of groups of each dump to return, the largest groups first. RV(dumps[].groups_left_out) has the
        number of the others.
      - V(0) returns all groups.
    type: int
    default: 100
  max_bytes:
    description:
      - Largest number of bytes of each file to read, after unpacking. Reading takes up to four times as much memory,
        and more for a JSON document. A JSON document larger than 64 MiB is not read as JSON.
    type: int
    default: 268435456
seealso:
  - module: cloudpods.diagnostics.stack_dump
"""

EXAMPLES = r"""
- name: Read the dumps in a log
  cloudpods.diagnostics.stack_analysis:
    paths: [/tmp/region.log]
  register: analysis

- name: Show where most of the goroutines are
  ansible.builtin.debug:
    msg: "{{ analysis.dumps[0].groups[0].count }} in {{ analysis.dumps[0].groups[0].functions[0] }}"

- name: Read all dumps of a bundle, with the five largest groups of each
  cloudpods.diagnostics.stack_analysis:
    paths: [/var/tmp/20260102T030405Z-deadlock]
    patterns: ['stack-*.txt']
    max_groups: 5
"""

RETURN = r"""
dumps:
  description: One entry for each dump, in the order of the files and lines.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file. In an archive, the archive's path, C(!), and the name inside.
      type: str
    line:
      description: The line of the file, from 1, where it begins.
      type: int
    source:
      description:
        - The pod and container, service or stream that the line prefixes or record fields name. Null without such
          names.
      type: str
      sample: default-region-6d5f9c7b9-x2x7k/region
    form:
      description:
        - V(debug1) for C(SIGUSR1) and profiles with C(debug=1), V(debug2) for profiles with C(debug=2), V(fatal) for
          panics, fatal errors and C(SIGQUIT), V(stack) for a single stack in a log message.
          C(/debug/pprof/goroutineleak) counts as C(/debug/pprof/goroutine).
      type: str
    total:
      description: Number of goroutines that the dump states. Only V(debug1) states it, otherwise null.
      type: int
    goroutines:
      description: Number of goroutines that were read.
      type: int
    complete:
      description:
        - V(true) if the dump proves that nothing is missing, V(false) if something is missing, V(unknown) if the form
          has no proof or its proof was lost.
      type: str
    errors:
      description: What could not be read, and signs that something is missing.
      type: list
      elements: dict
      contains:
        line:
          description: The line of the file, from 1.
          type: int
        goroutine:
          description: The goroutine's ID, or null if it is not known.
          type: int
        message:
          description: The problem.
          type: str
    groups:
      description: Goroutines with the same state and stack, the largest group first.
      type: list
      elements: dict
      contains:
        count:
          description: Number of goroutines.
          type: int
        state:
          description: The state, for example V(chan receive). Null for V(debug1), which does not have it.
          type: str
        wait_minutes_min:
          description: The shortest wait in whole minutes, 0 for less than one. Null for V(debug1).
          type: int
        wait_minutes_max:
          description: The longest wait in whole minutes, 0 for less than one. Null for V(debug1).
          type: int
        functions:
          description:
            - The functions of the stack, the innermost first, without arguments. V(?) if the line of the call is
              missing.
          type: list
          elements: str
        locations:
          description: The source file and line of each function.
          type: list
          elements: str
        labels:
          description: The profiling labels that the service set.
          type: dict
        created_by:
          description: The call that started them, or null if the dump does not have it.
          type: dict
          contains:
            function:
              description: The function, without arguments.
              type: str
            file:
              description: The source file.
              type: str
            line:
              description: The line in it.
              type: int
        ids:
          description: The goroutines' IDs, the first hundred in the dump. Empty for V(debug1).
          type: list
          elements: int
    groups_left_out:
      description: Number of groups beyond O(max_groups).
      type: int
files:
  description: One entry for each file read.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file, in the form of RV(dumps[].path).
      type: str
    dumps:
      description: Number of dumps.
      type: int
    goroutines:
      description: Number of goroutines in them.
      type: int
    complete:
      description:
        - V(true), V(false) or V(unknown) for all its dumps except single stacks. V(false) if there are none. Never
          V(true) if the file has goroutines that cannot be read.
      type: str
    errors:
      description: Problems outside of the dumps, in the form of RV(dumps[].errors). Line 0 is the file as a whole.
      type: list
      elements: dict
totals:
  description: Sums over all files.
  returned: success
  type: dict
  contains:
    files:
      description: Number of files, also those that could not be read.
      type: int
    dumps:
      description: Number of dumps.
      type: int
    goroutines:
      description: Number of goroutines.
      type: int
    forms:
      description: Number of dumps of each form.
      type: dict
      sample: {debug1: 3, stack: 1}
complete:
  description:
    - V(true), V(false) or V(unknown) for all named files, and for files in folders that hold more than single stacks.
  returned: success
  type: str
errors:
  description: The errors of all RV(files), each with its C(path).
  returned: success
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.analysis import analyse

ARGUMENTS = {
    "paths": {"type": "list", "elements": "path", "required": True},
    "patterns": {"type": "list", "elements": "str", "default": ["*"]},
    "max_groups": {"type": "int", "default": 100},
    "max_bytes": {"type": "int", "default": 256 << 20},
}


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Return the result for these options. Raises ValueError for a limit that is not valid."""
    if params["max_groups"] < 0 or params["max_bytes"] < 1:
        raise ValueError("max_groups must be 0 or more, and max_bytes more than 0")
    found = analyse(params["paths"], params["patterns"], params["max_bytes"], params["max_groups"] or None)
    return dict(found, changed=False)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params)
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
