#!/bin/sh
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Start a few stand-in services with planted trouble as ordinary processes, capture their goroutine dumps with the
# playbook, show its table, the bundle and a part of the report, and stop the services. `make demo` creates the
# environment and runs this script.
set -eu

cd "$(dirname "$0")/../.."
services=$(mktemp -d)
output=${XDG_CACHE_HOME:-$HOME/.cache}/cloudpods-diagnostics/demo

stop() {
  python3 tests/lab/deploy/processes.py stop --dir "$services" > /dev/null
  rm -rf "$services"
}
trap stop EXIT
trap 'exit 130' INT TERM

# Ansible uses the same folder, so that the run leaves nothing in the user's home.
export ANSIBLE_HOME="$services/ansible" ANSIBLE_REMOTE_TMP="$services/ansible/tmp"
# Without an inventory this machine is the only access point, as intended.
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false

echo "Starting stand-in services below $services (a first run builds them)."
python3 tests/lab/deploy/processes.py start --dir "$services" > /dev/null

ansible-playbook playbooks/capture_stacks.yml \
  -e cloudpods_transport=host \
  -e cloudpods_components=region,keystone,glance,host,host-deployer,notify,scheduler \
  -e "cloudpods_binary_dir=$services/opt/yunion/bin" \
  -e "cloudpods_output=$output"

latest=$(find "$output" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p/\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
echo "The report, ready to be pasted into an issue: ${latest}issue.md"
echo "The report on region, up to the second group of stacks:"
echo
awk '/^## / { on = ($2 == "region") } on { print } on && /^```$/ && ++groups == 2 { exit }' "${latest}issue.md"
