"""Networks that lose, servers that restart, answers that never come, under load: nothing is lost, and all comes back.

Rules of this file
- A producer triggers with keys and repeats what was refused or is in doubt, as any caller would: one run for each key.
- After the trouble every node works again without a restart.  What is printed (-s) is measured, not asserted.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from cables import NETWORK, Cable
from ledger import most_at_once, overlaps
from nodes import (
    Node,
    Nodes,
    a_fleet,
    boot_time,
    events,
    finished,
    lines_of,
    nodes_that_began,
    pending,
    trigger_many,
    until,
)
from postgres_proxy import Proxy

from postgres_server import RELAXED, Cluster, Place, a_cluster, a_place
from shiftboss import Orchestrator, Status
from shiftboss.core.events import StaleReport
from shiftboss.core.model import Run
from shiftboss.errors import StoreUnavailable

pytestmark = pytest.mark.chaos

LEASE_S = 6
OUTAGE_S = 14.0  # longer than the lease and the five seconds of the server's own limits
GAP_S = 0.05  # between two triggers
LINES_A_SECOND = 2
INSTANTS = ("clock", "left", "right")


@pytest.fixture(scope="module")
def wide() -> Iterator[Cluster]:
    """A server that listens on all addresses of this machine."""
    with a_cluster(*RELAXED, "listen_addresses=*") as made:
        rules = made.data / "pg_hba.conf"
        rules.write_text(rules.read_text() + f"host all all {NETWORK} trust\n")
        made.execute("SELECT pg_reload_conf()")
        yield made


@pytest.fixture
def far(wide: Cluster) -> Iterator[Place]:
    with a_place(wide) as made:
        yield made


class Producer(threading.Thread):
    """Triggers `job` with a key of its own each time, until it is accepted."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._boss = Orchestrator(url)
        self._is_over = threading.Event()
        self.accepted: dict[str, int] = {}
        self.refused = 0
        self.in_doubt = 0
        self.longest_s = 0.0  # of a single call

    def run(self) -> None:
        for number in itertools.count():
            key = f"key-{number}"
            while key not in self.accepted:
                began = time.monotonic()
                try:
                    self.accepted[key] = self._boss.sync.trigger("job", {"number": number}, key=key).id
                except StoreUnavailable as error:
                    self.refused += 1
                    self.in_doubt += error.maybe_stored
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                self._is_over.wait(GAP_S)
            if self._is_over.is_set():
                self._boss.sync.close()
                return

    def finish(self) -> dict[str, int]:
        self._is_over.set()
        self.join(60)
        assert not self.is_alive()
        return self.accepted


def trouble(
    fleet: Nodes, place: Place, harm: Callable[[], None], mend: Callable[[], None], *, producer: Producer | None = None
) -> None:
    """Load, harm, mend; then each node works again, and everything that was promised is true."""
    producer = producer or Producer(place.url)
    producer.start()
    until(lambda: has_started_since(fleet, 0.0, fleet.nodes), "all nodes work")
    harmed, harmed_wall = boot_time(), time.time()
    harm()
    mended, mended_wall = boot_time(), time.time()
    mend()
    back_s = until(lambda: has_started_since(fleet, mended + 0.2, fleet.nodes), "all nodes work again")
    accepted = producer.finish()
    until(lambda: jobs_left(place) == 0, "all jobs have ended")
    busiest = {node.number: lines_a_second(node, harmed_wall, mended_wall) for node in fleet.nodes}
    codes = fleet.end()
    spans = fleet.spans()
    with (boss := Orchestrator(place.url)).sync:
        history = finished(boss)
    jobs = {run.key: run for run in history.values() if run.worker == "job"}
    starts = sorted(span.start for span in spans if harmed <= span.start <= mended)
    gap_s = max((b - a for a, b in itertools.pairwise([harmed, *starts, mended])), default=0.0)
    repeated = [run for run, count in Counter(span.run for span in spans).items() if count > 1]
    print(
        f"\n{len(accepted)} keys, refused {producer.refused} (in doubt {producer.in_doubt}), longest call "
        f"{producer.longest_s:.2f} s; outage {mended - harmed:.1f} s, longest time without any start {gap_s:.2f} s; "
        f"all nodes back {back_s:.2f} s after it; repeated bodies {len(repeated)}; log lines a second {busiest}; "
        f"started {dict(Counter(span.pid for span in spans))}"
    )

    assert {key: run.id for key, run in jobs.items()} == accepted
    assert len([run for run in history.values() if run.worker == "job"]) == len(accepted)
    assert {run.status for run in jobs.values()} == {Status.SUCCEEDED}
    assert overlaps(spans, "left", "right") == []
    assert [run for run in repeated if history[run].interruptions == 0] == []
    assert {history[run].attempt for run in accepted.values()} == {1}
    for worker in INSTANTS:
        assert gaps(worker, history) == []
    assert all(rate <= LINES_A_SECOND for rate in busiest.values()), fleet.said()
    assert codes == [0, 0, 0]
    assert "Traceback" not in fleet.said()


