"""Which transactions exclude each other: there is a lock for each partition of the store, and one for the whole.

Rules of this file
- Related workers are in one partition (core/graph.py).  A transaction either shares the lock of the whole and has its
  partitions exclusively, or it has the whole exclusively: to declare, join, rescue, and for all that may concern any
  worker.
- A transaction that holds something waits for nothing more, except for one single partition, and not for long.  So
  there is no deadlock, and a node that stands still keeps others only from its own partitions.
- Locks end with the transaction, behind a pooler as well; what is read after taking them is what the last holder
  committed.
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftboss.ports.cycle import Wanted
from shiftboss.stores.postgres.connection import BoundStatement
from shiftboss.stores.postgres.wire import NUMBER, NUMBERS, TEXT, ResultSet, Statement

WHOLE = Statement("SELECT pg_advisory_xact_lock(hashtext($1), 0)", TEXT)
SHARE = Statement("SELECT pg_advisory_xact_lock_shared(hashtext($1), 0)", TEXT)
# In this order: no partition must be held while the whole is waited for.  A session may take a lock that it has again.
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
# Enough for many busy neighbours, one after another; little compared with the 5 s after which a stuck one is ended.
A_MOMENT = Statement("SELECT set_config('lock_timeout', '500', true)")
WITHIN = Statement("SELECT set_config('lock_timeout', $1, true)", TEXT)
AS_LONG_AS_BEFORE = Statement("SELECT set_config('lock_timeout', '4000', true)")


def calls_for(schema: str, wanted: Wanted | None, *, waits: bool) -> list[BoundStatement]:
    """The statements that take the locks: the whole store without *wanted*, else those wanted partitions that are free.

    The answer to the last call says which.  With *waits* the first partition is waited for; the others are tried after
    that, when whatever its holder held is free as well.
    """
    if wanted is None:
        return [(WHOLE, (schema,))]
    tries: BoundStatement = SHARE_AND_TRY_PARTITIONS, (schema, list(wanted))
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


def calls_to_try(schema: str, within_s: float) -> list[BoundStatement]:
    """The statements that find out whether the whole store can be shared, and wait no longer than that."""
    return [(WITHIN, (str(int(within_s * 1000)),)), (SHARE, (schema,))]


def held(answers: Sequence[ResultSet], wanted: Wanted | None) -> Wanted | None:
    """The partitions that were free, from the answers to `calls_for`; None for the whole store."""
    if wanted is None:
        return None
    got = answers[-1].blob(0, 1)
    return {partition: wanted[partition] for partition in map(int, got.split(b","))} if got else {}
