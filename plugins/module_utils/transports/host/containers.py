# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the container of a process from its cgroup, and the names that Kubernetes or Docker gave it.

No API server and no container runtime is needed: the kubelet names its log files after pods and containers.
Sources: kubelet pkg/kubelet/kuberuntime (BuildPodLogsDirectory, legacyLogSymlink), pkg/kubelet/cm (cgroup names);
docker's container store (config.v2.json).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from typing import Any

from ...catalog import Component

# The id comes last: alone (cgroupfs), between a prefix and ".scope" (systemd), or after a colon (runc without the
# systemd driver while the kubelet uses it). Cgroups nested inside the container follow it.
_CONTAINER_ID = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?=/|$)")
_POD_UID = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})")
_LOG_LINK = re.compile(r"(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<container>.+)-(?P<id>[0-9a-f]{64})\.log\Z")
_LOG_NUMBER = re.compile(r"(\d+)\.log\Z")
_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class NodePaths:
    """Paths of a node's files."""

    proc: str = "/proc"
    cgroups: str = "/sys/fs/cgroup"
    container_logs: str = "/var/log/containers"
    pod_logs: str = "/var/log/pods"
    docker: str = "/var/lib/docker"
    docker_config: str = "/etc/docker/daemon.json"


@dataclass(frozen=True)
class Placement:
    """The container of a cgroup, "" for none, and the uid of its pod, "" if unknown."""

    container_id: str = ""
    pod_uid: str = ""


@dataclass(frozen=True)
class ContainerNames:
    """Names of a container. log_file: the path of its current log, "" if there is none."""

    namespace: str = ""
    pod: str = ""
    container: str = ""
    restarts: int = 0
    log_file: str = ""
    image: str = ""
    image_id: str = ""


def cgroup_paths(text: str) -> dict[str, str]:
    """Return controller -> path from /proc/PID/cgroup; "" is the controller of the unified hierarchy (v2)."""
    paths = {}
    # Not splitlines(): the name of a cgroup may contain other line separators.
    for line in filter(None, text.split("\n")):
        _number, _colon, rest = line.partition(":")
        controllers, _colon, path = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def cgroup_folders(cgroups: str, text: str) -> list[str]:
    """Return the folders of the cgroups in /proc/PID/cgroup and of all their parents. Pure.

    Paths outside the reader's cgroup namespace ("/../…") are left out.
    """
    folders = []
    for controller, path in cgroup_paths(text).items():
        names = path.strip("/").split("/")
        if ".." in names:
            continue
        # Version 1 has a folder for each controller, including "name=systemd".
        base = os.path.join(cgroups, controller.rpartition("=")[2]) if controller else cgroups
        folders += [os.path.join(base, *names[:count]) for count in range(1, len(names) + 1)]
    return folders


def placement_of(text: str) -> Placement:
    """Return the innermost container in /proc/PID/cgroup (nodes may be containers themselves). Pure."""
    for path in cgroup_paths(text).values():
        ids = _CONTAINER_ID.findall(path)
        if ids:
            uids = _POD_UID.findall(path)
            return Placement(ids[-1], uids[-1].replace("_", "-") if uids else "")
    return Placement()


