# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes manifests of the stand-in cloud, as the operator creates them. Pure: data in, plain dicts out.

Every function takes the namespace; `behaviour` is the value of the environment variable STANDIN (see
tests/lab/services/README.md), as a dict: {"log_rate": 300, "usr1": "ignore"}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy import images
from deploy.components import COMMON_CONFIG, COMPONENTS, CONFIG_DIR, DAEMON_SET, POD, Component, Container

Manifest = dict[str, Any]
Behaviour = Mapping[str, str | int | bool]

NAMESPACE = "onecloud"
CLUSTER = "default"  # name of the OnecloudCluster, the prefix of all names
DATABASE_PASSWORD = "standin-db-password"  # noqa: S105 a canary: it must never be seen outside the logs


def behaviour_text(behaviour: Behaviour | None) -> str:
    """Return the value of STANDIN. ValueError for a value that its format cannot carry."""
    words = []
    for key, value in (behaviour or {}).items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not text or len(text.split()) != 1:
            raise ValueError(f"behaviour {key}: {text!r} is not one word")
        words.append(f"{key}={text}")
    return " ".join(words)


def full_name(component: str, suffix: str = "") -> str:
    """Return the name of the workload, and of the ConfigMap."""
    return "-".join(part for part in (CLUSTER, component, suffix) if part)


def labels(component: str, *, slave: bool = False) -> dict[str, str]:
    """Return the labels of a component's pods, which are also the selector of its workload."""
    value = f"{component}-slave" if slave else component
    made = {
        "app": value,
        "app.kubernetes.io/component": value,
        "app.kubernetes.io/instance": f"onecloud-cluster-{CLUSTER}",
        "app.kubernetes.io/managed-by": "onecloud-operator",
        "app.kubernetes.io/name": "onecloud-cluster",
    }
    return {**made, "read-only": "true"} if slave else made


