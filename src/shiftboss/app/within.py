"""Triggers within a transaction of the caller's: one row, inserted by the caller's own connection and driver.

Rules of this file
- The row is all that happens: no lock, no other statement, no commit, no rollback.
- A connection is recognised by the package of its class; none of these packages is imported for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from shiftboss.errors import ConfigurationError
from shiftboss.ports.store import Arrival

ACCEPTED = "psycopg, asyncpg, SQLAlchemy (its connections and sessions) or Django"


class Executing(Protocol):
    """A connection of psycopg, asyncpg or SQLAlchemy, or a session of SQLAlchemy."""

    def execute(self, *args: Any, **kwargs: Any) -> Any: ...


class HavingCursors(Protocol):
    """Django's `connection`."""

    def cursor(self) -> Any: ...


Within = Executing | HavingCursors


def insert(within: Within, arrival: Arrival) -> Awaitable[Any] | None:
    """Insert the row; returns what is to be awaited if the connection is asynchronous.

    Raises ConfigurationError for a connection of an unknown kind, and what the driver raises.
    """
    packages = {each.__module__.partition(".")[0] for each in type(within).__mro__}
    way = next((way for package, way in WAYS.items() if package in packages), None)
    is_pool = "asyncpg" in packages and hasattr(within, "acquire")  # it executes too, each time in a new transaction
    if way is None or is_pool or not (hasattr(within, "execute") or hasattr(within, "cursor")):
        kind = f"{type(within).__module__}.{type(within).__qualname__}"
        raise ConfigurationError(f"within={kind} is not understood; give the open connection of {ACCEPTED}")
    done = way(within, arrival)
    return done if isinstance(done, Awaitable) else None


def _by_psycopg(within: Any, arrival: Arrival) -> Any:
    from psycopg import AsyncRawCursor, RawCursor  # it is installed: the connection is psycopg's

    factory = getattr(within, "cursor_factory", type(within))
    places = ("$1", "$2") if issubclass(factory, RawCursor | AsyncRawCursor) else ("%s", "%s")
    return within.execute(_statement(arrival, *places), (arrival.data, arrival.payload))


def _by_asyncpg(within: Any, arrival: Arrival) -> Any:
    return within.execute(_statement(arrival, "$1", "$2"), arrival.data, arrival.payload)


def _by_sqlalchemy(within: Any, arrival: Arrival) -> Any:
    from sqlalchemy import text  # it is installed: the connection is SQLAlchemy's

    engine = within if hasattr(within, "dialect") else within.get_bind()
    _must_be_postgresql(within, engine.dialect.name)
    statement = text(_statement(arrival, ":data", ":payload"))
    return within.execute(statement, {"data": arrival.data, "payload": arrival.payload})


def _by_django(within: Any, arrival: Arrival) -> None:
    _must_be_postgresql(within, within.vendor)
    _by_cursor(within, arrival)


def _by_cursor(within: Any, arrival: Arrival) -> None:
    with within.cursor() as cursor:
        cursor.execute(_statement(arrival, "%s", "%s"), (arrival.data, arrival.payload))


WAYS: dict[str, Callable[[Any, Arrival], Any]] = {
    "psycopg": _by_psycopg,
    "asyncpg": _by_asyncpg,
    "sqlalchemy": _by_sqlalchemy,
    "django": _by_django,
    "psycopg2": _by_cursor,
}


def _must_be_postgresql(within: Any, vendor: str) -> None:
    if vendor != "postgresql":
        raise ConfigurationError(
            f"within={type(within).__qualname__} leads to {vendor}, and the runs are kept in PostgreSQL; give a "
            "connection to the database that the store is in"
        )


def _statement(arrival: Arrival, data: str, payload: str) -> str:
    return f"INSERT INTO {arrival.table} (data, payload) VALUES ({data}, {payload})"  # noqa: S608  # quoted by the store
