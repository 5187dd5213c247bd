# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log in to Keystone with climc's settings, renew the token, and read the service catalog.

Sources: cloudpods cmd/climc/entry (variables), pkg/mcclient (endpoint types); Keystone's API v3.
"""

from __future__ import annotations

import datetime
import threading
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ...deadline import Deadline, DeadlineExceeded, in_time
from ...libraries import missing_here_message
from ...reasons import CaptureError, Reason
from ...redact import sent_credentials
from ...sanitize import clean
from ..base import SetupError
from ..http_client import error_text
from .signing import login_body

CONNECT_SECONDS = 10.0
INTERFACES = ("internal", "public", "admin")
# The endpoint type for access through the API gateway, and the path in its auth_url.
GATEWAY, GATEWAY_PATH = "apigateway", "/api/s"

# Setting -> environment variables, those of climc first.
VARIABLES = {
    "auth_url": ("OS_AUTH_URL",),
    "username": ("OS_USERNAME",),
    "password": ("OS_PASSWORD",),
    "token": ("OS_AUTH_TOKEN", "OS_TOKEN"),
    "access_key": ("OS_ACCESS_KEY",),
    "secret_key": ("OS_SECRET_KEY",),
    "project_name": ("OS_PROJECT_NAME",),
    "project_domain": ("OS_PROJECT_DOMAIN", "OS_PROJECT_DOMAIN_NAME"),
    "user_domain": ("OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME"),
    "region_name": ("OS_REGION_NAME",),
    "endpoint_type": ("OS_ENDPOINT_TYPE", "OS_INTERFACE"),
    "cacert": ("OS_CACERT",),
    "insecure": ("YUNION_INSECURE", "OS_INSECURE"),
}
_TRUE = ("1", "t", "true", "yes", "on")


@dataclass(frozen=True)
class LoginSettings:
    """Settings of a login, and the selection of URLs from the catalog. auth_url ends in /v3.

    gateway: the API gateway through which the services are reached, "" for direct access.
    """

    auth_url: str
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    project_name: str = ""
    project_domain: str = "Default"
    user_domain: str = "Default"
    region_name: str = ""
    interface: str = "internal"
    gateway: str = ""
    cacert: str = ""
    insecure: bool = False

    @property
    def secrets(self) -> list[str]:
        """Return the secrets that are set."""
        return [secret for secret in (self.password, self.token, self.secret_key) if secret]

    @property
    def verify(self) -> str | bool:
        return False if self.insecure else self.cacert or True


def settings_of(params: Mapping[str, Any], environment: Mapping[str, str]) -> LoginSettings:
    """Return the settings from options, and from environment variables for unset options. Raise SetupError."""
    values: dict[str, Any] = {}
    for name, variables in VARIABLES.items():
        given = params.get(name)
        found = [environment[variable] for variable in variables if environment.get(variable)]
        if given not in (None, ""):
            values[name] = given
        elif found:
            values[name] = found[0].lower() in _TRUE if name == "insecure" else found[0]
    url = values.get("auth_url", "").rstrip("/")
    if not url:
        raise SetupError("The transport keystone needs auth_url, or the variable OS_AUTH_URL.")
    if url.endswith("/v2.0"):
        raise SetupError("The transport keystone needs an auth_url of version 3 (/v3).")
    values["auth_url"] = url if url.endswith("/v3") else url + "/v3"
    ways = (("token",), ("access_key", "secret_key"), ("username", "password"))
    if not any(all(values.get(name) for name in way) for way in ways):
        raise SetupError(
            "The transport keystone needs a username and a password, an access key and its secret, or a token "
            "(OS_USERNAME, OS_ACCESS_KEY, …)."
        )
    values["interface"], values["gateway"] = _interface_of(
        str(values.pop("endpoint_type", "internalURL")), values["auth_url"]
    )
    return LoginSettings(**values)


def _interface_of(endpoint_type: str, auth_url: str) -> tuple[str, str]:
    """Return the interface of an endpoint type, and the API gateway or "". Raise SetupError."""
    if endpoint_type == GATEWAY:
        gateway, found, _version = auth_url.rpartition(f"{GATEWAY_PATH}/identity")
        if not found:
            raise SetupError(
                f"The endpoint type {GATEWAY} needs an auth_url such as https://gateway/api/s/identity/v3."
            )
        return INTERFACES[0], gateway
    interface = endpoint_type[:-3] if endpoint_type.endswith("URL") else endpoint_type
    if interface not in INTERFACES:
        given = error_text(endpoint_type)
        raise SetupError(f"The endpoint type {given} is none of internalURL, publicURL, adminURL, {GATEWAY}.")
    return interface, ""


def urls_in(catalog: Any, service_type: str, region: str, interface: str) -> list[tuple[str, str]]:
    """Return (region, URL) of a service's endpoints in Keystone's catalog; region "" means all. Pure."""
    found = []
    for service in _dicts(catalog):
        if service.get("type") != service_type:
            continue
        for endpoint in _dicts(service.get("endpoints")):
            place = clean(str(endpoint.get("region") or endpoint.get("region_id") or ""))
            url = endpoint.get("url")
            if endpoint.get("interface") == interface and isinstance(url, str) and region in ("", place):
                found.append((place, url))
    return list(dict.fromkeys(found))


def through_gateway(gateway: str, service_type: str, region: str, url: str) -> str:
    """Return the gateway's URL of a service (cloudpods pkg/mcclient/session.go). Pure."""
    place = f"/r/{region}" if region else ""
    path = url.partition("://")[2].partition("/")[2]
    return f"{gateway}{GATEWAY_PATH}/{service_type}{place}/{path}".rstrip("/")


