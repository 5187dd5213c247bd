# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport to services at the URLs of Keystone's catalog: HTTP requests only, no logs and no processes.

login.py reads the settings, logs in and renews the token; signing.py signs a login by access key (pure);
transport.py is the transport. keystoneauth1 and requests are imported when a login begins. Requests to services go
through transports/url.py. Start with transport.py.
"""
