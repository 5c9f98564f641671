"""Which variables of shiftboss a started program finds in its environment: none that gives access.

Rules of this file
- A command and the warden get only those of our variables that are in HARMLESS.  So a new variable is never passed on.
- A child of executor="process" imports the application and runs its code: it gets all but DOORS.  The store's address
  in its environment has no password, because every program that its functions start inherits the environment.  The
  node sends the child the full address through their socket.
- Other variables (`DATABASE_URL`) belong to the application and are passed on unchanged.
"""

from __future__ import annotations

import os

from shiftboss.core import address

OURS = "SHIFTBOSS_"
STORE = "SHIFTBOSS_STORE"
HARMLESS = frozenset(("SHIFTBOSS_APP", "SHIFTBOSS_CODE_VERSION", "SHIFTBOSS_DEBUG", "SHIFTBOSS_USER"))
DOORS = frozenset(
    (
        "SHIFTBOSS_ACCESS_FILE",
        "SHIFTBOSS_AUDIT_KEY",
        "SHIFTBOSS_AUDIT_KEY_FILE",
        "SHIFTBOSS_AUTH_TOKEN",
        "SHIFTBOSS_AUTH_TOKEN_FILE",
    )
)
ADDRESSES = (STORE, "SHIFTBOSS_DEMO_STORE")

_of_node: str | None = None  # in a child: the node's SHIFTBOSS_STORE


def of_program() -> dict[str, str]:
    """The environment for a program that is not ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS) or name in HARMLESS}


def of_child() -> dict[str, str]:
    """The environment for a process that imports the application."""
    kept = {name: value for name, value in os.environ.items() if name not in DOORS}
    return kept | {name: address.without_password(kept[name]) for name in ADDRESSES if name in kept}


def store_address() -> str | None:
    """SHIFTBOSS_STORE; None if it is not set."""
    given = os.environ.get(STORE)
    if _of_node is not None and given == address.without_password(_of_node):
        return _of_node
    return given or None


def take_from_node(store: str | None) -> None:
    """In a child: keep the node's SHIFTBOSS_STORE."""
    global _of_node
    _of_node = store
