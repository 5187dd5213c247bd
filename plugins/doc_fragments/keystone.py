# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that modules share: services reached by their URLs. It has to stand before the fragment transport."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the transports keystone and url, and the choice of all four."""

    DOCUMENTATION = r"""
options:
  transport:
    description:
      - How instances are reached.
      - V(kubernetes) goes through the API server. It needs the Python library C(kubernetes) where the module runs, the
        collection kubernetes.core on the controller, and the rights in C(docs/rbac-audit.yml).
      - V(host) looks at the processes and log files of the machine that the module runs on, and asks them on their own
        ports. It needs root there, no library, and no API server.
      - V(keystone) asks the URLs in the catalog of Keystone, as C(climc) does, see O(keystone). It needs the Python
        library C(keystoneauth1) where the module runs. Behind one URL any replica may answer, and logs are not reached.
      - V(url) asks the URLs in O(urls), without authentication and without verifying certificates.
    type: str
    choices: [kubernetes, host, keystone, url]
    default: kubernetes
  keystone:
    description:
      - Who asks which Keystone, with O(transport=keystone).
      - What is left out is taken from the variables that C(climc) takes, in the environment of the module.
    type: dict
    suboptions:
      auth_url:
        description:
          - The URL of Keystone, version 3.
          - The default is the variable E(OS_AUTH_URL).
        type: str
      username:
        description: The default is the variable E(OS_USERNAME).
        type: str
      password:
        description: The default is the variable E(OS_PASSWORD).
        type: str
      token:
        description:
          - A token to log in with, instead of O(keystone.username) and O(keystone.password).
          - The default is the variable E(OS_AUTH_TOKEN).
        type: str
      access_key:
        description:
          - An access key to log in with, instead of O(keystone.username) and O(keystone.password). It has its project.
          - The default is the variable E(OS_ACCESS_KEY).
        type: str
      secret_key:
        description:
          - The secret of O(keystone.access_key), which is not sent.
          - The default is the variable E(OS_SECRET_KEY).
        type: str
      project_name:
        description: The default is the variable E(OS_PROJECT_NAME).
        type: str
      project_domain:
        description: The default is the variable E(OS_PROJECT_DOMAIN), or V(Default).
        type: str
      user_domain:
        description: The default is the variable E(OS_DOMAIN_NAME), or V(Default).
        type: str
      region_name:
        description:
          - Only URLs of this region are asked.
          - The default is the variable E(OS_REGION_NAME), or all regions.
        type: str
      endpoint_type:
        description:
          - The default is the variable E(OS_ENDPOINT_TYPE), or V(internalURL).
          - With V(apigateway) all services are asked through the API gateway, which has to allow it
            (C(enable_backend_service_proxy)); O(keystone.auth_url) is its C(https://gateway/api/s/identity/v3) then.
        type: str
        choices: [internalURL, publicURL, adminURL, apigateway]
      cacert:
        description:
          - A file with the certificates of the authorities that Keystone and the services are verified by.
          - The default is the variable E(OS_CACERT), or the authorities of the system.
        type: path
      insecure:
        description:
          - Do not verify certificates. The password and the token can be read by whoever sits in between then.
          - The default is the variable E(YUNION_INSECURE), or V(false).
        type: bool
  urls:
    description:
      - A component's name and its URL, or a list of its URLs, for each component to ask, with O(transport=url).
      - 'For example C({region: "https://10.0.0.1:30888"}).'
    type: dict
    default: {}
"""
