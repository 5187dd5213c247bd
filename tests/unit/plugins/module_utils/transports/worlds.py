# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds for the conformance suites: processes, containers, a journal, and memory."""

from __future__ import annotations

import os
import threading

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import component_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpAnswer
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.journal import JournalTimes
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.transport import HostTransport
from conformance import World
from fake_transport import LOG_LINE, USR1, FakeTransport, no_answer, raises
from journal import Journal, needs_journal
from nodes import RUNS, WHY_NOT, Node
from profiling import profiling
from standins import Machine


def any_port(component):
    """Return arguments for a free port: the default may be taken, and several instances run here."""
    return ("--port", "0") if component_of(component).http else ()


class HostWorld(World):
    """Stand-in services as processes of this machine, each with a file as its standard error."""

    def __init__(self, folder) -> None:
        self.machine = Machine(folder)
        self.transport = HostTransport(binary_dirs=[self.machine.binaries])

    def start(self, component, behaviour=""):
        return self.machine.start(component, behaviour, any_port(component))

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
        self.transport = HostTransport(binary_dirs=[self.machine.binaries], paths=self.node.layout)

    def start(self, component, behaviour=""):
        return self.node.start(component, behaviour, arguments=any_port(component))

    def end(self, service):
        service.standin.stop()

    def is_alive(self, service):
        return service.standin.alive

    def is_it(self, service, instance):
        return (instance.name, instance.container_id) == (service.pod, service.container_id)

    def close(self):
        self.transport.close()
        self.node.stop()


HTTP_FAULTS = {
    "hang": no_answer,
    "drip": no_answer,
    "reset": raises(CaptureError(Reason.CONNECTION_BROKEN)),
    "close": raises(CaptureError(Reason.CONNECTION_BROKEN)),
    "off": raises(CaptureError(Reason.CONNECTION_REFUSED)),
    "plain": raises(CaptureError(Reason.TLS_FAILED)),
}
HTTP_ANSWERS = {
    "unavailable": HttpAnswer(503, {}, b"unavailable"),
    "redirect": HttpAnswer(302, {"location": "/switch"}, b""),
    "cut": HttpAnswer(200, {}, b"{", truncated_by="end"),
    "short": HttpAnswer(200, {}, b"{", truncated_by="end"),
}


class JournalWorld(HostWorld):
    """Stand-in services as processes of this machine, whose standard error is the journal.

    journalctl ends an entry when the next one comes, so they write often. Here the last lines of a killed service are
    never lost, so a shorter silence ends its log.
    """

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.journal = Journal(self.machine)
        self.path = os.environ["PATH"]
        os.environ["PATH"] = f"{self.journal.tools}{os.pathsep}{self.path}"
        self.transport = HostTransport(
            binary_dirs=[self.machine.binaries], journal_times=JournalTimes(final_silence=0.5)
        )

    def start(self, component, behaviour=""):
        often = "" if "log_rate=" in behaviour else " log_rate=20"
        return self.journal.start(component, behaviour + often, any_port(component))

    def close(self):
        super().close()
        self.journal.close()
        os.environ["PATH"] = self.path


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
        self._make_http(service, words)
        return service

    def _make_http(self, service, words):
        fault = words.get("http_fault", words.get("http"))
        if fault in HTTP_FAULTS:
            service.faults["http_get"] = HTTP_FAULTS[fault]
        if fault in HTTP_ANSWERS:
            service.answer = lambda _target: HTTP_ANSWERS[fault]
        if words.get("release") == "3.9":
            service.answer = profiling
            service.faults["/debug/pprof/trace?seconds=1"] = lambda _deadline: threading.Event().wait(1.0)
        if "version_branch" in words:
            service.answer = lambda _target: HttpAnswer(200, {}, words["version_branch"].encode() + b"(1)")
        offered = component_of(service.instance.component).http
        if offered and offered.scheme == "https" and fault != "deaf":
            service.certificate = b"\x30\x82\x00\x01\x00"

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


HOST = pytest.param(HostWorld, id="host")
IN_CONTAINERS = pytest.param(ContainerWorld, marks=pytest.mark.skipif(not RUNS, reason=WHY_NOT), id="containers")
IN_JOURNAL = pytest.param(JournalWorld, marks=needs_journal, id="journal")
IN_MEMORY = pytest.param(FakeWorld, id="fake")
