"""Lanes wait on lists, and a cycle asks only about what may be free: that changes no decision (P2, P3, B4, D9).

Beside small random systems wide ones are played: hundreds of workers that share permits, a breaker, a tag, upstreams.
"""

from __future__ import annotations

import random

import pytest
from systems import FAULTS, System, play, random_system
from whole_looks import WholeLooks

from shiftboss.core import decide, waitlists
from shiftboss.core.policy import BreakerPolicy, Priority, Rate, RetryPolicy
from shiftboss.core.schedule import Every
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Mode, OnFailure, Upstream

PARTITIONS_HELD = (None, 0.3)
SYSTEMS = 24
WIDE = 60  # workers in a wide system; 500 in `make chaos`
FIRST = 64_000


@pytest.mark.parametrize(
    "first", [FIRST, *(pytest.param(FIRST + 100 * group, marks=pytest.mark.chaos) for group in range(1, 9))]
)
def test_the_lists_leave_out_nothing_that_could_start(first, monkeypatch):
    """P2, P3, B4, D5, D9"""
    looks = WholeLooks().install(monkeypatch)
    wrong = []
    for seed in range(first, first + SYSTEMS):
        wrong += [
            f"{seed}: {each}"
            for each in play(seed, partitions_held=PARTITIONS_HELD[seed % len(PARTITIONS_HELD)]).violations
        ]

    assert (wrong, looks.differences) == ([], [])
    assert looks.grants > 10 * SYSTEMS
    assert looks.asked < 10 * looks.decisions


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.chaos) for seed in range(3, 13))])
def test_nor_do_they_in_a_wide_system(seed, monkeypatch):
    """P2, P3, B4, B8, B9, D2, D9, K2"""
    looks = WholeLooks().install(monkeypatch)
    played = play(seed, system=wide_system(seed, WIDE), partitions_held=PARTITIONS_HELD[seed % 2])

    assert (played.violations, looks.differences) == ([], [])
    assert looks.grants > WIDE


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(21, 24))
def test_no_promise_is_broken_in_a_system_of_five_hundred_workers(seed):
    """P2, P3, B4, B8, B9, D2, D9, K2, A3"""
    assert play(seed, system=wide_system(seed, 500), partitions_held=PARTITIONS_HELD[seed % 2]).violations == []


def test_a_list_for_an_upstream_that_the_first_closes_is_noticed(monkeypatch):
    """D2: the net of the wide systems has no hole there."""
    monkeypatch.setattr(waitlists, "UPSTREAM", "none")
    looks = WholeLooks().install(monkeypatch)
    play(2, system=wide_system(2, WIDE), partitions_held=PARTITIONS_HELD[0])

    assert looks.differences


def test_a_reservation_whose_end_opens_no_list_is_noticed(monkeypatch):
    """B4: a seed in which the others wait for it."""
    monkeypatch.setattr(decide.Walk, "_end_reservation", lambda walk, name: None)
    looks = WholeLooks().install(monkeypatch)
    play(62_463, partitions_held=PARTITIONS_HELD[1])

    assert looks.differences


def wide_system(seed: int, workers: int) -> System:
    """Workers of six kinds, as wide as a tenant for each worker makes them."""
    rng = random.Random(seed)
    definitions = tuple(wide_worker(rng, number) for number in range(workers))
    system = random_system(rng)
    faults = frozenset(fault for fault in FAULTS if rng.random() < 0.3) - {"people", "deploys"}
    return replace_system(system, definitions, faults, slots=rng.choice((3, 8, 20)))


def replace_system(system: System, definitions: tuple[Definition, ...], faults: frozenset[str], slots: int) -> System:
    return System(
        definitions=definitions,
        nodes=system.nodes,
        slots=slots,
        faults=faults,
        leaps=False,
        longest_s=4.0,
        every_s=3.0,
        minutes=4.0,
    )


def wide_worker(rng: random.Random, number: int) -> Definition:
    """The kind follows from the number, so that a group has many members; what does not matter to it is drawn."""
    name = f"w{number:03}"
    plain = Definition(
        name,
        priority=rng.choice(list(Priority)),
        patience_s=rng.choice((0.0, 5.0, 30.0)),
        concurrency=rng.choice((1, 2, None)),
        retry=RetryPolicy(max_retries=rng.choice((0, 1)), first_s=0.5, cap_s=5.0),
        max_consecutive_failures=None,
        executor=rng.choice(("coroutine", "coroutine", "thread")),
    )
    kind = number % 6
    scheduled = {"mode": Mode.SCHEDULED, "schedule": Every(rng.choice((10.0, 30.0, 60.0))), "concurrency": 1}
    match kind:
        case 0:
            return plain
        case 1:
            return replace(plain, uses={"disk": rng.choice((1, 1, 2))}, **(scheduled if rng.random() < 0.5 else {}))
        case 2:
            policy = BreakerPolicy(failures=2, cooldown_s=10.0, max_cooldown_s=30.0)
            return replace(plain, breaker="shared", breaker_policy=policy, **scheduled)
        case 3:
            return replace(plain, tags=("t",), blocks=("tag:t",) if rng.random() < 0.2 else ())
        case 4:  # one upstream for many, which is scheduled itself
            return replace(plain, **scheduled) if number == 4 else downstream(rng, plain, "w004")
        case _:
            return replace(plain, rate=Rate(3, 10.0)) if rng.random() < 0.5 else replace(plain, **scheduled)


def downstream(rng: random.Random, plain: Definition, upstream: str) -> Definition:
    edge = Upstream(upstream, on_failure=rng.choice((OnFailure.WAIT, OnFailure.SKIP, OnFailure.RUN)))
    return replace(plain, mode=Mode.SCHEDULED, schedule=Every(60.0), concurrency=1, depends_on=(edge,))
