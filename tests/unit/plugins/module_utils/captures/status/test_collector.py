# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs of reading status against services in memory: what is asked, kept, and accounted for in every trouble."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import fanout
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import StatusOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import Engine
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.status import collector as status
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.status.collector import StatusCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.status.job import StatusJob
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import ENDPOINTS, PATHS, component_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.fanout import CapacityLimiter
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import LedgerRow, Process, Workload
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import row as row_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.samples import Question, SampledInstance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery, HttpAnswer
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from capturing import Crowd, everything, give_up, schema, stuck, with_state
from fake_transport import BODIES, FakeTransport, JumpingClock, hang, healthy, raises
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import examples
from patience import patience

TIMEOUT = 12.0
ROW, STATUS, CLUSTER = schema("ledger-row"), schema("status"), schema("cluster-status")


@dataclasses.dataclass
class Ran:
    """One run: its rows, its collector, and the folder it wrote to."""

    rows_of_run: list[LedgerRow]
    collector: StatusCollector
    folder: Path

    def rows(self, **wanted) -> list[LedgerRow]:
        return [row for row in self.rows_of_run if all(getattr(row, key) == value for key, value in wanted.items())]

    def reasons(self, **wanted) -> dict[tuple[str, int], str]:
        """(endpoint, sample) -> reason, of the rows about endpoints."""
        rows = [row for row in self.rows(**wanted) if row.capture.startswith("status:")]
        found = {(row.capture[7:], row.sequence): row.reason for row in rows}
        assert len(found) == len(rows)
        return found

    def document(self, service) -> dict:
        one = service.instance
        return json.loads((self.folder / one.cluster / one.component / one.name / "status.json").read_text())

    @property
    def cluster(self) -> dict:
        return json.loads((self.folder / "c1" / "cluster.json").read_text())


def ask(
    transport,
    folder,
    *,
    deadline=60.0,
    clock=None,
    selection=None,
    found=None,
    max_documents=0,
    fan_out=fanout.run,
    sample_clock=time.monotonic,
    deadline_type=Deadline,
    **options,
) -> Ran:
    """Discover and read, as the module does. clock: by which deadlines pass; without one it stands."""
    clock, store = clock or JumpingClock(), Store(str(folder))
    if isinstance(clock, JumpingClock):
        clock.rows = store.rows
    run_deadline = deadline_type(deadline, clock=clock)
    selection = selection or everything(transport)
    found = found or discover(transport, selection, run_deadline)
    wanted = StatusOptions(**{"timeout": TIMEOUT, "interval": 0.02, **options})
    collector = StatusCollector(transport, selection, store, wanted, max_documents, clock=sample_clock)
    limits = (wanted.concurrency, wanted.node_concurrency)
    rows = Engine(transport, selection, store, run_deadline, *limits, fan_out=fan_out).run([collector], found)
    ran = Ran(rows, collector, folder)
    on_disk = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert on_disk == [row.as_dict() for row in rows]
    for row in on_disk:
        ROW.validate(row)
    for path in folder.rglob("status.json"):
        STATUS.validate(json.loads(path.read_text()))
    for path in folder.rglob("cluster.json"):
        CLUSTER.validate(json.loads(path.read_text()))
    return ran


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


def test_reads_and_keeps_every_endpoint_of_every_instance(transport, tmp_path):
    services = [transport.add("region"), transport.add("region"), transport.add("keystone")]
    ran = ask(transport, tmp_path, max_documents=3)
    for service in services:
        assert ran.reasons(instance=service.instance.name) == {(name, 1): "recorded" for name in ENDPOINTS}
        document = ran.document(service)
        assert document["expected"] == list(ENDPOINTS)
        assert document["missing"] == []
        (sample,) = document["samples"]
        assert set(sample) == {"at", "elapsed_seconds", "taken", *ENDPOINTS}
        assert sample["ping"]["answered"] is True
        assert sample["ping"]["duration_ms"] >= 0
        assert sample["stats"]["paths"][0]["path"] == "/servers"
        assert document["instance"]["name"] == service.instance.name
        assert document["window"] is document["certificate"] is document["log"] is None
        for row in ran.rows(instance=service.instance.name):
            assert (tmp_path / row.path).read_bytes() == BODIES[PATHS[row.capture[7:]]]
            assert Path(row.path).suffix == (".txt" if row.capture[7:] in ("ping", "version") else ".json")
    assert {document["instance"]["name"] for document in ran.collector.documents} == {
        service.instance.name for service in services
    }


