# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport to services at the URLs of Keystone's catalog, for use without access to Kubernetes.

A URL is mostly that of a Kubernetes Service, so any replica may answer.
"""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from ...catalog import Component, Selection
from ...deadline import Deadline
from ...model import Instance
from ...reasons import CaptureError, Reason, verdict
from ..base import Discovery, HttpAnswer, HttpTarget, SetupError, Sink, sort_instances
from ..url import UrlTransport
from .login import Login, LoginSettings, through_gateway, urls_in


class KeystoneTransport(UrlTransport):
    """Transport by one Keystone user. An instance's namespace is its region. Raises SetupError."""

    name = "keystone"

    def __init__(self, settings: LoginSettings, cluster: str = "") -> None:
        self._host = urlsplit(settings.auth_url).hostname or ""
        super().__init__({}, cluster or self._host)
        self._settings = settings
        self._login = Login(settings)
        self._tls = _context(settings)
        self._refusing: set[tuple[str, str]] = set()

    def close(self) -> None:
        self._login.forget()

    def discover(self, selection: Selection, deadline: Deadline) -> Discovery:
        found = Discovery()
        try:
            catalog = self._login.catalog(deadline)
        except CaptureError as error:
            found.problems.append((self._host, error.verdict))
            return found
        for component in selection.components:
            entries = self._entries(catalog, component)
            for region, url in entries:
                try:
                    found.instances.append(self._instance(component.name, url, region))
                except ValueError as error:
                    found.problems.append((region, verdict(Reason.NO_CATALOG_ENTRY, f"{component.name}: {error}")))
            if selection.named and not entries:
                found.problems.append((self._settings.region_name, verdict(Reason.NO_CATALOG_ENTRY, component.name)))
        found.instances = sort_instances(found.instances)
        return found

    def _entries(self, catalog: object, component: Component) -> list[tuple[str, str]]:
        """Return (region, URL) of a component. The service type of an unknown component is its name."""
        service_type = component.http.service_type if component.http else component.name
        found = urls_in(catalog, service_type, self._settings.region_name, self._settings.interface)
        gateway = self._settings.gateway
        if not gateway:
            return found
        # At the gateway, all URLs of a region are equal.
        there = [(region, through_gateway(gateway, service_type, region, url)) for region, url in found]
        return list(dict.fromkeys(there))

    def _exchange(
        self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int, sink: Sink
    ) -> HttpAnswer:
        token = self._login.token(deadline)
        answer = self._ask(instance, target, deadline, max_bytes, sink, self._tls, {"X-Auth-Token": token})
        key = instance.component, instance.name
        if answer.status == 401 and key not in self._refusing:
            # The token may have been revoked before its expiry.
            token = self._login.token(deadline, ended=token)
            answer = self._ask(instance, target, deadline, max_bytes, sink, self._tls, {"X-Auth-Token": token})
            if answer.status == 401:
                # The service refuses every token: do not log in for it again.
                self._refusing.add(key)
        return answer


def _context(settings: LoginSettings) -> ssl.SSLContext:
    """Return a TLS context that verifies the peer, since a token is sent. Raise SetupError."""
    try:
        context = ssl.create_default_context(cafile=settings.cacert or None)
    except (OSError, ssl.SSLError) as error:
        raise SetupError(f"The file {settings.cacert} holds no certificates that can be read: {error}") from error
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
