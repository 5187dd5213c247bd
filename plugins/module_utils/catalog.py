# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalog of Cloudpods as data: components, the effect of SIGUSR1 on each, HTTP endpoints, scenarios.

Sources:
- cloudpods-operator: component definitions (pkg/manager/component) for labels, container names and ports; service
  registrations (pkg/service-init/component) for service types.
- cloudpods, for SIGUSR1: signal registrations (pkg/appsrv/appsrv.go, pkg/cloudcommon/service, pkg/webconsole/service,
  pkg/hostman/hostdeployer, pkg/hostman/host_health).
- cloudpods, for endpoints: default handlers (pkg/appsrv/handlers.go, pkg/cloudcommon/db), the services without them
  (pkg/scheduler, pkg/webconsole, pkg/monitor, pkg/mcp-server), and the services that cloudmon does not query
  (pkg/cloudmon/misc/system.go).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, Sequence

from .text import did_you_mean, nearest

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

# Endpoint -> path. No other path is ever requested, and all of these only read. For example, the scheduler's /switch
# is a GET that changes a setting.
PATHS = {
    "ping": "/ping",
    "version": "/version",
    "stats": "/stats",
    "worker_stats": "/worker_stats",
    "process_stats": "/process_stats",
    "db_stats": "/db_stats",
}
ENDPOINTS = tuple(PATHS)
_DATABASE = re.compile(r"[A-Za-z0-9_-]{1,64}")

# Paths of /debug/pprof that a component has if profiling is on: all, the fixed ones only (no named profiles such as
# goroutine and heap), none, or unknown.
PPROF_ALL, PPROF_EXACT, PPROF_NONE, PPROF_UNKNOWN = "all", "exact", "none", "unknown"

_ROUTER = ("ping", "version", "stats", "worker_stats")
_APPSRV = (*_ROUTER, "process_stats")


@dataclass(frozen=True)
class Http:
    """HTTP endpoints of a component, on its own port.

    endpoints: names of PATHS, in their order. service_type: its name in the Keystone catalog, "" without an entry.
    suffix: the end of its URL in the catalog, which is not part of the URLs of these endpoints. pprof: its paths of
    /debug/pprof.
    """

    port: int
    endpoints: tuple[str, ...] = _APPSRV
    service_type: str = ""
    suffix: str = ""
    scheme: str = "https"
    pprof: str = PPROF_ALL

    def port_among(self, declared: Sequence[int]) -> int:
        """Return its own port; the first declared one if the container declares others (it was configured)."""
        return self.port if self.port in declared or not declared else declared[0]


@dataclass(frozen=True)
class Component:
    """One kind of service.

    containers: possible names of its container, preferred first (default: its own name).
    usr1: the effect of SIGUSR1: dumps, never (no dump, harmless), reloads, may_die (not Go), unknown (the process is
    checked).
    instead: the alternative to a dump, for people.
    carriers: components in whose pods older operators (<= 3.12) run it as an extra container.
    binaries: possible base names of its executable (default: its own name).
    config: its default configuration file.
    http: its HTTP endpoints, None without an HTTP port.
    """

    name: str
    containers: tuple[str, ...] = ()
    usr1: str = DUMPS
    instead: str = ""
    carriers: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    config: str = ""
    http: Http | None = None

    @property
    def container_names(self) -> tuple[str, ...]:
        return self.containers or (self.name,)


_SERVER = ("server",)
_QUIT_INSTEAD = (
    "its only full dump is SIGQUIT, which ends the process; /debug/pprof/goroutine is not registered there either"
)


def _with_database(port: int, service_type: str, suffix: str = "") -> Http:
    """Return the endpoints of a service of the common framework with a database."""
    return Http(port, ENDPOINTS, service_type, suffix)


def _elsewhere(port: int, service_type: str) -> Http:
    """Return the endpoints of such a service from a repository of its own."""
    return Http(port, ENDPOINTS, service_type, pprof=PPROF_UNKNOWN)


