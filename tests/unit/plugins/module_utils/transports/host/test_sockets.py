# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding where a process listens and connecting to it there, with real processes in real namespaces."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import threading

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.sockets import (
    Listener,
    choose,
    connect_to,
    listeners_of,
    parse_listeners,
    socket_in,
)
from peers import closed_port

from patience import wait_until

PROCFS = ProcFs()
IS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="another network namespace takes root")

# Listens on each (address, port) of its arguments, says the ports, and tells everybody who connects its number.
SERVER = """
import os, selectors, socket, sys
ready = selectors.DefaultSelector()
ports = []
for word in sys.argv[1:]:
    address, port = word.rsplit("/", 1)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, "only" in os.environ)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen()
    ports.append(listener.getsockname()[1])
    ready.register(listener, selectors.EVENT_READ)
print(*ports, flush=True)
while True:
    for key, _event in ready.select():
        connection, _address = key.fileobj.accept()
        connection.sendall(str(os.getpid()).encode())
        connection.close()
"""


@contextlib.contextmanager
def server(*places, apart=False, environment=None):
    """A process that listens: itself as Process, and its ports. apart: in a network namespace of its own."""
    command = [sys.executable, "-c", SERVER, *places]
    if apart:
        command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
    try:
        ports = [int(word) for word in running.stdout.readline().split()]
        yield PROCFS.process(running.pid), ports
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def said_by(process: Process, port: int) -> str:
    with connect_to(PROCFS, process, port)(5.0) as connection:
        return connection.recv(100).decode()


def test_parses_kernel_tables():
    rest = "00000000:00000000 00:00000000 00000000     0        0"
    tcp = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        f"   0: 0100007F:1F90 00000000:0000 0A {rest} 4711 1 0 100 0 0 10 0\n"
        f"   1: 00000000:0016 00000000:0000 0A {rest} 12 1 0 100 0 0 10 0\n"
        f"   2: 0100007F:1F90 0100007F:D2F0 01 {rest} 4712 1 0 20 4 30 10 -1\n"
        "   3: bad\n"
    )
    tcp6 = (
        "  sl  local_address                         remote_address                        st tx_queue\n"
        f"   0: 00000000000000000000000001000000:22B5 00000000000000000000000000000000:0000 0A {rest} 99 1 0 100 0 0\n"
    )
    if sys.byteorder != "little":
        pytest.skip("the table is one of a little-endian machine")
    assert parse_listeners(tcp) == [Listener("127.0.0.1", 8080, 4711), Listener("0.0.0.0", 22, 12)]  # noqa: S104
    assert parse_listeners(tcp6) == [Listener("::1", 8885, 99)]


def test_prefers_expected_port():
    with server("127.0.0.1/0", "127.0.0.1/0", "127.0.0.1/0") as (process, ports):
        found = listeners_of(PROCFS, process.pid)
        assert [one.port for one in found] == ports
        assert [choose(found, port).port for port in ports] == ports
        assert choose(found, closed_port()).port == ports[0]


def test_connects_to_each_process_on_its_own_port():
    with server("127.0.0.1/0") as (first, ports), server("127.0.0.1/0") as (second, _others):
        # The port of the first is what the catalog would say of both.
        assert said_by(first, ports[0]) == str(first.pid)
        assert said_by(second, ports[0]) == str(second.pid)


@pytest.mark.parametrize(
    ("place", "environment"),
    [("0.0.0.0/0", {}), ("127.0.0.2/0", {}), ("::/0", {}), ("::/0", {"only": "1"}), ("::1/0", {})],
    ids=["any", "one of several", "any of both kinds", "any of IPv6", "IPv6"],
)
def test_connects_to_listening_address(place, environment):
    with server(place, environment=environment) as (process, ports):
        assert said_by(process, ports[0]) == str(process.pid)


def namespaces_of_threads() -> set[str]:
    found = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found.add(os.readlink(f"/proc/self/task/{task}/ns/net"))
    return found


@IS_ROOT
@pytest.mark.parametrize("place", ["127.0.0.1/30888", "::/30888"])
def test_connects_in_network_namespace_of_process(place):
    own = os.readlink("/proc/self/ns/net")
    with server(place, apart=True) as (process, _ports), server(place, apart=True) as (other, _ports_too):
        assert PROCFS.namespace(process.pid, "net") not in (own, PROCFS.namespace(other.pid, "net"))
        threads = threading.active_count()
        assert said_by(process, 30888) == str(process.pid)
        assert said_by(other, 30888) == str(other.pid)
        # Neither this thread nor any other is left in there.
        assert threading.active_count() == threads
    # join() returns a moment before the kernel's thread is gone.
    wait_until("every thread to be at home", lambda: namespaces_of_threads() == {own})


def reason_of(act):
    with pytest.raises(CaptureError) as failed:
        act()
    return failed.value.verdict.reason


def test_process_without_listener_is_refused():
    with server() as (process, _ports):
        assert reason_of(lambda: connect_to(PROCFS, process, 30888)) is Reason.CONNECTION_REFUSED


def test_ended_process_is_gone():
    with server("127.0.0.1/0") as (process, _ports):
        pass
    assert reason_of(lambda: connect_to(PROCFS, process, 30888)) is Reason.GONE


def test_does_not_connect_to_reused_pid():
    with server("127.0.0.1/0") as (process, ports):
        former = dataclasses.replace(process, start_time=process.start_time - 1)
        connect = connect_to(PROCFS, former, ports[0])
        assert reason_of(lambda: connect(5.0)) is Reason.GONE


def test_reports_namespace_that_cannot_be_entered():
    with pytest.raises(OSError, match="Invalid argument"):
        socket_in("/proc/self/ns/uts", socket.AF_INET)
