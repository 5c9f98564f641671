"""What a run costs the engine's thread, counted in calls and in encoded rows: the same on any machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
from worlds import World

from shiftboss.core.schedule import Every
from shiftboss.core.worker import Definition, Mode, Start
from shiftboss.engine.cycle import Launchable
from shiftboss.engine.snapshot_cache import SnapshotCache
from shiftboss.stores import encryption
from shiftboss.stores.encryption import encoded
from shiftboss.stores.sql import codec
from shiftboss.stores.sqlite.store import SqliteStore
from shiftboss.testing.clock import VirtualClock

RUNS = 200
NAMES = [f"w{number:03}" for number in range(RUNS)]


class Shape(NamedTuple):
    """Workers, and the most calls that a run of theirs may cost: a tenth more than when this was written."""

    definitions: Sequence[Definition]
    start: int  # from the trigger to the committed claim
    end: int  # from the report to the committed end

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.definitions] * (RUNS // len(self.definitions))


ONE_WORKER = Shape([Definition("noop")], start=145, end=77)
A_WORKER_EACH = Shape([Definition(name) for name in NAMES], start=170, end=107)
SCHEDULED = Shape(  # each end also stores the next run
    [Definition(name, mode=Mode.SCHEDULED, schedule=Every(3600.0), start=Start.NOW, concurrency=1) for name in NAMES],
    start=0,
    end=230,
)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Sequence[Definition]], World]]:
    """Makes a node on a SQLite store without a codec, in a process that has never met what it cannot decode."""
    monkeypatch.setattr(encryption.Cipher, "has_met_opaque", False)
    opened: list[World] = []

    def a_node(definitions: Sequence[Definition]) -> World:
        clock = VirtualClock()
        store: Any = encoded(SqliteStore(tmp_path / "jobs.db", clock=clock), None)
        opened.append(World(*definitions, store=store, clock=clock, slots=2 * RUNS))
        return opened[-1]

    yield a_node
    for world in opened:
        world.session.close()
        world.store.close()


def calls_of(step: Callable[[], Any]) -> tuple[Any, float]:
    """What *step* returns, and for each run the calls that it makes in this thread, also those of C functions."""
    calls = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        answer = step()
    finally:
        sys.setprofile(None)
    return answer, calls / RUNS


def started(world: World, shape: Shape) -> tuple[list[Launchable], float]:
    triggers = [world.trigger(name)[0] for name in shape.names]
    turn, calls = calls_of(lambda: world.turn(*triggers))
    assert len(turn.starts) == RUNS
    return turn.starts, calls


def ended(world: World, starts: Sequence[Launchable]) -> float:
    reports = [world.done(start) for start in starts]
    return calls_of(lambda: world.turn(*reports))[1]


@pytest.mark.parametrize("shape", [ONE_WORKER, A_WORKER_EACH], ids=["one worker", "a worker each"])
def test_a_run_costs_few_calls(made, shape):
    world = made(shape.definitions)
    starts, calls_to_start = started(world, shape)
    calls_to_end = ended(world, starts)

    assert calls_to_start <= shape.start
    assert calls_to_end <= shape.end


def test_a_scheduled_run_costs_few_calls(made):
    world = made(SCHEDULED.definitions)
    assert len(world.first.starts) == RUNS

    assert ended(world, world.first.starts) <= SCHEDULED.end


def test_a_run_is_encoded_twice_and_never_read_again(made, monkeypatch):
    """As it starts, and as it ends.  Nothing is looked through for a codec that is not there."""
    world = made(ONE_WORKER.definitions)
    encoded_runs, read_lanes, looked_through = [], [], []
    text_of_run, read, transformed = codec.text_of_run, SnapshotCache._read_lanes, encryption.transformed
    monkeypatch.setattr(codec, "text_of_run", lambda run: encoded_runs.append(run.status) or text_of_run(run))
    monkeypatch.setattr(SnapshotCache, "_read_lanes", lambda *a, **o: read_lanes.append(a) or read(*a, **o))
    monkeypatch.setattr(encryption, "transformed", lambda *a, **o: looked_through.append(a) or transformed(*a, **o))
    starts, _ = started(world, ONE_WORKER)
    ended(world, starts)

    assert encoded_runs == ["running"] * RUNS + ["succeeded"] * RUNS
    assert read_lanes == []
    assert looked_through == []
