# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator deploys for each component, as data.

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
    """How one component is deployed.

    containers: the service's own comes first. init: an init container named `init` brings the database up to date.
    slave: read-only replicas exist. The pods of DaemonSets share the node's network, processes and IPC.
    """

    name: str
    kind: str
    containers: tuple[Container, ...]
    init: bool = False
    slave: bool = False
    privileged: bool = False
    grace_seconds: int = 30
    share_processes: bool = False


def _binary(name: str) -> str:
    return f"/opt/yunion/bin/{name}"


def _deployment(name: str, container: str = "", *more: Container, init: bool = False, slave: bool = False,
                privileged: bool = False) -> Component:  # fmt: skip
    """A Deployment whose service is started the standard way."""
    command = (_binary(name), "--config", f"{CONFIG_DIR}/{name}.conf")
    containers = (Container(container or name, command), *more)
    return Component(name, DEPLOYMENT, containers, init=init, slave=slave, privileged=privileged)


def _on_hosts(name: str, *arguments: str, container: str = "", privileged: bool = True, grace: int = 30) -> Component:
    """A DaemonSet on the hosts."""
    containers = (Container(container or name, (_binary(container or name), *arguments)),)
    return Component(name, DAEMON_SET, containers, privileged=privileged, grace_seconds=grace)


_COMMON = ("--common-config-file", COMMON_CONFIG)
_HOST_CONFIG = ("--config", f"{CONFIG_DIR}/host.conf")
_GUACD = Container("guacd", ("/usr/local/sbin/guacd", "-f"), user=1000)

_ALL = (
    _deployment("keystone", init=True, slave=True),
    _deployment("region", init=True, slave=True),
    _deployment("glance", init=True, slave=True, privileged=True),
    _deployment("scheduler"),
    _deployment("logger", init=True),
    _deployment("notify", init=True),
    _deployment("yunionconf"),
    _deployment("webconsole", "web", _GUACD),
    _deployment("apigateway", "api"),
    _deployment("ansibleserver", "server", slave=True),
    *(_deployment(name, "server") for name in ("cloudnet", "cloudproxy", "cloudevent", "cloudid")),
    *(_deployment(name) for name in ("cloudmon", "devtool", "monitor", "s3gateway", "vpcagent", "apimap", "llm",
                                     "aiproxy", "mcp-server")),
    _deployment("scheduledtask", init=True),
    _deployment("kubeserver", init=True),
    _deployment("esxi-agent", privileged=True),
    _on_hosts("host", *_COMMON, grace=300),
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
