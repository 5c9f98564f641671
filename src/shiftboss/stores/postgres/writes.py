"""A transaction's writes in PostgreSQL's SQL (sql/writes.py has the rows and their order).

Rules of this file
- Nothing is sent before somebody asks a question or the transaction commits, and then everything is sent at once.  So
  the statements themselves check what must hold, and a refusal comes with the next question or the commit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from shiftboss.core.control import Request
from shiftboss.core.events import Event
from shiftboss.core.lives import Counted
from shiftboss.core.model import ClockMark
from shiftboss.core.shift import Shift
from shiftboss.core.snapshot import Change
from shiftboss.core.unreadable import REMEDY, SetAside
from shiftboss.core.value import FAR_END, replace
from shiftboss.errors import ShiftbossError
from shiftboss.logs import get_logger
from shiftboss.ports.cycle import NO_DELTA, Delta, Wanted
from shiftboss.ports.store import Past
from shiftboss.stores.postgres import unreadable
from shiftboss.stores.postgres.epoch import CONTINUE
from shiftboss.stores.postgres.reads import Ahead, Reads, SeenPartitions, narrowed
from shiftboss.stores.postgres.wire import NUMBER, NUMBERS, TEXT, TEXTS, Rows, Statement, inserted
from shiftboss.stores.sql import codec, shapes
from shiftboss.stores.sql.salvage import Sealed
from shiftboss.stores.sql.sealing import NULLABLE
from shiftboss.stores.sql.statements import Writings
from shiftboss.stores.sql.unreadable import unreadable_of
from shiftboss.stores.sql.writes import Writes

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.stores.postgres.connection import Database
    from shiftboss.stores.postgres.epoch import Opened
    from shiftboss.stores.postgres.wire import ResultSet

log = get_logger("shiftboss.store")

MAX_TAKEN_BYTES = 16 * 1024 * 1024  # of arrivals' payloads at once: they travel within the deadline of a call

UPDATE_RUNS = Rows(
    """WITH changed AS (
  UPDATE run SET number = moved.number, queue = moved.queue, due_at = moved.due_at, timed = moved.timed,
    occurs_at = moved.occurs_at, give_up_at = moved.give_up_at, data = moved.data
  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
    AS moved(id, number, queue, due_at, timed, occurs_at, give_up_at, data)
  WHERE run.id = moved.id RETURNING 1)
SELECT must_be_all(count(*), $9, 'changed') FROM changed""",
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    TEXTS,
    all_of=True,
)
DELETE_FINISHED = Rows(
    """WITH gone AS (DELETE FROM run WHERE id = ANY ($1) RETURNING 1)
SELECT must_be_all(count(*), $2, 'ended') FROM gone""",
    NUMBERS,
    all_of=True,
)
MUST_NOT_HAVE_FIRED = Rows(
    """SELECT must_not_have_fired((
  SELECT worker FROM unnest($1, $2) AS occurrence(worker, at)
  WHERE (SELECT true FROM history WHERE history.worker = occurrence.worker AND fired_at = at ORDER BY id LIMIT 1)
  ORDER BY worker, at LIMIT 1))""",
    TEXTS,
    NUMBERS,
)

FORGET_WORKERS = Rows(
    """UPDATE worker SET number = gone.number, state = NULL, record = NULL
FROM unnest($1, $2) AS gone(name, number) WHERE worker.name = gone.name AND worker.state IS NOT NULL""",
    TEXTS,
    NUMBERS,
)
TOUCH_WORKERS = Rows(
    """UPDATE worker SET number = touched.number, record = coalesce(touched.record, worker.record)
FROM unnest($1, $2, $3) AS touched(name, number, record)
WHERE worker.name = touched.name AND worker.state IS NOT NULL""",
    TEXTS,
    NUMBERS,
    TEXTS,
)
PUT_SIZE_DECLARATIONS = Rows(
    """UPDATE resource SET declarations = put.declarations
