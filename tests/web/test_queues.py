"""What waits for a stream: bounded, shared by all, and the last places for those who may do more."""

from __future__ import annotations

import asyncio

import pytest

from shiftboss.app.roles import Role
from shiftboss.web import frames, hub
from shiftboss.web.hub import Stream, Wanted
from shiftboss.web.problems import Problem

from .conftest import Sse, serving


async def test_a_long_frame_is_handed_over_in_portions():
    """Streams share frames: what one that does not read has of its own is a portion."""
    one = Stream(Wanted(frozenset({"event"})), asyncio.get_running_loop())
    long, short = frames.Frame(b"x" * 100_000, "event"), frames.Frame(b"y", "event")
    one.offer([long, short, short], last=False)

    portions = []
    while one.has_more:
        portions.append(await one.take(1.0))

    assert b"".join(portions) == b"x" * 100_000 + b"yy"
    assert [len(each) for each in portions] == [32768, 32768, 32768, 1698]


async def test_a_queue_is_bounded_in_bytes_and_a_frame_that_was_begun_is_ended(monkeypatch):
    monkeypatch.setattr(hub, "MAX_QUEUED_BYTES", 50_000)
    one = Stream(Wanted(frozenset({"event"})), asyncio.get_running_loop())
    long = frames.Frame(b"x" * 40_000, "event")
    one.offer([long, long], last=False)  # the first may be as long as it is
    first = await one.take(1.0)
    one.offer([long], last=False)

    rest = b""
    while one.has_more:
        rest += await one.take(1.0)

    assert first + rest[: 40_000 - len(first)] == long.data
    assert rest[40_000 - len(first) :].startswith(b"event: resync")


async def test_a_stream_whose_reader_got_no_thread_is_no_stream(file_shop):
    def refused(self) -> None:
        raise RuntimeError("can't start new thread")

    file_shop.sync.start()
    streams = hub.Hub(file_shop)
    wanted = Wanted(frozenset({"event"}))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hub.LivePoller, "start", refused)
            with pytest.raises(RuntimeError):
                streams.join(wanted, Role.ADMIN)
        assert streams.count == 0

        streams.join(wanted, Role.ADMIN)
        assert streams.count == 1
    finally:
        streams.close()
        file_shop.sync.stop()


@pytest.mark.parametrize(("role", "most"), [("VIEWER", 160), ("OPERATOR", 190), ("ADMIN", 200)])
async def test_the_last_streams_are_for_those_who_may_do_more(file_shop, role, most):
    file_shop.sync.start()
    streams = hub.Hub(file_shop)
    wanted = Wanted(frozenset({"event"}))
    try:
        joined = [streams.join(wanted, Role[role]) for _ in range(most)]
        with pytest.raises(Problem, match=f"the limit for the role {role.lower()} is {most}"):
            streams.join(wanted, Role[role])
        for each in joined:
            streams.leave(each)
    finally:
        streams.close()
        file_shop.sync.stop()


def test_streams_that_come_one_after_another_share_the_status(file_shop):
    """What 200 that do not read cost: not a copy each."""
    offered = []
    offer = hub.Stream.offer

    def noted(self, told, *, last):
        offered.extend(frame for frame in told if b"event: status" in frame.data)
        offer(self, told, last=last)

    with pytest.MonkeyPatch.context() as patch, serving(file_shop) as address:
        patch.setattr(hub.Stream, "offer", noted)
        for _ in range(10):
            with Sse(address) as sse:
                sse.until("status", lambda status: status["full"])

    full = {id(frame) for frame in offered if b'"full":true' in frame.data}
    assert len(full) == 1


def test_who_comes_later_knows_what_changed_in_between(file_shop):
    with serving(file_shop) as address, Sse(address) as first:
        first.until("status")
        file_shop.sync.disable("pick", reason="moving house")
        first.until("status", lambda status: status["workers"] != [])
        with Sse(address) as second:
            whole = second.until("status", lambda status: status["full"])
            change = second.until("status") if not any(each["disabled"] for each in whole["workers"]) else whole

    assert [each["name"] for each in change["workers"] if each["disabled"]] == ["pick"]
