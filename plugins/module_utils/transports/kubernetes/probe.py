# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The little program that looks for the process inside a container, and the reader of what it says.

Pure: the program is text for /bin/sh, the reader is fed with bytes. It needs a POSIX shell with /proc and nothing
else for certain: readlink, ls, tr and grep are used where they exist (busybox has them; procps is not needed).

It reports facts, waits for commands on standard input, and decides nothing: whether a signal may be sent is judged
in one place for all transports (captures.judge). When standard input ends or nothing is asked for a while, it goes
without having done anything. Every line it says begins with a random word, so that output of the binary that is
asked for its version cannot pass for it.
"""

from __future__ import annotations

import re
from typing import Sequence

from ...model import Process
from ..base import ProbeFacts

# A real binary prints its version within a tenth of a second.
VERSION_SECONDS = 10
# More processes than a container has, so that a hostile one cannot fill the memory with them.
MAX_PROCESSES = 1000
# Linux has no longer path.
MAX_FACT = 4096
_FACTS = (
    "pid", "start", "same", "exe", "argv0", "state", "waits_in", "ignored", "caught", "stderr", "log_file",
    "impostor", "zombie",
)  # fmt: skip
# int() takes more than that: signs, blanks, underscores, digits of other scripts, and megabytes of them.
_NUMBER = re.compile(r"[0-9]{1,20}\Z")
_MASK = re.compile(r"[0-9a-fA-F]{1,16}\Z")
_STATE = re.compile(r"[A-Za-z]?\Z")
# A symbol of the kernel.
_FUNCTION = re.compile(r"[A-Za-z0-9_.]{1,128}\Z")

# Arguments: the random word, seconds to wait for a command and for the version, configuration files to look into
# (colon-separated, may be ""), then the exact paths that the executable may have.
SCRIPT = r"""
word=$1 patience=$2 version_patience=$3 configs=$4; shift 4
say() { printf '%s %s\n' "$word" "$*"; }
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
  [ -n "$stat" ] || { started= state= name=; return 1; }
  after_name=${stat##*) }
  name=${stat#*(}; name=${name%) *}
  set -f; set -- $after_name; set +f
  state=$1 started=${20}
}
wait_of() {
  waits_in=
  { IFS= read -r waits_in < "/proc/$1/wchan"; } 2>/dev/null
  [ "$waits_in" != 0 ] || waits_in=
}
handlers_of() {
  ignored= caught=
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
    [ -n "$file" ] && [ -r "$file" ] || continue
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
    # (get_mm_cmdline in fs/proc/base.c), so of such a process it is read last, when all else has been said.
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
    limit= usage=
    { read -r limit < "$root/${pair%:*}"; read -r usage < "$root/${pair#*:}"; } 2>/dev/null
    [ -n "$limit" ] && [ -n "$usage" ] || continue
    cache=0
    while read -r key value; do
      case $key in total_inactive_file|inactive_file) cache=$value ;; esac
    done 2>/dev/null < "$root/memory.stat"
    say memory "$limit" "$usage" "$cache"
  done
done
say ready
wait_for="-t $patience"
read $wait_for key 2>/dev/null < /dev/null
[ $? -gt 1 ] && wait_for=
while read -r $wait_for command pid start; do
  case $command in
    signal)
      # The handlers last, just before the signal: execve() resets them, and keeps number and start time.
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
      # It must not outlive us: who watches ends it when nobody listens any more, or when it takes too long.
      exec 3<&0
      stat_of "$child" && child_start=$started &&
        { read -r ${wait_for:+-t $version_patience} _nothing <&3
          stat_of "$child" && [ "$started" = "$child_start" ] && kill -s KILL "$child"
        } > /dev/null 2>&1 &
      watcher=$!
      wait "$child"
      code=$?
      kill "$watcher" 2>/dev/null
      # Until it is gone it may read what is said next.
      wait "$watcher" 2>/dev/null
      exec 3<&-
      printf '\n'
      say version_ends "$code" ;;
    *) exit 0 ;;
  esac
