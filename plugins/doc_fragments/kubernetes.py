# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared documentation of the connection to an API server."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the connection options of the transport kubernetes."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The path of a kubeconfig on the machine where the module runs, or the content of a kubeconfig as a dictionary.
      - Several paths are separated by V(:).
      - The default is the environment variable E(K8S_AUTH_KUBECONFIG).
      - Without it and without another option that says how to log in, the service account inside a pod is used, else
        the paths in E(KUBECONFIG), else C(~/.kube/config), else C(/etc/kubernetes/admin.conf) or
        C(/etc/rancher/k3s/k3s.yaml) if it is readable.
    type: raw
  context:
    description:
      - The name of the context in the kubeconfig to use.
      - The default is the environment variable E(K8S_AUTH_CONTEXT), or the current context of the kubeconfig.
    type: str
  host:
    description:
      - The URL of the API server.
      - Together with O(api_key), or O(username) and O(password), or O(client_cert) and O(client_key), no kubeconfig is
        read. Otherwise this URL replaces the one in the kubeconfig.
      - The default is the environment variable E(K8S_AUTH_HOST).
    type: str
  api_key:
    description:
      - A bearer token to log in with.
      - The default is the environment variable E(K8S_AUTH_API_KEY).
    type: str
  username:
    description:
      - The name of a user to log in with, for an API server that accepts HTTP basic authentication.
      - The default is the environment variable E(K8S_AUTH_USERNAME).
    type: str
  password:
    description:
      - The password of O(username).
      - The default is the environment variable E(K8S_AUTH_PASSWORD).
    type: str
  client_cert:
    description:
      - The path of a client certificate to log in with.
      - The default is the environment variable E(K8S_AUTH_CERT_FILE).
    type: path
    aliases: [cert_file]
  client_key:
    description:
      - The path of the private key of O(client_cert).
      - The default is the environment variable E(K8S_AUTH_KEY_FILE).
    type: path
    aliases: [key_file]
  ca_cert:
    description:
      - The path of a file with the CA certificates that verify the API server. It must contain the full chain.
      - The default is the environment variable E(K8S_AUTH_SSL_CA_CERT), or the kubeconfig.
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description:
      - Whether to verify the certificate of the API server. Without verification, a machine in between can read the
        credentials.
      - The default is the environment variable E(K8S_AUTH_VERIFY_SSL), or the kubeconfig.
    type: bool
    aliases: [verify_ssl]
  proxy:
    description:
      - The URL of an HTTP proxy for the connections to the API server.
      - The default is the environment variable E(K8S_AUTH_PROXY). Whether E(HTTPS_PROXY) is used as well depends on the
        release of the Python library C(kubernetes).
    type: str
  no_proxy:
    description:
      - Hosts, domains, IP addresses and networks that are reached without O(proxy), separated by commas.
      - For example V(localhost,.example.com,10.0.0.0/8).
      - The default is the environment variable E(K8S_AUTH_NO_PROXY).
    type: str
  proxy_headers:
    description:
      - Headers that are sent to O(proxy).
    type: dict
    suboptions:
      proxy_basic_auth:
        description:
          - The user and password of the proxy, separated by a colon. They go into the header C(Proxy-Authorization).
          - The default is the environment variable E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH).
        type: str
      basic_auth:
        description:
          - A user and password, separated by a colon. They go into the header C(Authorization).
          - The default is the environment variable E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH).
        type: str
      user_agent:
        description:
          - The header C(User-Agent).
          - The default is the environment variable E(K8S_AUTH_PROXY_HEADERS_USER_AGENT).
        type: str
  persist_config:
    description:
      - Whether to write a renewed token back into the kubeconfig. Use it with identity providers that invalidate the
        old refresh token when they issue a new one.
      - The default is the environment variable E(K8S_AUTH_PERSIST_CONFIG), or V(false).
    type: bool
  impersonate_user:
    description:
      - The name of the user to act as. The user that logs in needs the right to impersonate it.
      - The default is the environment variable E(K8S_AUTH_IMPERSONATE_USER).
    type: str
  impersonate_groups:
    description:
      - The groups to act as.
      - The default is the environment variable E(K8S_AUTH_IMPERSONATE_GROUPS), with the groups separated by commas.
    type: list
    elements: str
"""
