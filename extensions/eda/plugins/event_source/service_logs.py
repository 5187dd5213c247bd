# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event source service_logs: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: service_logs
short_description: Send events when the logs of Cloudpods services show trouble.
description:
  - Follows the logs of every instance of the selected components, with the same patterns and verdicts as
    C(cloudpods.diagnostics.log_watch), and sends an event for each hit.
  - One worker pool of one instance gives one event in a cool-down, unless its verdict gets worse. C(unsaid) is the
    number of hits without an event since the last one.
  - If a log or a part of it could not be read, an event of kind C(gap) is sent.
  - Needs ansible-core where ansible-rulebook runs, and for the transport C(kubernetes) the collection kubernetes.core
    and the Python library kubernetes.
options:
  scenario:
    description: Watch the suspects of this scenario. Without scenario and components, every component is watched.
    type: str
  components:
    description: The components to watch, instead of a scenario.
    type: list
    elements: str
    default: []
  transport:
    description: Use the API server, or the processes and log files of this machine.
    type: str
    choices: [kubernetes, host]
    default: kubernetes
  cluster:
    description: The cluster's name in events. The default is the name in the kubeconfig.
    type: str
  namespaces:
    description: The namespaces of the services.
    type: list
    elements: str
    default: [onecloud]
  binary_dirs:
    description: The directories of the services' executables, with the transport C(host).
    type: list
    elements: str
    default: [/opt/yunion/bin]
  since:
    description: Seconds back in time to start reading.
    type: int
    default: 0
  patterns:
    description: Log patterns of your own, in addition to the shipped ones, each with C(id) and C(texts), and optionally
      C(severity), C(meaning) and C(form).
    type: list
    elements: dict
    default: []
  severity:
    description: The lowest severity that gives an event.
    type: str
    choices: [info, warning, critical]
    default: warning
  cooldown:
    description: Seconds during which one pool of one instance gives only one event.
    type: float
    default: 300
  kubeconfig:
    description:
      - The path of a kubeconfig, or its content.
      - All other authentication options of the module M(cloudpods.diagnostics.log_watch) are accepted, too, and the
        environment variables C(K8S_AUTH_*).
    type: raw
"""

EXAMPLES = r"""
- name: Capture stacks when trouble shows
  hosts: all
  sources:
    - cloudpods.diagnostics.service_logs:
        components: [region, keystone]
        cooldown: 600
  rules:
    - name: A pool is stuck or loses tasks
      condition: event.kind == "hit" and event.verdict in ["stuck", "dropping"]
      action:
        run_playbook:
          name: cloudpods.diagnostics.capture_stacks
          extra_vars:
            cloudpods_components: ["{{ event.component }}"]
            cloudpods_output: /var/tmp/cloudpods-diagnostics
"""

# Keys of an event:
#   kind: hit or gap.  cluster, namespace, component, instance, node: the place; empty if a gap has no single instance.
#   pattern: the pattern's ID (docs/log-patterns.md), or the kind of the gap.  severity: info, warning, critical.
#   pool: the worker pool, if the message names one.  verdict: on that pool, else on the instance: healthy, unknown,
#   busy, stuck, dropping.  text: the message, one redacted line.  moment: when it was written (UTC), or "".
#   unsaid: the number of hits of the same pool since the last event for it.

import asyncio
import contextlib
import logging
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible import constants
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator


def _reach_collections() -> None:
    """Let Python import from collections: from the folder of this one, and from Ansible's.

    ansible-rulebook runs this file directly, without such imports. With Ansible's import hook, ansible-rulebook does
    not find its own filters.
    """
    roots = [Path(__file__).absolute().parents[7], *map(Path, constants.COLLECTIONS_PATHS)]
    with contextlib.suppress(ImportError):
        import_module("ansible_collections")  # the package `ansible` has some there
    package = sys.modules.setdefault("ansible_collections", ModuleType("ansible_collections"))
    there = list(getattr(package, "__path__", ()))
    places = [str(root / "ansible_collections") for root in roots]
    package.__path__ = [*places, *there]


_reach_collections()

from ansible_collections.cloudpods.diagnostics.plugins.module_utils import arguments
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import EventStreamOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.event_stream import EventStream
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns

LOG = logging.getLogger("cloudpods.diagnostics.service_logs")
WATCH = {
    "since": {"type": "int", "default": 0},
    "patterns": {"type": "list", "elements": "dict", "default": []},
    "severity": {"type": "str", "choices": ["info", "warning", "critical"], "default": "warning"},
    "cooldown": {"type": "float", "default": 300.0},
}
# Options that ansible-rulebook adds.
FOREIGN = ("eda_feedback_queue",)
# Longer than any rulebook runs; it ends by cancellation.
FOR_EVER = 10 * 365 * 24 * 3600.0
# Connections that are kept open. Each log that is followed has one; more are made when they are needed.
CONNECTIONS = 100


def checked(args: dict[str, Any]) -> dict[str, Any]:
    """Return the options with their defaults, as a module would have them. ValueError names a wrong one."""
    spec = arguments.argument_spec(arguments.SELECTION, arguments.TRANSPORT, WATCH)
    own = {name: value for name, value in args.items() if name not in FOREIGN}
    result = ArgumentSpecValidator(spec).validate(own)
    if unknown := sorted(result.unsupported_parameters):
        raise ValueError(f"service_logs: there is no option {', '.join(unknown)}; there are {', '.join(sorted(spec))}")
    if result.error_messages:
        raise ValueError(f"service_logs: {'; '.join(result.error_messages)}")
    params: dict[str, Any] = result.validated_parameters
    return params


class Bridge:
    """Passes events from the watching threads to the event loop. get() returns None at the end of the watch.

    max_waiting: events that wait for a rulebook that takes none; more are counted and dropped.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.dropped = 0

    def tell(self, event: dict[str, Any] | None) -> None:
        """Pass an event. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: dict[str, Any] | None) -> None:
        if event is not None and self._events.qsize() >= self._max_waiting:
            self.dropped += 1
            LOG.warning("the rulebook takes no events: %d were dropped", self.dropped)
        else:
            self._events.put_nowait(event)

    async def get(self) -> dict[str, Any] | None:
        return await self._events.get()


async def main(queue: asyncio.Queue[dict[str, Any]], args: dict[str, Any], max_waiting: int = 1000) -> None:
    """Put events into the queue until cancelled. ValueError and SetupError if it cannot begin.

    max_waiting: events that wait for a rulebook that takes none.
    """
    params = checked(args)
    selection = arguments.selection_of(params, everything=True)
    options = EventStreamOptions(**{name: params[name] for name in EventStreamOptions.__dataclass_fields__})
    patterns = load_patterns(params["patterns"])
    transport = await asyncio.to_thread(arguments.transport_of, params, CONNECTIONS)
    deadline = Deadline(FOR_EVER)
    bridge = Bridge(max_waiting)
    errors: list[BaseException] = []

    def watch() -> None:
        try:
            EventStream(transport, selection, patterns, options, deadline, bridge.tell).run()
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-except
            # Raised below, where ansible-rulebook sees it.
            errors.append(error)
        bridge.tell(None)

    thread = threading.Thread(target=watch, name="service_logs", daemon=True)
    thread.start()
    try:
        while True:
            event = await bridge.get()
            if event is None:
                break
            await queue.put(event)
    finally:
        deadline.cancel()
        await asyncio.to_thread(thread.join)
        transport.close()
    raise errors[0] if errors else RuntimeError("the watch ended, which it does not by itself")