done
"""


def command(
    word: str, patience: int, configs: Sequence[str], paths: Sequence[str], version_patience: int = VERSION_SECONDS
) -> list[str]:
    """The argument list that runs the script in a container. Both patiences are in whole seconds."""
    return ["/bin/sh", "-c", SCRIPT, "sh", word, str(patience), str(version_patience), ":".join(configs), *paths]


class ProbeReader:
    """Reads what the script says, fed with bytes as they come.

    events() returns the lines that came since the last call as (word, rest): hello, ready, sent, unsent, changed,
    ignores, uncaught, version_ends. Facts are gathered in `facts`; the output between version_begins and version_ends
    in `version`; began: it said anything. Lines over `limit` bytes end the reading of that line: a hostile container
    cannot make it grow without bound.
    """

    def __init__(self, word: str, limit: int = 1 << 20) -> None:
        self._word = word.encode() + b" "
        self._limit = limit
        self._buffer = b""
        self._events: list[list[str]] = []
        self._processes: list[dict[str, str]] = []
        self._impostors: list[int] = []
        self._zombies: list[int] = []
        self.began = False
        self._memory_room: int | None = None
        self._in_version = False
        self._version: list[bytes] = []
        self._version_size = 0

    def feed(self, data: bytes) -> None:
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()[-self._limit :]
        for line in lines:
            if line.startswith(self._word):
                self.began = True
                self._take(line[len(self._word) :].decode("utf-8", "replace"))
            elif self._in_version and self._version_size < self._limit:
                self._version.append(line)
                self._version_size += len(line) + 1

    def _take(self, text: str) -> None:
        key, _blank, rest = text.partition(" ")
        if key in _FACTS:
            self._take_fact(key, rest)
        elif key == "memory":
            self._take_memory(rest.split())
        elif key == "version_begins":
            self._in_version = True
        else:
            if key == "version_ends":
                self._in_version = False
            self._events.append([key, rest])

    def _take_fact(self, key: str, rest: str) -> None:
        if key in ("impostor", "zombie"):
            pids = self._zombies if key == "zombie" else self._impostors
            if _NUMBER.match(rest) and len(pids) < MAX_PROCESSES:
                pids.append(int(rest))
        elif key == "pid":
            if len(self._processes) < MAX_PROCESSES:
                self._processes.append({"pid": rest[:MAX_FACT]})
        elif self._processes:
            self._processes[-1][key] = rest[:MAX_FACT]

    def _take_memory(self, fields: list[str]) -> None:
        # limit, usage, inactive page cache; cgroup v2 says "max", v1 a number near 2^63, for "no limit".
        if len(fields) == 3 and all(_NUMBER.match(field) for field in fields) and int(fields[0]) < 1 << 60:
            room = int(fields[0]) - (int(fields[1]) - int(fields[2]))
            self._memory_room = room if self._memory_room is None else min(room, self._memory_room)

    def events(self) -> list[list[str]]:
        events, self._events = self._events, []
        return events

    @property
    def version(self) -> bytes:
        return b"\n".join(self._version).rstrip(b"\n")

    @property
    def facts(self) -> ProbeFacts:
        """The facts so far. Blocks that are not well-formed are left out: what is not understood is not signalled."""
        processes = []
        for fields in self._processes:
            try:
                processes.append(_process(fields))
            except (KeyError, ValueError):
                continue
        return ProbeFacts(tuple(processes), tuple(self._impostors), self._memory_room, tuple(self._zombies))


def _process(fields: dict[str, str]) -> Process:
    same = fields.get("same", "no")
    if not (_NUMBER.match(fields["pid"]) and _NUMBER.match(fields["start"]) and int(fields["pid"])):
        raise ValueError("not a process")
    masks = fields.get("ignored", "0"), fields.get("caught", "0")
    if not all(_MASK.match(mask) for mask in masks):
        raise ValueError("not the signals of a process")
    state, waits_in = fields.get("state", ""), fields.get("waits_in", "")
    if not _STATE.match(state):
        raise ValueError("not the state of a process")
    return Process(
        pid=int(fields["pid"]),
        start_time=int(fields["start"]),
        executable=fields.get("exe", ""),
        argv0=fields.get("argv0", ""),
        same_container=same != "no",
        same_by="" if same == "no" else same,
        ignored=int(masks[0], 16),
        caught=int(masks[1], 16),
        stderr=fields.get("stderr", ""),
        log_file=fields.get("log_file", ""),
        state=state,
        waits_in=waits_in if _FUNCTION.match(waits_in) else "",
    )
