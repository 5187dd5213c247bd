# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared documentation of the transports keystone and url. List it before the fragment transport."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the transports keystone and url, and the choice of all four."""

    DOCUMENTATION = r"""
options:
  transport:
    description:
      - How instances are reached.
      - V(kubernetes) uses the API server. It needs the Python library C(kubernetes) where the module runs, the
        collection kubernetes.core on the controller, and the rights in C(docs/rbac-audit.yml).
      - V(host) uses the processes and log files of the machine where the module runs, and sends requests to their
        ports. It needs root there, no library, and no API server.
      - V(keystone) sends requests to the URLs in Keystone's catalog, as C(climc) does, see O(keystone). It needs the
        Python library C(keystoneauth1) where the module runs. Any replica behind a URL may answer. Logs cannot be read.
      - V(url) sends requests to the URLs in O(urls), without authentication and without verifying certificates.
    type: str
    choices: [kubernetes, host, keystone, url]
    default: kubernetes
  keystone:
    description:
      - The credentials and the URL of Keystone, with O(transport=keystone).
      - The defaults are the environment variables of C(climc), in the environment of the module.
    type: dict
    suboptions:
      auth_url:
        description:
          - The URL of Keystone, version 3.
          - The default is the variable E(OS_AUTH_URL).
        type: str
      username:
        description: The name of the user. The default is the variable E(OS_USERNAME).
        type: str
      password:
        description: The password of the user. The default is the variable E(OS_PASSWORD).
        type: str
      token:
        description:
          - A token to log in with, instead of O(keystone.username) and O(keystone.password).
          - The default is the variable E(OS_AUTH_TOKEN).
        type: str
      access_key:
        description:
          - An access key to log in with, instead of O(keystone.username) and O(keystone.password). It belongs to a
            project.
          - The default is the variable E(OS_ACCESS_KEY).
        type: str
      secret_key:
        description:
          - The secret of O(keystone.access_key). It is not sent.
          - The default is the variable E(OS_SECRET_KEY).
        type: str
      project_name:
        description: The name of the project. The default is the variable E(OS_PROJECT_NAME).
        type: str
      project_domain:
        description: The domain of the project. The default is the variable E(OS_PROJECT_DOMAIN), or V(Default).
        type: str
      user_domain:
        description: The domain of the user. The default is the variable E(OS_DOMAIN_NAME), or V(Default).
        type: str
      region_name:
        description:
          - The region whose URLs are used.
          - The default is the variable E(OS_REGION_NAME), or all regions.
        type: str
      endpoint_type:
        description:
          - The type of the URLs in the catalog. The default is the variable E(OS_ENDPOINT_TYPE), or V(internalURL).
          - V(apigateway) sends all requests through the API gateway, which must allow it
            (C(enable_backend_service_proxy)). O(keystone.auth_url) is then C(https://gateway/api/s/identity/v3).
        type: str
        choices: [internalURL, publicURL, adminURL, apigateway]
      cacert:
        description:
          - A file with the CA certificates that verify Keystone and the services.
          - The default is the variable E(OS_CACERT), or the authorities of the system.
        type: path
      insecure:
        description:
          - Do not verify certificates. A machine in between can then read the password and the token.
          - The default is the variable E(YUNION_INSECURE), or V(false).
        type: bool
  urls:
    description:
      - The URL, or a list of URLs, of each component, with O(transport=url).
      - 'For example C({region: "https://10.0.0.1:30888"}).'
    type: dict
    default: {}
"""