def namespace(name: str = NAMESPACE) -> Manifest:
    """Return the namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(component: str, *, namespace: str = NAMESPACE, suffix: str = "", extra: str = "") -> Manifest:
    """Return the configuration of a component: the key `config`. extra: further lines of it."""
    text = (
        f"sql_connection: mysql+pymysql://{component}:{DATABASE_PASSWORD}@{CLUSTER}-mysql:3306/yunioncloud\n"
        "enable_ssl: true\n" + extra
    )
    metadata = {"name": full_name(component, suffix), "namespace": namespace, "labels": labels(component)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config": text}}


def deployment(component: str, *, replicas: int = 1, slave: bool = False, **options: Any) -> Manifest:
    """Return a Deployment. options: as of `workload`."""
    made = workload(component, "Deployment", slave=slave, **options)
    made["spec"]["replicas"] = replicas
    return made


def daemonset(component: str, **options: Any) -> Manifest:
    """Return a DaemonSet. options: as of `workload`."""
    return workload(component, "DaemonSet", **options)


def workload(
    component: str, kind: str, *, namespace: str = NAMESPACE, suffix: str = "", slave: bool = False, **options: Any
) -> Manifest:
    """Return a Deployment or DaemonSet named after the component. options: as of `template`."""
    made = template(component, slave=slave, config=options.pop("config", full_name(component)), **options)
    selector = {"matchLabels": made["metadata"]["labels"]}
    name = full_name(f"{component}-slave" if slave else component, suffix)
    metadata = {"name": name, "namespace": namespace, "labels": labels(component, slave=slave)}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"selector": selector, "template": made},
    }


def pod(component: str, *, name: str, namespace: str = NAMESPACE, **options: Any) -> Manifest:
    """Return a pod of its own, like the members of etcd. options: as of `template`."""
    made = template(component, config=options.pop("config", full_name(component)), **options)
    metadata = {"name": name, "namespace": namespace, **made["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": made["spec"]}


def template(
    component: str,
    *,
    config: str,
    behaviour: Behaviour | None = None,
    slave: bool = False,
    variant: str = "",
    extra_labels: Mapping[str, str] | None = None,
    pod_extra: Mapping[str, Any] | None = None,
    container_extra: Mapping[str, Any] | None = None,
) -> Manifest:
    """Return the pod template of a component.

    config: name of the ConfigMap. variant: of the image. pod_extra and container_extra replace fields of the pod's spec
    and of the service's own container.
    """
    made = COMPONENTS[component]
    environment = [{"name": "STANDIN", "value": behaviour_text(behaviour)}] if behaviour else []
    service, *beside = made.containers
    first = container(service, images.name(component, variant), made, environment)
    first.update(ports_and_probe(made))
    others = [container(each, images.name(each.name), made, []) for each in beside]
    if slave:
        first["command"] = [*first["command"], "--is-slave-node"]
    spec: Manifest = {
        "containers": [{**first, **(container_extra or {})}, *others],
        "volumes": [{"name": "config", "configMap": {"name": config, "items": config_items(made)}}],
        "terminationGracePeriodSeconds": made.grace_seconds,
        "automountServiceAccountToken": False,
    }
    if made.init and not slave:
        spec["initContainers"] = [init_container(first)]
    if made.kind == DAEMON_SET:
        spec.update(hostNetwork=True, hostPID=True, hostIPC=True)
    if made.share_processes:
        spec["shareProcessNamespace"] = True
    own_labels = {"app": component} if made.kind == POD else labels(component, slave=slave)
    return {"metadata": {"labels": {**own_labels, **(extra_labels or {})}}, "spec": {**spec, **(pod_extra or {})}}


def container(made: Container, image: str, component: Component, environment: list[dict[str, str]]) -> Manifest:
    """Return one container. It requests no resources, because a hundred pods must fit on the lab's nodes."""
    context: dict[str, Any] = {"privileged": True} if component.privileged else {}
    if made.user is not None:
        context["runAsUser"] = made.user
    return {
        "name": made.name,
        "image": image,
        "imagePullPolicy": "Never",
        "command": list(made.command),
        "env": environment,
        "volumeMounts": [{"name": "config", "mountPath": CONFIG_DIR}],
        "securityContext": context,
    }


def ports_and_probe(component: Component) -> Manifest:
    """Return ports and probe of a service's container, with shorter periods than the operator's."""
    made: Manifest = {}
    if component.ports and component.kind != DAEMON_SET:
        made["ports"] = [{"containerPort": port, "protocol": "TCP"} for port in component.ports]
    if component.probe:
        request = {"path": "/ping", "port": component.ports[0], "scheme": "HTTPS"}
        made["readinessProbe"] = {"httpGet": request, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 2}
        if component.kind == DAEMON_SET:
            local = {"httpGet": {**request, "host": "localhost"}, "periodSeconds": 1, "failureThreshold": 300}
            made["startupProbe"] = local
    return made


def without_http(container: Manifest) -> Manifest:
    """Return a container of a service that does not listen."""
    return {key: value for key, value in container.items() if key not in {"ports", "readinessProbe", "startupProbe"}}


def init_container(service: Manifest) -> Manifest:
    """Return the init container of a service: the same command, which ends after the database migration."""
    return {
        **without_http(service),
        "name": "init",
        "command": [*service["command"], "--auto-sync-table", "--exit-after-db-init"],
    }


def config_items(component: Component) -> list[dict[str, str]]:
    """Return the paths of the ConfigMap's only key: under the component's own name, and at its command's path."""
    named = {word for word in component.containers[0].command if word.startswith(CONFIG_DIR)}
    paths = {f"{CONFIG_DIR}/{component.name}.conf", *named}
    if component.kind == DAEMON_SET:
        paths.add(COMMON_CONFIG)
    return [{"key": "config", "path": path[len(CONFIG_DIR) + 1 :]} for path in sorted(paths)]
