#!/bin/sh
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The manual way through `kubectl proxy`: curl for every pod and endpoint.
# Usage: curl_loop.sh KUBECTL KUBECONFIG NAMESPACE LABEL PROXY FOLDER SAMPLES ENDPOINT...
set -eu
kubectl=$1 namespace=$3 label=$4 proxy=$5 folder=$6 samples=$7
export KUBECONFIG="$2"
shift 7
for pod in $("$kubectl" -n "$namespace" get pods -l "$label" -o jsonpath='{.items[*].metadata.name}'); do
  for sample in $(seq "$samples"); do
    for endpoint in "$@"; do
      curl -sSf -A yunioncloud-go/201708 -o "$folder/$pod-$endpoint-$sample" \
        "$proxy/api/v1/namespaces/$namespace/pods/https:$pod:30888/proxy/$endpoint"
    done
  done
done
