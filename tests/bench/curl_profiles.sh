#!/bin/sh
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The bare CPU profiles of all pods of a namespace at once, through `kubectl proxy`, without any analysis.
# Usage: curl_profiles.sh KUBECTL KUBECONFIG NAMESPACE PROXY FOLDER SECONDS
set -eu
kubectl=$1 namespace=$3 proxy=$4 folder=$5 seconds=$6
export KUBECONFIG="$2"
"$kubectl" -n "$namespace" get pods \
  -o jsonpath='{range .items[*]}{.metadata.name}{" "}{.spec.containers[0].ports[0].containerPort}{"\n"}{end}' |
  while read -r pod port; do
    printf 'url = "%s/api/v1/namespaces/%s/pods/https:%s:%s/proxy/debug/pprof/profile?seconds=%s"\noutput = "%s/%s.pb.gz"\n' \
      "$proxy" "$namespace" "$pod" "$port" "$seconds" "$folder" "$pod"
  done |
  curl -sSf -A yunioncloud-go/201708 --parallel --parallel-immediate --parallel-max 50 --config -
