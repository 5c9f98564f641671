"""Django's database connections, which belong to a thread: a body gives them back as a request does.

Django opens a connection in each thread that asks for one, and closes it at the end of a request.  A body is none: its
thread would keep the connection for ever, one for each slot, and go on with it after the server has ended it.

Rules of this file
- Nothing of Django is imported: where nobody has, there is nothing to give back, and a look costs 0.1 µs.
- The rule is Django's own (`close_old_connections`): `CONN_MAX_AGE` and `CONN_HEALTH_CHECKS` hold, and what is inside
  of `atomic` stays.
- Nothing here raises into a body or into its executor.
"""

from __future__ import annotations

import sys
from typing import Any

from shiftboss.logs import get_logger

log = get_logger("shiftboss.executors")


def give_back() -> None:
    """Before and after a plain body, in its thread: close those that are too old or unusable."""
    db = _database()
    if db is not None:
        _quietly(db.close_old_connections)


def close_all() -> None:
    """At the end of a thread: close whatever it still has."""
    db = _database()
    if db is not None:
        _quietly(db.connections.close_all)


def after_a_failure_on_the_loop() -> None:
    """Async bodies share the thread of asgiref: close what broke there.  Others may be using what did not."""
    db, sync = _database(), sys.modules.get("asgiref.sync")
    if db is None or sync is None:
        return
    try:
        sync.SyncToAsync.single_thread_executor.submit(_quietly, _close_broken, db)
    except (AttributeError, RuntimeError):  # another asgiref, or the interpreter is about to end
        log.debug("no thread of asgiref takes the look at Django's connections")


def _database() -> Any:
    """The module `django.db`, once somebody has imported it and the settings are there."""
    db = sys.modules.get("django.db")
    if db is None or not hasattr(db, "close_old_connections"):  # its import is under way
        return None
    return db if sys.modules["django.conf"].settings.configured else None


def _close_broken(db: Any) -> None:
    for connection in db.connections.all(initialized_only=True):
        if connection.errors_occurred and not connection.in_atomic_block and not connection.is_usable():
            connection.close()


def _quietly(step: Any, *arguments: Any) -> None:
    try:
        step(*arguments)
    except Exception:  # its settings and drivers are the host's: the body has ended all the same
        log.warning("Django's connections of this thread could not be given back; they stay open", exc_info=True)
