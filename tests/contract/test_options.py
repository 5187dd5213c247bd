# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials in options: Ansible shows options with -vvv and masks secrets."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

TOKEN = "wJ4t-Kq92-token-of-the-run"  # noqa: S105 (not a real one)
PASSWORD = "s3cret-Qx71"  # noqa: S105 (the same)


def kubeconfig(word):
    """Return a kubeconfig for a closed port. word: a word in it besides the credentials."""
    return {
        "apiVersion": "v1",
        "clusters": [{"name": word, "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "x", "context": {"cluster": word, "user": "u"}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "current-context": "x",
    }


def run(module, **options):
    """Return the most verbose output of one call of a module."""
    command = ["ansible", "localhost", "-vvv", "-m", f"cloudpods.diagnostics.{module}", "-a", json.dumps(options)]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["stack_dump", "status_info", "log_watch", "profile_dump"])
def test_returns_path_of_captures_whatever_a_kubeconfig_contains(tmp_path, module):
    folder = tmp_path / "captures-of-today"
    options = {"kubeconfig": kubeconfig("captures-of-today"), "transport": "host", "components": ["region"]}
    options.update({"duration": 1} if module == "log_watch" else {})
    done = run(module, output=str(folder), binary_dirs=[str(tmp_path)], **options)
    assert done.returncode == 0, done.stdout
    assert f'"output": "{folder}"' in done.stdout
    assert (folder / "ledger.jsonl").exists()
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.slow
def test_shows_no_credentials_with_the_options():
    keystone = {
        "auth_url": f"https://u:{PASSWORD}@127.0.0.1:1/v3",
        "username": "u",
        "password": PASSWORD,
        "project": "p",
    }
    shown = run("status_info", transport="keystone", keystone=keystone, proxy=f"http://u:{PASSWORD}@127.0.0.1:1")
    assert shown.returncode != 0
    assert '"invocation"' in shown.stdout
    assert PASSWORD not in shown.stdout + shown.stderr
    shown = run("service_info", kubeconfig=kubeconfig("x"), api_key=TOKEN, proxy=f"http://u:{PASSWORD}@127.0.0.1:1")
    assert TOKEN not in shown.stdout + shown.stderr
    assert PASSWORD not in shown.stdout + shown.stderr


CAPTURING = ["stack_dump", "status_info", "log_watch", "profile_dump", "service_info"]


@pytest.mark.slow
@pytest.mark.parametrize("module", CAPTURING)
def test_shows_path_of_a_kubeconfig_with_any_wrong_option(tmp_path, module):
    path = str(tmp_path / "absent.conf")
    shown = run(module, kubeconfig=path, transport=path).stdout
    assert "value of transport must be one of: kubernetes, host" in shown
    assert f"got: {path}" in shown
    assert f'"kubeconfig": "{path}"' in shown
    assert "****" not in shown


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{}, {"deadline": "x"}, {"nobody": "x"}], ids=["none", "value", "name"])
@pytest.mark.parametrize("content", [kubeconfig("x"), f"apiVersion: v1\ntoken: {TOKEN}\n"], ids=["dict", "text"])
def test_hides_content_of_a_kubeconfig_in_every_form(content, wrong):
    shown = run("service_info", kubeconfig=content, **wrong)
    assert '"invocation"' in shown.stdout
    assert TOKEN not in shown.stdout
