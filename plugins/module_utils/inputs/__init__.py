# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers of files that people send: folders, archives, compressed files, texts in any encoding.

Content is untrusted: everything is read as a stream, within limits, and nothing is extracted to disk.
Formats are recognised by content, not by name. What the content means (dump, profile, bundle) is for the packages
that read it; signatures.py only names it for error messages. Start with inputs.py.
"""
