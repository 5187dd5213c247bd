# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates of a lab, by the `openssl` and `ssh-keygen` commands, and kubeconfigs."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .core import LabError, run, write

DAYS = "365"
EC_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@dataclass(frozen=True)
class Pair:
    """Certificate and its key, as files."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Certificate authority of the lab, which signs for servers and users."""

    directory: Path

    @property
    def pair(self) -> Pair:
        """Return the authority's own certificate and key."""
        return self.pair_of("ca")

    def pair_of(self, name: str) -> Pair:
        """Return the files of a certificate of this name, whether or not they exist."""
        return Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    def create(self) -> None:
        """Create the authority and the key pair that signs service account tokens."""
        self.directory.mkdir(parents=True, mode=0o700)
        own = self.pair
        openssl(
            "req", "-x509", *EC_KEY, "-keyout", own.key, "-out", own.cert, "-days", DAYS, "-subj", "/CN=lab",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
        )  # fmt: skip
        tokens = self.directory / "service-accounts.key"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", tokens)
        openssl("pkey", "-in", tokens, "-pubout", "-out", tokens.with_suffix(".pub"))

    def issue(self, name: str, user: str, groups: Sequence[str] = (), addresses: Sequence[str] = ()) -> Pair:
        """Sign a certificate for a user (CN, O). With addresses (SAN) it is a server's as well."""
        pair = self.pair_of(name)
        subject = "".join(f"/O={escaped(group)}" for group in groups) + f"/CN={escaped(user)}"
        usage = "clientAuth,serverAuth" if addresses else "clientAuth"
        names = ["-addext", f"subjectAltName={','.join(map(alternative_name, addresses))}"] if addresses else []
        openssl(
            "req", "-x509", *EC_KEY, "-keyout", pair.key, "-out", pair.cert, "-days", DAYS,
            "-CA", self.pair.cert, "-CAkey", self.pair.key, "-utf8", "-subj", subject,
            "-addext", "basicConstraints=critical,CA:false", "-addext", f"extendedKeyUsage={usage}", *names,
        )  # fmt: skip
        return pair


def openssl(*arguments: str | Path) -> None:
    """Run openssl; only their owner can read the keys."""
    run(["openssl", *arguments])


def escaped(text: str) -> str:
    """Escape a value for openssl's -subj; refuse one that is ambiguous there."""
    if not re.fullmatch(r"[A-Za-z0-9 .:@_/-]+", text):
        raise LabError(f"a user or group may hold letters, digits and . : @ _ / - only, not {text!r}")
    return text.replace("/", "\\/")


def alternative_name(address: str) -> str:
    """Return an entry of subjectAltName."""
    return ("IP:" if re.fullmatch(r"[0-9.]+", address) else "DNS:") + address


def kubeconfig(server: str, ca: Path, credentials: dict[str, str], lab: str, user: str) -> str:
    """Return a self-contained kubeconfig as text; JSON, which is YAML."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": lab, "cluster": {"server": server, "certificate-authority-data": encoded(ca)}}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": lab, "context": {"cluster": lab, "user": user}}],
            "current-context": lab,
        },
        indent=2,
    )


def certificate_credentials(pair: Pair) -> dict[str, str]:
    """Return the `user` of a kubeconfig that authenticates by certificate."""
    return {"client-certificate-data": encoded(pair.cert), "client-key-data": encoded(pair.key)}


def encoded(path: Path) -> str:
    """Return a file in base64."""
    return base64.b64encode(path.read_bytes()).decode()


def ssh_keys(key: Path) -> str:
    """Create an SSH key pair; return the public key's line."""
    key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key.name, "-f", key])
    return Path(f"{key}.pub").read_text()


def write_kubeconfig(path: Path, text: str) -> Path:
    """Write a kubeconfig that only its owner can read."""
    return write(path, text, 0o600)
