# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that identify identities: names of fields, and words that are the same in every cloud. Data and look-ups.

A word that is the same in every cloud is never an identity: components, words of the formats that this collection reads
and writes, built-in users and projects.
"""

from __future__ import annotations

import functools
import re

from ..catalog import COMPONENTS, ENDPOINTS, SCENARIOS
from ..vocabulary import GAPS, Reason, State, Status

CLUSTER, HOST, POD, IP, MAC, ID = "cluster", "host", "pod", "ip", "mac", "id"
PROJECT, USER, DOMAIN, VM, DNS, NAME = "project", "user", "domain", "vm", "dns", "name"
NAMESPACE = "namespace"
# A token is one of these kinds and a number.
KINDS = (CLUSTER, HOST, POD, IP, MAC, ID, PROJECT, USER, DOMAIN, VM, DNS, NAME, NAMESPACE)

# Kind of value -> last words of the names of its fields, in singular.
_FIELDS = {
    CLUSTER: "cluster clustername",
    HOST: (
        "host hostname node nodename machine hypervisor fqdn upstream remote peer endpoint address addr dnsname san cn"
        " baremetal baremetalagent image registry issuer computer"
    ),
    POD: "pod podname",
    PROJECT: "project projectname tenant tenantname ou organization",
    USER: "user username usr login account owner creator email mail",
    DOMAIN: "domain domainname",
    VM: "server servername guest guestname instance instancename vm vmname hostguest desktop",
    NAMESPACE: "namespace",
    ID: "id uuid uid guid",
}
FIELDS = {word: kind for kind, words in _FIELDS.items() for word in words.split()}

# Words of logs, dumps and formats that may follow the name of a field without being a name.
_FORMATS = """
absent accepted access active add added addr address addresses admin advice after age agent alert algorithm all alloc
allocs allow allowed an and any api apigateway app application archive args arguments array as assigned async at attempt
auth authenticated authorized auto available backend backlog bad bare baremetal baseline batch be before block blocked
body boot bound branch bridge broken bucket buffer build built busy by bytes cache call called cancel candidate cannot
cause cert certificate certificates chan change changed changes check children clean client clock close closed cloud
cluster clusters cmdline code collected color commit common compare complete component components compute config
configured conflict connect connected connecting connection console container containers content context cooldown copy
core corrupt could count counts cpu crash create created creating creator critical cron cum cycles daemon data database
databases date db deadline deadlock debug default delete deleted deleting deny denied depth desc describe detach
detached detail details device diff different dial disable disabled disk disks document domain domains down driver
dropped dump dumps duration dynamic empty enable enabled encoding end endpoint endpoints entry env eof error errors
event events evidence exceeded except exec executable exist existing exists exit exited expected expired expression
external extra fail failed failure false fatal fetch fields file files finding findings first flag flat float flow
follow for forbidden force format found fqdn frame frames free from full function functions gap gaps gateway generic
get global go gone goroutine goroutines granted group groups guest guests handler hash has have head header headers
health healthy heap height hit hits host hostname hosts http https icmp id identity idle ids ignored image images in
index info init inner inside instance instances int internal interval invalid io ip ips is issuer it item items job join
json key keystone kill kind kubelet label labels last latency latest leader leaving left level levels limit line lines
link list listen load local localhost location locations lock locked log log_seconds login logs lookup lost mac main
manager map master max maximum mean mem member memory merged message metadata method methods migrate migrating min
minute minutes missing mode model module monitor most mount ms mutex my mysql name named names namespace namespaces nan
net network networks never new next nil no node nodes none normal not note nothing null number object of off offline ok
old on one online op open operation option options or os other out output over overflow owner pack page panic parent
parsed part password patch path paths patterns pending picture pid ping place platform point policy pool pools port
ports post pprof preempted prepare previous private problem problems process processes profile profiles progress
project projects properties protocol proxy public put queue queued quick quit quota r raw reachable read ready reason
receive received record recv redact redacted redaction reference refused region reject rejected release remote remove
removed reply replica replicas replaced report request requests reserved reset resource resources response rest restart
restarted restarts result retry return returned role root route router row rows rule rules run runnable running runtime
same sample samples save schedule scheduled scope second seconds secret select self semacquire send sending sent
sequence series server servers service services session set setting severity sha256 shared shutdown signal size skipped
slave sleep slow snapshot socket source spec ssh ssl stack stacks stale standard start started starting state states
static stats status stderr stdin stdout stop stopped stopping storage stream string stuck style sub subject success
suspended switch sync syncing syscall sysadmin system table tag taken target task tasks tcp tenant tenants test text
that the then there this thread threadcreate threads threshold time timeout timestamp title tls to token too top total
totals trace transport transports tree trees trouble true truncated try type types udp unable unauthorized undefined
unhealthy uninitialized unique unit unknown unreachable unread unschedulable until up update updated updating url urls
usage use used user username users utf valid value values verdict verify version versions vm vms volume wait waiting
waits warn warning was watch web weight weights what when where which width will window with work worker workers
workload workloads write wrong xml yaml yes you your zero zone
chan-receive chan-send cluster-admin default-domain io-wait in-use not-found not-ready read-only service-account
user-agent user-defined
dropping
"""
# Users, projects, namespaces, hosts and programs of every installation.
_BUILT_IN = """
admin administrator anonymous bin daemon guest guests nobody operator postgres root service sys sysadmin system
cloudpods onecloud onecloud-operator yunion yunionio yunioncloud default-project kube-system kube-public kube-node-lease
kubernetes kubernetes.default kubernetes.default.svc cluster.local svc svc.cluster.local localdomain local lan internal
localhost.localdomain ip6-localhost ip6-loopback default.svc.cluster.local monitoring docker containerd crio dockershim
calico-system local-path-storage ingress-nginx cert-manager lxcfs openvswitch ovn-northd ovn-host nginx apache haproxy
mysql mariadb mysqld redis etcd influxdb victoria-metrics minio curl wget envoy coredns kubelet kube-proxy
kube-apiserver kube-scheduler kube-controller-manager kubectl helm grafana loki prometheus redacted
http2 sha1 md5 utf8 ipv4 ipv6 x509 base64 int32 int64 uint32 uint64 float64 tls1 k8s v1beta1 virtio vnc
linux amd64 arm64 x86_64 aarch64 gzip deflate identity chunked close keep-alive utf-8 text/plain application/json
"""
# Public domains of projects, registries and formats, with their subdomains.
_PUBLIC = """
github.com githubusercontent.com gitlab.com golang.org go.dev google.golang.org gopkg.in yunion.io yunion.cn
cloudpods.org onecloud.io kubernetes.io k8s.io sigs.k8s.io gcr.io ghcr.io quay.io docker.io docker.com w3.org gnu.org
prometheus.io speedscope.app registry.cn-beijing.aliyuncs.com registry.cn-hangzhou.aliyuncs.com etcd.io uber.org
googleapis.com mozilla.org apache.org opensource.org schemas.xmlsoap.org cloud.google.com moul.io modernc.org ietf.org
python.org ansible.com jquery.com
"""
_VOCABULARY = (*ENDPOINTS, *SCENARIOS, *GAPS, *(each.value for words in (Reason, Status, State) for each in words))
_SAID = frozenset(word for name in _VOCABULARY for word in (name, *name.split("_")))
_COMPONENTS = frozenset(name for component in COMPONENTS.values() for name in (component.name, *component.containers))
STAYS = frozenset((*_FORMATS.split(), *_BUILT_IN.split(), *KINDS)) | _SAID | _COMPONENTS
PUBLIC = frozenset(_PUBLIC.split())

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_.\-/ ]+")
_SUFFIXES = ("name", "names", "value", "list")
# Kubernetes service of a component, as the operator names it: default-region, region-slave.
_OF_COMPONENT = re.compile(r"(?:default-)?(?P<name>[a-z][a-z-]*?)(?:-slave|-svc)?(?:\.(?:onecloud|svc|cluster|local))*")
_NUMBER = re.compile(
    r"[+-]?(?:0x[0-9a-f]+|[\d._]+(?:e[+-]?\d+)?|inf|infinity|nan)(?:%|[kmgt]i?b?|n|u|ms|s|us|ns|m|h|d)?"
)
_VERSION = re.compile(r"v?\d+(?:\.\d+)+(?:[-+].*)?|v\d+|go\d[\d.]*")
_TIME = re.compile(r"\d{4}-?\d\d-?\d\d(?:[t ].*)?|\d\d:\d\d(?::\d\d)?.*|(?:\d+[hms])+")


@functools.lru_cache(maxsize=65536)
def kind_of_field(name: str) -> str:
    """Return the kind of value in a field of this name, or ""."""
    words = [word.lower() for word in _HUMP.split(name) if word]
    while len(words) > 1 and words[-1] in _SUFFIXES:
        words.pop()
    if not words:
        return ""
    last = words[-1]
    return FIELDS.get(last) or (FIELDS.get(last[:-1], "") if last.endswith("s") else "")


@functools.lru_cache(maxsize=65536)
def is_common_word(word: str) -> bool:
    """Return whether a lower-case name reveals nothing about its cloud."""
    # A longer text is not a name (RFC 1035), and matching it would take long.
    if len(word) > 253:
        return False
    if word in STAYS or _NUMBER.fullmatch(word) or _VERSION.fullmatch(word) or _TIME.fullmatch(word):
        return True
    match = _OF_COMPONENT.fullmatch(word)
    if match and match.group("name") in _COMPONENTS:
        return True
    domain = word
    while domain and domain not in PUBLIC:
        domain = domain.partition(".")[2]
    return bool(domain)


def is_component(word: str) -> bool:
    """Return whether the word is the name of a Cloudpods component."""
    return word in _COMPONENTS