def _dicts(items: Any) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, (list, tuple)) else []


class Login:
    """Login session that renews its token. Safe for threads. Raises SetupError without the library."""

    def __init__(self, settings: LoginSettings) -> None:
        try:
            import keystoneauth1.access
            import keystoneauth1.exceptions
            import keystoneauth1.identity.v3
            import keystoneauth1.session
            import requests
        except ImportError as error:
            raise SetupError(f"{missing_here_message('keystoneauth1')} ({error}).") from error
        self._library = keystoneauth1
        self._requests = requests
        self._settings = settings
        self._lock = threading.Lock()
        self._access: Any = None
        # True if our clock and Keystone's agree. If not, expiry times are ignored: else every request would log in.
        self._has_time = False

    def token(self, deadline: Deadline, ended: str = "") -> str:
        """Return a token other than the expired one `ended`. Raise CaptureError or DeadlineExceeded."""
        token = str(self._logged_in(deadline, ended).auth_token)
        sent_credentials.remember(token)
        return token

    def catalog(self, deadline: Deadline) -> Any:
        """Return Keystone's catalog. Raise CaptureError or DeadlineExceeded."""
        return self._logged_in(deadline, "").service_catalog.catalog

    def forget(self) -> None:
        """Drop the token, so that the next request logs in again."""
        self._access = None

    def _logged_in(self, deadline: Deadline, ended: str) -> Any:
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise DeadlineExceeded(deadline.scope)
        try:
            access = self._access
            if access is None or access.auth_token == ended or (self._has_time and access.will_expire_soon()):
                self._access, self._has_time = in_time(deadline, lambda: self._log_in(deadline), "login")
            return self._access
        finally:
            self._lock.release()

    def _log_in(self, deadline: Deadline) -> tuple[Any, bool]:
        """Return the library's access object, and whether its expiry time is usable."""
        errors = self._library.exceptions
        try:
            with self._requests.Session() as connections:
                session = self._library.session.Session(
                    session=connections,
                    verify=self._settings.verify,
                    timeout=min(CONNECT_SECONDS, deadline.remaining()),
                    # The credentials are meant for this host only.
                    redirect=False,
                    app_name="cloudpods.diagnostics",
                )
                access = self._by_key(session) if self._uses_key else self._plugin().get_access(session)
                _check(access.auth_token, access.service_catalog.catalog)
                return access, not access.will_expire_soon()
        except (errors.Unauthorized, errors.Forbidden) as error:
            if _is_html(error):
                words = f"HTTP status {error.http_status}, not from Keystone: {self._safe(error)}"
                raise CaptureError(Reason.UNREACHABLE, words) from None
            raise CaptureError(Reason.AUTH_FAILED, self._safe(error)) from None
        except (errors.ClientException, self._requests.RequestException, OSError) as error:
            # The library has renamed its own exception over time.
            is_tls = isinstance(error.__context__, self._requests.exceptions.SSLError)
            reason = Reason.TLS_FAILED if is_tls else Reason.UNREACHABLE
            raise CaptureError(reason, "Keystone: " + self._safe(error)) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CaptureError(Reason.NOT_JSON, "Keystone: " + self._safe(error)) from None

    @property
    def _uses_key(self) -> bool:
        """Return whether to log in with the key. As in climc, a token precedes a key, and a key a password."""
        return bool(self._settings.access_key and self._settings.secret_key and not self._settings.token)

    def _by_key(self, session: Any) -> Any:
        """Log in with an access key, for which the library has no plugin."""
        settings, url = self._settings, self._settings.auth_url + "/auth/tokens"
        body = login_body(settings.access_key, settings.secret_key, url, datetime.datetime.now(datetime.timezone.utc))
        headers = {"Accept": "application/json"}
        answer = session.post(url, json=body, headers=headers, authenticated=False, log=False)
        return self._library.access.create(resp=answer)

    def _plugin(self) -> Any:
        settings, v3 = self._settings, self._library.identity.v3
        scope = {}
        if settings.project_name:
            scope = {"project_name": settings.project_name, "project_domain_name": settings.project_domain}
        if settings.token:
            return v3.Token(settings.auth_url, settings.token, **scope)
        return v3.Password(
            settings.auth_url,
            username=settings.username,
            password=settings.password,
            user_domain_name=settings.user_domain,
            **scope,
        )

    def _safe(self, error: BaseException) -> str:
        """Return an error's text, which a peer may have written, without our secrets."""
        text = str(error)
        for secret in self._settings.secrets:
            text = text.replace(secret, "***")
        return error_text(text)


def _is_html(error: Any) -> bool:
    """Return whether the answer is HTML, so a proxy's or load balancer's: Keystone answers in JSON."""
    return getattr(getattr(error, "response", None), "content", b"").lstrip()[:1] == b"<"


def _check(token: object, catalog: object) -> None:
    if not isinstance(token, str) or not token.isprintable() or not isinstance(catalog, Sequence):
        raise ValueError("the answer has no token or no catalog")
