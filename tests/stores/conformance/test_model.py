"""All stores answer alike to any sequence of transactions, refused and abandoned ones included."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from store_values import FrozenClock, a_letter, a_node, a_run, a_worker, abandon, at, ended, failed, started

from conformance.candidates import CANDIDATES, Ground
from examples import examples
from shiftboss.core.events import WorkerEnabled
from shiftboss.core.lane import QUEUES, Lane
from shiftboss.core.model import BreakerState, Origin, Record, Run, Status
from shiftboss.core.policy import Priority
from shiftboss.core.retention import Cutoffs
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace
from shiftboss.errors import StoreRejected
from shiftboss.ports.cycle import Delta
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.ports.store import Reader, Session

T = TypeVar("T")

NAMES = ["mail", "backup", "report"]
names = st.sampled_from(NAMES)
instants = st.integers(min_value=0, max_value=6).map(at)


class StoresAgree(RuleBasedStateMachine):
    """Two sessions on each store; a rule does the same to all and compares what comes back."""

    waiting = Bundle("waiting")
    running = Bundle("running")
    dead = Bundle("dead")
    fixture: Callable[[str], Any]  # that of pytest, for all examples

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.sessions: list[list[Session]] = []
        for candidate in CANDIDATES:
            folder = Path(self.open.enter_context(tempfile.TemporaryDirectory()))
            ground = Ground(folder, type(self).fixture)
            store = self.open.enter_context(candidate.make(ground, FrozenClock(at(3))))
            self.sessions.append([store.session(), store.session()])
        self.numbers = [0 for _ in CANDIDATES]  # of the last commit; where a server counts there are gaps
        self.next_id = 1
        self.seen: list[int] = []

    def teardown(self) -> None:
        self.open.close()

    def write(self, who: int, change: Change, new: Iterable[int] = ()) -> bool:
        """The same transaction on all; whether it was taken."""
        answers = [
            self.try_to_write(place, sessions[who], change, frozenset(new))
            for place, sessions in enumerate(self.sessions)
        ]
        return agreed(answers)[0]

    def try_to_write(self, place: int, session: Session, change: Change, new: frozenset[int]) -> tuple[bool, Any]:
        try:
            with session.begin() as tx:
                delta = plain(tx.changes(lanes=2))
                number = tx.number
                tx.write(change, new=new)
        except StoreRejected:
            return False, None
        assert number > self.numbers[place]
        self.numbers[place] = number
        return True, delta

    def id(self) -> int:
        self.next_id += 1
        self.seen.append(self.next_id - 1)
        return self.next_id - 1

    # ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        target=waiting,
        who=st.integers(0, 1),
        worker=names,
        due_at=instants,
        occurs_at=instants,
        priority=st.sampled_from(Priority),
        forced=st.booleans(),
        origin=st.sampled_from(Origin),
        key=st.sampled_from([None, None, "a", "b"]),
        payload=st.sampled_from([None, b"", b"\x00x"]),
        give_up_at=st.one_of(st.none(), instants),
        refers=st.one_of(st.none(), st.integers(1, 9)),
    )
    def trigger(self, who: int, refers: int | None, **facts: Any) -> Run:
        run = a_run(self.id(), **facts, replay_of=refers, caused_by=None if refers is None else refers + 1)
        taken = self.write(who, Change(runs=(run,)), {run.id})
        return replace(run, payload=None) if taken else replace(run, id=-run.id)

    @rule(target=running, who=st.integers(0, 1), run=consumes(waiting))
    def start(self, who: int, run: Run) -> Run:
        self.write(who, Change(runs=(started(run, fence=run.id),), records=((run.worker, Record(streak=run.id)),)))
        return started(run, fence=run.id)

    @rule(target=waiting, who=st.integers(0, 1), run=consumes(running), due_at=instants)
    def put_back(self, who: int, run: Run, due_at: Any) -> Run:
        back = replace(run, status=Status.PENDING, claim=None, due_at=due_at)
        self.write(who, Change(runs=(back,)))
        return back

    @rule(who=st.integers(0, 1), run=running, finished_at=instants, result=st.sampled_from([None, b"r"]))
    def succeed(self, who: int, run: Run, finished_at: Any, result: bytes | None) -> None:
        """Not consumed: ending a run twice must be refused by all."""
        self.write(who, Change(runs=(ended(run, finished_at=finished_at, result=result),)))

    @rule(target=dead, who=st.integers(0, 1), run=consumes(running), kind=st.sampled_from(["KeyError", "OSError"]))
    def fail(self, who: int, run: Run, kind: str) -> Run:
        over = failed(run, kind)
        self.write(who, Change(runs=(over,), letters=(a_letter(over, entered_at=at(2)),)))
        return over

    @rule(who=st.integers(0, 1), run=dead, closed_at=instants)
    def resolve(self, who: int, run: Run, closed_at: Any) -> None:
        letter = a_letter(run, entered_at=at(2), state="resolved", closed_at=closed_at)
        self.write(who, Change(letters=(letter,), events=(WorkerEnabled(at=closed_at, worker=run.worker),)))

    @rule(who=st.integers(0, 1), name=names, doc=st.sampled_from(["a", "b"]), forget=st.booleans())
    def declare(self, who: int, name: str, doc: str, forget: bool) -> None:
        if forget:
            self.write(who, Change(forgotten=(name,)))
        else:
            self.write(who, Change(workers=(a_worker(name, doc=doc),), breakers=(BreakerState(name=name),)))

    @rule(who=st.integers(0, 1), name=names, gone=st.booleans())
    def come_and_go(self, who: int, name: str, gone: bool) -> None:
        self.write(who, Change(gone_nodes=(name,)) if gone else Change(nodes=(a_node(name),), resources=((name, who),)))

    @rule(who=st.integers(0, 1), run=st.one_of(waiting, running))
    def change_our_mind(self, who: int, run: Run) -> None:
        for sessions in self.sessions:
            abandon_or_refuse(sessions[who], Change(runs=(ended(run), a_run(self.next_id))), {self.next_id})

    @rule(who=st.integers(0, 1))
    def forget(self, who: int) -> None:
        for sessions in self.sessions:
            sessions[who].forget()

    @rule(who=st.integers(0, 1), before=instants, limit=st.integers(1, 5))
    def prune(self, who: int, before: Any, limit: int) -> None:
        cutoffs = Cutoffs(letters=before, runs=before, events=before)
        gone = [sessions[who].prune(cutoffs, limit=limit) for sessions in self.sessions]
        agreed(gone)

    # ── what must be the same at any time ────────────────────────────────────────────────────────────────────────

    @rule(who=st.integers(0, 1))
    def look(self, who: int) -> None:
        deltas = []
        for sessions in self.sessions:
            with sessions[who].read() as reader:
                deltas.append(plain(reader.changes(lanes=2)))
        agreed(deltas)

    @invariant()
    def all_questions_have_the_same_answer(self) -> None:
        answers = []
        for sessions in self.sessions:
            with sessions[0].read() as reader:
                answers.append(everything(reader, self.seen))
        agreed(answers)


def agreed(answers: Sequence[T]) -> T:
    """What every store says."""
    first, *others = answers
    for candidate, other in zip(CANDIDATES[1:], others, strict=True):
        assert other == first, f"{candidate} does not agree with {CANDIDATES[0]}"
    return first


def abandon_or_refuse(session: Session, change: Change, new: set[int]) -> None:
    try:
        abandon(session, change, new=new)
    except StoreRejected:
        return


def plain(delta: Delta) -> dict[str, Any]:
    """A delta without the order in which its rows happen to come."""
    found = delta._asdict()
    for part in ("workers", "forgotten", "breakers", "nodes", "running"):
        found[part] = None if found[part] is None else sorted(found[part], key=repr)
    found["lanes"] = {name: shown(lane) for name, lane in delta.lanes.items()}
    return found


def everything(reader: Reader, ids: list[int]) -> dict[str, Any]:
    letters = [reader.letters(LetterFilter(state=state)) for state in ("open", "resolved", None)]
    return {
        "runs": reader.runs(ids),
        "payloads": reader.payloads(ids),
        "lanes": {limit: lanes_of(reader, limit) for limit in (1, 3, 100)},
        "keyed": reader.keyed([(name, key) for name in NAMES for key in ("a", "b")]),
        "expiring": reader.expiring(at(4), limit=3),
        "next": reader.next_give_up(),
        "letters": letters,
        "open": [reader.open_letters(name, without_payload_only=only, limit=3) for name in NAMES for only in (0, 1)],
        "history": reader.history(HistoryFilter()),
        "page": reader.history(HistoryFilter(before=8, limit=3, since=at(2))),
        "dead": reader.history(HistoryFilter(status=[Status.DEAD], worker="mail")),
        "errors": reader.history(HistoryFilter(error_type="KeyError")),
        "counts": reader.counts(),
        "events": reader.events(after=1, limit=4),
        "of mail": reader.events(after=0, limit=4, worker="mail"),
    }


def lanes_of(reader: Reader, limit: int) -> dict[str, Any]:
    return {name: shown(lane) for name, lane in reader.lanes(NAMES, limit=limit).items()}


def shown(lane: Lane) -> tuple[Any, ...]:
    heads = [[run.id for run in lane.heads(number)] for number in range(QUEUES)]
    return heads, sorted(lane.standing), lane.least.id if lane.least else None, lane.whole


StoresAgree.TestCase.settings = settings(
    max_examples=examples(3, of=30),  # a second each; more of them one by one: --hypothesis-seed
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestStoresAgree = StoresAgree.TestCase


@pytest.fixture(scope="module", autouse=True)
def _fixture(request: pytest.FixtureRequest) -> None:
    StoresAgree.fixture = request.getfixturevalue
