"""Triggers within a transaction of the caller's: one row each, inserted by the caller's own connection and driver.

Rules of this file
- The rows are all that happens: no lock, no other statement, no commit, no rollback.  Many are inserted at once.
- A connection is recognised by the package of its class; none of these packages is imported for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from shiftboss.errors import ConfigurationError

if TYPE_CHECKING:
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
    before = f"INSERT INTO {arrival.table} (data, payload) VALUES ("  # noqa: S608  # quoted by the store
    return _inserted(within, Statement(before, ", ", ")"), arrival[1:])


def insert_many(within: Within, arrivals: Sequence[Arrival]) -> Awaitable[Any] | None:
    """Insert the rows, in their order, by one statement.  Returns and raises what `insert` does."""
    statement = Statement(
        f"INSERT INTO {arrivals[0].table} (data, payload) SELECT data, payload FROM unnest(CAST(",  # noqa: S608  # quoted by the store
        " AS text[]), CAST(",
        " AS bytea[])) WITH ORDINALITY AS many (data, payload, place) ORDER BY place",
    )
    return _inserted(within, statement, ([each.data for each in arrivals], [each.payload for each in arrivals]))


class Statement(NamedTuple):
    """An INSERT with two parameters, as the texts before, between and behind them."""

    before: str
    between: str
    behind: str

    def text(self, data: str, payload: str) -> str:
        """With these placeholders."""
        return self.before + data + self.between + payload + self.behind


Two = tuple[Any, Any]  # the parameters


def _inserted(within: Within, statement: Statement, values: Two) -> Awaitable[Any] | None:
    packages = {each.__module__.partition(".")[0] for each in type(within).__mro__}
    way = next((way for package, way in WAYS.items() if package in packages), None)
    is_pool = "asyncpg" in packages and hasattr(within, "acquire")  # it executes too, each time in a new transaction
    if way is None or is_pool or not (hasattr(within, "execute") or hasattr(within, "cursor")):
        kind = f"{type(within).__module__}.{type(within).__qualname__}"
        raise ConfigurationError(f"within={kind} is not understood; give the open connection of {ACCEPTED}")
    done = way(within, statement, values)
    return done if isinstance(done, Awaitable) else None


def _by_psycopg(within: Any, statement: Statement, values: Two) -> Any:
    from psycopg import AsyncRawCursor, RawCursor  # it is installed: the connection is psycopg's

    factory = getattr(within, "cursor_factory", type(within))
    places = ("$1", "$2") if issubclass(factory, RawCursor | AsyncRawCursor) else ("%s", "%s")
    return within.execute(statement.text(*places), values)


def _by_asyncpg(within: Any, statement: Statement, values: Two) -> Any:
    return within.execute(statement.text("$1", "$2"), *values)


def _by_sqlalchemy(within: Any, statement: Statement, values: Two) -> Any:
    from sqlalchemy import text  # it is installed: the connection is SQLAlchemy's

    engine = within if hasattr(within, "dialect") else within.get_bind()
    _must_be_postgresql(within, engine.dialect.name)
    return within.execute(
        text(statement.text(":data", ":payload")), dict(zip(("data", "payload"), values, strict=True))
    )


def _by_django(within: Any, statement: Statement, values: Two) -> None:
    _must_be_postgresql(within, within.vendor)
    _by_cursor(within, statement, values)


def _by_cursor(within: Any, statement: Statement, values: Two) -> None:
    with within.cursor() as cursor:
        cursor.execute(statement.text("%s", "%s"), values)


WAYS: dict[str, Callable[[Any, Statement, Two], Any]] = {
    "psycopg": _by_psycopg,
    "asyncpg": _by_asyncpg,
    "sqlalchemy": _by_sqlalchemy,
    "django": _by_django,
    "psycopg2": _by_cursor,
}


def _must_be_postgresql(within: Any, vendor: str) -> None:
    if vendor != "postgresql":
        raise ConfigurationError(
            f"within={type(within).__qualname__} is a connection to {vendor}, but the store is in PostgreSQL; give a "
            "connection to the database of the store"
        )