FROM unnest($1, $2) AS put (name, declarations) WHERE resource.name = put.name""",
    TEXTS,
    TEXTS,
)
DELETE_NODES = Rows("DELETE FROM node WHERE id = ANY ($1)", TEXTS)

# The runs that the dead run refers to are stored with its dead letter, because retention asks for them (A4).  JSON
# functions refuse a text with an escaped NUL, so none is used; within a JSON string the quotes around a name would be
# escaped, so the search finds only real fields.
PUT_LETTERS = Rows(
    """INSERT INTO dead_letter
  (run, worker, state, error_type, entered_at, closed_at, has_payload, replay_of, caused_by, data)
SELECT letter.run, letter.worker, state, letter.error_type, entered_at, closed_at, has_payload,
  substring(history.data FROM '"replay_of":([0-9]{1,18})[,}]')::bigint,
  substring(history.data FROM '"caused_by":([0-9]{1,18})[,}]')::bigint, letter.data
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
  AS letter(run, worker, state, error_type, entered_at, closed_at, has_payload, data)
LEFT JOIN history ON history.id = letter.run
ON CONFLICT (run) DO UPDATE SET state = excluded.state, closed_at = excluded.closed_at, data = excluded.data""",
    NUMBERS,
    TEXTS,
    TEXTS,
    TEXTS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    TEXTS,
)
NUMBER_EVENTS_AFTER = Statement("UPDATE meta SET next_event = greatest(next_event, $1 + 1) WHERE id = 1", NUMBER)
# Of each attempt the last MAX_LINES are kept.
TRIM_LINES = Rows(
    """DELETE FROM log USING unnest($1, $2, $3) AS old(run, fence, number)
WHERE log.run = old.run AND log.fence = old.fence AND log.number <= old.number""",
    NUMBERS,
    NUMBERS,
    NUMBERS,
)
FIND_ARRIVALS = Statement(
    """
WITH first AS (
  SELECT id, sum(octet_length(payload)) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM (SELECT id, payload FROM arrival WHERE NOT is_unreadable ORDER BY id LIMIT $1) AS oldest)
SELECT id, data, payload FROM arrival
WHERE id IN (SELECT id FROM first WHERE coalesce(before, 0) < $2) ORDER BY id
""",
    NUMBER,
    NUMBER,
)
TAKE_ARRIVALS = Statement("DELETE FROM arrival WHERE id = ANY ($1)", NUMBERS)
PASS_BY_ARRIVALS = Statement("UPDATE arrival SET is_unreadable = true WHERE id = ANY ($1)", NUMBERS)
MORE_ARRIVALS = Statement("SELECT EXISTS (SELECT FROM arrival WHERE NOT is_unreadable)::int")


# The number of the commit, and those of the events.  The row is held from here to the end of the COMMIT that is sent
# along, so that commits have the order in which they are seen, and nothing slow happens meanwhile.
def _finish(events: str, *, details: str = "") -> str:
    return f"""
WITH ordered AS (
  UPDATE meta SET number = number + 1, alone = CASE WHEN $2 = 1 THEN number + 1 ELSE alone END{events}
  WHERE id = 1
  RETURNING number, next_event),
placed AS (INSERT INTO committed (number, stamp) SELECT number, $1 FROM ordered){details}
SELECT number, next_event FROM ordered
"""  # noqa: S608


FINISH = Statement(_finish(""), NUMBER, NUMBER)
TELL = """,
told AS (
  INSERT INTO event (id, at, worker, data)
  SELECT next_event - array_length($3, 1) + place - 1, at, worker, data
  FROM ordered, unnest($3, $4, $5) WITH ORDINALITY AS told(at, worker, data, place))"""
COUNT_EVENTS = ", next_event = next_event + array_length($3, 1)"
FINISH_AND_TELL = Statement(_finish(COUNT_EVENTS, details=TELL), NUMBER, NUMBER, NUMBERS, TEXTS, TEXTS)
# The audited ones among the events, given by their positions, are stored in the audit under the same numbers.
KEEP = """,
kept AS (
  INSERT INTO audit (id, at, data)
  SELECT next_event - array_length($3, 1) + place - 1, at, data
  FROM ordered, unnest($3, $5) WITH ORDINALITY AS told(at, data, place) WHERE place = ANY ($6))"""
FINISH_TELL_AND_KEEP = Statement(
    _finish(COUNT_EVENTS, details=TELL + KEEP), NUMBER, NUMBER, NUMBERS, TEXTS, TEXTS, NUMBERS
)
KEPT_COMMITS = 10_000  # a session that has not looked for longer than that reads everything
FORGET_COMMITS = Statement("DELETE FROM committed WHERE number < (SELECT number FROM meta WHERE id = 1) - $1", NUMBER)
FORGET_EVERY = 1000
DRAW_IDS = Statement("SELECT string_agg(nextval('run_id')::text, ',') FROM generate_series(1, $1)", NUMBER)
DRAW_STAMP = Statement("SELECT nextval('stamp')")


def _set_aside(name: str) -> tuple[Statement, Statement]:
    """The statements that keep a row of that kind, and that delete it from its table."""
    kinds = unreadable.KEYS_OF[name]
    table = unreadable.table_of(name)
    keep = Statement(
        f"""INSERT INTO set_aside (place, row_id, worker, at, by, reason, note, data)