def test_returns_no_documents_of_too_many_instances(transport, tmp_path):
    transport.add("region")
    transport.add("region")
    assert ask(transport, tmp_path, max_documents=1).collector.documents == []


@pytest.mark.parametrize(
    ("component", "offered"),
    [
        ("scheduler", {"ping", "version"}),
        ("mcp-server", {"ping", "version", "worker_stats", "process_stats"}),
        ("monitor", {"ping", "version", "stats", "worker_stats", "db_stats"}),
        ("webconsole", {"ping", "version", "stats", "worker_stats"}),
        ("host", set(ENDPOINTS) - {"db_stats"}),
        ("host-deployer", set()),
        ("etcd", set()),
    ],
)
def test_asks_only_for_endpoints_that_a_component_offers(transport, tmp_path, component, offered):
    service = transport.add(component)
    ran = ask(transport, tmp_path, samples=2)
    assert {path for _name, path in transport.asked} == {PATHS[name] for name in offered}
    assert ran.reasons() == {
        **{(name, number): "recorded" for name in offered for number in (1, 2)},
        **{(name, 1): "not_offered" for name in set(ENDPOINTS) - offered},
    }
    document = ran.document(service)
    assert set(document["expected"]) == offered
    assert document["missing"] == []
    assert len(document["samples"]) == (2 if offered else 0)


def test_asks_an_unknown_component_on_its_declared_port(transport, tmp_path):
    transport.add("newone", "with", ports=(1234, 5))
    transport.add("newone", "without")
    ran = ask(transport, tmp_path)
    assert {row.details["port"] for row in ran.rows(instance="with", reason="recorded")} == {1234}
    assert set(ran.reasons(instance="without").values()) == {"no_port"}


@pytest.mark.parametrize(("ports", "port"), [((), 30888), ((1, 30888), 30888), ((31000,), 31000)])
def test_prefers_declared_ports_to_the_catalog(transport, tmp_path, ports, port):
    transport.add("region", ports=ports, port=port)
    assert set(ask(transport, tmp_path).reasons().values()) == {"recorded"}


def test_named_endpoints_and_databases(transport, tmp_path):
    click = BODIES["/db_stats"].replace(b'"in_use":0', b'"in_use":7')

    def answer(target):
        if target.path == "/db_stats/clickhouse":
            return HttpAnswer(200, {}, click)
        return HttpAnswer(200, {}, b"{}") if target.path == "/db_stats/none" else healthy(target)

    service = transport.add("region", answer=answer)
    ran = ask(transport, tmp_path, endpoints=("db_stats", "ping"), databases=("clickhouse", "none", "clickhouse"))
    assert [path for _name, path in transport.asked] == ["/ping", "/db_stats", "/db_stats/clickhouse", "/db_stats/none"]
    document = ran.document(service)
    assert document["expected"] == ["ping", "db_stats", "db_stats/clickhouse", "db_stats/none"]
    databases = document["samples"][0]["db_stats"]["databases"]
    assert [(database["name"], database["in_use"]) for database in databases] == [("", 0), ("clickhouse", 7)]
    (row,) = ran.rows(capture="status:db_stats/none")
    assert (row.reason, "no such database" in row.message) == ("recorded", True)
    assert len({row.path for row in ran.rows()}) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"endpoints": ("switch",)},
        {"endpoints": ("/stats",)},
        {"databases": ("../switch",)},
        {"databases": ("a/b",)},
        {"samples": 0},
        {"concurrency": 0},
        {"node_concurrency": 0},
        {"max_bytes": 0},
        {"interval": -1.0},
        {"log_seconds": -1},
    ],
)
def test_rejects_wrong_options(options):
    with pytest.raises(ValueError, match=r"unknown endpoint|has no database|has to be"):
        StatusOptions(**options)


