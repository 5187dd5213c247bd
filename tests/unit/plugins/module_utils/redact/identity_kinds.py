# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of identities in logs, responses, documents and configuration. None is real.

KINDS: name -> (text, identity, kind). The text holds the identity once, as {}.
"""

from __future__ import annotations

HEX32 = "5f1d0c9b7a3e4d2c8b6a9e0f1c2d3b4a"
UUID = "3c9c2f0e-7b1d-4c57-9a52-0d8f6e2b1a77"

KINDS: dict[str, tuple[str, str, str]] = {
    # Addresses, by their form.
    "address": ("dial {} failed", "10.168.222.17", "ip"),
    "address with a port": ("GET /servers ({}:8240:vpcagent) 1.77ms", "10.168.222.18", "ip"),
    "address in a URL": ("https://{}:30888/v2", "10.168.222.19", "ip"),
    "address of a database": ("dial tcp({}:3306)/region", "10.168.222.20", "ip"),
    "network": ("route {}/24 via eth0", "10.168.222.21", "ip"),
    "address in a query, encoded": ("GET /x?ip%3D{}%3A80", "10.168.222.22", "ip"),
    "address behind an escape": ("message: one\\n{}\\tup", "10.168.222.23", "ip"),
    "address in color": ("\x1b[36m{}\x1b[0m is down", "10.168.222.24", "ip"),
    "address of version 6": ("listen on [{}]:443", "fd00:4f:21::17", "ip"),
    "address of version 6, mapped": ("from ::ffff:{} port 22", "10.168.222.25", "ip"),
    "address of version 6, link": ("via {}%eth0 dev", "fe80::5054:ff:fe3a:91c4", "ip"),
    "address of version 6 in a query": ("GET /x?ip={}&y=1", "fd00:4f:22::18", "ip"),
    "MAC": ("nic {} up", "52:54:00:3a:91:c4", "mac"),
    "MAC with dashes": ("nic {} up", "52-54-00-3a-91-c5", "mac"),
    "MAC in capitals": ("mac={},vlan=1", "52:54:00:3A:91:C6", "mac"),
    "UUID": ("guest not found {}", UUID, "id"),
    "UUID in a path": ("PUT /servers/{}/start 200", "8a7f3c1e-5b2d-4c57-9a52-0d8f6e2b1a78", "id"),
    "UUID of a pod, in a cgroup": ("/kubepods-pod{}.slice", "9b1f3c1e_5b2d_4c57_9a52_0d8f6e2b1a79", "id"),
    "hash of a host's name": (
        "[info 260102 03:04:05 appsrv.(*Application).ServeHTTP(appsrv.go:302)] {} 200 0e6739 GET /servers",
        "RFis4ZgMS1Rx4nO0G9xU7zvlxRw=",
        "id",
    ),
    # IDs without dashes, by the name of their field.
    "project's id": ('"project_id": "{}"', HEX32, "id"),
    "tenant's id": ("tenant_id={}", HEX32[::-1], "id"),
    "user's id": ('{{"userId":"{}"}}', "a" + HEX32[1:], "id"),
    "id of Keystone in a path": ("GET /v3/projects/{} 404", "b" + HEX32[1:], "id"),
    # Names, by the name of their field.
    "host": ("host={}", "kvm-rack7", "host"),
    "host, YAML": ("hostname: {}\nport: 1", "kvm-rack8", "host"),
    "host, JSON": ('{{"host": "{}", "n": 1}}', "athena", "host"),
    "host, JSON in JSON": ('{{"log": "{{\\"hostName\\":\\"{}\\"}}"}}', "hermes", "host"),
    "host, JSON in JSON in JSON": (
        '{{"a": "{{\\"b\\": \\"{{\\\\\\"host\\\\\\": \\\\\\"{}\\\\\\"}}\\"}}"}}',
        "artemis",
        "host",
    ),
    "host, struct of Go": ("{{Host:{} Port:3306}}", "apollon", "host"),
    "host, with a blank": ("host = {}", "kvm-rack9", "host"),
    "host in a URL": ("post https://{}:30888/v2: EOF", "kvm-rack10", "host"),
    "host in a URL with a user": ("amqp://guest@{}:5672/", "kvm-rack11", "host"),
    "host, option": ("climc --host {} list", "kvm-rack12", "host"),
    "host in prose": ("the host {} is offline", "kvm13", "host"),
    "host in prose, quoted": ('the host "{}" is offline', "poseidon", "host"),
    "host, full name": ("lookup {} on 10.96.0.10:53", "kvm-rack14.dc2.initrode.example", "host"),
    "host in capitals": ("HOSTNAME={}", "KVM-RACK15", "host"),
    "hosts, list of JSON": ('{{"hosts": ["kvm-rack16", "{}"]}}', "kvm-rack17", "host"),
    "domain of hosts": ("fqdn: kvm-rack18.{}", "dc3.initrode.example", "dns"),
    "host in a path": ("GET /hosts/{}/stats", "kvm-rack19", "host"),
    "name of a certificate": ('"subject": "CN={}, O=system"', "kvm-rack20", "host"),
    "registry": ("image: {}/cloudpods/region:v3.11.4", "harbor9.initrode.example", "host"),
    "node": ('{{"nodeName":"{}"}}', "minerva", "host"),
    "project": ('"project": "{}"', "blue-whale", "project"),
    "project, plain": ("project_name={}", "initrode", "project"),
    "project of several words": ('{{"project": "{}"}}', "Blue Whale 7", "project"),
    "project in another script": ('{{"tenant":"{}"}}', "生产环境", "project"),
    "tenant in a query": ("GET /servers?tenant={}&limit=3", "whale-prod", "project"),
    "tenant in a query, encoded": ("next=%2Fx%3Fproject%3D{}%26y", "whale-test", "project"),
    "project, environment": ("OS_PROJECT_NAME={}", "whale-stage", "project"),
    "project, option": ("climc --os-project-name {} server-list", "whalers", "project"),
    "user": ("user={}", "jdupont", "user"),
    "user, JSON": ('{{"user_name": "{}"}}', "mlefevre", "user"),
    "user, single quotes": ("user '{}' logged in", "cmoreau", "user"),
    "user with an address": ("user: {}@initrode.example", "a.bernard", "user"),
    "user in a home": ("/home/{}/go/src/x.go:12", "plaurent", "user"),
    "user, dict of Python": ("{{'username': '{}'}}", "ssimon", "user"),
    "user, object": ('"user": {{"id": "default", "name": "{}"}}', "dgarcia", "user"),
    "domain": ('"domain": "{}"', "initech-ldap", "domain"),
    "instance": ('"server": "{}"', "billing-db-1", "vm"),
    "instance, guest": ("guest_name={}", "billing-db-2", "vm"),
    "instance with its id": ("start {}(8a7f3c1e-5b2d-4c57-9a52-0d8f6e2b1a70) failed", "billing-db-3", "name"),
    "instance in a path": ("POST /servers/{}/stop", "billing-db-4", "vm"),
    "instance, XML": ("<instance>{}</instance>", "billing-db-5", "vm"),
    "pod": ("pod={}", "acme-glance-7d9c5b6f4-x2x4z", "pod"),
    "namespace": ("namespace: {}\n", "initech-cloud", "namespace"),
}


def planted(name: str) -> tuple[str, str]:
    """Return the text of a kind and its identity."""
    text, identity, _kind = KINDS[name]
    return text.format(identity), identity