SELECT '{name}', ({unreadable.id_of(name)})::text, $1, $2, $3, $4, $5, row_to_json({table})::text
FROM {table} WHERE {unreadable.is_row(name, first=6)}""",  # noqa: S608  # constants
        *(TEXT, NUMBER, TEXT, TEXT, TEXT),
        *kinds,
        prepare=False,
    )
    if name in NULLABLE:
        columns = "state = NULL, record = NULL" if name == "worker" else "record = NULL"
        text = f"UPDATE worker SET number = $1, {columns} WHERE {unreadable.is_row(name, first=2)}"  # noqa: S608
        return keep, Statement(text, NUMBER, *kinds, prepare=False)
    text = f"DELETE FROM {table} WHERE {unreadable.is_row(name, first=1)}"  # noqa: S608
    return keep, Statement(text, *kinds, prepare=False)


KEEP_ASIDE = Statement(
    """INSERT INTO set_aside (place, row_id, worker, at, by, reason, note, data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
    *(TEXT, TEXT, TEXT, NUMBER, TEXT, TEXT, TEXT, TEXT),
)
SET_ASIDE = {name: _set_aside(name) for name in unreadable.KEYS_OF}
# O4.  Many rows at once, but not a million in one statement, because each call has its deadline.
SHIFTED_AT_ONCE = 20_000
SHIFT_UNTIL = Statement(
    """
SELECT max(id)::text FROM (
  SELECT id FROM run WHERE id > $1 AND queue IS NOT NULL AND (origin <> 0 OR timed = 1) ORDER BY id LIMIT $2) AS first
""",
    NUMBER,
    NUMBER,
)
LAST_US = codec.micros(FAR_END)


def _moved(instant: str) -> str:
    return f"least({instant} + by_us, {LAST_US})"


def _in_json(data: str, name: str, instant: str) -> str:
    """*data* with another time in that field, if it has one; within a JSON string the quotes would be escaped."""
    us = _moved(instant)
    at = f"timestamp 'epoch' + ({us}) / 1000000 * interval '1 second' + ({us}) % 1000000 * interval '1 microsecond'"
    text = f"""'"{name}":"' || to_char({at}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"'"""
    return f"""regexp_replace({data}, '"{name}":"[^"]*"', coalesce({text}, ''))"""


def _from_json(name: str) -> str:
    """That time in *data*, in microseconds."""
    iso = f"""substring(data FROM '"{name}":"([-0-9]+T[0-9:.]+Z)"')"""
    return f"(extract(epoch FROM {iso}::timestamptz) * 1000000)::bigint"


def _in_json_all(data: str, **instants: str) -> str:
    for name, instant in instants.items():
        data = _in_json(data, name, instant)
    return data


