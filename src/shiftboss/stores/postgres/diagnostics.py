"""What a connection of its own can learn about a server and our schema in it: the doctor's questions.

Rules of this file
- It asks and changes nothing, and it judges nothing: cli/doctor_postgres.py does.
- What a role may not ask, or another engine does not know, leaves its part of the answer empty and spoils no other
  part.
- It asks the server outside the store, so that a store that cannot be opened (a standby, an old schema) is examined
  too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg

from shiftboss.clock import Clock
from shiftboss.errors import InternalError, ShiftbossError
from shiftboss.stores.postgres import errors
from shiftboss.stores.postgres.address import Address
from shiftboss.stores.postgres.deadline import Deadlines, WatchedSocket
from shiftboss.stores.postgres.link import CLUSTER, connected

LOOK_S = 20.0  # for all questions together
POOL_TRIES = 5  # others use the pool too, so that two clients may fail to meet in it once
MOST_ROWS = 20  # of each list: the doctor names the worst, the server has the rest

SERVER = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
  current_setting('default_transaction_read_only') = 'on', current_user::text,
  current_setting('synchronous_commit'), current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
  current_setting('autovacuum') = 'on', pg_backend_pid()
"""
NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
# A role outside pg_read_all_stats does not even see the type of other roles' sessions.
ROOM = """
SELECT current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0),
  (SELECT count(*) FROM pg_stat_activity
   WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend')::int,
  (SELECT count(*) FROM pg_stat_activity
   WHERE datname = current_database() AND application_name = %(application)s AND pid <> pg_backend_pid())::int,
  (SELECT rolconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)
   FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0)::int,
  (SELECT datconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())
   FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0)::int,
  (SELECT count(*) FROM pg_stat_activity
   WHERE datname = current_database() AND query = '<insufficient privilege>')::int
"""
NODES = "SELECT count(*)::int FROM node"
# Sessions that hold a lock on a table of ours that could stop a writer, or keep one waiting.  Inserting into `arrival`
# is left out: callers' own transactions do that, and it stops nobody.
HOLDERS = """
WITH ours AS (SELECT oid, relname FROM pg_class WHERE relnamespace = %(schema)s::text::regnamespace AND relkind = 'r'),
held AS (
  SELECT pid, string_agg(DISTINCT relname, ', ' ORDER BY relname) AS tables,
    bool_or(mode <> 'AccessShareLock' AND NOT (relname = 'arrival' AND mode = 'RowExclusiveLock')) AS is_strong
  FROM pg_locks JOIN ours ON relation = ours.oid
  WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND granted AND pid <> pg_backend_pid()
  GROUP BY pid),
waiting AS (
  SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND (
    pid IN (SELECT pid FROM pg_locks JOIN ours ON relation = ours.oid)
    OR locktype = 'advisory' AND classid::bigint = hashtext(%(schema)s::text)::bigint & 4294967295)),
blocking AS (
  SELECT blocker, count(*) AS waiters FROM waiting, unnest(pg_blocking_pids(pid)) AS blocker GROUP BY blocker)
SELECT pid, coalesce(usename::text, ''), coalesce(application_name, ''), coalesce(state, ''), tables,
  extract(epoch FROM clock_timestamp() - xact_start)::float8, coalesce(waiters, 0)::int
FROM held JOIN pg_stat_activity USING (pid) LEFT JOIN blocking ON blocker = pid
WHERE (is_strong OR waiters > 0) AND coalesce(backend_type, 'client backend') = 'client backend'
ORDER BY xact_start, pid LIMIT %(limit)s
"""
LONG = """
SELECT pid, coalesce(usename::text, ''), coalesce(application_name, ''), coalesce(state, ''), '',
  extract(epoch FROM clock_timestamp() - xact_start)::float8, 0
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR state LIKE 'idle in transaction%%')
  AND xact_start < clock_timestamp() - interval '1 minute'
ORDER BY xact_start, pid LIMIT %(limit)s
"""
PREPARED = """
SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts
WHERE database = current_database() ORDER BY prepared, gid LIMIT %(limit)s
"""
TABLES = """
SELECT relname::text, n_live_tup, n_dead_tup, pg_total_relation_size(relid),
  extract(epoch FROM clock_timestamp() - greatest(last_vacuum, last_autovacuum))::float8
FROM pg_stat_user_tables WHERE schemaname = %(schema)s ORDER BY relname
"""
STANDBYS = """
SELECT coalesce(application_name, ''), coalesce(sync_state, ''), extract(epoch FROM replay_lag)::float8,
  pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint
FROM pg_stat_replication ORDER BY application_name, pid LIMIT %(limit)s
"""
SLOTS = """
SELECT slot_name::text, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL ORDER BY slot_name LIMIT %(limit)s
"""
# Each table and sequence, with its owner and the first right on it that is missing.
RIGHTS = """
SELECT relname::text, coalesce((
    SELECT wanted FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS rights(wanted, place)
    WHERE NOT has_table_privilege(oid, wanted) ORDER BY place LIMIT 1), ''),
  pg_get_userbyid(relowner)::text, pg_has_role(relowner, 'USAGE')
FROM pg_class WHERE relnamespace = %(schema)s::text::regnamespace AND relkind = 'r'
UNION ALL
SELECT relname::text, coalesce((
    SELECT wanted FROM unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) WITH ORDINALITY AS rights(wanted, place)
    WHERE NOT has_sequence_privilege(oid, wanted) ORDER BY place LIMIT 1), ''),
  pg_get_userbyid(relowner)::text, pg_has_role(relowner, 'USAGE')
FROM pg_class WHERE relnamespace = %(schema)s::text::regnamespace AND relname IN ('stamp', 'run_id') AND relkind = 'S'
ORDER BY 1
"""
ENTERS = "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %(schema)s"