class Counting:
    """Answers /stats with hits that grow by ten with each question."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, target):
        if target.path != "/stats":
            return healthy(target)
        self.asked += 1
        return HttpAnswer(200, {}, BODIES["/stats"].replace(b'"hit.2XX":5', b'"hit.2XX":%d' % (10 * self.asked)))


class Clock(JumpingClock):
    """The time of the capture and of its documents: it passes only where there is something to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def move(self, seconds: float) -> None:
        self.now += seconds


class Moving(Deadline):
    """A deadline whose waiting moves the clock."""

    def wait(self, seconds: float) -> None:
        self._clock.move(seconds)


def test_samples_start_an_interval_apart(transport, tmp_path):
    clock = Clock()
    services = [transport.add("region", answer=Counting()) for _number in range(3)]
    slow = transport.add("region", faults={"/stats": lambda _deadline: clock.move(0.75)})
    ran = ask(
        transport,
        tmp_path,
        clock=clock,
        sample_clock=clock,
        deadline_type=Moving,
        samples=3,
        interval=1.0,
        concurrency=1,
    )
    for service in services:
        document = ran.document(service)
        elapsed = [sample["elapsed_seconds"] for sample in document["samples"]]
        assert elapsed == [0, 1.0, 2.0]
        window = document["window"]
        assert (window["requests"], window["reset"], window["restarted"]) == (20, False, False)
        assert window["requests_per_second"] == 10
    assert ran.document(slow)["samples"][2]["elapsed_seconds"] == 2.0
    assert clock.now == 1000.0 + 2.0 + 0.75
    assert len(ran.reasons(instance=services[0].instance.name)) == 3 * len(ENDPOINTS)


def test_sees_a_restart_between_samples(transport, tmp_path):
    service = transport.add("region", answer=Counting())
    service.faults["/version"] = lambda _deadline: service.restart()
    ran = ask(transport, tmp_path, samples=2)
    document = ran.document(service)
    assert (document["window"]["restarted"], document["window"]["reset"]) == (True, True)
    assert document["window"]["requests"] is None
    assert document["instance"]["restarts"] == 2  # as it was seen last
    assert transport.calls.count(("discover", "")) == 2


PROCESS = Process(7, 100)


@pytest.mark.parametrize(
    ("before", "change", "restarted"),
    [
        ({}, {"restarts": 1}, True),
        ({}, {"container_id": "cid-other"}, True),
        ({}, {}, False),
        ({"process": PROCESS}, {"process": Process(7, 101)}, True),
        ({"process": PROCESS, "container_id": ""}, {}, False),
        ({"container_id": ""}, {}, None),  # all that is known of it is its address
    ],
)
def test_reports_a_new_container_or_process(transport, tmp_path, before, change, restarted):
    service = transport.add("region", **before)

    def become(_deadline):
        service.instance = dataclasses.replace(service.instance, **change)

    service.faults["/version"] = become
    ran = ask(transport, tmp_path, samples=2)
    assert ran.document(service)["window"]["restarted"] is restarted
    assert ran.document(service)["window"]["reset"] is bool(restarted)


def test_answers_after_a_job_was_closed_change_nothing(tmp_path):
    instance = FakeTransport().add("region").instance
    store, sampled = Store(str(tmp_path)), SampledInstance(instance, ["ping", "stats"], time.monotonic)
    job = StatusJob(sampled, [Question("ping"), Question("stats")], 1)
    job.bind(store, Deadline(patience()), CapacityLimiter(1))
    job.begin()
    job.answer(Question("ping"), row_of(instance, "status:ping", verdict(Reason.RECORDED)), {"answered": True})
    job.close(verdict(Reason.NO_ANSWER))
    before = sampled.document(None, None), list(store.rows)
    job.answer(Question("stats"), row_of(instance, "status:stats", verdict(Reason.RECORDED)), {"hits_2xx": 1})
    job.close(verdict(Reason.ERROR))
    assert (sampled.document(None, None), store.rows) == before
    assert [(entry.capture, entry.reason) for entry in store.rows] == [
        ("status:ping", "recorded"), ("status:stats", "not_asked"),
    ]  # fmt: skip


def test_does_not_look_again_after_one_sample(transport, tmp_path):
    transport.add("region")
    ask(transport, tmp_path)
    assert transport.calls.count(("discover", "")) == 1