# $1 the step, $2 now, $3 and $4 the ids, $5 the unreadable ones (W8): core/shift.py in PostgreSQL's SQL.
SHIFT_WAITING = Statement(
    f"""
WITH waiting AS (
  SELECT id AS run_id, {_from_json("deadline_at")} AS deadline_us, {_from_json("due_at")} AS due_us,
    {_from_json("place_at")} AS place_us, CASE
      WHEN timed <> 2 THEN $1
      WHEN occurs_at > $2 THEN occurs_at - due_at
      ELSE least(due_at + $1, $2) - due_at END AS by_us
  FROM run WHERE id > $3 AND id <= $4 AND queue IS NOT NULL AND (origin <> 0 OR timed = 1)
    AND id <> ALL ($5))
UPDATE run SET
  due_at = {_moved("due_at")},
  give_up_at = CASE WHEN give_up_at IS NOT NULL THEN {_moved("give_up_at")} END,
  occurs_at = CASE timed WHEN 0 THEN {_moved("occurs_at")} ELSE occurs_at END,
  data = CASE timed
    WHEN 0 THEN {
        _in_json_all("data", due_at="due_us", give_up_at="give_up_at", deadline_at="deadline_us", occurs_at="occurs_at")
    }
    ELSE {
        _in_json_all("data", due_at="due_us", place_at="place_us", give_up_at="give_up_at", deadline_at="deadline_us")
    } END
FROM waiting WHERE id = run_id
""",  # noqa: S608
    NUMBER,
    NUMBER,
    NUMBER,
    NUMBER,
    NUMBERS,
)
TOUCH_ALL = Statement("UPDATE worker SET number = $1 WHERE state IS NOT NULL", NUMBER)
MARK_CLOCK = Statement("UPDATE meta SET clock = $1 WHERE id = 1", TEXT)

WRITINGS = Writings.of(
    inserted,
    update_runs=UPDATE_RUNS,
    delete_finished=DELETE_FINISHED,
    forget_workers=FORGET_WORKERS,
    touch_workers=TOUCH_WORKERS,
    put_size_declarations=PUT_SIZE_DECLARATIONS,
    delete_nodes=DELETE_NODES,
    put_letters=PUT_LETTERS,
    trim_lines=TRIM_LINES,
)


