"""What a start costs does not depend on how many lanes wait: the work is counted, whatever the machine (P2, B4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from worlds import World

from shiftboss.core import decide
from shiftboss.core.model import Error, Failed, Succeeded
from shiftboss.core.policy import BreakerPolicy, RetryPolicy
from shiftboss.core.room import KEPT_OF
from shiftboss.core.schedule import Every
from shiftboss.core.snapshot import Change
from shiftboss.core.unreadable import SetAside
from shiftboss.core.worker import Definition, Mode, Start, Upstream
from shiftboss.engine.cycle import Launchable
from shiftboss.engine.snapshot_cache import SnapshotCache

SLOTS = 10
NARROW, WIDE = 40, 400
PERMITS = 5
ASKS = 6  # for each start, at most: itself, the head of what it frees, of what it reserved, and a look without a lock


class Work:
    """Counts what cycles do."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked = self.entered = self.read = 0
        ask, enter, read = decide.ask, decide.Walk._enter, SnapshotCache._read_lanes

        def counting_ask(view: Any, run: Any) -> Any:
            self.asked += 1
            return ask(view, run)

        def counting_enter(walk: Any, name: str) -> None:
            self.entered += 1
            enter(walk, name)

        def counting_read(cache: Any, names: Sequence[str], reader: Any, *, limit: int) -> None:
            self.read += len(names)
            read(cache, names, reader, limit=limit)

        patch.setattr(decide, "ask", counting_ask)
        patch.setattr(decide.Walk, "_enter", counting_enter)
        patch.setattr(SnapshotCache, "_read_lanes", counting_read)

    def reset(self) -> None:
        self.asked = self.entered = self.read = 0


def unrelated(width: int) -> list[Definition]:
    return [Definition(name) for name in names(width)]


def permits(width: int) -> list[Definition]:
    return [Definition(name, uses={"db": 1}) for name in names(width)]


def impatient_permits(width: int) -> list[Definition]:
    """Whoever is first in line reserves."""
    return [Definition(name, uses={"db": 1}, patience_s=0.0) for name in names(width)]


def one_after_another(width: int) -> list[Definition]:
    return [Definition(name, tags=("t",), blocks=("tag:t",)) for name in names(width)]


def impatient_one_after_another(width: int) -> list[Definition]:
    return [Definition(name, tags=("t",), blocks=("tag:t",), patience_s=0.0) for name in names(width)]


def sharing_a_breaker(width: int) -> list[Definition]:
    return [Definition(name, breaker="x", breaker_policy=BreakerPolicy()) for name in names(width)]


def scheduled(width: int) -> list[Definition]:
    every = Every(3600.0)
    return [
        Definition(name, mode=Mode.SCHEDULED, schedule=every, start=Start.NOW, concurrency=1) for name in names(width)
    ]


def names(width: int) -> list[str]:
    return [f"w{number:04}" for number in range(width)]


SHAPES = (
    unrelated,
    permits,
    impatient_permits,
    one_after_another,
    impatient_one_after_another,
    sharing_a_breaker,
    scheduled,
)


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_start_costs_the_same_however_many_lanes_are_due(shape, width, monkeypatch):
    definitions = shape(width)
    world = World(*definitions, slots=SLOTS, resources={"db": PERMITS})
    running = list(world.first.starts)
    if shape is not scheduled:
        running += world.turn(*(world.trigger(each.name)[0] for each in definitions)).starts
    work = Work(monkeypatch)
    started = drain(world, running)

    assert len(running) + started == width, "each ran once"
    assert work.asked <= ASKS * started
    assert work.entered <= ASKS * started
    assert work.read <= started, "what was read for the first look is kept"


