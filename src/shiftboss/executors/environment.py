"""What the programs that we start find in their environment of ours: nothing that opens a door.

Rules of this file
- A command, and the warden: of our own variables only those in HARMLESS, so that none that is new is handed on.
- A child of executor="process" imports the application and is its own code: it keeps all but DOORS.  The address in its
  environment has no password, for what its bodies start inherits that; the node says the true one by their socket.
- What is not ours (`DATABASE_URL`) is the application's: handed on as it is.
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

_of_node: str | None = None  # in a child: SHIFTBOSS_STORE as the node has it


def of_program() -> dict[str, str]:
    """Of this process's environment, for a program that is not ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS) or name in HARMLESS}


def of_child() -> dict[str, str]:
    """For a process that imports the application."""
    kept = {name: value for name, value in os.environ.items() if name not in DOORS}
    return kept | {name: address.without_password(kept[name]) for name in ADDRESSES if name in kept}


def store_address() -> str | None:
    """SHIFTBOSS_STORE; None where it says nothing."""
    given = os.environ.get(STORE)
    if _of_node is not None and given == address.without_password(_of_node):
        return _of_node
    return given or None


def take_from_node(store: str | None) -> None:
    """In a child: what the node has as SHIFTBOSS_STORE."""
    global _of_node
    _of_node = store
