# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport to services at given URLs: only their HTTP port is reached, and any replica may answer."""

from __future__ import annotations

import datetime
import re
import ssl
from dataclasses import dataclass, replace
from typing import Mapping, NoReturn, Sequence
from urllib.parse import urlsplit

from ..catalog import Selection, component_of
from ..deadline import Deadline
from ..model import Instance, Workload
from ..reasons import CaptureError, Reason
from . import http_client as http
from .base import (
    Discovery,
    HttpAnswer,
    HttpTarget,
    LogStream,
    ProcessSession,
    SetupError,
    Sink,
    Transport,
    sort_instances,
)

_PREFIX = re.compile(r"[A-Za-z0-9._~/-]*")
_VERSION = re.compile(r"/v\d+(\.\d+)?\Z")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]+")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ServicePlace:
    """The parts of a service's URL. prefix: the path above its endpoints, mostly ""."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    def of(cls, url: str, suffix: str = "") -> ServicePlace:
        """Parse a URL without its version (as climc does) and without the catalog's suffix. Raise ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
            # The URL is not shown: it may contain a password.
            raise ValueError("the URL needs http or https, a host, and no user")
        path = _VERSION.sub("", parts.path.rstrip("/"))
        if suffix and path.endswith(suffix):
            path = path[: -len(suffix)]
        if not _PREFIX.fullmatch(path):
            raise ValueError(f"the URL has an unusable path: {http.error_text(path)}")
        return cls(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], path)

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class UrlTransport(Transport):
    """Transport to URLs that a user gave. Certificates are not verified, since nothing secret is sent."""

    name = "url"
    reaches_processes = False

    def __init__(self, urls: Mapping[str, Sequence[str]], cluster: str = "") -> None:
        self.cluster = cluster or "urls"
        self._urls = urls
        self._places: dict[tuple[str, str], ServicePlace] = {}

    def discover(self, selection: Selection, deadline: Deadline) -> Discovery:
        deadline.check()
        found = Discovery()
        for name in selection.names:
            for url in self._urls.get(name, ()):
                try:
                    found.instances.append(self._instance(name, url))
                except ValueError as error:
                    raise SetupError(f"urls of {name}: {error}") from error
        found.instances = sort_instances(found.instances)
        return found

    def _instance(self, component: str, url: str, region: str = "") -> Instance:
        """Return the instance of a URL. The same URL always gives the same name."""
        known = component_of(component)
        place = ServicePlace.of(url, known.http.suffix if known.http else "")
        base = component + "-" + _NOT_IN_NAMES.sub("-", place.host).strip("-")
        name, number = base, 1
        while self._places.setdefault((component, name), place) != place:
            number += 1
            name = f"{base}-{number}"
        return Instance(
            cluster=self.cluster,
            component=component,
            name=name,
            namespace=region,
            node=place.host,
            address=place.host,
            ports=(place.port,),
        )

    def _place(self, instance: Instance) -> ServicePlace:
        try:
            return self._places[instance.component, instance.name]
        except KeyError as error:
            raise CaptureError(Reason.GONE, f"no URL of {instance.name} is known here") from error

    def _exchange(
        self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int, sink: Sink
    ) -> HttpAnswer:
        return self._ask(instance, target, deadline, max_bytes, sink, http.unverified(), {})

    def _ask(
        self,
        instance: Instance,
        target: HttpTarget,
        deadline: Deadline,
        max_bytes: int,
        sink: Sink,
        tls: ssl.SSLContext,
        headers: Mapping[str, str],
    ) -> HttpAnswer:
        """Send a request. The URL decides on port and TLS, not the target."""
        place = self._place(instance)
        return http.get(
            http.to_address([place.host], place.port),
            replace(target, path=place.prefix + target.path),
            deadline,
            max_bytes,
            tls if place.scheme == "https" else None,
            dict(headers, Host=place.host_header),
            place.host,
            sink,
        )

    def certificate(self, instance: Instance, target: HttpTarget, deadline: Deadline) -> bytes | None:
        del target
        place = self._place(instance)
        if place.scheme != "https":
            return None
        return http.certificate(http.to_address([place.host], place.port), deadline, place.host)

    def workloads(self, selection: Selection, deadline: Deadline) -> list[Workload]:
        del selection, deadline
        return []

    def read_log(self, instance: Instance, seconds: int, deadline: Deadline, max_bytes: int) -> bytes:
        del seconds, max_bytes
        self._refuse(instance, deadline)

    def open_log(self, instance: Instance, deadline: Deadline) -> LogStream | None:
        self._refuse(instance, deadline)

    def reopen_log(self, instance: Instance, since: datetime.datetime, deadline: Deadline) -> LogStream | None:
        del since
        self._refuse(instance, deadline)

    def open_process(self, instance: Instance, deadline: Deadline) -> ProcessSession:
        self._refuse(instance, deadline)

    def _refuse(self, instance: Instance, deadline: Deadline) -> NoReturn:
        deadline.check()
        raise CaptureError(Reason.HTTP_ONLY, self._place(instance).host)
