"""Is this schema our store, may it be used, and how is a new one made?

Rules of this file
- Nothing is written before the tables are known to be ours and of a version that we understand (W4).
- Whichever process comes first makes or migrates it, in one transaction under a lock for which the others wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import errors, sql

from shiftboss.clock import Clock
from shiftboss.errors import StoreDamaged, StoreTooOld
from shiftboss.stores.postgres import errors as postgres_errors
from shiftboss.stores.postgres.address import Address
from shiftboss.stores.postgres.clock import DatabaseClock
from shiftboss.stores.postgres.deadline import Deadlines, WatchedSocket
from shiftboss.stores.postgres.link import CLUSTER, TIMELINE, connected
from shiftboss.stores.sql import migrations

APPLICATION = "shiftboss"
LOCK_KEY = 0x53424F53  # "SBOS"; the other half of the key is a hash of the schema's name
MIGRATION_S = 60.0  # twenty starting processes may wait for one; changing a large table takes its time

LIMITS = "SELECT set_config('lock_timeout', '50s', true), set_config('search_path', %s, true)"
ALONE = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
# Not to_regclass(): after a wait for the lock it may still answer from what this session knew before.
EXISTS = """
SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
               WHERE nspname = %s AND relname = 'meta'),
  EXISTS (SELECT FROM pg_namespace WHERE nspname = %s), pg_is_in_recovery(), current_user
"""
META = "SELECT application, schema, store FROM meta WHERE id = 1"
NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
SET_VERSION = """
UPDATE meta SET schema = %s, cluster = coalesce(cluster, %s), timeline = coalesce(timeline, %s),
  place = coalesce(place, tableoid::bigint),
  server_started = coalesce(server_started, (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint)
WHERE id = 1
"""


class SchemaState(NamedTuple):
    """What a schema contains."""

    has_tables: bool
    has_schema: bool
    is_standby: bool
    role: str
    application: str = APPLICATION
    version: int = 0
    store: str = ""


def latest() -> int:
    return migrations.latest("postgres")


def version(address: Address, deadlines: Deadlines) -> int | None:
    """The version of the store; None if there is none.  Raises StoreTooNew and StoreDamaged."""
    with _connection(address, deadlines) as connection:
        state = _look(connection, address)
        return state.version if state.has_tables else None


def prepare(address: Address, deadlines: Deadlines, clock: Clock, *, create: bool) -> None:
    """Make sure that there is a store of this version: check it, make it (with *create*), migrate it."""
    with _connection(address, deadlines) as connection:
        state = _look(connection, address)
        if state.is_standby:
            raise postgres_errors.standby(address)
        if state.version < latest():
            if not state.has_tables and not create:
                raise postgres_errors.missing(address)
            if not create:
                raise StoreTooOld(
                    f"{address.url} has schema version {state.version}, but this shiftboss needs {latest()}; nothing "
                    "was changed: start a node of this version on it, or run `shiftboss migrate`"
                )
            _migrate(connection, address)
            state = _look(connection, address)
        if isinstance(clock, DatabaseClock):
            clock.boot = f"postgres:{state.store}"
            _correct(clock, connection)


def _correct(clock: DatabaseClock, connection: psycopg.Connection) -> None:
    asked_s = clock.elapsed_s()
    row = connection.execute(NOW).fetchone()
    answered_s = clock.elapsed_s()
    if row is not None:
        clock.correct(row[0], asked_s=asked_s, answered_s=answered_s)


@contextmanager
def _connection(address: Address, deadlines: Deadlines) -> Iterator[psycopg.Connection]:
    connection = connected(address)
    line = WatchedSocket(connection.fileno())
    try:
        with deadlines.limit(line, MIGRATION_S):
            yield connection
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise postgres_errors.broken(address, error) from error
        raise postgres_errors.refused(address, error.sqlstate, str(error).strip()) from error
    finally:
        connection.close()
        line.close()


def _look(connection: psycopg.Connection, address: Address) -> SchemaState:
    """Raises StoreTooNew and StoreDamaged."""
    with connection.transaction():
        connection.execute(LIMITS, [address.schema])
        row = connection.execute(EXISTS, [address.schema, address.schema]).fetchone()
        state = SchemaState(*row) if row is not None else SchemaState(False, False, False, "")
        if not state.has_tables or state.is_standby:
            return state
        try:
            meta = connection.execute(META).fetchone()
        except errors.UndefinedColumn as error:
            raise _of_another_program(address) from error
        except errors.UndefinedTable as error:  # it exists: a search path leaves out schemas that a role may not enter
            text = f"permission denied for schema {address.schema}"
            raise postgres_errors.refused(address, "42501", text) from error
    if meta is None or meta[0] != APPLICATION:
        raise _of_another_program(address)
    if meta[1] > latest():
        raise postgres_errors.too_new(address, meta[1], latest())
    return SchemaState(*state[:4], *meta)


def _of_another_program(address: Address) -> StoreDamaged:
    return StoreDamaged(
        f"schema {address.schema} of {address.url} has tables of another program; name another schema (?schema=name)"
    )


def _migrate(connection: psycopg.Connection, address: Address) -> None:
    cluster, timeline = (_number_if_allowed(connection, statement.text) for statement in (CLUSTER, TIMELINE))
    with connection.transaction():
        connection.execute(LIMITS, [address.schema])
        connection.execute(ALONE, [LOCK_KEY, address.schema])
        state = _look(connection, address)
        if not state.has_schema:
            try:
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(address.schema)))
            except errors.InsufficientPrivilege as error:
                raise postgres_errors.cannot_create(address, str(error).strip(), state.role) from error
        for number, file in migrations.scripts("postgres").items():
            if number > state.version:
                connection.execute(file.read_bytes())
        if state.version < latest():
            connection.execute(SET_VERSION, [latest(), cluster, timeline])


def _number_if_allowed(connection: psycopg.Connection, statement: bytes) -> int | None:
    try:
        row = connection.execute(statement).fetchone()
    except psycopg.Error:
        return None
    return int(row[0]) if row is not None else None
