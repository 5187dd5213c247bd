# shellcheck shell=sh
# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PID 1 of a machine of the lab, until it becomes tini. It runs inside the new namespaces and lays
# out what the machine sees:
#   - the host's file system, with /etc and /var copy-on-write: what the machine writes there is its own
#     and vanishes with it;
#   - /home, /opt, /root, /run, /srv, /tmp, /dev/shm of its own, empty at first, and its directory of the
#     state as /run/lab;
#   - its own /sys;
#   - the control groups as seen from its own group, as on a real node.
# Arguments: the machine's directory, the directory of the Kubernetes binaries, the machine's name.
set -eu
machine=$1 kube=$2 name=$3

hostname "$name"

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lab /run/kube /run/lock /run/sshd /run/sysctl /run/cow
mount --bind "$machine" /run/lab
mount --bind "$kube" /run/kube
mount -o remount,bind,ro /run/kube
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /dev/shm

# Empty, so that what is found there came from a test; /etc and /var only copy-on-write.
for dir in /home /opt /root /srv; do
    mount -t tmpfs -o mode="$(stat -c %a "$dir")" tmpfs "$dir"
done
for dir in /etc /var; do
    mkdir -p "/run/cow$dir/upper" "/run/cow$dir/work"
    mount -t overlay -o "lowerdir=$dir,upperdir=/run/cow$dir/upper,workdir=/run/cow$dir/work" overlay "$dir"
done
mkdir -p /opt/yunion /var/log /var/lib/containerd /var/lib/kubelet
mount -t tmpfs -o mode=755 tmpfs /var/lib/containerd
mount -t tmpfs -o mode=755 tmpfs /var/lib/kubelet
mount --bind /run/lab/log /var/log

echo "$name" >/etc/hostname
cp /run/lab/etc/hosts /etc/hosts
# A locked root account may not log in, not even by key.
sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow

umount -R /sys
mount -t sysfs sysfs /sys
if grep -qv '^0::' /proc/self/cgroup; then
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    while IFS=: read -r id controllers _; do
        case $id:$controllers in
            0:) type=cgroup2 dir=unified options=rw ;;
            *:name=*) type=cgroup dir=${controllers#name=} options=none,$controllers ;;
            *) type=cgroup dir=$controllers options=$controllers ;;
        esac
        mkdir "/sys/fs/cgroup/$dir"
        mount -t "$type" -o "$options" cgroup "/sys/fs/cgroup/$dir"
        for controller in $(echo "$dir" | tr , ' '); do
            [ -e "/sys/fs/cgroup/$controller" ] || ln -s "$dir" "/sys/fs/cgroup/$controller"
        done
    done </proc/self/cgroup
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi

# The kubelet sets these for the whole kernel; here it finds files of the machine's own instead.
for key in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=/run/sysctl/$(echo "${key%=*}" | tr / .)
    echo "${key#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${key%=*}"
done

mount --make-rshared /
: >/run/lab/ready
exec tini -- sleep infinity