_COMPONENTS = (
    Component("keystone", http=_with_database(30500, "identity", "/v3")),
    Component("region", http=_with_database(30888, "compute_v2")),
    Component("glance", http=_with_database(30292, "image", "/v1")),
    Component("logger", http=_with_database(30999, "log")),
    Component("notify", http=_with_database(30777, "notify")),
    Component("yunionconf", http=_with_database(30889, "yunionconf")),
    # Its application is mounted below /webconsole/ only, so /db_stats is not reachable.
    Component(
        "webconsole", containers=("web", "webconsole"), http=Http(30899, _ROUTER, "webconsole", pprof=PPROF_EXACT)
    ),
    Component(
        "apigateway",
        containers=("api", "apigateway"),
        binaries=("apigateway", "yunionapi"),
        http=Http(30300, service_type="yunionapi"),
    ),
    Component("ansibleserver", containers=_SERVER, http=_with_database(30890, "ansible")),
    Component("cloudnet", containers=_SERVER, http=_with_database(30891, "cloudnet")),
    Component("cloudproxy", containers=_SERVER, http=_with_database(30882, "cloudproxy")),
    Component("cloudevent", containers=_SERVER, http=_with_database(30892, "cloudevent")),
    Component("cloudid", containers=_SERVER, http=_with_database(30893, "cloudid")),
    Component("cloudmon", http=Http(30931, service_type="cloudmon")),
    Component("devtool", http=_with_database(30997, "devtool")),
    Component("scheduledtask", http=_with_database(30978, "scheduledtask")),
    Component("s3gateway", http=Http(30884, service_type="s3gateway")),
    Component("vpcagent", http=Http(30932, service_type="vpcagent")),
    Component("apimap", http=_with_database(31999, "apimap")),
    Component("llm", http=_with_database(31512, "llm")),
    Component("aiproxy", http=_with_database(31513, "aiproxy")),
    Component("esxi-agent", http=Http(30883)),
    Component("baremetal-agent", http=Http(8879)),
    Component("host", config="/etc/yunion/host.conf", http=Http(8885)),
    # Its port is the host's + 40000, without TLS (pkg/hostimage).
    Component("host-image", http=Http(48885, scheme="http")),
    Component("host-deployer"),
    Component("host-health", carriers=("host",)),
    # Not built on the common framework.
    Component(
        "scheduler",
        usr1=NEVER,
        instead=_QUIT_INSTEAD,
        http=Http(30887, ("ping", "version"), "scheduler", pprof=PPROF_EXACT),
    ),
    Component(
        "monitor",
        usr1=NEVER,
        instead=_QUIT_INSTEAD,
        http=Http(30093, (*_ROUTER, "db_stats"), "monitor", pprof=PPROF_EXACT),
    ),
    Component("lbagent", usr1=NEVER, instead="its only full dump is SIGQUIT, which ends the process"),
    # A request for /stats makes its handler panic.
    Component(
        "mcp-server",
        usr1=NEVER,
        instead="its only full dump is SIGQUIT, which ends the process",
        http=Http(
            30876, ("ping", "version", "worker_stats", "process_stats"), "mcp-server", scheme="http", pprof=PPROF_NONE
        ),
    ),
    Component("region-dns", usr1=RELOADS, instead="read its log; CoreDNS has its own pprof plugin"),
    Component("host-sdnagent", containers=("sdnagent",), binaries=("sdnagent",), usr1=UNKNOWN, carriers=("host",)),
    # From repositories of their own. Their known endpoints are those that cloudmon queries.
    Component("kubeserver", usr1=UNKNOWN, http=Http(30442, _ROUTER, "k8s", "/api", pprof=PPROF_UNKNOWN)),
    Component("meter", usr1=UNKNOWN, http=_elsewhere(30909, "meter")),
    Component("billing", usr1=UNKNOWN, http=_elsewhere(30404, "billing")),
    Component("yunionagent", usr1=UNKNOWN, http=Http(30898, service_type="yunionagent", pprof=PPROF_UNKNOWN)),
    Component("autoupdate", usr1=UNKNOWN, http=_elsewhere(30981, "autoupdate")),
    Component("bastionhost", usr1=UNKNOWN, http=_elsewhere(30983, "bastionhost")),
    Component("suggestion", usr1=UNKNOWN, http=_elsewhere(30987, "suggestion")),
    Component("report", usr1=UNKNOWN, http=_elsewhere(30967, "report")),
    Component("extdb", usr1=UNKNOWN, http=_elsewhere(30991, "extdb")),
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

# Components that most others depend on, in order: for locks, for tokens, for servers.
FOUNDATIONS = ("etcd", "keystone", "region")

# Other names of components in the Keystone catalog, climc and alarms of Cloudpods: service types, and names that are
# no service type. Sources: cloudpods pkg/apis/const.go; climc rewrites compute to compute_v2
# (pkg/mcclient/session.go); service names of cloudpods-operator (pkg/apis/constants).
ALIASES: dict[str, str] = {
    **{
        one.http.service_type: one.name
        for one in _COMPONENTS
        if one.http and one.http.service_type not in ("", one.name)
    },
    "compute": "region",
    "region2": "region",
    "websocket": "apigateway",
    "baremetal": "baremetal-agent",
    "sdnagent": "host-sdnagent",
}

# Problem as the user sees it -> the suspected components (docs of Cloudpods, "getting the call stacks").
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
    """The selected components. named: the user named them, so a missing one is reported.

    scenario: the scenario in which they are suspected, "" if it is every component.
    """

    components: tuple[Component, ...]
    named: bool = False
    scenario: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(component.name for component in self.components)


def component_of(name: str) -> Component:
    """Return the catalog's entry of a component, or a plain entry if the catalog has none."""
    return COMPONENTS.get(name) or Component(name, usr1=UNKNOWN)


def component_name(name: str) -> str:
    """Resolve a name or alias of a component; return any other name as it is."""
    return name if name in COMPONENTS else ALIASES.get(name, name)


def unknown(selection: Selection) -> list[str]:
    """Return the selected names that are not in the catalog. They are valid if a pod has such a label."""
    return [name for name in selection.names if name not in COMPONENTS]


def no_component(name: str) -> str:
    """Return the message about a component name that does not exist."""
    found = [
        each if each in COMPONENTS else f"{each} ({ALIASES[each]})" for each in nearest(name, (*COMPONENTS, *ALIASES))
    ]
    if found:
        return f"there is no component '{name}'; did you mean {' or '.join(found)}?"
    return f"there is no component '{name}'; the known ones are: {', '.join(sorted(COMPONENTS))}"


def select(scenario: str = "", components: Sequence[str] = ()) -> Selection:
    """Select the components of a scenario, or only the named ones if there are any, by name or alias.

    ValueError lists the known scenarios. An unknown component is selected, too, because its pods may have such a label
    (see unknown()).
    """
    if components:
        names = list(dict.fromkeys(component_name(name.strip()) for name in components if name.strip()))
        return Selection(tuple(component_of(name) for name in names), named=True)
    scenario = scenario or DEFAULT_SCENARIO
    if scenario not in SCENARIOS:
        known = ", ".join(sorted(SCENARIOS))
        raise ValueError(
            f"unknown scenario '{scenario}'{did_you_mean(scenario, SCENARIOS)} The known ones are: {known}"
        )
    suspects = tuple(component_of(name) for name in SCENARIOS[scenario])
    if scenario == DEFAULT_SCENARIO:
        return Selection(suspects)
    return Selection(suspects, named=True, scenario=scenario)


def select_everything() -> Selection:
    """Select every component of the catalog."""
    return Selection(_COMPONENTS)


def label_values(selection: Selection) -> list[str]:
    """Return every value of the component label that instances of the selection may have.

    Read-only replicas have the label "<component>-slave". Older operators run some components in pods of another one.
    """
    values: list[str] = []
    for component in selection.components:
        for name in (component.name, *component.carriers):
            values += [name, name + SLAVE_SUFFIX]
    return list(dict.fromkeys(values))


def binary_paths(component: Component, directories: Iterable[str] = (BINARY_DIR,)) -> list[str]:
    """Return the possible paths of the component's executable."""
    names = component.binaries or (component.name,)
    return ["{}/{}".format(directory.rstrip("/"), name) for directory in directories for name in names]


def http_of(component: Component, ports: Sequence[int] = ()) -> Http | None:
    """Return the HTTP endpoints of a component, None if it has none.

    An unknown component gets the endpoints of the common framework, on the first TCP port that it declares.
    """
    if component.http is None and component.name not in COMPONENTS and ports:
        return Http(ports[0], pprof=PPROF_UNKNOWN)
    return component.http


def endpoint_path(name: str, database: str = "") -> str:
    """Return the path of an endpoint. database: for db_stats, one of the service's databases ("": the first one).

    ValueError if there is no such endpoint, or if the database's name has other characters than a name may have.
    """
    if name not in PATHS:
        near = did_you_mean(name, ENDPOINTS)
        raise ValueError(f"unknown endpoint '{name}'{near} The known ones are: {', '.join(ENDPOINTS)}")
    if not database:
        return PATHS[name]
    if name != "db_stats" or not _DATABASE.fullmatch(database):
        raise ValueError(f"'{name}' has no database '{database}'")
    return f"{PATHS[name]}/{database}"


def is_safe_path(path: str) -> bool:
    """Return whether endpoint_path() can make this path. Transports request no other path."""
    folder, _slash, database = path.rpartition("/")
    return path in PATHS.values() or (folder == PATHS["db_stats"] and _DATABASE.fullmatch(database) is not None)
