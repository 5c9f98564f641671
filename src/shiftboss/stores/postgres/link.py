"""One live connection: opened within its time, greeted, and known for what it leads to.

Rules of this file
- What the server is told for the whole session is told only where the session is ours: behind a pooler (PgBouncer in
  transaction mode) connections change hands, so there nothing is, and every transaction brings its own settings.
- A pooler is recognised by the process number: it invents the one that it greets with.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import NamedTuple

import psycopg
from psycopg import conninfo

from shiftboss.clock import SystemClock
from shiftboss.errors import ConfigurationError, OperatorError, ShiftbossError, StoreMissing
from shiftboss.stores.postgres import errors
from shiftboss.stores.postgres.address import Address, Prepare
from shiftboss.stores.postgres.deadline import CALL_S, CONNECT_S, Deadlines, Line
from shiftboss.stores.postgres.wire import NUMBER, Answer, Broken, Refused, Statement, Wire

OLDEST = 130_000  # gen_random_uuid, MATERIALIZED; its own support ended in November 2025
GRACE_S = 3.0  # beside libpq's own limit: names are looked up without one

# Is the server at the other end of this very socket?  And which is it?
GREETING = Statement(
    "SELECT (pg_backend_pid() = $1)::int, current_setting('server_version_num')::int, pg_is_in_recovery()::int",
    NUMBER,
    prepare=False,
)
# A node that was cut off is noticed by the server as well, or it would keep its locks for hours.
KEEPALIVES = Statement(
    """
SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),
  set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '5000', false)
""",
    prepare=False,
)
CLUSTER = Statement("SELECT system_identifier FROM pg_control_system()", prepare=False)
# Not pg_control_checkpoint(): for a while after a promotion that is still of the timeline before.
TIMELINE = Statement(
    "SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint", prepare=False
)


SHUT_OUT = ("authentication", "pg_hba", "no password", "permission denied")  # what a server says to whom it refuses
_clock = SystemClock()  # a server is silent in real time, whatever clock the rules live by


class Origin(NamedTuple):
    """Which history of which cluster this is; None where the role may not ask."""

    cluster: int | None = None
    timeline: int | None = None


class Link:
    """Opened by `link_to`; whoever uses it closes it."""

    def __init__(self, connection: psycopg.Connection, deadlines: Deadlines) -> None:
        self.connection = connection
        self.line = Line(connection.fileno())
        self.wire = Wire(connection.pgconn, prepares=False)
        self._deadlines = deadlines
        self.is_direct = True
        self.is_standby = False
        self.version = 0
        self.origin = Origin()

    def greet(self, address: Address) -> None:
        pid = self.connection.pgconn.backend_pid
        greeting = self.ask(GREETING, pid)
        self.is_direct = bool(greeting.number(0, 0))
        self.version = greeting.number(0, 1)
        self.is_standby = bool(greeting.number(0, 2))
        encoding = (self.connection.pgconn.parameter_status(b"server_encoding") or b"UTF8").decode()
        if self.version < OLDEST:
            raise ConfigurationError(f"{address.url} is PostgreSQL {self.version // 10_000}; use 13 or newer")
        if encoding != "UTF8":
            raise ConfigurationError(f"{address.url} keeps texts as {encoding}; use a database with ENCODING 'UTF8'")
        if self.is_direct:
            self.ask(KEEPALIVES)
        self.wire.prepares = address.prepare is Prepare.ON or (address.prepare is Prepare.AUTO and self.is_direct)
        self.look_where()

    def look_where(self) -> None:
        """Ask anew which cluster and timeline this is; behind a pooler it may change under a connection."""
        timeline = None if self.is_standby else self._number_if_allowed(TIMELINE)
        self.origin = Origin(self._number_if_allowed(CLUSTER), timeline)

    def _number_if_allowed(self, statement: Statement) -> int | None:
        try:
            return self.ask(statement).number_or_none(0, 0)
        except Refused:
            return None  # the role may not, or it is no PostgreSQL to the last function

    def ask(self, statement: Statement, *values: object) -> Answer:
        """Outside any transaction.  Raises Refused and Broken."""
        with self._deadlines.limit(self.line, CALL_S):
            self.wire.send([(statement, values)])
            return self.wire.receive()[-1]

    @property
    def is_broken(self) -> bool:
        return self.line.was_cut or self.connection.broken or self.connection.closed

    def close(self) -> None:
        self.connection.close()
        self.line.close()


def link_to(address: Address, deadlines: Deadlines) -> Link:
    """A new connection.  Raises StoreUnavailable, StoreMissing, ConfigurationError."""
    link = Link(connected(address, deadlines), deadlines)
    try:
        link.greet(address)
    except Refused as error:
        link.close()
        raise errors.refused(address, error.state, error.text) from error
    except (Broken, psycopg.Error, OSError) as error:
        link.close()
        raise errors.broken(address, error) from error
    except BaseException:
        link.close()
        raise
    return link


class _Attempt:
    """A connection in the making; looking up a name cannot be interrupted, so another thread may be left with it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # protects the two below
        self.connection: psycopg.Connection | None = None
        self.is_given_up = False
        self.error: Exception | None = None
        self.over = threading.Event()

    def run(self, text: str) -> None:
        try:
            connection = psycopg.connect(text, autocommit=True, prepare_threshold=None)
        except Exception as error:  # noqa: BLE001  # told to whoever waits
            self.error = error
        else:
            with self.lock:
                self.connection = connection
                if self.is_given_up:
                    connection.close()
        self.over.set()


def connected(address: Address, deadlines: Deadlines | None = None) -> psycopg.Connection:
    """A connection of the driver, within its time.  Raises StoreUnavailable and StoreMissing."""
    began_s = _clock.monotonic_s()
    attempt = _Attempt()
    text = conninfo.make_conninfo(**address.parameters)
    hosts = 1 + address.parameters.get("host", "").count(",")
    limit_s = hosts * float(address.parameters.get("connect_timeout", CONNECT_S)) + GRACE_S
    threading.Thread(target=attempt.run, args=(text,), name="shiftboss-connect", daemon=True).start()
    if deadlines is None:
        attempt.over.wait(limit_s)
    else:
        deadlines.wait(attempt.over, limit_s)
    with attempt.lock:
        attempt.is_given_up = True
        if attempt.connection is not None:
            return attempt.connection
    error = attempt.error
    if error is None:
        raise errors.silent(address, _clock.monotonic_s() - began_s)
    raise _cannot_connect(address, error) from error


def _cannot_connect(address: Address, error: Exception) -> ShiftbossError:
    """libpq gives a failed login no SQLSTATE, only words."""
    text = " ".join(str(error).split())
    secret = address.parameters.get("password")
    if secret:
        text = text.replace(secret, "***")
    if "database" in text and "does not exist" in text:
        return StoreMissing(f"{address.url}: {text}; make it (CREATE DATABASE), or name another one")
    if any(word in text for word in SHUT_OUT) or ("role" in text and "does not exist" in text):
        error = errors.refused(address, "28000", text)
        if isinstance(error, OperatorError) and "," in address.parameters.get("host", ""):
            error.retryable = True  # the one that lets us in may be away just now
        return error
    return errors.broken(address, text)


def close_quietly(link: Link) -> None:
    with suppress(psycopg.Error, OSError):
        link.close()
