"""One live connection: opened in time, greeted, and known for what is at its other end.

Rules of this file
- Settings for the whole session are made only if the session is ours.  Behind a pooler (PgBouncer in transaction mode)
  connections change hands: there every transaction brings its own settings.
- A pooler is recognized by the process number in its greeting, which it invents.
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
from shiftboss.stores.postgres.deadline import CALL_S, CONNECT_S, Deadlines, WatchedSocket
from shiftboss.stores.postgres.wire import NUMBER, Broken, ResultSet, ServerRefused, Statement, Wire

OLDEST = 130_000  # gen_random_uuid, MATERIALIZED; its own support ended in November 2025
GRACE_S = 3.0  # besides libpq's own limit, which does not cover name lookups

# Is the server at the other end of this very socket, and which server is it?
GREETING = Statement(
    "SELECT (pg_backend_pid() = $1)::int, current_setting('server_version_num')::int, pg_is_in_recovery()::int",
    NUMBER,
    prepare=False,
)
# So that the server, too, notices a node that was cut off; otherwise it would keep the node's locks for hours.
KEEPALIVES = Statement(
    """
SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),
  set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '5000', false)
""",
    prepare=False,
)
CLUSTER = Statement("SELECT system_identifier FROM pg_control_system()", prepare=False)
# Not pg_control_checkpoint(): for a while after a promotion that still shows the timeline before.
TIMELINE = Statement(
    "SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint", prepare=False
)


SHUT_OUT = ("authentication", "pg_hba", "no password", "permission denied")  # a server's words when it refuses a login
_clock = SystemClock()  # the silence of a server is real time, whatever clock the rules use


class ClusterHistory(NamedTuple):
    """Which timeline of which cluster this is; None if the role may not ask."""

    cluster: int | None = None
    timeline: int | None = None


class Link:
    """Opened by `link_to`; the user of a link closes it."""

    def __init__(self, connection: psycopg.Connection, deadlines: Deadlines) -> None:
        self.connection = connection
        self.line = WatchedSocket(connection.fileno())
        self.wire = Wire(connection.pgconn, prepares=False)
        self._deadlines = deadlines
        self.is_direct = True
        self.is_standby = False
        self.version = 0
        self.origin = ClusterHistory()

    def greet(self, address: Address) -> None:
        pid = self.connection.pgconn.backend_pid
        greeting = self.query(GREETING, pid)
        self.is_direct = bool(greeting.number(0, 0))
        self.version = greeting.number(0, 1)
        self.is_standby = bool(greeting.number(0, 2))
        encoding = (self.connection.pgconn.parameter_status(b"server_encoding") or b"UTF8").decode()
        if self.version < OLDEST:
            raise ConfigurationError(f"{address.url} is PostgreSQL {self.version // 10_000}; use 13 or newer")
        if encoding != "UTF8":
            raise ConfigurationError(f"{address.url} has the encoding {encoding}; use a database with ENCODING 'UTF8'")
        if self.is_direct:
            self.query(KEEPALIVES)
        self.wire.prepares = address.prepare is Prepare.ON or (address.prepare is Prepare.AUTO and self.is_direct)
        self.look_where()

    def look_where(self) -> None:
        """Ask again which cluster and timeline this is; behind a pooler it may change within a connection."""
        timeline = None if self.is_standby else self._number_if_allowed(TIMELINE)
        self.origin = ClusterHistory(self._number_if_allowed(CLUSTER), timeline)

    def _number_if_allowed(self, statement: Statement) -> int | None:
        try:
            return self.query(statement).number_or_none(0, 0)
        except ServerRefused:
            return None  # the role may not ask, or the server is not fully compatible with PostgreSQL

    def query(self, statement: Statement, *values: object) -> ResultSet:
        """Outside any transaction.  Raises ServerRefused and Broken."""
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
    except ServerRefused as error:
        link.close()
        raise errors.refused(address, error.state, error.text) from error
    except (Broken, psycopg.Error, OSError) as error:
        link.close()
        raise errors.broken(address, error) from error
    except BaseException:
        link.close()
        raise
    return link


class _Connecting:
    """A connection being opened; a name lookup cannot be interrupted, so its thread may be left behind with it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # protects the two below
        self.connection: psycopg.Connection | None = None
        self.is_given_up = False
        self.error: Exception | None = None
        self.over = threading.Event()

    def run(self, text: str) -> None:
        try:
            connection = psycopg.connect(text, autocommit=True, prepare_threshold=None)
        except Exception as error:  # noqa: BLE001  # reported to whoever waits
            self.error = error
        else:
            with self.lock:
                self.connection = connection
                if self.is_given_up:
                    connection.close()
        self.over.set()


def connected(address: Address, deadlines: Deadlines | None = None) -> psycopg.Connection:
    """A connection of the driver, opened in time.  Raises StoreUnavailable and StoreMissing."""
    began_s = _clock.monotonic_s()
    attempt = _Connecting()
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
    """libpq gives a failed login no SQLSTATE, only a message."""
    text = " ".join(str(error).split())
    secret = address.parameters.get("password")
    if secret:
        text = text.replace(secret, "***")
    if "database" in text and "does not exist" in text:
        return StoreMissing(f"{address.url}: {text}; create it (CREATE DATABASE), or name another one")
    if any(word in text for word in SHUT_OUT) or ("role" in text and "does not exist" in text):
        error = errors.refused(address, "28000", text)
        if isinstance(error, OperatorError) and "," in address.parameters.get("host", ""):
            error.retryable = True  # the server that lets us in may be unavailable just now
        return error
    return errors.broken(address, text)


def close_quietly(link: Link) -> None:
    with suppress(psycopg.Error, OSError):
        link.close()
