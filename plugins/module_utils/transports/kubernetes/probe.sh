# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Find the service's process inside its container, report facts about it, then wait for commands on standard input.
# It decides nothing: whether a signal may be sent is decided in captures. When standard input ends, or no command comes in
# time, it exits without side effects. Every line that it writes begins with a nonce, so that the output of a service
# binary (`version`) cannot pass for it.
#
# It needs a POSIX shell and /proc. readlink, ls, tr and grep are used where they exist; busybox has them all, procps
# is not needed.
#
# Arguments: the nonce; seconds to wait for a command, and for the version; configuration files to look into
# (colon-separated, may be empty); then the exact paths that the executable may have.
#
# tests/tools/embedded.py copies all below the next empty line into probe_script.py: run `make docs` after a change.
# shellcheck shell=sh

nonce=$1 timeout=$2 version_timeout=$3 configs=$4; shift 4
say() { printf '%s %s\n' "$nonce" "$*"; }
link() {
  target=$(readlink "$1" 2>/dev/null) || {
    target=$(ls -l "$1" 2>/dev/null) || { target=; return 1; }
    target=${target##* -> }
  }
}
text_of() {
  text=
  while IFS= read -r part || [ -n "$part" ]; do text="$text$part;"; done < "$1"
} 2>/dev/null
stat_of() {
  stat=
  { IFS= read -r stat < "/proc/$1/stat"; } 2>/dev/null
  [ -n "$stat" ] || { started='' state='' name=''; return 1; }
  after_name=${stat##*) }
  name=${stat#*(}; name=${name%) *}
  set -f
  # shellcheck disable=SC2086  # the fields are split on purpose
  set -- $after_name
  set +f
  state=$1 started=${20}
}
wait_of() {
  waits_in=
  { IFS= read -r waits_in < "/proc/$1/wchan"; } 2>/dev/null
  [ "$waits_in" != 0 ] || waits_in=
}
handlers_of() {
  ignored='' caught=''
  while read -r key value; do
    case $key in SigIgn:) ignored=$value ;; SigCgt:) caught=$value ;; esac
  done 2>/dev/null < "/proc/$1/status"
  [ -n "$caught" ]
}
# Test the bit of SIGUSR1 (0x200) in a hexadecimal mask.
has_usr1() { case $1 in *[2367abefABEF]??) return 0 ;; esac; return 1; }
is_path() {
  [ -n "$1" ] || return 1
  wanted=$1; shift
  for path in "$@"; do
    [ "$wanted" = "$path" ] && return 0
    link "$path" && [ "$wanted" = "$target" ] && return 0
  done
  return 1
}
# The kernel keeps the first 15 characters of a name.
is_named() {
  known=$1; shift
  for path in "$@"; do
    path=${path##*/}
    [ "$path" = "$known" ] && return 0
    [ ${#known} -eq 15 ] && [ "${path#"$known"}" != "$path" ] && return 0
  done
  return 1
}
log_file_of() {
  found=
  list=$(tr '\000' '\n' 2>/dev/null < "/proc/$1/cmdline")
  files=$configs next=
  old_ifs=$IFS; IFS='
'
  set -f
  for argument in $list; do
    case $next in
      config) files="$files:$argument"; next= ;;
      *) case $argument in
        --log-file-prefix|-log-file-prefix|--log-file-prefix=?*|-log-file-prefix=?*) found="option $argument" ;;
        --config|-config|--common-config-file|-common-config-file) next=config ;;
        --config=*|-config=*|--common-config-file=*|-common-config-file=*) files="$files:${argument#*=}" ;;
      esac ;;
    esac
  done
  IFS=:
  for file in $files; do
    [ -n "$found" ] && break
    [ -r "/proc/$1/root$file" ] && file="/proc/$1/root$file"
    [ -n "$file" ] || continue
    [ -r "$file" ] || continue
    grep -Eq "^[[:space:]]*log_file_prefix[[:space:]]*:[[:space:]]*[\"']?[^\"'#[:space:]]" "$file" 2>/dev/null &&
      found="file ${file#/proc/"$1"/root}"
  done
  set +f; IFS=$old_ifs
}
say hello
own_ns=; link /proc/self/ns/mnt && own_ns=$target
text_of /proc/self/cgroup; own_cgroup=$text
for directory in /proc/[0-9]*; do
  pid=${directory#/proc/}
  [ "$pid" = $$ ] && continue
  stat_of "$pid" || continue
  called=
  case $state in
    Z|X) is_named "$name" "$@" && say zombie "$pid"; continue ;;
    # The command line is in the memory of the process. While that is locked, reading it hangs as the process does
    # (get_mm_cmdline in fs/proc/base.c), so it is read last, after all other facts have been written.
    D) link "$directory/exe" && [ -n "$target" ] && { is_path "${target% (deleted)}" "$@" || continue; called=yes; } ;;
  esac
  [ -n "$called" ] || {
    line=
    { IFS= read -r line < "$directory/cmdline"; } 2>/dev/null
    for path in "$@"; do
      case $line in *"${path##*/}"*) called=yes ;; esac
    done
    [ -n "$called" ] || continue
  }
  exe=; link "$directory/exe" && exe=${target% (deleted)}
  argv0=
  is_path "$exe" "$@" || {
    argv0=$(tr '\000' '\n' 2>/dev/null < "$directory/cmdline" | { IFS= read -r first; printf '%s' "$first"; })
    is_path "$argv0" "$@" || continue
    [ -n "$exe" ] && { say impostor "$pid"; continue; }
  }
  same=no
  if [ -n "$own_ns" ] && link "$directory/ns/mnt" && [ -n "$target" ]; then
    [ "$target" = "$own_ns" ] && same=mount_namespace
  else
    text_of "$directory/cgroup"
    [ -n "$text" ] && [ "$text" = "$own_cgroup" ] && same=cgroup
  fi
  stat_of "$pid" || continue
  wait_of "$pid"
  say pid "$pid"
  say start "$started"
  say same "$same"
  say exe "$exe"
  say argv0 "$argv0"
  say state "$state"
  [ -n "$waits_in" ] && say waits_in "$waits_in"
  [ "$same" = no ] && continue
  handlers_of "$pid"
  [ -n "$ignored" ] && say ignored "$ignored"
  [ -n "$caught" ] && say caught "$caught"
  link "$directory/fd/2" && say stderr "$target"
  log_file_of "$pid"; [ -n "$found" ] && say log_file "$found"
