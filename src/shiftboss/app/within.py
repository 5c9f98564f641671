"""Triggers within a transaction of the caller: one row, by the caller's own connection and driver.

Rules of this file
- The row is all that happens: no lock, no other statement, nothing committed, nothing rolled back.
- A connection is known by the package of its class; none of these packages is imported for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from shiftboss.errors import ConfigurationError
from shiftboss.ports import Arrival

ACCEPTED = "psycopg, asyncpg, SQLAlchemy (its connections and sessions) or Django"


class Executing(Protocol):
    """A connection of psycopg, asyncpg or SQLAlchemy, or a session of SQLAlchemy."""

    def execute(self, *args: Any, **kwargs: Any) -> Any: ...


class HavingCursors(Protocol):
    """Django's `connection`."""

    def cursor(self) -> Any: ...


Within = Executing | HavingCursors


def insert(within: Within, arrival: Arrival) -> Awaitable[Any] | None:
    """Insert the row; what is to be awaited for it, where the connection is asynchronous.

    Raises ConfigurationError for a connection of a kind that is not known, and what the driver raises.
    """
    packages = {each.__module__.partition(".")[0] for each in type(within).__mro__}
    for package, way in WAYS.items():
        if package in packages:
            done = way(within, arrival)
            return done if isinstance(done, Awaitable) else None
    raise ConfigurationError(f"within={type(within).__qualname__} is not understood; give a connection of {ACCEPTED}")


def _by_execute(within: Any, arrival: Arrival) -> Any:
    return within.execute(_statement(arrival, "%s", "%s"), (arrival.data, arrival.payload))


def _by_asyncpg(within: Any, arrival: Arrival) -> Any:
    return within.execute(_statement(arrival, "$1", "$2"), arrival.data, arrival.payload)


def _by_sqlalchemy(within: Any, arrival: Arrival) -> Any:
    from sqlalchemy import text  # there: the connection is one of its

    statement = text(_statement(arrival, ":data", ":payload"))
    return within.execute(statement, {"data": arrival.data, "payload": arrival.payload})


def _by_cursor(within: Any, arrival: Arrival) -> None:
    with within.cursor() as cursor:
        cursor.execute(_statement(arrival, "%s", "%s"), (arrival.data, arrival.payload))


WAYS: dict[str, Callable[[Any, Arrival], Any]] = {
    "psycopg": _by_execute,
    "asyncpg": _by_asyncpg,
    "sqlalchemy": _by_sqlalchemy,
    "django": _by_cursor,
    "psycopg2": _by_cursor,
}


def _statement(arrival: Arrival, data: str, payload: str) -> str:
    return f"INSERT INTO {arrival.table} (data, payload) VALUES ({data}, {payload})"  # noqa: S608  # quoted by the store
