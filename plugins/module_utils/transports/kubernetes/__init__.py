# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport through the API server of a Kubernetes cluster.

api.py does all I/O with the server; the modules that read its documents and texts (pods, fields, problem, exec_errors)
and that decide how to follow a log (continuity, log_position) are pure. What all transports share lies in the package
above; what a log's bytes mean lies in logtext. Only code for Kubernetes belongs here.
Start with transport.py; follow.py and continuity.py follow logs, exec_session.py and probe.sh look into containers.
"""