def test_replica_that_is_deleted_is_asked_no_more(transport, tmp_path):
    service, other = transport.add("region"), transport.add("region")
    service.faults["/version"] = lambda _deadline: service.end()
    ran = ask(transport, tmp_path, samples=2)
    reasons = ran.reasons(instance=service.instance.name)
    assert reasons["ping", 1] == reasons["version", 1] == "recorded"
    assert {reason for (name, number), reason in reasons.items() if number == 2 or name in ENDPOINTS[2:]} == {"gone"}
    # One question each to learn that it is gone.
    assert len([name for name, _path in transport.asked if name == service.instance.name]) == 2 + 1 + 1
    assert set(ran.reasons(instance=other.instance.name).values()) == {"recorded"}
    document = ran.document(service)
    assert document["window"] is None
    assert len(document["missing"]) == 4 + 6


def answered(service, samples):
    """For JumpingClock.settled: whether all of its questions were answered so often."""
    wanted = samples * len(ENDPOINTS)
    return lambda rows: sum(row.instance == service.instance.name for row in rows) >= wanted


def test_endpoint_that_hangs_takes_only_its_share(transport, tmp_path):
    hung = transport.add("region", faults={"/ping": hang, "/worker_stats": hang})
    well = transport.add("region")
    # Its time does not begin to pass before the other has come to its end.
    clock = JumpingClock(answered(well, 2))
    ran = ask(transport, tmp_path, clock=clock, samples=2, concurrency=4)
    for number in (1, 2):
        reasons = {name: ran.reasons(instance=hung.instance.name)[name, number] for name in ENDPOINTS}
        assert reasons == {
            **dict.fromkeys(ENDPOINTS, "recorded"),
            "ping": "no_answer",
            "worker_stats": "no_answer",
        }
    # Of what is left, an equal part for each question that is left: the first of six, and the fourth.
    assert clock.jumps[:2] == pytest.approx([TIMEOUT / 6, TIMEOUT * 5 / 6 / 3])
    assert len(clock.jumps) == 4
    assert set(ran.reasons(instance=well.instance.name).values()) == {"recorded"}
    assert [(item["endpoint"], item["sample"]) for item in ran.document(hung)["missing"]] == [
        ("ping", 1), ("worker_stats", 1), ("ping", 2), ("worker_stats", 2),
    ]  # fmt: skip


FROZEN = {**dict.fromkeys(PATHS.values(), hang), "certificate": hang}


def test_frozen_service_costs_little_time(transport, tmp_path):
    frozen = transport.add("region", faults=FROZEN, log=b"x\n")
    well = transport.add("region", answer=Counting(), certificate=certificate())
    clock = JumpingClock(answered(well, 2))
    ran = ask(transport, tmp_path, clock=clock, samples=2, certificates=True, log_seconds=600)
    name = frozen.instance.name
    # A share for each /ping, and a short one for the question after the first of them.
    assert clock.jumps == pytest.approx([TIMEOUT / 6, status.SHORT_SECONDS, TIMEOUT / 6])
    assert [path for asked, path in transport.asked if asked == name] == ["/ping", "/version", "/ping"]
    reasons = ran.reasons(instance=name)
    assert (reasons["ping", 1], reasons["version", 1], reasons["ping", 2]) == ("no_answer",) * 3
    asked = {("ping", 1), ("version", 1), ("ping", 2)}
    assert {reason for place, reason in reasons.items() if place not in asked} == {"not_asked"}
    (row,) = ran.rows(capture="certificate", instance=name)
    assert (row.reason, "/ping was not answered" in row.message) == ("not_asked", True)
    assert {row.reason for row in ran.rows(instance=well.instance.name)} == {"recorded"}


def test_reads_the_log_of_a_frozen_service(transport, tmp_path):
    line = b"[warning 2026-11-23 00:22:28 appsrv.(*SWorkerManager).Run(workers.go:266)]P: queue full, task dropped\n"
    frozen = transport.add("region", faults=FROZEN, log=line)
    ran = ask(transport, tmp_path, samples=2, certificates=True, log_seconds=600)
    assert [pattern["id"] for pattern in ran.document(frozen)["log"]["patterns"]] == ["queue_full"]


