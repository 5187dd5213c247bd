# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cloudpods is, as data: its components, what SIGUSR1 does to each, and the scenarios of trouble.

Sources: the component definitions of cloudpods-operator (pkg/manager/component) for labels and container names;
the signal registrations of cloudpods (pkg/appsrv/appsrv.go, pkg/cloudcommon/service, pkg/webconsole/service,
pkg/hostman/hostdeployer, pkg/hostman/host_health) for what SIGUSR1 does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Sequence

BINARY_DIR = "/opt/yunion/bin"
DEFAULT_NAMESPACE = "onecloud"
MANAGED_BY = "app.kubernetes.io/managed-by=onecloud-operator"
COMPONENT_LABELS = ("app.kubernetes.io/component", "app")
SLAVE_SUFFIX = "-slave"

DUMPS = "dumps"
NEVER = "never"
RELOADS = "reloads"
MAY_DIE = "may_die"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Component:
    """One kind of service.

    containers: names of the container it runs in, best first (default: its own name).
    usr1: what SIGUSR1 does: dumps, never (no dump, harmless), reloads, may_die (not Go), unknown (checked on the spot).
    instead: what to use where no dump is to be had.
    carriers: components in whose pods older operators (<= 3.12) run it as an extra container.
    binaries: base names that its executable may have (default: its own name).
    config: configuration file that it finds without being told.
    """

    name: str
    containers: tuple[str, ...] = ()
    usr1: str = DUMPS
    instead: str = ""
    carriers: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    config: str = ""

    @property
    def container_names(self) -> tuple[str, ...]:
        return self.containers or (self.name,)


_SERVER = ("server",)
_QUIT_INSTEAD = (
    "its only full dump is SIGQUIT, which ends the process; /debug/pprof/goroutine is not registered there either"
)

_COMPONENTS = (
    Component("keystone"),
    Component("region"),
    Component("glance"),
    Component("logger"),
    Component("notify"),
    Component("yunionconf"),
    Component("webconsole", containers=("web", "webconsole")),
    Component("apigateway", containers=("api", "apigateway"), binaries=("apigateway", "yunionapi")),
    Component("ansibleserver", containers=_SERVER),
    Component("cloudnet", containers=_SERVER),
    Component("cloudproxy", containers=_SERVER),
    Component("cloudevent", containers=_SERVER),
    Component("cloudid", containers=_SERVER),
    Component("cloudmon"),
    Component("devtool"),
    Component("scheduledtask"),
    Component("s3gateway"),
    Component("vpcagent"),
    Component("apimap"),
    Component("llm"),
    Component("aiproxy"),
    Component("esxi-agent"),
    Component("baremetal-agent"),
    Component("host", config="/etc/yunion/host.conf"),
    Component("host-image"),
    Component("host-deployer"),
    Component("host-health", carriers=("host",)),
    Component("scheduler", usr1=NEVER, instead=_QUIT_INSTEAD),
    Component("monitor", usr1=NEVER, instead=_QUIT_INSTEAD),
    Component("lbagent", usr1=NEVER, instead="its only full dump is SIGQUIT, which ends the process"),
    Component("mcp-server", usr1=NEVER, instead="its only full dump is SIGQUIT, which ends the process"),
    Component("region-dns", usr1=RELOADS, instead="read its log; CoreDNS has its own pprof plugin"),
    Component("host-sdnagent", containers=("sdnagent",), binaries=("sdnagent",), usr1=UNKNOWN, carriers=("host",)),
    Component("kubeserver", usr1=UNKNOWN),
    Component("meter", usr1=UNKNOWN),
    Component("billing", usr1=UNKNOWN),
    Component("yunionagent", usr1=UNKNOWN),
    Component("climc", usr1=MAY_DIE, instead="it is a shell, not a service"),
    Component("web", usr1=MAY_DIE, instead="it is nginx; read its log"),
    Component("host-ovn-controller", containers=("ovn-controller",), usr1=MAY_DIE, instead="use ovs-appctl"),
    Component("host-ovsdb-server", containers=("ovsdb-server",), usr1=MAY_DIE, instead="use ovs-appctl"),
    Component("host-ovs-vswitchd", containers=("ovs-vswitchd",), usr1=MAY_DIE, instead="use ovs-appctl"),
    Component("ovn-north", usr1=MAY_DIE, instead="use ovn-appctl"),
    Component("influxdb", usr1=MAY_DIE, instead="it has /debug/pprof of its own"),
    Component("victoria-metrics", usr1=MAY_DIE, instead="it has /debug/pprof of its own"),
    Component("telegraf", usr1=MAY_DIE, instead="read its log"),
    Component("etcd", usr1=MAY_DIE, instead="etcdctl endpoint status; etcd has /debug/pprof of its own"),
    Component("itsm", usr1=MAY_DIE, instead="it is Java: jstack"),
    Component("echarts-ssr", usr1=MAY_DIE, instead="read its log"),
)

COMPONENTS: dict[str, Component] = {component.name: component for component in _COMPONENTS}

# The user's view of the trouble -> the suspected components (docs of Cloudpods, "getting the call stacks").
SCENARIOS = {
    "kvm_server": ("region", "host", "host-deployer"),
    "kvm_image": ("glance",),
    "vmware_server": ("region", "esxi-agent", "host-deployer"),
    "other_server": ("region",),
    "slow_system": ("region", "keystone"),
    "deadlock": tuple(component.name for component in _COMPONENTS if component.usr1 == DUMPS),
}  # type: dict[str, tuple[str, ...]]
DEFAULT_SCENARIO = "deadlock"


@dataclass(frozen=True)
class Selection:
    """Which components are asked for. named: the user named them, so a missing one is worth a word."""

    components: tuple[Component, ...]
    named: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(component.name for component in self.components)


def component_of(name: str) -> Component:
    """The catalog's entry, or a plain one for a component that the catalog does not know."""
    return COMPONENTS.get(name) or Component(name, usr1=UNKNOWN)


def select(scenario: str = "", components: Sequence[str] = ()) -> Selection:
    """The components of a scenario, or exactly the named ones (which win). ValueError lists the known scenarios."""
    if components:
        names = list(dict.fromkeys(name.strip() for name in components if name.strip()))
        return Selection(tuple(component_of(name) for name in names), named=True)
    scenario = scenario or DEFAULT_SCENARIO
    if scenario not in SCENARIOS:
        raise ValueError("unknown scenario '{}'; the known ones are: {}".format(scenario, ", ".join(sorted(SCENARIOS))))
    return Selection(tuple(component_of(name) for name in SCENARIOS[scenario]), named=scenario != DEFAULT_SCENARIO)


def label_values(selection: Selection) -> list[str]:
    """Every value of the component label under which instances of the selection may be found.

    Read-only replicas carry "<component>-slave"; older operators run some components inside another one's pods.
    """
    values: list[str] = []
    for component in selection.components:
        for name in (component.name, *component.carriers):
            values += [name, name + SLAVE_SUFFIX]
    return list(dict.fromkeys(values))


def binary_paths(component: Component, directories: Iterable[str] = (BINARY_DIR,)) -> list[str]:
    """Where the component's executable may be, exactly."""
    names = component.binaries or (component.name,)
    return ["{}/{}".format(directory.rstrip("/"), name) for directory in directories for name in names]
