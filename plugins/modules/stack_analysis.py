#!/usr/bin/python
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module stack_analysis: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_analysis
short_description: Read goroutine dumps out of files and logs
version_added: 0.1.0
description:
  - Finds every dump of goroutines in the files and groups the goroutines that stand in the same place.
  - Knows the dumps that services write when asked by C(SIGUSR1), the profiles of C(/debug/pprof/goroutine) with
    C(debug=1) and C(debug=2), the dumps of panics, fatal errors and C(SIGQUIT), and single stacks in log messages.
  - They may stand in logs, with log lines between their lines. What tools and people do to a dump is undone.
  - Prefixes of lines are inferred. Any prefix is read that has the same words on every line, with times or counters in
    it. For example those of C(kubectl logs), C(stern), C(docker compose logs), C(journalctl), syslog, CI systems,
    quoted mails, and the log files of containers. The lines of several pods, containers or streams in one file are
    told apart.
  - Records of JSON are read whatever their field is called, one on each line or all in one document. For example those
    of Docker, Fluent Bit, Elasticsearch, Loki and C(journalctl -o json).
  - Dumps within one line are read, with newlines escaped as in JSON strings, by rsyslog, in URLs or in HTML.
  - So are lines of which each stands in quotes where it needs them, as in CSV, YAML and lists that Ansible shows.
  - So are lost tabs, colours, HTML entities, invisible characters, doubled or lost empty lines, and lines that a
    terminal or a mail broke. If a change took away what proves a V(debug1) dump complete, RV(dumps[].complete) is
    V(unknown) and RV(dumps[].errors) says why.
  - If goroutines are seen to be there but cannot be read, RV(errors) says so.
  - Needs nothing but the files. What cannot be read is said in RV(errors); a damaged file is no failure of the module.
author:
  - cloudpods.diagnostics contributors (@cloudpods)
extends_documentation_fragment:
  - cloudpods.diagnostics.attributes
  - cloudpods.diagnostics.attributes.info_module
options:
  paths:
    description:
      - The files to read, and folders and archives of which all files are read, also those in the folders below.
      - Files may be compressed (gzip, bzip2, xz, zlib; zstd where Python has a module for it) and archives be tar or
        zip, bundles among them, also inside each other. Their content tells that, not their name. Nothing is unpacked
        to the disk.
      - Texts may be UTF-8, or any encoding that a byte order mark tells.
    type: list
    elements: path
    required: true
  patterns:
    description:
      - Of the files in folders and archives, only those are read whose name matches one of these shell patterns.
        Archives in folders and in other archives are opened where their name matches.
    type: list
    elements: str
    default: ['*']
  max_groups:
    description:
      - How many groups of each dump are returned, the largest first. How many are left out is said.
      - With V(0), all are returned.
    type: int
    default: 100
  max_bytes:
    description:
      - How much of each file is read, in bytes after unpacking. Reading takes up to four times as much memory, a
        document of JSON more; one larger than 64 MiB is not read as JSON.
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

- name: Where most of the goroutines stand
  ansible.builtin.debug:
    msg: "{{ analysis.dumps[0].groups[0].count }} in {{ analysis.dumps[0].groups[0].functions[0] }}"

- name: Read all dumps of a bundle, the five largest groups of each
  cloudpods.diagnostics.stack_analysis:
    paths: [/var/tmp/20260102T030405Z-deadlock]
    patterns: ['stack-*.txt']
    max_groups: 5
"""

RETURN = r"""
dumps:
  description: One entry for each dump found, in the order of the files and of the lines in which they begin.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file; in an archive, that of the archive, C(!), and its name in there.
      type: str
    line:
      description: The line of the file, from 1, in which it begins.
      type: int
    source:
      description:
        - The pod and container, the service or the stream that the prefixes of the lines or the fields of the records
          name; null without such names.
      type: str
      sample: default-region-6d5f9c7b9-x2x7k/region
    form:
      description:
        - V(debug1) for C(SIGUSR1) and profiles with C(debug=1), V(debug2) for profiles with C(debug=2), V(fatal) for
          panics, fatal errors and C(SIGQUIT), V(stack) for a single stack in a log message.
          C(/debug/pprof/goroutineleak) is as C(/debug/pprof/goroutine).
      type: str
    total:
      description: How many goroutines there are, as the dump itself states; only V(debug1) does, else null.
      type: int
    goroutines:
      description: How many goroutines were read.
      type: int
    complete:
      description:
        - V(true) if it is proven that nothing is missing, V(false) if something is, V(unknown) if the form cannot tell,
          or what would prove it was lost.
      type: str
    errors:
      description: What could not be read, or shows that something is missing.
      type: list
      elements: dict
      contains:
        line:
          description: The line of the file, from 1.
          type: int
        goroutine:
          description: The goroutine's id; null where it is not known.
          type: int
        message:
          description: What is wrong.
          type: str
    groups:
      description: Goroutines in the same state and place, the largest group first.
      type: list
      elements: dict
      contains:
        count:
          description: How many goroutines.
          type: int
        state:
          description: What they wait for, for example V(chan receive); null for V(debug1), which does not tell.
          type: str
        wait_minutes_min:
          description: The shortest wait in whole minutes, 0 for less than one; null for V(debug1).
          type: int
        wait_minutes_max:
          description: The longest wait, likewise.
          type: int
        functions:
          description:
            - The functions of the stack, the innermost first, without arguments. V(?) where the line of the call is
              missing.
          type: list
          elements: str
        locations:
          description: The source file and line of each function.
          type: list
          elements: str
        labels:
          description: The labels that the service gave them for profiling.
          type: dict
        created_by:
          description: The call that started them; null where the dump does not tell.
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
          description: The goroutines' ids, the first hundred in the dump; empty for V(debug1).
          type: list
          elements: int
    groups_left_out:
      description: How many more groups there are than O(max_groups).
      type: int
files:
  description: One entry for each file read.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file, shaped as RV(dumps[].path).
      type: str
    dumps:
      description: How many dumps were found.
      type: int
    goroutines:
      description: How many goroutines they have.
      type: int
    complete:
      description:
        - V(true), V(false) or V(unknown) for all its dumps but single stacks; V(false) if there are none. Not
          V(true) if goroutines are there that cannot be read.
      type: str
    errors:
      description: What was wrong outside of the dumps, shaped as in RV(dumps); line 0 is the file as a whole.
      type: list
      elements: dict
totals:
  description: What was found in all files.
  returned: success
  type: dict
  contains:
    files:
      description: How many files were read, or could not be.
      type: int
    dumps:
      description: How many dumps.
      type: int
    goroutines:
      description: How many goroutines.
      type: int
    forms:
      description: How many dumps of each form.
      type: dict
      sample: {debug1: 3, stack: 1}
complete:
  description:
    - V(true), V(false) or V(unknown) for all files that were named, and those in folders that hold more than single
      stacks.
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
    """The module's result for these options. ValueError for a limit that is none."""
    if params["max_groups"] < 0 or params["max_bytes"] < 1:
        raise ValueError("max_groups must be 0 or more, and max_bytes more than 0")
    found = analyse(params["paths"], params["patterns"], params["max_bytes"], params["max_groups"] or None)
    return dict(found, changed=False)


def main() -> None:
    """Wire options to the work, and its result to Ansible."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params)
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