done
for root in /sys/fs/cgroup /sys/fs/cgroup/memory; do
  for pair in memory.max:memory.current memory.limit_in_bytes:memory.usage_in_bytes; do
    limit='' usage=''
    { read -r limit < "$root/${pair%:*}"; read -r usage < "$root/${pair#*:}"; } 2>/dev/null
    [ -n "$limit" ] || continue
    [ -n "$usage" ] || continue
    cache=0
    while read -r key value; do
      case $key in total_inactive_file|inactive_file) cache=$value ;; esac
    done 2>/dev/null < "$root/memory.stat"
    say memory "$limit" "$usage" "$cache"
  done
done
say ready
# Without `read -t`, an error of usage (2 or more), wait without a limit.
can_wait=yes
# shellcheck disable=SC3045  # bash and busybox have it; dash does not
read -r -t "$timeout" key 2>/dev/null < /dev/null
[ $? -gt 1 ] && can_wait=
while read -r ${can_wait:+-t "$timeout"} command pid start; do
  case $command in
    signal)
      # Read the handlers last, just before the signal: execve() resets them and keeps PID and start time.
      if ! stat_of "$pid" || [ "$started" != "$start" ] || [ "$state" = Z ] || ! handlers_of "$pid"; then
        say changed
      elif has_usr1 "$ignored"; then
        say ignores
      elif ! has_usr1 "$caught"; then
        say uncaught
      elif kill -s USR1 "$pid" 2>/dev/null; then
        say sent
      else
        say unsent
      fi ;;
    version)
      exe=; link "/proc/$pid/exe" && exe=${target% (deleted)}
      [ -n "$exe" ] || exe=$1
      say version_begins
      "$exe" -v 2>/dev/null < /dev/null &
      child=$!
      # The binary must not outlive this script: the watcher kills it when standard input ends or the time is up.
      exec 3<&0
      stat_of "$child" && child_start=$started &&
        { read -r ${can_wait:+-t "$version_timeout"} _nothing <&3
          stat_of "$child" && [ "$started" = "$child_start" ] && kill -s KILL "$child"
        } > /dev/null 2>&1 &
      watcher=$!
      wait "$child"
      code=$?
      kill "$watcher" 2>/dev/null
      # Until the watcher has ended it may read the next command.
      wait "$watcher" 2>/dev/null
      exec 3<&-
      printf '\n'
      say version_ends "$code" ;;
    *) exit 0 ;;
  esac
done