def test_reads_logs_while_questions_hang(transport, tmp_path):
    """No question comes to its end before the log was read."""
    read = threading.Event()

    def wait_for_the_log(_deadline):
        assert read.wait(patience())

    service = transport.add("region", faults={"/ping": wait_for_the_log, "read_log": lambda _deadline: read.set()})
    ran = ask(transport, tmp_path, concurrency=1, log_seconds=600)
    assert {row.reason for row in ran.rows(instance=service.instance.name)} == {"recorded"}


def test_asks_everything_if_the_question_after_ping_is_answered(transport, tmp_path):
    slow = transport.add("region", faults={"/ping": hang})
    reasons = ask(transport, tmp_path, samples=2).reasons(instance=slow.instance.name)
    assert {place for place, reason in reasons.items() if reason == "no_answer"} == {("ping", 1), ("ping", 2)}
    assert set(reasons.values()) == {"no_answer", "recorded"}


def test_asks_everything_once_a_service_hangs_no_more(transport, tmp_path):
    def once(deadline):
        if len([path for _name, path in transport.asked if path == "/ping"]) == 1:
            hang(deadline)

    def never_before_the_second(deadline):
        if len([path for _name, path in transport.asked if path == "/ping"]) < 2:
            hang(deadline)

    thawed = transport.add("region", faults={"/ping": once, "/version": never_before_the_second})
    reasons = ask(transport, tmp_path, samples=2).reasons(instance=thawed.instance.name)
    assert {reasons[name, 1] for name in ENDPOINTS[2:]} == {"not_asked"}
    assert {reasons[name, 2] for name in ENDPOINTS} == {"recorded"}


def test_certificate_that_hangs_takes_only_its_share(transport, tmp_path):
    service = transport.add("region", faults={"certificate": hang})
    clock = JumpingClock()
    ran = ask(transport, tmp_path, clock=clock, certificates=True, log_seconds=600)
    assert clock.jumps == pytest.approx([TIMEOUT / 6])
    assert {row.reason for row in ran.rows(instance=service.instance.name) if row.capture != "certificate"} == {
        "recorded"
    }


def test_instance_that_waited_for_its_node_is_not_asked(transport, tmp_path):
    waits = transport.add("region", node="n1")
    store, nodes = Store(str(tmp_path)), CapacityLimiter(1)
    run_deadline = Deadline(60.0, clock=JumpingClock())
    collector = StatusCollector(transport, everything(transport), store, StatusOptions(timeout=0.0))
    job = StatusJob(SampledInstance(waits.instance, ["ping"], time.monotonic), [Question("ping")], 1)
    job.bind(store, run_deadline, nodes)
    with nodes.hold("n1", run_deadline):
        collector.collect(job)
    assert [(entry.capture, entry.reason) for entry in store.rows] == [("status:ping", "not_asked")]
    assert transport.asked == []


def test_abandoned_sample_keeps_earlier_answers(transport, tmp_path):
    with stuck() as fault:
        service = transport.add("region", faults={"/stats": fault})
        well = transport.add("region")
        clock = JumpingClock(lambda rows: answered(well, 2)(rows) and fault.entered.is_set())
        ran = ask(transport, tmp_path, clock=clock, fan_out=give_up, samples=2)
        reasons = ran.reasons(instance=service.instance.name)
        assert reasons["ping", 1] == reasons["version", 1] == "recorded"
        assert reasons["stats", 1] == "no_answer"
        # Of what was not put to it, it is not said that no answer came.
        assert {reasons[name, 1] for name in ENDPOINTS[3:]} | {reasons[name, 2] for name in ENDPOINTS} == {"not_asked"}
        assert len(reasons) == 2 * len(ENDPOINTS)
        assert set(ran.reasons(instance=well.instance.name).values()) == {"recorded"}
        ledger = (tmp_path / "ledger.jsonl").read_bytes()
    assert (tmp_path / "ledger.jsonl").read_bytes() == ledger  # what came after the end changes nothing


