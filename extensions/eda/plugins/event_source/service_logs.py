# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event source service_logs: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: service_logs
short_description: Events from the logs of Cloudpods services in trouble.
description:
  - Follows the logs of every instance of the selected components, as C(cloudpods.diagnostics.log_watch) does, with the
    same patterns and the same verdicts, and sends an event for what tells of trouble.
  - Of one worker pool of one instance one event is sent in a cool-down, unless it got worse; C(unsaid) counts the
    others.
  - Where a log, or a part of it, could not be seen, an event of kind C(gap) says so.
  - Needs ansible-core where ansible-rulebook runs, and for the transport C(kubernetes) the collection kubernetes.core
    and the Python library kubernetes.
options:
  scenario:
    description: Watch the suspects of this scenario. With neither scenario nor components, every component is watched.
    type: str
  components:
    description: Watch exactly these components instead.
    type: list
    elements: str
    default: []
  transport:
    description: Whether the API server is asked, or the processes and log files of this machine are read.
    type: str
    choices: [kubernetes, host]
    default: kubernetes
  cluster:
    description: The cluster's name in events. The default is the kubeconfig's.
    type: str
  namespaces:
    description: The namespaces of the services.
    type: list
    elements: str
    default: [onecloud]
  binary_dirs:
    description: With the transport C(host), where the executables of the services are.
    type: list
    elements: str
    default: [/opt/yunion/bin]
  since:
    description: How many seconds to look back at the start.
    type: int
    default: 0
  patterns:
    description: Patterns of your own beside those of the collection, each with C(id) and C(texts), and if you like
      C(severity), C(meaning) and C(form).
    type: list
    elements: dict
    default: []
  severity:
    description: The least that an event is sent for.
    type: str
    choices: [info, warning, critical]
    default: warning
  cooldown:
    description: Seconds in which there is one event for one pool of one instance.
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
- name: Capture while the trouble is there
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

# What an event holds:
#   kind: hit or gap.  cluster, namespace, component, instance, node: where; empty where a gap is of no one instance.
#   pattern: the pattern's id (docs/log-patterns.md); of a gap what kind it is of.  severity: info, warning, critical.
#   pool: the worker pool, if the message names one.  verdict: on that pool, else on the instance: healthy, unknown,
#   busy, stuck, dropping.  text: the message, one line without secrets.  moment: when it was written (UTC), or "".
#   unsaid: how many hits of the same pool came since the last event for it.

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
    """Let Python import from collections: from the folder that this one lies in, and from Ansible's.

    ansible-rulebook runs this file as it is, and knows nothing of such imports. Ansible's own way is a hook, with which
    ansible-rulebook does not find its filters any more.
    """
    roots = [Path(__file__).absolute().parents[7], *map(Path, constants.COLLECTIONS_PATHS)]
    with contextlib.suppress(ImportError):
        import_module("ansible_collections")  # where the package `ansible` is installed, some lie there
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
