#!/bin/sh
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The documented procedure, pod by pod: read the version, find the process, signal it, copy the stacks from the log.
# Usage: kubectl_loop.sh KUBECTL KUBECONFIG NAMESPACE LABEL FOLDER
set -eu
kubectl=$1 namespace=$3 label=$4 folder=$5
export KUBECONFIG="$2"
for pod in $("$kubectl" -n "$namespace" get pods -l "$label" -o name); do
  name=${pod#pod/}
  "$kubectl" -n "$namespace" exec "$name" -- /opt/yunion/bin/region -v > "$folder/$name.version"
  pid=$("$kubectl" -n "$namespace" exec "$name" -- ps | awk '$0 ~ "/opt/yunion/bin/region" { print $1; exit }')
  since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  "$kubectl" -n "$namespace" exec "$name" -- kill -s USR1 "$pid"
  # The procedure has no event to wait for.
  sleep 1
  "$kubectl" -n "$namespace" logs "$name" --since-time="$since" > "$folder/$name.txt"
done