def test_run_deadline_leaves_a_row_for_each_question(transport, tmp_path):
    for _number in range(30):
        transport.add("region", faults={"/stats": hang})
    ran = ask(transport, tmp_path, deadline=0.5, concurrency=4, samples=2)
    assert len(ran.reasons(instance=transport.services[0].instance.name)) == 12
    assert len(ran.rows()) == 30 * 12
    assert {row.reason for row in ran.rows(instance=transport.services[-1].instance.name)} == {"run_deadline"}
    # Those that were cut off by it are not said to hang.
    assert {row.reason for row in ran.rows()} == {"recorded", "run_deadline"}
    assert len(list(tmp_path.rglob("status.json"))) == 30


def test_error_is_a_row_with_its_name(transport, tmp_path):
    service = transport.add("region", faults={"/stats": raises(ZeroDivisionError("oops"))})
    ran = ask(transport, tmp_path)
    reasons = ran.reasons(instance=service.instance.name)
    assert (reasons["ping", 1], reasons["stats", 1], reasons["db_stats", 1]) == ("recorded", "error", "error")
    assert "ZeroDivisionError: oops" in ran.rows(capture="status:stats")[0].message


STATES = {
    State.PENDING: "pending",
    State.WAITING: "not_started",
    State.INIT: "stuck_in_init",
    State.CRASH_LOOP: "crash_loop",
    State.TERMINATING: "terminating",
    State.TERMINATED: "terminated",
    State.NO_CONTAINER: "wrong_container",
    State.NODE_LOST: "node_lost",
    State.UNTRUSTED: "untrusted",
}


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_instance_that_does_not_run_has_all_rows(transport, tmp_path, state):
    service = transport.add("region")
    with_state(state, "why")(service)
    ran = ask(transport, tmp_path, samples=2, certificates=True, log_seconds=60)
    assert transport.asked == []
    assert set(ran.reasons().values()) == {STATES[state]}
    assert len(ran.rows()) == 2 * len(ENDPOINTS) + 2
    document = ran.document(service)
    assert document["instance"]["state"] == state.value
    assert (document["samples"], document["window"], len(document["missing"])) == ([], None, 14)


def test_keeps_unreadable_bodies_up_to_the_limit(transport, tmp_path):
    service = transport.add("region", answer=lambda _target: HttpAnswer(200, {}, b"\x1b[2J" + b"x" * 50))
    ran = ask(transport, tmp_path, endpoints=("ping", "stats", "version"), max_bytes=40, kept_of_bad_body=10)
    assert ran.reasons() == {
        ("ping", 1): "body_too_large",
        ("stats", 1): "body_too_large",
        ("version", 1): "body_too_large",
    }
    (row,) = ran.rows(capture="status:stats")
    assert (row.status, row.path.endswith("stats-1.txt"), row.bytes) == ("partial", True, 10)
    assert ran.document(service)["samples"][0].keys() == {"at", "elapsed_seconds", "taken"}


def test_keeps_only_unreadable_bodies_on_request(transport, tmp_path):
    def answer(target):
        return HttpAnswer(500, {}, b"oops") if target.path == "/stats" else healthy(target)

    transport.add("region", answer=answer)
    ran = ask(transport, tmp_path, bodies="unread")
    assert [row.capture for row in ran.rows() if row.path] == ["status:stats"]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "cluster.json", "ledger.jsonl", "stats-1.txt", "status.json",
    ]  # fmt: skip


def test_searches_the_log_and_reports_its_size(transport, tmp_path):
    line = b"[warning 2026-11-23 00:22:28 appsrv.(*SWorkerManager).Run(workers.go:266)]P: queue full, task dropped\n"
    service = transport.add("region", log=line * 3)
    quiet = transport.add("host-deployer", log=line[:-20] + b"\n")
    gone = transport.add("keystone", faults={"read_log": raises(CaptureError(Reason.LOG_UNAVAILABLE, "rotated"))})
    ran = ask(transport, tmp_path, log_seconds=600, samples=2, endpoints=("ping",))
    log = ran.document(service)["log"]
    assert (log["seconds"], log["bytes"], log["truncated"]) == (600, 3 * len(line), False)
    assert [(pattern["id"], pattern["count"]) for pattern in log["patterns"]] == [("queue_full", 3)]
    assert ran.document(quiet)["log"]["patterns"] == []
    assert ran.document(gone)["log"] is None
    assert ran.document(gone)["missing"][0]["reason"] == "log_unavailable"
    assert {(row.component, row.reason) for row in ran.rows(capture="log")} == {
        ("region", "recorded"), ("host-deployer", "recorded"), ("keystone", "log_unavailable"),
    }  # fmt: skip


