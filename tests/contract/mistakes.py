# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in variables, and the sentences that each playbook must show about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STACKS, LOGS, AUDIT, PROFILES = "capture_stacks", "watch_logs", "audit_health", "capture_profiles"
PLAYBOOKS = (STACKS, LOGS, AUDIT, PROFILES)
SCENARIOS = "deadlock, kvm_image, kvm_server, other_server, slow_system or vmware_server"


@dataclass(frozen=True)
class Mistake:
    """Variables and the sentence about them; {role} is the playbook. playbooks: those for which it is a mistake."""

    variables: dict[str, Any]
    text: str
    playbooks: tuple[str, ...] = PLAYBOOKS


MISTAKES = {
    # Names.
    "misspelt": Mistake(
        {"cloudpods_timout": 5}, "There is no variable cloudpods_timout; did you mean cloudpods_timeout?"
    ),
    "singular": Mistake(
        {"cloudpods_component": "region"},
        "There is no variable cloudpods_component; did you mean cloudpods_components?",
    ),
    "a word of it": Mistake(
        {"cloudpods_count": 3}, "There is no variable cloudpods_count; did you mean cloudpods_dump_count?"
    ),
    "like none": Mistake(
        {"cloudpods_zzzz": 1},
        "There is no variable cloudpods_zzzz. Next: ansible-doc -t role cloudpods.diagnostics.{role} "
        "lists the variables.",
    ),
    # Numbers.
    "no number": Mistake(
        {"cloudpods_timeout": "abc"}, "cloudpods_timeout is 'abc'. It has to be a number of seconds from 0.1 to 86400."
    ),
    "with a unit": Mistake(
        {"cloudpods_deadline": "5m"}, "cloudpods_deadline is '5m'. It has to be a number of seconds from 0.1 to 604800."
    ),
    "too small": Mistake(
        {"cloudpods_concurrency": 0}, "cloudpods_concurrency is 0. It has to be a whole number from 1 to 1000."
    ),
    "a list": Mistake(
        {"cloudpods_node_concurrency": [1]},
        "cloudpods_node_concurrency is [1]. It has to be a whole number from 1 to 1000.",
    ),
    "of one playbook": Mistake(
        {"cloudpods_samples": "two"},
        "cloudpods_samples is 'two'. It has to be a whole number from 1 to 1000.",
        (AUDIT,),
    ),
    "a size": Mistake(
        {"cloudpods_max_bytes": "64MiB"},
        "cloudpods_max_bytes is '64MiB'. It has to be a whole number of bytes from 1 to 17179869184.",
        (STACKS,),
    ),
    "too long to ask": Mistake(
        {"cloudpods_cpu_seconds": 90},
        "cloudpods_cpu_seconds is 90. More than 60 seconds slow a service down for long, so cloudpods_profile_force "
        "has to be true for it.",
        (PROFILES,),
    ),
    "of the terminal": Mistake(
        {"cloudpods_progress_seconds": "often"},
        "cloudpods_progress_seconds is 'often'. It has to be a number of seconds from 0 to 86400.",
    ),
    # Choices.
    "scenario": Mistake(
        {"cloudpods_scenario": "deadlok"},
        f"cloudpods_scenario is 'deadlok'; did you mean deadlock? It has to be {SCENARIOS}.",
    ),
    "transport": Mistake(
        {"cloudpods_transport": "ssh"},
        "cloudpods_transport is 'ssh'. It has to be kubernetes or host.",
        (STACKS, LOGS),
    ),
    "transport of others": Mistake(
        {"cloudpods_transport": "keystone"},
        "cloudpods_transport is 'keystone'. {role} takes kubernetes or host.",
        (STACKS, LOGS),
    ),
    "transport of what an audit calls": Mistake(
        {
            "cloudpods_transport": "url",
            "cloudpods_urls": {"region": "https://a:1"},
            "cloudpods_on_critical": "capture_stacks",
        },
        "cloudpods_transport is 'url'. capture_stacks takes kubernetes or host.",
        (AUDIT,),
    ),
    "policy": Mistake(
        {"cloudpods_fail_on": "fail"},
        "cloudpods_fail_on is 'fail'; did you mean failed? It has to be none, failed, partial or any.",
    ),
    "kinds": Mistake(
        {"cloudpods_on_hit": "capture_stacks,capture_stack"},
        "cloudpods_on_hit has 'capture_stack'; did you mean capture_stacks? It takes capture_stacks, capture_profiles "
        "and status, with commas between them.",
        (LOGS,),
    ),
    "no boolean": Mistake(
        {"cloudpods_validate_certs": "maybe"}, "cloudpods_validate_certs is 'maybe'. It has to be true or false."
    ),
    # Lists, names, dictionaries.
    "components": Mistake(
        {"cloudpods_components": "region;glance"},
        "cloudpods_components has 'region;glance'. It takes names of components, with commas between them.",
    ),
    "namespace": Mistake(
        {"cloudpods_namespace": ["onecloud", "One_Cloud"]},
        "cloudpods_namespace has 'One_Cloud'. It takes names of namespaces, with commas between them.",
    ),
    "folder": Mistake(
        {"cloudpods_binary_dir": "opt/yunion"},
        "cloudpods_binary_dir has 'opt/yunion'. It takes absolute paths of folders, with commas between them.",
    ),
    "dictionary": Mistake(
        {"cloudpods_thresholds": "high"}, "cloudpods_thresholds is a text. It has to be a dictionary.", (AUDIT,)
    ),
    "patterns": Mistake(
        {"cloudpods_log_patterns": [{"id": "slow"}]},
        "cloudpods_log_patterns: pattern 1 (slow): texts must be a list of 1 to 20 texts.",
        (LOGS,),
    ),
    "urls": Mistake(
        {"cloudpods_transport": "url", "cloudpods_urls": {"regoin": "https://a:1"}},
        "cloudpods_urls: there is no component 'regoin'; did you mean region or region2 (region)?",
        (AUDIT, PROFILES),
    ),
    "content as text": Mistake(
        {"cloudpods_kubeconfig": "apiVersion: v1\nusers: [{token: hush}]\n"},
        "cloudpods_kubeconfig is the text of a kubeconfig. It has to be the path of a kubeconfig, or a dictionary with "
        "its content.",
    ),
    # Files on the controller.
    "file": Mistake(
        {"cloudpods_baseline": "/nonexistent/health.json"},
        "cloudpods_baseline is '/nonexistent/health.json'. There is no /nonexistent/health.json on the controller.",
        (AUDIT,),
    ),
    # Templates.
    "template": Mistake(
        {"cloudpods_cluster": "{{ of_nobody }}"}, "cloudpods_cluster cannot be evaluated: 'of_nobody' is undefined."
    ),
    # Under the role's own name.
    "option of the role": Mistake(
        {"{role}_timeout": "abc"}, "{role}_timeout is 'abc'. It has to be a number of seconds from 0.1 to 86400."
    ),
}


def of(playbook: str) -> dict[str, tuple[dict[str, Any], str]]:
    """Return the mistakes of a playbook: by name, the variables and the sentence."""
    return {
        name: (
            {key.replace("{role}", playbook): value for key, value in one.variables.items()},
            one.text.replace("{role}", playbook),
        )
        for name, one in MISTAKES.items()
        if playbook in one.playbooks
    }
