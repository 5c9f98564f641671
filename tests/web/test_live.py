"""The live stream, over real sockets: gapless, bounded, one reader for all, and it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from datetime import timedelta
from typing import Any

import pytest
from postgres_proxy import Proxy

from shiftboss import Orchestrator, StoreUnavailable
from shiftboss.app.views import Views
from shiftboss.clock import SystemClock
from shiftboss.core.model import Status
from shiftboss.stores.postgres import connection, link
from shiftboss.stores.sqlite.session import SqliteSession
from shiftboss.web import changes, frames, hub, live_poller, stream
from shiftboss.web.changes import RunChanges
from shiftboss.web.hub import Stream, Wanted

from .conftest import Gathered, Sse, a_shop, serving


def test_a_stream_begins_with_where_it_stands_and_the_whole_status(file_shop):
    with serving(file_shop) as address, Sse(address) as sse:
        hello = sse.frame()
        status = sse.frame()

    assert hello[0] == "hello"
    assert hello[1]["event"] == sse.last_id > 0
    assert status[0] == "status"
    assert status[1]["full"]
    assert {worker["name"] for worker in status[1]["workers"]} == set(file_shop.definitions)
    assert set(status[1]["order"]) == set(file_shop.definitions)


def test_what_is_done_is_told_with_its_number_and_as_changed_rows_alone(shop):
    with serving(shop) as address, Sse(address) as sse:
        begun = sse.until("hello")["event"]
        sse.until("status")
        shop.sync.disable("pick", reason="moving house")

        told = sse.until("event", lambda event: event["type"] == "audit")
        number = sse.last_id
        status = sse.until("status", lambda status: status["workers"] != [])

    assert (told["action"], told["worker"]) == ("disable", "pick")
    assert number == begun + 2  # worker_disabled, audit
    assert not status["full"]
    assert [worker["name"] for worker in status["workers"]] == ["pick"]
    assert status["order"][0] == "pick"


def test_runs_are_told_as_they_change_without_payloads(shop):
    with serving(shop) as address, Sse(address, "run", worker="send") as sse:
        sse.until("hello")
        run = shop.sync.trigger("send", {"to": "broken"})
        told = sse.until("run", lambda each: each["status"] == "dead")

    assert told["id"] == run.id
    assert told["payload"] is None
    assert told["error"]["traceback"] == ""


def test_the_hello_comes_when_it_is_known_what_was_there_before(shop, monkeypatch):
    """Else what happens right after it could be taken for old, on a slow store."""
    was_greeted, is_known = threading.Event(), threading.Event()

    class Slow(live_poller.RunChanges):
        def __init__(self, views: Views) -> None:
            was_greeted.wait(1)  # in vain, unless the hello comes too early
            super().__init__(views)
            is_known.set()

    monkeypatch.setattr(live_poller, "RunChanges", Slow)
    with serving(shop) as address, Sse(address, "run") as sse:
        sse.until("hello")
        was_known = is_known.is_set()
        was_greeted.set()

    assert was_known


def test_an_end_that_was_committed_late_is_told_all_the_same(shop, monkeypatch):
    """Its instant lies before what was looked at last."""
    monkeypatch.setattr(changes, "SLACK", timedelta(hours=-1))
    with serving(shop) as address, Sse(address, "run", worker="send") as sse:
        sse.until("hello")
        run = shop.sync.trigger("send", {"to": "ada"}, delay="1h")
        sse.until("run", lambda each: each["status"] == "pending")
        shop.sync.cancel(run.id)

        assert sse.until("run", lambda each: each["status"] == "cancelled")["id"] == run.id


def test_a_stream_narrowed_to_a_worker_hears_of_no_other(file_shop):
    with serving(file_shop) as address, Sse(address, "event", worker="send") as sse:
        sse.until("hello")
        file_shop.sync.disable("pick")
        file_shop.sync.disable("send")

        assert sse.frame()[1]["worker"] == "send"


def test_the_log_of_a_run_is_followed(file_shop):
    go_on = threading.Event()

    @file_shop.worker(timeout=None)
    def talks(ctx) -> None:
        go_on.wait(30)
        ctx.log.warning("a word")

    with serving(file_shop) as address:
        run = file_shop.sync.trigger("talks")
        with Sse(address, "log", run=run.id) as sse:
            sse.until("hello")
            go_on.set()

            assert sse.until("log")["text"] == "a word"


SHEDDING = "node_shedding"  # a busy machine says so in between


def unhurried(event: dict[str, Any]) -> bool:
    return event["type"] != SHEDDING


def test_a_stream_goes_on_after_the_last_event_without_gap_or_repetition(shop):
    with serving(shop) as address:
        with Sse(address, "event") as sse:
            sse.until("hello")
            shop.sync.disable("pick")
            sse.until("event", lambda event: event["type"] == "audit")
            last = sse.last_id
        shop.sync.enable("pick")
        shop.sync.disable("send")
        with Sse(address, "event", last=last) as sse:
            hello = sse.until("hello")
            seen = []
            told = [sse.until("event", lambda event: seen.append(event) or unhurried(event)) for _ in range(4)]

    assert hello["resumed"]
    assert [(event["type"], event["worker"]) for event in told] == [
        ("worker_enabled", "pick"),
        ("audit", "pick"),
        ("worker_disabled", "send"),
        ("audit", "send"),
    ]
    assert sse.last_id == last + len(seen)


def test_the_stream_survives_a_restart_of_the_server(tmp_path):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    first = a_shop(url)
    with serving(first) as address:
        sse = Sse(address, "event")
        sse.until("hello")
        first.sync.disable("pick")
        sse.until("event", lambda event: event["type"] == "audit")
        last = sse.last_id
    sse.close()
    with (boss := a_shop(url)).sync:  # a client, while no server is there
        boss.sync.enable("pick")
    with serving(a_shop(url), port=address.port) as again, Sse(again, "event", last=last) as sse:
        hello = sse.until("hello")
        types = [sse.until("event")["type"] for _ in range(2 + 3)]

    assert hello["resumed"]
    assert sorted(types) == ["audit", "node_drained", "node_joined", "node_left", "worker_enabled"]


@pytest.mark.parametrize("last", [0, 10**9])
def test_who_missed_too_much_is_told_to_read_anew(file_shop, monkeypatch, last):
    monkeypatch.setattr(live_poller, "MAX_RING", 2)
    with serving(file_shop) as address, Sse(address, "event", last=last) as sse:
        hello = sse.until("hello")
        resync = sse.until("resync")

    assert not hello["resumed"]
    assert resync["topics"] == ["event"]


def test_every_stream_gets_bye_when_the_node_begins_to_stop(file_shop):
    """G1: announced with the drain."""
    with serving(file_shop) as address, Sse(address) as sse:
        sse.until("status")
        gathered = Gathered(sse)
        file_shop.sync.stop()

        assert gathered.join()[-1][0] == "bye"


def test_a_body_that_goes_on_does_not_keep_streams_open(tmp_path):
    boss = a_shop(f"sqlite:///{tmp_path / 'shop.db'}")
    go_on, entered = threading.Event(), threading.Event()

    @boss.worker(timeout=None)
    def lasts() -> None:
        entered.set()
        go_on.wait(30)

    with serving(boss) as address, Sse(address) as sse:
        sse.until("status")
        boss.sync.trigger("lasts")
        entered.wait(30)
        stopping = threading.Thread(target=boss.sync.stop)
        stopping.start()

        sse.until("bye")
        still_runs = stopping.is_alive()
        go_on.set()
        stopping.join()

    assert still_runs


# ── one reader ───────────────────────────────────────────────────────────────────────────────────────────────────


def reads_of(boss: Orchestrator, monkeypatch, count: int) -> int:
    """How often the live reader asks the store while *count* streams are told of the same three changes."""
    asked = []
    read = SqliteSession.read

    def counted(session):
        if threading.current_thread().name == "shiftboss-live":
            asked.append(1)
        return read(session)

    monkeypatch.setattr(SqliteSession, "read", counted)
    monkeypatch.setattr(live_poller, "TURN_S", 3600.0)  # nothing by time alone
    with serving(boss) as address:
        streams = [Sse(address, "status,event,run")]
        streams[0].until("status")
        streams += [Sse(address, "status,event,run") for _ in range(count - 1)]
        for sse in streams[1:]:
            sse.until("status")
        asked.clear()
        for number in range(3):
            boss.sync.disable("pick") if number % 2 == 0 else boss.sync.enable("pick")
            for sse in streams:
                sse.until("event", lambda event: event["type"] == "audit")
                sse.until("status", lambda status: status["workers"] != [])
        found = len(asked)
        for sse in streams:
            sse.close()
    return found


def test_fifty_streams_cost_the_store_what_one_costs(tmp_path, monkeypatch):
    one = reads_of(a_shop(f"sqlite:///{tmp_path / 'one.db'}"), monkeypatch, 1)
    fifty = reads_of(a_shop(f"sqlite:///{tmp_path / 'fifty.db'}"), monkeypatch, 50)

    assert 0 < fifty <= 1.5 * one + 5  # the node's own renewals wake it in between


# ── a store that does not answer ─────────────────────────────────────────────────────────────────────────────────


def test_when_the_server_of_the_store_falls_silent_the_page_is_stale_until_it_speaks(place, monkeypatch):
    for name in ("CALL_S", "CONNECT_S"):
        monkeypatch.setattr(link, name, 0.5)
    monkeypatch.setattr(connection, "CALL_S", 0.5)
    monkeypatch.setattr(live_poller, "TURN_S", 0.2)  # it looks although no notification comes any more
    with Proxy(place.url + "&connect_timeout=2") as proxy:
        boss = a_shop(proxy.url)
        with serving(boss) as address, Sse(address) as sse:
            sse.until("status")
            proxy.fall_silent()
            reason = sse.until("stale")["reason"]
            proxy.recover()
            proxy.cut()
            back = sse.until("status")

    assert reason
    assert back["full"]
    assert {worker["name"] for worker in back["workers"]} == set(boss.definitions)


def test_a_file_that_cannot_be_read_makes_the_page_stale_until_it_can(tmp_path, monkeypatch):
    monkeypatch.setattr(live_poller, "TURN_S", 0.2)
    boss = a_shop(f"sqlite:///{tmp_path / 'shop.db'}")
    with serving(boss) as address, Sse(address) as sse:
        sse.until("status")
        with monkeypatch.context() as patch:
            patch.setattr(SqliteSession, "read", cannot_be_read)
            reason = sse.until("stale")["reason"]
        back = sse.until("status")

    assert reason == "disk I/O error"
    assert back["full"]


def cannot_be_read(session):
    """In WAL nothing that other processes do to a file keeps a reader out, but the end of its file system."""
    raise StoreUnavailable("disk I/O error")


def test_the_reader_ends_with_the_last_stream(file_shop):
    with serving(file_shop) as address:
        with Sse(address) as sse:
            sse.until("status")
            thread = next(each for each in threading.enumerate() if each.name == "shiftboss-live")
        thread.join(30)

        assert not thread.is_alive()
        with Sse(address) as sse:
            assert sse.until("status")["full"]


def test_more_streams_than_there_is_room_for_are_refused(file_shop, monkeypatch):
    monkeypatch.setattr(hub, "MAX_STREAMS", 2)
    with serving(file_shop) as address, Sse(address) as one, Sse(address) as two:
        one.until("status")
        two.until("status")
        with Sse(address) as three:
            assert three.status == 503


# ── clients that do not read ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_queue_has_a_bound_and_says_what_was_left_out(monkeypatch):
    monkeypatch.setattr(hub, "MAX_QUEUED", 3)
    one = Stream(Wanted(frozenset({"event"})), asyncio.get_running_loop())
    frame = frames.Frame(b"event: x\n\n", "event")
    one.offer([frame, frame], last=False)
    one.offer([frame, frame], last=False)

    told = await one.take(1.0)

    assert told.count(b"event: x") == 0
    assert told.startswith(b"event: resync")


def test_a_client_that_never_reads_is_cut_off_and_holds_up_nobody(file_shop, monkeypatch):
    monkeypatch.setattr(stream, "SEND_WITHIN_S", 0.2)
    monkeypatch.setattr(hub.Stream, "take", _flood)
    left = threading.Event()
    leave = hub.Hub.leave

    def noted(self, one):
        leave(self, one)
        left.set()

    monkeypatch.setattr(hub.Hub, "leave", noted)
    with serving(file_shop) as address:
        credential = f"Authorization: Bearer {address.token}\r\n"
        deaf = socket.create_connection((address.host, address.port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {address.host}\r\n{credential}\r\n".encode())

        assert left.wait(30)
        deaf.close()


async def _flood(self, timeout_s):
    return b": " + b"x" * 1_000_000 + b"\n\n"


# ── which runs are new ───────────────────────────────────────────────────────────────────────────────────────────


def test_each_state_of_a_run_is_told_once(file_shop):
    told = []
    file_shop.sync.start()
    with contextlib.closing(Views(file_shop.store, file_shop.clock)) as views:
        views.status()
        changes = RunChanges(views)
        waiting = file_shop.sync.trigger("pick", delay=3600).id
        for act in (None, None, file_shop.sync.cancel, None):
            if act is not None:
                act(waiting)
            views.status()
            told.append([(run.id, run.status) for run in changes.look(views)[0] if run.worker == "pick"])
    file_shop.sync.stop()

    assert told == [[(waiting, Status.PENDING)], [], [(waiting, Status.CANCELLED)], []]


@pytest.mark.parametrize("seconds", [3 * 86_400, -3 * 86_400, 3600, -3600])
def test_what_ends_while_the_clock_is_set_is_told(tmp_path, seconds):
    """O4"""
    clock = ClockThatIsSet()
    shop = a_shop(f"sqlite:///{tmp_path / 'shop.db'}", clock=clock)
    shop.sync.start()
    with contextlib.closing(Views(shop.store, clock)) as views:
        views.status()
        changes = RunChanges(views)
        before, after = (shop.sync.trigger("pick", delay=3600).id for _ in range(2))
        changes.look(views)
        shop.sync.cancel(before)
        clock.ahead = timedelta(seconds=seconds)
        shop.sync.cancel(after)
        views.status()
        told = {run.id: run.status for run in changes.look(views)[0] if run.worker == "pick"}
    shop.sync.stop()

    assert told == {before: Status.CANCELLED, after: Status.CANCELLED}


class ClockThatIsSet(SystemClock):
    ahead = timedelta(0)

    def now(self):
        return super().now() + self.ahead


def test_more_runs_than_anybody_reads_are_not_told_one_by_one(file_shop, monkeypatch):
    monkeypatch.setattr("shiftboss.web.changes.MAX_RUNS", 3)
    with serving(file_shop) as address, Sse(address, "run") as sse:
        sse.until("hello")
        for _ in range(10):
            file_shop.sync.trigger("pick", delay=3600)

        assert sse.until("resync")["topics"] == ["run"]