class Containers:
    """Names of a node's containers, read from its file system."""

    def __init__(self, layout: NodePaths) -> None:
        self._layout = layout
        self._links = _log_links(layout.container_logs)

    def names_of(self, placement: Placement, component: Component) -> ContainerNames:
        """Return the names of a container as far as they are known."""
        if not placement.container_id:
            return ContainerNames()
        return (
            self._by_link(placement.container_id)
            or self._by_docker(placement.container_id)
            or self._by_pod(placement.pod_uid, component)
            or ContainerNames()
        )

    def _by_link(self, container_id: str) -> ContainerNames | None:
        match = self._links.get(container_id)
        if match is None:
            return None
        path = os.path.join(self._layout.container_logs, match.string)
        with contextlib.suppress(OSError):
            path = os.path.join(self._layout.container_logs, os.readlink(path))
        return ContainerNames(match["namespace"], match["pod"], match["container"], _restarts(path), path)

    def _by_docker(self, container_id: str) -> ContainerNames | None:
        folder = os.path.join(self._docker_root(), "containers", container_id)
        config = _read_json(os.path.join(folder, "config.v2.json"))
        if not config:
            return None
        settings = config.get("Config") or {}
        labels = settings.get("Labels") or {}
        default_log = os.path.join(folder, f"{container_id}-json.log")
        return ContainerNames(
            namespace=labels.get("io.kubernetes.pod.namespace") or "",
            pod=labels.get("io.kubernetes.pod.name") or "",
            container=labels.get("io.kubernetes.container.name") or str(config.get("Name") or "").lstrip("/"),
            restarts=_number(
                labels.get("annotation.io.kubernetes.container.restartCount") or config.get("RestartCount")
            ),
            log_file=config.get("LogPath") or (default_log if os.path.exists(default_log) else ""),
            image=settings.get("Image") or "",
            image_id=config.get("Image") or "",
        )

    def _docker_root(self) -> str:
        config = _read_json(self._layout.docker_config)
        return str(config.get("data-root") or config.get("graph") or self._layout.docker)

    def _by_pod(self, pod_uid: str, component: Component) -> ContainerNames | None:
        """Find the names by the pod's log folder; the container only if it is unambiguous."""
        if not pod_uid:
            return None
        folder = next((name for name in _names(self._layout.pod_logs) if name.endswith("_" + pod_uid)), "")
        parts = folder.split("_")
        if len(parts) != 3:
            return None
        containers = _names(os.path.join(self._layout.pod_logs, folder))
        own = [name for name in containers if name in component.container_names] or containers
        if len(own) != 1:
            return ContainerNames(namespace=parts[0], pod=parts[1])
        log_file = _newest_log(os.path.join(self._layout.pod_logs, folder, own[0]))
        return ContainerNames(parts[0], parts[1], own[0], _restarts(log_file), log_file)


def memory_room(layout: NodePaths, cgroup: str) -> int | None:
    """Return the bytes that the container may still use, by its own and its pod's limit; None without a limit."""
    paths = cgroup_paths(cgroup)
    if "memory" in paths:
        base, path = os.path.join(layout.cgroups, "memory"), paths["memory"]
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    else:
        base, path = layout.cgroups, paths.get("", "/")
        names = ("memory.max", "memory.current", "inactive_file")
    rooms = []
    while path.strip("/"):
        with contextlib.suppress(OSError, ValueError):
            rooms.append(_room(base + path, names))
        path = os.path.dirname(path.rstrip("/"))
    known = [room for room in rooms if room is not None]
    return min(known) if known else None


def _room(folder: str, names: tuple[str, str, str]) -> int | None:
    limit_text = _read_text(os.path.join(folder, names[0])).strip()
    # Without a limit, version 2 has "max" and version 1 a number near 2^63.
    if limit_text == "max" or int(limit_text) >= _UNLIMITED:
        return None
    usage = int(_read_text(os.path.join(folder, names[1])))
    cache = 0
    for line in _read_text(os.path.join(folder, "memory.stat")).splitlines():
        key, _blank, value = line.partition(" ")
        if key == names[2]:
            cache = int(value)
    return int(limit_text) - (usage - cache)


def _log_links(folder: str) -> dict[str, re.Match[str]]:
    matches = (_LOG_LINK.match(name) for name in _names(folder))
    return {match["id"]: match for match in matches if match}


def _restarts(log_file: str) -> int:
    """Return the restarts from the number that the kubelet gives a container's log."""
    match = _LOG_NUMBER.search(log_file)
    return int(match.group(1)) if match else 0


def _number(value: Any) -> int:
    """Return an untrusted count (labels come from images), or 0."""
    return int(value) if str(value).isdigit() else 0


def _newest_log(folder: str) -> str:
    numbers = [int(match.group(1)) for match in map(_LOG_NUMBER.match, _names(folder)) if match]
    return os.path.join(folder, f"{max(numbers)}.log") if numbers else ""


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _read_text(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _read_json(path: str) -> dict[str, Any]:
    """Return the JSON object in a file, or an empty one if it cannot be read."""
    try:
        document = json.loads(_read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
