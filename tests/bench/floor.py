# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lower bound of a capture: threads, one exec and one followed log per pod, no Ansible, hardly any checks.

Usage: floor.py KUBECONFIG NAMESPACE LABEL FOLDER THREADS. Prints the number of dumps that add up to their total.
"""

from __future__ import annotations

import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

from kubernetes import client, config
from kubernetes.stream.ws_client import WSClient

TOTAL = re.compile(rb"^goroutine profile: total (\d+)$", re.MULTILINE)
BLOCK = re.compile(rb"^(\d+) @ 0x", re.MULTILINE)
PATIENCE = 20.0  # seconds
SCRIPT = 'for p in /proc/[0-9]*; do [ "$(readlink $p/exe)" = /opt/yunion/bin/region ] && kill -USR1 ${p#/proc/}; done'


def capture(api: client.CoreV1Api, namespace: str, pod: str, folder: Path) -> bool:
    log = api.read_namespaced_pod_log(pod, namespace, follow=True, tail_lines=1, _preload_content=False)
    configuration = api.api_client.configuration
    query = [("command", part) for part in ("/bin/sh", "-c", SCRIPT)] + [("stdout", "true"), ("stderr", "true")]
    url = configuration.host.replace("https", "wss", 1)
    url += f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urlencode(query)}"
    headers = {setting["key"]: setting["value"] for setting in configuration.auth_settings().values()}
    session = WSClient(configuration, url, headers, capture_all=False, binary=True)
    session.run_forever(timeout=30)
    data, end = b"", time.monotonic() + PATIENCE
    for chunk in log.stream(65536):
        data += chunk
        total = TOTAL.search(data)
        # A log line inside a block's first line hides it, so that the sum is never reached.
        if time.monotonic() > end:
            break
        if total and sum(map(int, BLOCK.findall(data, total.end()))) >= int(total[1]):
            break
    log.close()
    (folder / f"{pod}.txt").write_bytes(data)
    return True


def main() -> None:
    kubeconfig, namespace, label, folder, threads = sys.argv[1:6]
    configuration = client.Configuration()
    config.load_kube_config(kubeconfig, client_configuration=configuration)
    configuration.connection_pool_maxsize = int(threads) * 2
    api = client.CoreV1Api(client.ApiClient(configuration))
    pods = [pod.metadata.name for pod in api.list_namespaced_pod(namespace, label_selector=label).items]
    with ThreadPoolExecutor(int(threads)) as pool:
        done = list(pool.map(lambda pod: capture(api, namespace, pod, Path(folder)), pods))
    print(sum(done))


if __name__ == "__main__":
    main()