def test_reads_the_newest_part_of_a_long_log(transport, tmp_path):
    service = transport.add("region", log=b"old: Too many connections\n" + b"x" * 5_000 + b"\n" + b"y" * 10_000 + b"\n")
    ran = ask(transport, tmp_path, log_seconds=600, max_bytes=15_005)
    assert ran.document(service)["log"]["truncated"] is True
    assert ran.document(service)["log"]["patterns"] == []


def test_reads_certificates(transport, tmp_path):
    der = certificate()
    good = transport.add("region", certificate=der)
    bad = transport.add("region", certificate=b"nothing of the kind")
    without = transport.add("region")
    ran = ask(transport, tmp_path, certificates=True, endpoints=("ping",))
    found = ran.document(good)["certificate"]
    assert found["subject"] == "CN=region"
    assert 9 < found["days_left"] <= 10
    (row,) = ran.rows(capture="certificate", instance=good.instance.name)
    assert (tmp_path / row.path).read_bytes() == der
    assert ran.rows(capture="certificate", instance=bad.instance.name)[0].reason == "not_json"
    assert ran.rows(capture="certificate", instance=without.instance.name)[0].reason == "no_certificate"
    assert ran.document(without)["certificate"] is None


def test_reads_no_certificate_over_plain_http(transport, tmp_path):
    plain = transport.add("host-image", certificate=certificate())
    ran = ask(transport, tmp_path, certificates=True, endpoints=("ping",))
    assert [row.capture for row in ran.rows(instance=plain.instance.name)] == ["status:ping"]


def certificate() -> bytes:
    """One that ends in ten days."""
    import datetime  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "region")])
    now = datetime.datetime.now(datetime.timezone.utc)
    ends = now + datetime.timedelta(days=10)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now, ends).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def test_writes_a_document_of_the_cluster(transport, tmp_path):
    transport.add("region")
    transport.deployed = [Workload("c1", "onecloud", "Deployment", "default-region", "region", 3, 1)]
    found = discover(transport, everything(transport), Deadline(patience()))
    found.problems.append(("other", verdict(Reason.FORBIDDEN, "no")))
    cluster = ask(transport, tmp_path, found=found).cluster
    assert (cluster["cluster"], cluster["transport"], cluster["components"]) == ("c1", "fake", ["region"])
    assert (cluster["workloads_known"], cluster["named"]) == (True, False)
    assert cluster["workloads"][0]["desired"] == 3
    assert [(problem["place"], problem["reason"]) for problem in cluster["problems"]] == [("other", "forbidden")]


def test_workloads_that_cannot_be_listed_are_unknown(transport, tmp_path):
    transport.add("region")
    transport.deployed = CaptureError(Reason.FORBIDDEN, "deployments")
    ran = ask(transport, tmp_path)
    assert (ran.cluster["workloads_known"], ran.cluster["workloads"]) == (False, [])
    assert ran.cluster["problems"][0]["reason"] == "forbidden"
    assert [row.reason for row in ran.rows(instance="")] == ["forbidden"]


def test_lists_no_workloads_where_there_are_none(transport, tmp_path):
    transport.add("region")
    transport.lists_workloads = False
    assert ask(transport, tmp_path).cluster["workloads_known"] is False
    assert ("workloads", "") not in transport.calls


def test_machines_of_a_cluster_have_documents_of_their_own(transport, tmp_path):
    transport.add("region")
    transport.machine = "node/1"
    ask(transport, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("cluster.json")] == [
        "c1/machines/node_1/cluster.json"
    ]


def test_run_without_instances_has_a_document(transport, tmp_path):
    selection = dataclasses.replace(everything(transport), components=(component_of("region"),), named=True)
    ran = ask(transport, tmp_path, selection=selection, found=Discovery())
    assert [(row.component, row.reason) for row in ran.rows()] == [("region", "not_found")]
    assert ran.cluster["cluster"] == "c1"