class PostgresTransaction(Reads, Writes["Database"]):
    """Its session opens and ends it."""

    writings = WRITINGS
    _db: Database

    def __init__(
        self,
        db: Database,
        clock: Clock,
        seen: SeenPartitions,
        *,
        opened: Opened,
        held: Wanted | None,
        ahead: Ahead | None,
    ) -> None:
        Reads.__init__(
            self,
            db,
            clock,
            seen,
            number=opened.number,
            epoch=opened.epoch,
            oldest=opened.oldest,
            has_arrivals=opened.has_arrivals,
        )
        Writes.__init__(self, opened.stamp)
        self.held = None if held is None else frozenset(held)
        self._wanted = held
        self._ahead = ahead
        self.has_looked = False
        self._alone = opened.alone
        self._clock_mark = opened.clock
        self._place = db.address.url
        self._ids = deque(opened.ids)
        self._more_ids = 1
        self._last_id = 0  # the last one that was handed out
        self._events: list[Event] = []
        self._keeps_audit = True

    def changes(self, *, lanes: int = 0) -> Delta:
        """For held partitions only what concerns them, unless somebody has had the whole store since."""
        self.has_looked = True
        seen, held = self._seen, self._wanted
        asked = None if held is None else narrowed(seen, held, lanes)
        if held is None or asked is None or self._alone > (seen.number or 0) or self._has_forgotten(asked.since):
            return super().changes(lanes=lanes)
        seen.lanes = lanes
        seen.partitions.update(dict.fromkeys(held, self._last))
        delta = NO_DELTA if asked.since == self._last else self._asked(asked)
        return delta._replace(more=self._last - (seen.number or 0) > len(seen.own))

    def clock_mark(self) -> ClockMark | None:
        return codec.clock_of(self._clock_mark)

    def expect(self, runs: int) -> None:
        self._more_ids = max(1, runs)

    def ids(self) -> Iterator[int]:
        while True:
            if not self._ids:
                (drawn,) = self._db.query((DRAW_IDS, (self._more_ids,)))
                self._ids.extend(int(run_id) for run_id in (drawn or b"").split(b","))
                self._more_ids *= 2
            self._last_id = self._ids.popleft()
            yield self._last_id

    def continue_after(self, past: Past) -> None:
        self._db.do(CONTINUE, (max(past.number, 1), max(past.run_id, 1)))
        (stamp,) = self._db.exchange((DRAW_STAMP, ()))
        self.number = stamp.number(0, 0)
        self._ids.clear()

    def arrivals(self, *, limit: int) -> list[Request]:
        (arrived,) = self._db.exchange((FIND_ARRIVALS, (limit, MAX_TAKEN_BYTES)))
        taken: dict[int, Request] = {}
        passed_by: list[int] = []
        for row in range(len(arrived)):
            arrival, data = arrived.number(row, 0), arrived.blob(row, 1) or b""
            sealed = Sealed("arrival", str(arrival), "", {}, data.hex())
            why_not = shapes.REQUEST.why_not(sealed)
            if why_not is None:
                taken[arrival] = replace(shapes.REQUEST.open(sealed), payload=arrived.blob(row, 2))
            else:
                passed_by.append(arrival)
                log.warning("%s: %s; the others are stored.  %s", self._place, why_not, REMEDY)
        if taken:
            self._db.do(TAKE_ARRIVALS, (list(taken),))
        if passed_by:
            self._db.do(PASS_BY_ARRIVALS, (passed_by,))
        (more,) = self._db.exchange((MORE_ARRIVALS, ()))
        self.has_arrivals = bool(more.number(0, 0))
        self.has_written = self.has_written or not arrived.is_empty
        return list(taken.values())

    def write(self, change: Change, *, new: Collection[int]) -> None:
        self._give_up = None
        super().write(change, new=new)
        if self._db.takes_time:
            self._send()

    def _send(self) -> None:
        """Send at once: a move writes more than can be kept back until the commit."""
        try:
            self._db.exchange()
        except ShiftbossError as error:
            self.failure = error
            raise

    def finish(self) -> None:
        """The last statements before the commit."""
        if self.number % FORGET_EVERY == 0:
            self._db.do(FORGET_COMMITS, (KEPT_COMMITS,))
        values = self.number, int(self.held is None)
        events = self._events
        if not events:
            self._db.do(FINISH, values)
            return
        rows = [(codec.micros(event.at), event.worker, codec.text_of(event)) for event in events]
        kept = [place for place, event in enumerate(events, 1) if event.AUDITED] if self._keeps_audit else []
        if kept:
            self._db.do(FINISH_TELL_AND_KEEP, (*values, *zip(*rows, strict=True), kept))
        else:
            self._db.do(FINISH_AND_TELL, (*values, *zip(*rows, strict=True)))

    def counted(self, finished: ResultSet) -> Counted:
        """How far the store has counted with this commit."""
        return Counted(finished.number(0, 0), self.number, self._last_id, finished.number(0, 1) - 1)

    def _set_aside(self, row: SetAside) -> None:
        keep, leave = SET_ASIDE[row.table]
        key = unreadable.key_of(row.table, row.id)
        about = row.worker, codec.micros(row.at), row.by, row.reason, row.note
        self._db.do(keep, (*about, *key))
        if row.leaves:
            self._db.do(leave, (*((self.number,) if row.table in NULLABLE else ()), *key))

    def _keep_aside(self, row: SetAside) -> None:
        about = row.table, row.id, row.worker, codec.micros(row.at), row.by, row.reason, row.note
        self._db.do(KEEP_ASIDE, (*about, row.data))

    def _mark_clock(self, text: str) -> None:
        self._db.do(MARK_CLOCK, (text,))

    def _shift(self, shift: Shift) -> None:
        sealed = [int(row.id) for row in unreadable_of(self._db, unreadable.WALK, "run")]
        now_us, after = codec.micros(shift.now), 0
        while (until := self._db.query((SHIFT_UNTIL, (after, SHIFTED_AT_ONCE)))[0]) is not None:
            self._db.do(SHIFT_WAITING, (shift.step_us, now_us, after, int(until), sealed))
            after = int(until)
        self._db.do(TOUCH_ALL, (self.number,))

    def _tell(self, events: Collection[Event], *, keeps_audit: bool) -> None:
        self._events += events
        self._keeps_audit = self._keeps_audit and keeps_audit  # a move writes nothing else

    def _number_events_after(self, number: int) -> None:
        self._db.do(NUMBER_EVENTS_AFTER, (number,))

    def _must_not_have_fired(self, occurrences: list[tuple[str, int]]) -> None:
        MUST_NOT_HAVE_FIRED.run(self._db, occurrences)
