"""Mistakes are planted into the rules, one at a time; the checks of the random systems must notice each of them.

A net that catches nothing shows nothing: these tests fail when a check has lost its eyes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from systems import System, play

from shiftboss.core import (
    autodisable,
    claim,
    clock_step,
    decide,
    fleet,
    occurrence,
    prevail,
    reconcile,
    room,
    set_aside,
    settle,
    snapshot,
    waitlists,
)
from shiftboss.core.declarations import Declarations
from shiftboss.core.gates import (
    blocks,
    breaker,
    concurrency,
    depends_on,
    disabled,
    paused,
    rate,
    reserved,
    table,
    unreadable,
    uses,
)
from shiftboss.core.gates.gate import Gate
from shiftboss.core.model import Interrupted, Record, Run, WorkerState
from shiftboss.core.policy import RetryPolicy
from shiftboss.core.schedule import Every
from shiftboss.core.snapshot import NOTHING
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Mode
from shiftboss.engine import (
    agenda,
    clock_rules,
    clock_watch,
    cycle,
    declaring,
    lease,
    mutation,
    neighbours,
    running,
    snapshot_cache,
)
from shiftboss.errors import ShiftbossError, TriggersRefused
from shiftboss.stores.memory import tables
from shiftboss.testing import bodies

SEEDS = (1_039, *range(90_090, 90_150), *range(60))  # each mistake shows in one of them; the rarest in one of hundreds
PARTITIONS_SEEDS = range(80_100, 80_300)
DEPLOY_SEEDS = range(60)
# Where a mistake that shows late was seen the last time: played first.  What is out of date here costs time only.
SEEN_IN = {
    "no_crash_loop": 90_095,
    "never_disabled": 90_095,
    "trust_without_end": 90_108,
    "claims_left_lying": 90_103,
    "a_look_forgotten": 90_097,
    "many_probes": 90_111,
    "places_not_shifted": 90_137,
    "stale_reports_count": 90_139,
    "triggers_refused": 90_096,
    "bad_input_harms_the_worker": 90_095,
    "zombies_only_interrupted": 90_106,
    "retries_not_shifted": 90_113,
    "what_ran_comes_again": 90_141,
    "partitions_not_heeded": 80_108,
    "news_of_others_forgotten": 80_217,
    "no_rate": 90_091,
    "no_disabled": 90_093,
    "no_breaker": 90_092,
    "no_take_up": 90_091,
    "runs_of_the_frozen_left_for_ever": 90_092,
    "once_frozen_always_frozen": 90_091,
    "who_starts_last_wins": 19,
    "starting_again_makes_newer": 2,
}

Plant = Callable[[pytest.MonkeyPatch], None]


def nothing(*_: Any, **__: Any) -> None:
    return None


def without(patch: pytest.MonkeyPatch, gate: Gate[Any]) -> None:
    for name in ("ASK_FLEET", "ASK_FLEET_OF_FREE"):
        patch.setattr(table, name, tuple(ask for ask in getattr(table, name) if ask != gate.ask))


def no_blocks(patch: pytest.MonkeyPatch) -> None:
    without(patch, blocks.GATE)


def no_concurrency(patch: pytest.MonkeyPatch) -> None:
    without(patch, concurrency.GATE)


def no_permits(patch: pytest.MonkeyPatch) -> None:
    without(patch, uses.GATE)


def no_disabled(patch: pytest.MonkeyPatch) -> None:
    without(patch, disabled.GATE)


def no_pause(patch: pytest.MonkeyPatch) -> None:
    """K7"""
    without(patch, paused.GATE)


def a_pause_without_end(patch: pytest.MonkeyPatch) -> None:
    """K7"""
    patch.setattr(WorkerState, "pause_at", lambda state, now: state.paused)


def no_breaker(patch: pytest.MonkeyPatch) -> None:
    without(patch, breaker.GATE)


def many_probes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(breaker, "probe_of", nothing)


def no_reservation(patch: pytest.MonkeyPatch) -> None:
    without(patch, reserved.GATE)


def no_kept_slot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(room, "KEPT_OF", 1000)


def tie_turned_round(patch: pytest.MonkeyPatch) -> None:
    real = depends_on.owed_run

    def owed(view: Any, name: str, occurs_at: Any, *, running_only: bool) -> Run | None:
        run = real(view, name, occurs_at, running_only=running_only)
        return None if run is not None and run.occurs_at == occurs_at else run

    patch.setattr(depends_on, "owed_run", owed)


def successor_twice(patch: pytest.MonkeyPatch) -> None:
    real = claim.next_occurrence

    def twice(draft: Any, definition: Any) -> None:
        real(draft, definition)
        if definition.schedule is not None:
            record = draft.record(definition.name)
            at = occurrence.schedule.next_after(definition.schedule, draft.now, anchor=record.anchor_at)
            occurrence._store_occurrence(draft, definition, at)

    patch.setattr(claim, "next_occurrence", twice)


def no_take_up(patch: pytest.MonkeyPatch) -> None:
    def alone(draft: Any, definition: Any, run: Run) -> Run:
        record = draft.record(definition.name)
        draft.put_record(definition.name, replace(record, last_instant=max(draft.now, run.occurs_at)))
        return run

    patch.setattr(claim, "take_up", alone)


def attempt_kept(patch: pytest.MonkeyPatch) -> None:
    real = settle._pending_again
    patch.setattr(
        settle,
        "_pending_again",
        lambda run, **fields: replace(real(run, **fields), attempt=run.attempt),
    )


def places_lost(patch: pytest.MonkeyPatch) -> None:
    real = settle._pending_again
    patch.setattr(settle, "_pending_again", lambda run, **fields: replace(real(run, **fields), place_at=None))


def places_not_shifted(patch: pytest.MonkeyPatch) -> None:
    real = tables.shifted
    patch.setattr(tables, "shifted", lambda run, shift: replace(real(run, shift), place_at=run.place_at))


def stale_reports_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Run, "held_by", lambda self, node, fence: True)


def zombies_only_interrupted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "_outlived", nothing)


def what_stays_behind_only_interrupted(patch: pytest.MonkeyPatch) -> None:
    real = bodies.SimExecutor.unended
    cut = Interrupted(reason="its process ended")
    patch.setattr(bodies.SimExecutor, "unended", lambda self: dict.fromkeys(real(self), (cut, 0.0)))


def retries_without_end(patch: pytest.MonkeyPatch) -> None:
    real = settle._fail

    def again(draft: Any, run: Run, cause: Any, error: Any, **options: Any) -> None:
        real(draft, replace(run, attempt=1), cause, error, **options)

    patch.setattr(settle, "_fail", again)


def verdict_of_the_last_to_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        settle, "_latest", lambda record, run, now, *, ok: settle.Verdict(occurs_at=run.occurs_at, run=run.id, ok=ok)
    )


def times_ignored(patch: pytest.MonkeyPatch) -> None:
    """M4"""

    def has_ended(definition: Definition, record: Record, at: datetime) -> bool:
        return definition.until is not None and at > definition.until

    patch.setattr(occurrence, "has_ended", has_ended)


def until_ignored(patch: pytest.MonkeyPatch) -> None:
    """M4"""

    def has_ended(definition: Definition, record: Record, at: datetime) -> bool:
        return definition.times is not None and record.fired >= definition.times

    patch.setattr(occurrence, "has_ended", has_ended)


def no_runs_after(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "runs_after", nothing)


def no_crash_loop(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "_crashes", lambda run: 0)


def no_upstream(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(depends_on, "_ask_upstream", nothing)


def fresh_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(depends_on, "_ask_freshness", nothing)


def no_rate(patch: pytest.MonkeyPatch) -> None:
    without(patch, rate.GATE)


def no_letter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(snapshot.Draft, "put_letter", nothing)


def bad_input_harms_the_worker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "counts", lambda definition, cause: cause in autodisable.COUNTS)


def bad_input_puts_off_the_next_probe(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(autodisable, "counts", lambda definition, cause: cause in autodisable.COUNTS)


def triggers_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WorkerState, "accepts", property(lambda self: self.disabled is None))


def never_disabled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "disable_automatically", nothing)


def nothing_expires(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clock_rules, "expire", lambda snapshot, now, *, ids, run: (NOTHING, None))


def rescued_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fleet, "RESCUE_GRACE_S", -20.0)


def trust_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lease.Lease, "is_trusted", property(lambda self: self._asked_s is not None))


def claims_left_lying(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(running.RunningAttempts, "_hand_back", nothing)


def a_look_forgotten(patch: pytest.MonkeyPatch) -> None:
    real, looks = agenda.Agenda.look_at, count()

    def look_at(self: agenda.Agenda, lane: str, at: datetime) -> None:
        if next(looks) % 7:
            real(self, lane, at)

    patch.setattr(agenda.Agenda, "look_at", look_at)


def relations_of_yesterday(patch: pytest.MonkeyPatch) -> None:
    real = snapshot.Snapshot.rebuild
    patch.setattr(snapshot.Snapshot, "rebuild", lambda self, *_: None if self.relations.members else real(self))


def partitions_not_heeded(patch: pytest.MonkeyPatch) -> None:
    real = cycle.Cycle._lanes_to_look_at
    patch.setattr(cycle.Cycle, "_lanes_to_look_at", lambda self, held=None: real(self))


def news_of_partitions_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cycle.Cycle, "_waiting_elsewhere", lambda self, held: set())


def news_of_others_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(snapshot_cache.SnapshotCache, "is_behind", property(lambda self: False, nothing), raising=False)


def retries_not_shifted(patch: pytest.MonkeyPatch) -> None:
    real = tables.shifted
    patch.setattr(tables, "shifted", lambda run, shift: run if run.has_started else real(run, shift))


def schedules_not_set(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clock_step, "_set_schedule", nothing)


def what_ran_comes_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clock_step, "_stretches", lambda rule, instants, known: ())


def intervals_on_old_instants(patch: pytest.MonkeyPatch) -> None:
    real = clock_step._set_interval
    patch.setattr(
        clock_step,
        "_set_interval",
        lambda draft, definition, rule, record, shift, taken: real(draft, definition, rule, record, shift, ()),
    )


def clock_not_watched(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clock_watch.ClockWatch, "step_us", lambda self, mark: 0)


def every_node_shifts(patch: pytest.MonkeyPatch) -> None:
    real = clock_watch.ClockWatch.saw

    def saw(self: clock_watch.ClockWatch, mark: Any, *, step_us: int = 0) -> Any:
        return replace(real(self, mark, step_us=step_us), set_us=0)

    patch.setattr(clock_watch.ClockWatch, "saw", saw)


WITH_PARTITIONS: tuple[Plant, ...] = (partitions_not_heeded, news_of_partitions_forgotten, news_of_others_forgotten)


def held_by_nothing_unreadable(patch: pytest.MonkeyPatch) -> None:
    without(patch, unreadable.GATE)


def held_by_everything_unreadable(patch: pytest.MonkeyPatch) -> None:
    def everything(snapshot: Any, state: Any) -> Any:
        return (row for name in snapshot.suspects for row in snapshot.unreadable_of(name))

    patch.setattr(unreadable, "unreadable_beside", everything)


def nothing_made_after_setting_aside(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(set_aside, "mend", nothing)


SPOILED: tuple[Plant, ...] = (
    held_by_nothing_unreadable,
    held_by_everything_unreadable,
    nothing_made_after_setting_aside,
)


def runs_of_the_frozen_left_for_ever(patch: pytest.MonkeyPatch) -> None:
    real = fleet.left_to_it_until_s
    patch.setattr(
        fleet,
        "left_to_it_until_s",
        lambda node, *, is_frozen: float("inf") if is_frozen else real(node, is_frozen=False),
    )


def rescued_while_frozen(patch: pytest.MonkeyPatch) -> None:
    real = neighbours.Neighbours.look
    patch.setattr(neighbours.Neighbours, "look", lambda self, world: replace(real(self, world), frozen=frozenset()))


def once_frozen_always_frozen(patch: pytest.MonkeyPatch) -> None:
    real, frozen = neighbours.Neighbours.look, set[str]()

    def look(self: neighbours.Neighbours, world: Any) -> fleet.Processes:
        processes = real(self, world)
        frozen.update(processes.frozen)
        return replace(processes, frozen=frozenset(frozen) - processes.dead)

    patch.setattr(neighbours.Neighbours, "look", look)


def who_starts_last_wins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "prevails", lambda declarations, key, keys: True)


def starting_again_makes_newer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Declarations, "met", lambda self, key, now, *, remembered=None, keep=(): self.chosen(key, now, keep=keep)
    )


def nobody_sees_to_a_roll_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(declaring.Declaring, "owed", lambda self, snapshot, node: prevail.NOTHING_OWED)


def the_oldest_holds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Declarations, "newest", lambda self, keys: next((each for each in self.known if each.key in keys), None)
    )


def half_a_fan_out(patch: pytest.MonkeyPatch) -> None:
    """Of a refused one the first half is stored all the same."""
    real = mutation.apply_triggers

    def halved(snapshot: Any, now: datetime, *, ids: Any, triggers: Any) -> Any:
        try:
            return real(snapshot, now, ids=ids, triggers=triggers)
        except TriggersRefused:
            return real(snapshot, now, ids=ids, triggers=triggers[: len(triggers) // 2])

    patch.setattr(mutation, "apply_triggers", halved)


def the_rest_of_a_fan_out_is_lost(patch: pytest.MonkeyPatch) -> None:
    """What does not fit into a batch is forgotten."""
    real = mutation.apply_triggers

    def cut(snapshot: Any, now: datetime, *, ids: Any, triggers: Any) -> Any:
        change, runs = real(snapshot, now, ids=ids, triggers=triggers)
        return replace(change, runs=change.runs[:4]), runs

    patch.setattr(mutation, "apply_triggers", cut)


def fan_outs_turned_round(patch: pytest.MonkeyPatch) -> None:
    real = mutation.apply_triggers

    def turned(snapshot: Any, now: datetime, *, ids: Any, triggers: Any) -> Any:
        change, runs = real(snapshot, now, ids=ids, triggers=triggers)
        return change, runs[::-1]

    patch.setattr(mutation, "apply_triggers", turned)


FAN_OUTS: tuple[Plant, ...] = (half_a_fan_out, the_rest_of_a_fan_out_is_lost, fan_outs_turned_round)

DEPLOYS: tuple[Plant, ...] = (
    who_starts_last_wins,
    starting_again_makes_newer,
    nobody_sees_to_a_roll_back,
    the_oldest_holds,
)

FROZEN: tuple[Plant, ...] = (runs_of_the_frozen_left_for_ever, rescued_while_frozen, once_frozen_always_frozen)


def what_ends_frees_nothing(patch: pytest.MonkeyPatch) -> None:
    """The lists of those that wait for it stay closed."""
    patch.setattr(cycle, "freed_by", lambda snapshot, worker: iter(()))


def breakers_open_no_list(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cycle, "freed_by_breaker", lambda snapshot, name: iter(()))
    patch.setattr(agenda.Agenda, "open_at", nothing)


def nobody_is_patient_no_more(patch: pytest.MonkeyPatch) -> None:
    """B4: what is reserved is forgotten when nothing else of that lane happens."""
    patch.setattr(waitlists.Waitlists, "file_patient", nothing)


def a_lane_is_lost_when_no_slot_is_left(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide.Walk, "file_the_rest", nothing)


MISTAKES: tuple[Plant, ...] = (
    what_ends_frees_nothing,
    breakers_open_no_list,
    nobody_is_patient_no_more,
    a_lane_is_lost_when_no_slot_is_left,
    no_crash_loop,
    no_upstream,
    fresh_ignored,
    no_rate,
    no_letter,
    never_disabled,
    nothing_expires,
    rescued_at_once,
    trust_without_end,
    claims_left_lying,
    a_look_forgotten,
    relations_of_yesterday,
    no_blocks,
    no_concurrency,
    no_permits,
    no_disabled,
    no_breaker,
    many_probes,
    no_reservation,
    no_kept_slot,
    tie_turned_round,
    successor_twice,
    no_take_up,
    no_pause,
    a_pause_without_end,
    times_ignored,
    until_ignored,
    attempt_kept,
    places_lost,
    places_not_shifted,
    stale_reports_count,
    bad_input_harms_the_worker,
    triggers_refused,
    zombies_only_interrupted,
    retries_without_end,
    verdict_of_the_last_to_end,
    no_runs_after,
    retries_not_shifted,
    schedules_not_set,
    what_ran_comes_again,
    intervals_on_old_instants,
    clock_not_watched,
    every_node_shifts,
)


@pytest.mark.parametrize("plant", MISTAKES, ids=lambda plant: plant.__name__)
def test_a_planted_mistake_is_noticed(plant, monkeypatch):
    plant(monkeypatch)

    assert any(goes_wrong(seed) for seed in beginning_with(plant, SEEDS))


SWITCHED_OFF_OFTEN = System(
    definitions=(
        Definition("a", retry=RetryPolicy(max_retries=0), max_consecutive_failures=1, probation_s=5.0, concurrency=2),
    ),
    nodes=1,
    slots=5,
    faults=frozenset({"failures"}),
    leaps=True,
    longest_s=0.5,
    every_s=3.0,
    minutes=10.0,
)


def test_a_mistake_about_probes_is_noticed(monkeypatch):
    """K5: a fatal or unfit one decides nothing; one in twenty ends so."""
    seeds = range(12)
    assert not any(play(seed, system=SWITCHED_OFF_OFTEN).violations for seed in seeds)

    bad_input_puts_off_the_next_probe(monkeypatch)
    assert any(play(seed, system=SWITCHED_OFF_OFTEN).violations for seed in seeds)


STOPPED_OFTEN = System(
    definitions=(
        Definition(
            "a",
            mode=Mode.SCHEDULED,
            schedule=Every(2.5),
            timeout_s=5.0,
            executor="thread",
            concurrency=3,
            retry=RetryPolicy(max_retries=3, first_s=0.5),
        ),
        Definition("b", timeout_s=5.0, executor="thread", concurrency=None, at_most_once=True),
    ),
    nodes=2,
    slots=5,
    faults=frozenset({"stops", "hangs", "deploys"}),
    leaps=True,
    longest_s=15.0,
    every_s=3.0,
    minutes=10.0,
)


def test_a_mistake_about_what_stays_behind_is_noticed(monkeypatch):
    """B6: a function that was past its timeout when its process ended has timed out."""
    seeds = range(8)
    assert not any(play(seed, system=STOPPED_OFTEN).violations for seed in seeds)

    what_stays_behind_only_interrupted(monkeypatch)
    rules = (violation.rule for seed in seeds for violation in play(seed, system=STOPPED_OFTEN).violations)
    assert "B6" in rules


@pytest.mark.parametrize("plant", SPOILED, ids=lambda plant: plant.__name__)
def test_a_mistake_about_rows_that_cannot_be_read_is_noticed(plant, monkeypatch):
    """W8"""
    plant(monkeypatch)

    assert any(goes_wrong(seed, spoils=0.3) for seed in SEEDS)


@pytest.mark.parametrize("plant", FROZEN, ids=lambda plant: plant.__name__)
def test_a_mistake_about_frozen_nodes_is_noticed(plant, monkeypatch):
    """C4"""
    plant(monkeypatch)

    assert any(goes_wrong(seed, freezes=0.3) for seed in beginning_with(plant, SEEDS))


@pytest.mark.parametrize("plant", DEPLOYS, ids=lambda plant: plant.__name__)
def test_a_mistake_about_deploys_is_noticed(plant, monkeypatch):
    """M7"""
    plant(monkeypatch)

    seeds = beginning_with(plant, DEPLOY_SEEDS)
    assert "M7" in (violation.rule for seed in seeds for violation in play(seed, restarts=0.2).violations)


@pytest.mark.parametrize("plant", FAN_OUTS, ids=lambda plant: plant.__name__)
def test_a_mistake_about_fan_outs_is_noticed(plant, monkeypatch):
    """O6"""
    plant(monkeypatch)

    rules = (violation.rule for seed in range(10) for violation in play(seed, fan_outs=0.3).violations)
    assert "O6" in rules


@pytest.mark.parametrize("plant", WITH_PARTITIONS, ids=lambda plant: plant.__name__)
def test_a_mistake_with_partitions_is_noticed(plant, monkeypatch):
    plant(monkeypatch)

    assert any(goes_wrong(seed, partitions_held=0.5) for seed in beginning_with(plant, PARTITIONS_SEEDS))


def beginning_with(plant: Plant, seeds: Iterable[int]) -> Iterable[int]:
    return (SEEN_IN[plant.__name__], *seeds) if plant.__name__ in SEEN_IN else seeds


def goes_wrong(seed: int, *, partitions_held: float | None = None, spoils: float = 0.0, freezes: float = 0.0) -> bool:
    try:
        return bool(play(seed, partitions_held=partitions_held, spoils=spoils, freezes=freezes).violations)
    except (ShiftbossError, AssertionError, KeyError):
        return True  # the walls of the store, or the checker's own bookkeeping, noticed it first


@pytest.mark.parametrize(
    "seeds", [SEEDS[:5], pytest.param(SEEDS[5:15], marks=pytest.mark.chaos)], ids=["first", "next"]
)
def test_without_a_mistake_the_first_of_these_systems_are_in_order(seeds):
    assert [seed for seed in seeds if goes_wrong(seed)] == []
