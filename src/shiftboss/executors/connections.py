"""Django's database connections belong to a thread; they are given back after a function as after a request.

Django opens a connection in each thread that asks for one, and closes it at the end of a request.  A function is no
request: its thread would keep the connection forever, one for each slot, and use it after the server has ended it.

Rules of this file
- This file never imports Django: if nobody has imported it, there is nothing to give back, and the check costs 0.1 µs.
- The rule is Django's own (`close_old_connections`): `CONN_MAX_AGE` and `CONN_HEALTH_CHECKS` hold, and a connection
  inside `atomic` stays open.
- Nothing here raises into a function or into its executor.
"""

from __future__ import annotations

import sys
from typing import Any

from shiftboss.logs import get_logger

log = get_logger("shiftboss.executors")


def give_back() -> None:
    """Close connections that are too old or unusable; called before and after a plain function, in its thread."""
    db = _database()
    if db is not None:
        _quietly(db.close_old_connections)


def close_all() -> None:
    """Close all connections of this thread; called at its end."""
    db = _database()
    if db is not None:
        _quietly(db.connections.close_all)


def after_a_failure_on_the_loop() -> None:
    """Async functions share asgiref's thread: close only its broken connections; others may be in use."""
    db, sync = _database(), sys.modules.get("asgiref.sync")
    if db is None or sync is None:
        return
    try:
        sync.SyncToAsync.single_thread_executor.submit(_quietly, _close_broken, db)
    except (AttributeError, RuntimeError):  # another version of asgiref, or the interpreter is about to end
        log.debug("no asgiref thread is available to check Django's connections")


def _database() -> Any:
    """The module `django.db`, if it is imported and the settings are configured."""
    db = sys.modules.get("django.db")
    if db is None or not hasattr(db, "close_old_connections"):  # it is being imported
        return None
    return db if sys.modules["django.conf"].settings.configured else None


def _close_broken(db: Any) -> None:
    for connection in db.connections.all(initialized_only=True):
        if connection.errors_occurred and not connection.in_atomic_block and not connection.is_usable():
            connection.close()


def _quietly(step: Any, *arguments: Any) -> None:
    try:
        step(*arguments)
    except Exception:  # settings and drivers are the host's: the function has ended nevertheless
        log.warning("Django's connections of this thread could not be released; they stay open", exc_info=True)