def has_started_since(fleet: Nodes, instant: float, nodes: list[Node]) -> bool:
    return {span.pid for span in fleet.spans() if span.start > instant} >= {node.number for node in nodes}


def jobs_left(place: Place) -> int:
    return int(str(place.execute("SELECT count(*) FROM run WHERE worker = 'job'")[0][0]))


def lines_a_second(node: Node, began: float, ended: float) -> float:
    return round(len(node.lines_between(began, ended)) / max(1.0, ended - began), 2)


def gaps(worker: str, history: dict[int, Run]) -> list[tuple[int, int]]:
    """Instants that no run covers, or that two do."""
    runs = sorted((r for r in history.values() if r.worker == worker and r.status.is_final), key=lambda r: r.occurs_at)
    return [
        (a.id, b.id)
        for a, b in itertools.pairwise(runs)
        if (a.covers_until or a.occurs_at) + timedelta(seconds=1) != b.occurs_at
    ]


def wait_out(harm: Callable[[], None]) -> Callable[[], None]:
    def harmed() -> None:
        harm()
        time.sleep(OUTAGE_S)  # the outage itself

    return harmed


# ── one node's network ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["lose_all", "lose_what_comes", "lose_what_goes", "unplug"])
def test_a_node_that_is_cut_off_loses_nothing_and_comes_back(tmp_path: Path, far: Place, how: str):
    """C3, C4, H5: for longer than its lease, in both directions or in one."""
    with Cable() as cable, a_fleet(tmp_path, far, "outage", LEASE=LEASE_S, BODY=0.1) as fleet:
        beyond = fleet.start(store=far.url.replace("127.0.0.1", cable.here), within=cable.within)
        fleet.until_ready([beyond, *fleet.start_ready(2)])
        trouble(fleet, far, wait_out(getattr(cable, how)), cable.mend)


@pytest.mark.parametrize("hosts", [1, 5])
@pytest.mark.parametrize("how", ["lose_all", "lose_what_comes", "lose_what_goes"])
def test_bodies_of_a_node_that_is_cut_off_have_ended_before_others_begin_them(
    tmp_path: Path, far: Place, how: str, hosts: int
):
    """C3, C4, C5: with the lease as it is, 30 s, while the engine waits for a server that is silent."""
    kinds = ("loop", "thread", "child")
    with Cable() as cable, a_fleet(tmp_path, far, "suspended") as fleet:
        address = ",".join([f"{cable.here}:{far.cluster.port}"] * hosts)
        url = far.url.replace(f"127.0.0.1:{far.cluster.port}", address)
        fleet.until_ready([fleet.start(store=url, within=cable.within)])
        with (boss := Orchestrator(far.url)).sync as sync:
            runs = {kind: sync.trigger(kind).id for kind in kinds}
            for run in runs.values():
                until(lambda run=run: nodes_that_began(fleet, run) == {1}, "it has begun")
            fleet.start_ready(2)
            getattr(cable, how)()
            for run in runs.values():
                until(lambda run=run: len(nodes_that_began(fleet, run)) == 2, "another began it")
            cable.mend()
            for run in runs.values():
                until(lambda run=run: f"run {run} got a late report" in fleet.said(), "its report was refused")
            Path(f"{fleet.ledger}.release").touch()
            for run in runs.values():
                sync.wait_for(run, timeout=60)
            refused = Counter(event.run for event in events(boss) if isinstance(event, StaleReport))
        codes = fleet.end()
        ahead = {kind: began_elsewhere(fleet, run) - last_word(fleet, run) for kind, run in runs.items()}
    print(f"\nended before others began: { {kind: f'{seconds:.1f} s' for kind, seconds in ahead.items()} }")

    assert [kind for kind, seconds in ahead.items() if seconds <= 0] == []
    assert refused == dict.fromkeys(runs.values(), 1)
    assert codes == [0, 0, 0]