class Server(NamedTuple):
    version_num: int
    version: str
    is_standby: bool
    is_read_only: bool  # a default, which our own transactions override
    role: str
    synchronous_commit: str
    has_fsync: bool
    has_full_pages: bool
    has_autovacuum: bool
    pid: int


class Connections(NamedTuple):
    most: int  # without the connections reserved for administrators
    used: int
    ours: int
    left_to_role: int | None  # None: it has no limit of its own
    left_to_database: int | None
    hidden: int  # sessions of which this role sees nothing but their existence


class Who(NamedTuple):
    """A session with a transaction that may hold up others."""

    pid: int
    role: str
    application: str
    state: str
    tables: str
    for_s: float | None
    keeps_waiting: int


class Prepared(NamedTuple):
    gid: str
    for_s: float


class TableStats(NamedTuple):
    name: str
    live: int
    dead: int
    size_bytes: int
    vacuumed_s: float | None  # seconds ago; None: never


class Standby(NamedTuple):
    name: str
    mode: str  # async, sync, quorum, potential; empty if this role may not know
    lag_s: float | None  # None while nothing is written
    behind_bytes: int | None


class Slot(NamedTuple):
    name: str
    kept_bytes: int


class Rights(NamedTuple):
    table: str
    lacks: str  # the first right that is missing
    owner: str
    is_ours: bool  # whether this role has the owner's rights too


