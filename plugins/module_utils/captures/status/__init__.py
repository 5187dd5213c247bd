# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect status documents: endpoints, certificates and log keywords.

Start with collector.py: what is asked and in which order. job.py holds the questions of one sample. How answers are
parsed, and what the documents hold, is ../../status.
"""