def test_a_limit_of_three_holds_for_long_bodies_while_nodes_are_cut_off(tmp_path: Path, far: Place):
    """C1, C3, B9: two nodes lose their network in turn, for longer than their lease; bodies are longer than that."""
    workers = ("limited", "press")
    with Cable() as one, Cable() as other, a_fleet(tmp_path, far, "limits", LEASE=LEASE_S, BODY=10) as fleet:
        cables = (one, other)
        urls = [far.url.replace("127.0.0.1", cable.here) for cable in cables]
        cut = [fleet.start(store=url, within=cable.within) for url, cable in zip(urls, cables, strict=True)]
        fleet.until_ready(cut)
        triggered = trigger_many(far.url, [(name, {"number": n}, None) for n in range(9) for name in workers])
        until(lambda: len(fleet.spans()) == 6, "six run")
        fleet.start_ready(1)
        for cable, harm in ((one, one.lose_all), (other, other.lose_what_comes)):
            harm()
            time.sleep(OUTAGE_S)  # the outage itself
            cable.mend()
        until(lambda: pending(far) == 0, "all have ended", within_s=240)
        codes = fleet.end()
        spans = fleet.spans()
        with (boss := Orchestrator(far.url)).sync:
            runs = finished(boss)
    most = {worker: most_at_once(spans, worker) for worker in workers}
    rescued = [run for run in triggered if runs[run].interruptions]
    print(f"\nmost at once {most}; {len(rescued)} runs interrupted, {len(spans)} bodies for {len(triggered)} runs")

    assert most == {"limited": 3, "press": 3}
    assert rescued
    assert {runs[run].status for run in triggered} == {Status.SUCCEEDED}
    assert codes == [0, 0, 0]


def last_word(fleet: Nodes, run: int) -> float:
    return max(at for at, _ in lines_of(fleet, 1, run))


def began_elsewhere(fleet: Nodes, run: int) -> float:
    return min(at for node in (2, 3) for at, what in lines_of(fleet, node, run) if what == "start")


def test_a_proxy_that_falls_silent_with_its_sockets_open_is_noticed(tmp_path: Path, far: Place):
    """H5"""
    with Proxy(far.url) as proxy, a_fleet(tmp_path, far, "outage", LEASE=LEASE_S, BODY=0.1) as fleet:
        beyond = fleet.start(store=proxy.url)
        fleet.until_ready([beyond, *fleet.start_ready(2)])
        trouble(fleet, far, wait_out(proxy.fall_silent), proxy.recover)


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_restarts_ten_times_loses_nothing(tmp_path: Path, far: Place):
    """W2, H5: fast and immediate in turn, two seconds apart."""

    def restart() -> None:
        for number in range(10):
            (far.cluster.shut_down if number % 2 else far.cluster.stop)()
            time.sleep(0.5)
            far.cluster.start()
            time.sleep(1.5)

    with a_fleet(tmp_path, far, "outage", LEASE=30, BODY=0.1) as fleet:
        fleet.start_ready(3)
        trouble(fleet, far, restart, lambda: None)


def test_answers_lost_after_the_commit_make_no_second_run(tmp_path: Path, far: Place):
    """W2, O5: each twentieth COMMIT is carried out, and nobody hears of it."""
    with ExitStack() as stack:
        fleet = stack.enter_context(a_fleet(tmp_path, far, "outage", LEASE=30, BODY=0.1))
        proxies = [stack.enter_context(Proxy(far.url)) for _ in range(4)]
        fleet.until_ready([fleet.start(store=proxy.url) for proxy in proxies[:3]])

        def lose() -> None:
            for proxy in proxies:
                proxy.lose_answers(b"COMMIT\0", every=20)
            time.sleep(20)  # the outage itself

        def recover() -> None:
            for proxy in proxies:
                proxy.recover()

        trouble(fleet, far, lose, recover, producer=Producer(proxies[3].url))
        print(f"answers lost {[proxy.lost for proxy in proxies]}")