def drain(world: World, running: Sequence[Launchable]) -> int:
    """End what runs, one run a turn as a slow fleet does, until nothing more starts; how many were started."""
    left, started = list(running), 0
    while left:
        turn = world.turn(world.done(left.pop(0)))
        while turn.again:
            left += turn.starts
            started += len(turn.starts)
            turn = world.turn()
        left += turn.starts
        started += len(turn.starts)
    return started


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_of_those_that_a_breaker_held_one_is_asked_to_probe_it(width, monkeypatch):
    """K2"""
    policy = BreakerPolicy(failures=1, cooldown_s=10.0, max_cooldown_s=10.0)
    retry = RetryPolicy(max_retries=0)
    definitions = [Definition(name, breaker="x", breaker_policy=policy, retry=retry) for name in names(width)]
    world = World(*definitions, slots=1)
    (first,) = world.turn(world.trigger("w0000")[0]).starts
    world.turn(world.done(first, Failed(Error(type="ValueError"))))
    world.turn(*(world.trigger(each.name)[0] for each in definitions))
    work = Work(monkeypatch)
    world.clock.advance(10.0)
    (probe,) = world.turn().starts
    asked = work.asked
    started = 1 + drain(world, [probe])

    assert asked <= 2 * ASKS
    assert started == width
    assert work.asked <= ASKS * started


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_what_waits_for_an_upstream_is_asked_when_that_has_ended(width, monkeypatch):
    """D2: each has its own logical time, so each is asked; but no more often than that."""
    definitions = [Definition("u"), *(Definition(name, depends_on=(Upstream("u"),)) for name in names(width))]
    world = World(*definitions, slots=SLOTS)
    (upstream,) = world.turn(world.trigger("u")[0]).starts
    world.turn(*(world.trigger(name)[0] for name in names(width)))
    work = Work(monkeypatch)
    while world.turn().again:
        pass
    asked_while_it_runs = work.asked
    started = drain(world, [upstream])

    assert (asked_while_it_runs, started) == (0, width)
    assert work.asked <= ASKS * started


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_who_waits_behind_one_that_blocks_all_is_not_asked_meanwhile(width, monkeypatch):
    """B1: and when it has ended, as many are asked as there are slots."""
    definitions = [Definition("b", blocks=("tag:t",)), *(Definition(name, tags=("t",)) for name in names(width))]
    world = World(*definitions, Definition("other"), slots=SLOTS)
    (blocker,) = world.turn(world.trigger("b")[0]).starts
    world.turn(*(world.trigger(name)[0] for name in names(width)))
    work = Work(monkeypatch)
    for _ in range(20):
        (other,) = world.turn(world.trigger("other")[0]).starts
        world.turn(world.done(other))
    asked_meanwhile = work.asked
    work.reset()
    turn = world.turn(world.done(blocker, Succeeded()))

    assert asked_meanwhile <= 20 * ASKS
    assert len(turn.starts) == SLOTS - SLOTS // KEPT_OF
    assert work.asked <= ASKS + SLOTS


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_lanes_of_workers_that_are_new_to_the_store_are_not_read(width, monkeypatch):
    """M3: what waits of them is what their declaration has stored in the same transaction."""
    work = Work(monkeypatch)
    world = World(*scheduled(width), slots=SLOTS)

    assert work.read == 0
    started = {launch.run.worker for launch in world.first.starts}
    waiting = {name for name, lane in world.cycle.snapshot.lanes.items() if not lane.is_empty}
    assert started | waiting == set(names(width))
    assert len(started) > 0


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_an_engine_with_nothing_due_touches_no_lane(width, monkeypatch):
    """M2: nothing is asked, entered or read when it wakes, however many workers wait for their time."""
    every = Every(3600.0)
    definitions = [
        Definition(name, mode=Mode.SCHEDULED, schedule=every, start=Start.NEXT, concurrency=1) for name in names(width)
    ]
    world = World(*definitions, slots=SLOTS)
    work, opened = Work(monkeypatch), []
    monkeypatch.setattr(world.session, "read", lambda: opened.append("read"))
    monkeypatch.setattr(world.session, "begin", lambda *_, **__: opened.append("begin"))
    for _ in range(10):
        world.clock.advance(5.0)
        world.turn()

    assert (work.asked, work.entered, work.read, opened) == (0, 0, 0, [])


def test_runs_of_a_name_whose_row_was_set_aside_are_read_when_it_is_declared_again():
    """A5: its lane is not taken for empty."""
    world = World(Definition("w"))
    world.turn(*(world.trigger("w", delay_s=3600)[0] for _ in range(2)))
    state, snapshot = world.cycle.snapshot.workers["w"], world.cycle.snapshot
    snapshot.apply(Change(set_aside=(SetAside("worker", "w", world.clock.now(), "ada", worker="w"),)))
    snapshot.apply(Change(workers=(state,)))

    assert world.cycle.cache.missing(["w"]) == ["w"]