class ServerFacts(NamedTuple):
    """A field is empty if it could not be asked for."""

    server: Server
    schema: str
    host: str  # as it was given; a path is a socket
    is_encrypted: bool
    checks_name: bool  # sslmode=verify-full
    pooler: str  # "": none; else "transaction", "session", "statement"
    ahead_s: float  # how far the server's clock is ahead of ours …
    unsure_s: float  # … plus or minus this
    room: Connections | None = None
    nodes: int = 0
    holders: tuple[Who, ...] = ()
    long: tuple[Who, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    tables: tuple[TableStats, ...] = ()
    standbys: tuple[Standby, ...] = ()
    slots: tuple[Slot, ...] = ()
    may_enter: bool | None = None  # None: there is no such schema
    rights: tuple[Rights, ...] = ()
    knows_cluster: bool = True


def look(address: Address, clock: Clock) -> ServerFacts:
    """Ask everything.  Raises what connecting raises."""
    deadlines = Deadlines()
    try:
        connection = connected(address)
        line = WatchedSocket(connection.fileno())
        try:
            with deadlines.limit(line, LOOK_S):
                return _Questions(connection, address, clock).facts()
        except psycopg.Error as error:
            raise _ours(address, error) from error
        finally:
            connection.close()
            line.close()
    finally:
        deadlines.close()


def _ours(address: Address, error: psycopg.Error) -> ShiftbossError:
    if error.sqlstate is None:
        return errors.broken(address, error)
    return errors.refused(address, error.sqlstate, str(error).strip())


class _Questions:
    def __init__(self, connection: psycopg.Connection, address: Address, clock: Clock) -> None:
        self._connection = connection
        self._address = address
        self._clock = clock
        self._values = {
            "schema": address.schema,
            "application": address.parameters.get("application_name", ""),
            "limit": MOST_ROWS,
        }

    def facts(self) -> ServerFacts:
        row = self._connection.execute(SERVER).fetchone()
        if row is None:
            raise InternalError(f"{self._address.url}: the server gives no information about itself")
        server = Server(*row)
        ahead_s, unsure_s = self._skew()
        pg = self._connection.pgconn
        known = ServerFacts(
            server=server,
            schema=self._address.schema,
            host=(pg.host or b"").decode(),
            is_encrypted=bool(pg.ssl_in_use),
            checks_name=self._address.parameters.get("sslmode") == "verify-full",
            pooler=self._pooler() if pg.backend_pid != server.pid else "",
            ahead_s=ahead_s,
            unsure_s=unsure_s,
        )
        rooms = [Connections(*row) for row in self._all(ROOM)]
        known = known._replace(
            room=rooms[0] if rooms else None,
            holders=tuple(Who(*row) for row in self._all(HOLDERS)),
            long=tuple(Who(*row) for row in self._all(LONG)),
            prepared=tuple(Prepared(*row) for row in self._all(PREPARED)),
            slots=() if server.is_standby else tuple(Slot(*row) for row in self._all(SLOTS)),
            standbys=() if server.is_standby else tuple(Standby(*row) for row in self._all(STANDBYS)),
            knows_cluster=bool(self._all(CLUSTER.text.decode())),
        )
        enters = self._all(ENTERS)
        if not enters:
            return known
        nodes = [] if known.pooler == "statement" else self._all_of_ours(NODES)
        return known._replace(
            may_enter=bool(enters[0][0]),
            rights=tuple(Rights(*row) for row in self._all(RIGHTS)),
            tables=tuple(TableStats(*row) for row in self._all(TABLES)),
            nodes=nodes[0][0] if nodes else 0,
        )

    def _all(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement.encode(), self._values).fetchall()
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
            return []

    def _all_of_ours(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            with self._connection.transaction():
                self._connection.execute("SELECT set_config('search_path', %s, true)", [self._address.schema])
                return self._connection.execute(statement.encode()).fetchall()
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
            return []

    def _skew(self) -> tuple[float, float]:
        """The server read its clock at some moment between our question and its answer."""
        best = (0.0, float("inf"))
        for _ in range(3):
            asked_s = self._clock.elapsed_s()
            row = self._connection.execute(NOW).fetchone()
            answered_s, now = self._clock.elapsed_s(), self._clock.now()
            took_s = answered_s - asked_s
            if row is not None and took_s < 2 * best[1]:
                server = datetime.fromtimestamp(row[0], UTC)
                best = ((server - now).total_seconds() + took_s / 2, took_s / 2)
        return best

    def _pooler(self) -> str:
        """Two connected clients that meet the same server process share it by transactions."""
        if not self._has_transactions():
            return "statement"
        other = connected(self._address)
        try:
            for _ in range(POOL_TRIES):
                pids = [one.execute("SELECT pg_backend_pid()").fetchone() for one in (self._connection, other)]
                if pids[0] == pids[1]:
                    return "transaction"
            return "session"
        finally:
            other.close()

    def _has_transactions(self) -> bool:
        """In statement mode a BEGIN is refused, and the connection is closed."""
        other = connected(self._address)
        try:
            other.execute("BEGIN")
            other.execute("ROLLBACK")
        except psycopg.Error:
            return False
        finally:
            other.close()
        return True
