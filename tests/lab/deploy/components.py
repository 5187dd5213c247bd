# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's deployment of each component, as data.

Source: cloudpods-operator, pkg/manager/component (one file a component; the common parts in component.go).
"""

from __future__ import annotations

from dataclasses import dataclass

DEPLOYMENT = "Deployment"
DAEMON_SET = "DaemonSet"
POD = "Pod"

CONFIG_DIR = "/etc/yunion"
COMMON_CONFIG = f"{CONFIG_DIR}/common/common.conf"


@dataclass(frozen=True)
class Container:
    """One container of a pod. user: numeric id, None for the image's."""

    name: str
    command: tuple[str, ...]
    user: int | None = None


@dataclass(frozen=True)
class Component:
    """Deployment of one component.

    containers: the service's own comes first. init: an init container named `init` migrates the database. slave:
    read-only replicas exist. The pods of DaemonSets share the node's network, processes and IPC. ports: those that its
    pods declare, the service's own first. probe: its pods are ready when GET /ping succeeds.
    """

    name: str
    kind: str
    containers: tuple[Container, ...]
    init: bool = False
    slave: bool = False
    privileged: bool = False
    grace_seconds: int = 30
    share_processes: bool = False
    ports: tuple[int, ...] = ()
    probe: bool = False


def _binary(name: str) -> str:
    return f"/opt/yunion/bin/{name}"


def _deployment(name: str, container: str = "", *more: Container, port: int | tuple[int, ...], init: bool = False,
                slave: bool = False, privileged: bool = False, probe: bool = False) -> Component:  # fmt: skip
    """Return a Deployment whose service is started the standard way."""
    command = (_binary(name), "--config", f"{CONFIG_DIR}/{name}.conf")
    containers = (Container(container or name, command), *more)
    ports = port if isinstance(port, tuple) else (port,)
    return Component(name, DEPLOYMENT, containers, init, slave, privileged, ports=ports, probe=probe)


def _on_hosts(name: str, *arguments: str, container: str = "", privileged: bool = True, grace: int = 30,
              probed_port: int = 0) -> Component:  # fmt: skip
    """Return a DaemonSet on the hosts. It declares no port, because that would be one of the node's."""
    containers = (Container(container or name, (_binary(container or name), *arguments)),)
    ports = (probed_port,) if probed_port else ()
    return Component(name, DAEMON_SET, containers, privileged=privileged, grace_seconds=grace, ports=ports,
                     probe=bool(ports))  # fmt: skip


_COMMON = ("--common-config-file", COMMON_CONFIG)
_HOST_CONFIG = ("--config", f"{CONFIG_DIR}/host.conf")
_GUACD = Container("guacd", ("/usr/local/sbin/guacd", "-f"), user=1000)

_ALL = (
    _deployment("keystone", port=(30500, 30357), init=True, slave=True, probe=True),
    _deployment("region", port=30888, init=True, slave=True, probe=True),
    _deployment("glance", port=30292, init=True, slave=True, privileged=True, probe=True),
    _deployment("scheduler", port=30887),
    _deployment("logger", port=30999, init=True),
    _deployment("notify", port=30777, init=True),
    _deployment("yunionconf", port=30889),
    _deployment("webconsole", "web", _GUACD, port=30899),
    _deployment("apigateway", "api", port=30300, probe=True),
    _deployment("ansibleserver", "server", port=30890, slave=True),
    _deployment("cloudnet", "server", port=30891),
    _deployment("cloudproxy", "server", port=30882),
    _deployment("cloudevent", "server", port=30892),
    _deployment("cloudid", "server", port=30893),
    _deployment("cloudmon", port=30931),
    _deployment("devtool", port=30997),
    _deployment("monitor", port=30093),
    _deployment("s3gateway", port=30884),
    _deployment("vpcagent", port=30932),
    _deployment("apimap", port=31999),
    _deployment("llm", port=31512),
    _deployment("aiproxy", port=31513),
    _deployment("mcp-server", port=30876),
    _deployment("scheduledtask", port=30978, init=True),
    _deployment("kubeserver", port=30442, init=True),
    _deployment("esxi-agent", port=30883, privileged=True),
    _on_hosts("host", *_COMMON, grace=300, probed_port=8885),
    _on_hosts("host-deployer", *_COMMON, *_HOST_CONFIG),
    _on_hosts("host-health", *_COMMON),
    _on_hosts("host-image", *_COMMON, *_HOST_CONFIG),
    _on_hosts("host-sdnagent", *_COMMON, container="sdnagent"),
    _on_hosts("lbagent", "--config", f"{CONFIG_DIR}/lbagent.conf", *_COMMON, grace=300),
    _on_hosts("region-dns", "-conf", f"{CONFIG_DIR}/region-dns.conf", privileged=False),
    Component("climc", DEPLOYMENT, (Container("climc", ("sh", "/opt/climc-entrypoint.sh")),)),
    Component("web", DEPLOYMENT, (Container("web", ("/usr/sbin/nginx", "-g", "daemon off;")),)),
    Component("itsm", DEPLOYMENT, (Container("itsm", ("/opt/itsm/start.sh",)),)),
    Component("etcd", POD, (Container("etcd", ("/usr/local/bin/etcd",)),), grace_seconds=5, share_processes=True),
)  # fmt: skip

COMPONENTS: dict[str, Component] = {component.name: component for component in _ALL}
