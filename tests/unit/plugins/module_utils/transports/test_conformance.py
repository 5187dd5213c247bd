# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conformance suite against the host transport (real processes) and against the fake transport."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host import HostTransport
from conformance import *  # noqa: F403  # pylint: disable=wildcard-import,unused-wildcard-import
from conformance import World
from fake_transport import LOG_LINE, USR1, FakeTransport
from nodes import RUNS, WHY_NOT, Node
from standins import Machine


class HostWorld(World):
    """Stand-in services as processes of this machine, each with a file as its standard error."""

    def __init__(self, folder) -> None:
        self.machine = Machine(folder)
        self.transport = HostTransport(binary_dirs=[self.machine.binaries])

    def start(self, component, behaviour=""):
        return self.machine.start(component, behaviour)

    def end(self, service):
        service.stop()

    def is_alive(self, service):
        return service.alive

    def is_it(self, service, instance):
        return instance.process.pid == service.pid

    def close(self):
        self.transport.close()
        self.machine.stop()


class ContainerWorld(World):
    """Stand-in services in containers of a node without an API server."""

    has_runtime = False

    def __init__(self, folder) -> None:
        self.machine = Machine(folder)
        self.node = Node(self.machine)
        self.transport = HostTransport(binary_dirs=[self.machine.binaries], layout=self.node.layout)

    def start(self, component, behaviour=""):
        return self.node.start(component, behaviour)

    def end(self, service):
        service.standin.stop()

    def is_alive(self, service):
        return service.standin.alive

    def is_it(self, service, instance):
        return (instance.name, instance.container_id) == (service.pod, service.container_id)

    def close(self):
        self.transport.close()
        self.node.stop()


class FakeWorld(World):
    """Services in memory."""

    def __init__(self, _folder) -> None:
        self.transport = FakeTransport()
        self._closed = threading.Event()

    def start(self, component, behaviour=""):
        words = dict(word.split("=") for word in behaviour.split())
        ignored = USR1 if words.get("usr1") == "ignore" else 0
        service = self.transport.add(component, ignored=ignored, started="2026-01-02T03:04:05Z")
        rate = int(words.get("log_rate", 1))
        if rate:
            threading.Thread(target=self._chatter, args=(service, 1 / rate), daemon=True).start()
        return service

    def _chatter(self, service, pause):
        while not service.ended and not self._closed.wait(pause):
            service.write(LOG_LINE)

    def end(self, service):
        service.end()

    def is_alive(self, service):
        return not service.ended

    def is_it(self, service, instance):
        return service.instance.name == instance.name

    def close(self):
        self._closed.set()


IN_CONTAINERS = pytest.param(ContainerWorld, marks=pytest.mark.skipif(not RUNS, reason=WHY_NOT), id="containers")


@pytest.fixture(params=[pytest.param(HostWorld, id="host"), IN_CONTAINERS, pytest.param(FakeWorld, id="fake")])
def world(request, tmp_path):
    world = request.param(tmp_path)
    yield world
    world.close()