def test_limits_instances_of_a_node_and_logs_at_a_time(transport, tmp_path):
    nodes, logs = Crowd(2), Crowd(3)
    for number in range(16):
        transport.add("region", node=f"n{number % 2}", faults={"/ping": nodes.visit(f"n{number % 2}")})
    ran = ask(transport, tmp_path, node_concurrency=2, endpoints=("ping",), log_seconds=9)
    assert {row.reason for row in ran.rows()} == {"recorded"}
    assert nodes.most == {"n0": 2, "n1": 2}
    for service in transport.services:
        service.faults["read_log"] = logs.visit("all")
    ask(transport, tmp_path / "again", node_concurrency=20, endpoints=(), log_seconds=9, logs_at_a_time=3)
    assert logs.most == {"all": 3}


FAULTS = {
    "healthy": None,
    "hangs": hang,
    "refused": raises(CaptureError(Reason.CONNECTION_REFUSED)),
    "broken": raises(CaptureError(Reason.CONNECTION_BROKEN)),
    "gone": raises(CaptureError(Reason.GONE)),
    "ours": raises(KeyError("x")),
}
ANSWERS = st.builds(
    HttpAnswer,
    st.sampled_from([200, 200, 302, 403, 404, 429, 500, 504]),
    st.just({}),
    st.sampled_from([*BODIES.values(), b"", b"\xff", b"{}"]),
)
SERVICE = st.fixed_dictionaries(
    {
        "component": st.sampled_from(["region", "scheduler", "host", "mcp-server", "host-deployer", "newone"]),
        "state": st.sampled_from([State.RUNNING] * 4 + list(State)),
        "faults": st.dictionaries(
            st.sampled_from([*PATHS.values(), "certificate", "read_log"]), st.sampled_from(sorted(FAULTS)), max_size=3
        ),
        "answer": st.none() | ANSWERS,
    }
)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow])
@given(
    services=st.lists(SERVICE, max_size=5),
    samples=st.integers(1, 2),
    endpoints=st.sets(st.sampled_from(ENDPOINTS)),
    once=st.booleans(),
    run_seconds=st.sampled_from([0.0, 0.1, 5.0]),
)
def test_every_mix_of_faults_has_all_rows(services, samples, endpoints, once, run_seconds):
    transport = FakeTransport()
    for drawn in services:
        fields = {} if drawn["answer"] is None else {"answer": lambda _target, answer=drawn["answer"]: answer}
        faults = {name: FAULTS[fault] for name, fault in drawn["faults"].items() if FAULTS[fault]}
        transport.add(drawn["component"], faults=faults, state=drawn["state"], **fields)
    with tempfile.TemporaryDirectory() as folder:
        found = discover(transport, everything(transport), Deadline(patience()))
        ran = ask(
            transport, Path(folder), deadline=run_seconds, found=found, timeout=0.2, samples=samples, interval=0.02,
            endpoints=tuple(endpoints), certificates=once, log_seconds=60 if once else 0,
        )  # fmt: skip
        for service in transport.services:
            rows = ran.rows(instance=service.instance.name)
            found = [(row.capture, row.sequence) for row in rows]
            assert len(found) == len(set(found))
            assert {capture for capture, _number in found if capture.startswith("status:")} == {
                f"status:{name}" for name in endpoints
            }
            document = ran.document(service)
            numbers = {name: {n for capture, n in found if capture == f"status:{name}"} for name in endpoints}
            for name in endpoints:
                expected = range(1, samples + 1) if name in document["expected"] else [1]
                assert numbers[name] == set(expected)
            read = {(name, number) for number, sample in enumerate(document["samples"], 1) for name in sample["taken"]}
            complete = {(row.capture[7:], row.sequence) for row in rows if row.status == "complete"}
            assert read == {pair for pair in complete if pair[0] in endpoints}
            missing = {(item["endpoint"], item["sample"]) for item in document["missing"]}
            assert not missing & read
            assert {(name, n) for name in document["expected"] for n in numbers[name]} == (missing | read) - {
                ("log", 1), ("certificate", 1),
            }  # fmt: skip
