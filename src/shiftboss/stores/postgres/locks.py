"""Which transactions exclude each other: a lock for each partition of the store, and one for all of it.

Rules of this file
- Workers that have to do with each other lie in one partition (core/graph.py).  A transaction shares the whole and has
  its partitions alone, or it has the whole alone: declaring, joining, rescuing, everything that may concern anybody.
- While something is held nothing is waited for, but for one partition alone, and not for long: so nobody stands in a
  circle, and a node that stands still keeps its own partitions and no others from going on.
- Locks end with the transaction, also behind a pooler; what is read afterwards is what the last holder committed.
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftboss.ports.cycle import Wanted
from shiftboss.stores.postgres.connection import Call
from shiftboss.stores.postgres.wire import NUMBER, NUMBERS, TEXT, Answer, Statement

WHOLE = Statement("SELECT pg_advisory_xact_lock(hashtext($1), 0)", TEXT)
SHARE = Statement("SELECT pg_advisory_xact_lock_shared(hashtext($1), 0)", TEXT)
# In this order: a partition must not be held while the whole is waited for.  Who has one of these locks gets it again.
SHARE_AND_TRY_PARTITIONS = Statement(
    """
SELECT pg_advisory_xact_lock_shared(hashtext($1), 0),
  (SELECT string_agg(partition::text, ',') FILTER (WHERE is_ours)
   FROM (SELECT partition, pg_try_advisory_xact_lock(hashtext($1), partition::int + 1) AS is_ours
         FROM unnest($2) AS asked(partition)) AS tried)
""",
    TEXT,
    NUMBERS,
)
WAIT_FOR_PARTITION = Statement("SELECT pg_advisory_xact_lock(hashtext($1), $2::int + 1)", TEXT, NUMBER)
# Long enough for many busy neighbours, who come in turn; short beside the 5 s in which one that stands still is ended.
A_MOMENT = Statement("SELECT set_config('lock_timeout', '500', true)")
WITHIN = Statement("SELECT set_config('lock_timeout', $1, true)", TEXT)
AS_LONG_AS_BEFORE = Statement("SELECT set_config('lock_timeout', '4000', true)")


def calls_for(schema: str, wanted: Wanted | None, *, waits: bool) -> list[Call]:
    """What takes the locks: the whole without *wanted*, else those of the partitions that are free, the last call of
    all.

    The first of them is waited for if it *waits*; when all others are tried, what its holder held is free as well.
    """
    if wanted is None:
        return [(WHOLE, (schema,))]
    tries: Call = SHARE_AND_TRY_PARTITIONS, (schema, list(wanted))
    if not (waits and wanted):
        return [tries]
    first = next(iter(wanted))
    return [
        (SHARE, (schema,)),
        (A_MOMENT, ()),
        (WAIT_FOR_PARTITION, (schema, first)),
        (AS_LONG_AS_BEFORE, ()),
        tries,
    ]


def calls_to_try(schema: str, within_s: float) -> list[Call]:
    """What finds out whether the whole store can be shared, and waits no longer than that."""
    return [(WITHIN, (str(int(within_s * 1000)),)), (SHARE, (schema,))]


def held(answers: Sequence[Answer], wanted: Wanted | None) -> Wanted | None:
    """The partitions that were to be had, from the answers to `calls_for`; None for the whole."""
    if wanted is None:
        return None
    got = answers[-1].blob(0, 1)
    return {partition: wanted[partition] for partition in map(int, got.split(b","))} if got else {}
