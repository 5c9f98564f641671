"""PostgreSQL's errors in our words: the thing, the fact, the remedy.

Rules of this file
- This is the only place that knows SQLSTATEs.
- What may pass by itself (a restart, a deadlock, too many connections) is StoreUnavailable, and is tried again.
- A commit whose answer never came is in doubt, and the error says so.
- A standby may be promoted, and is tried again; a wrong password or a missing privilege does not correct itself.
"""

from __future__ import annotations

from shiftboss.errors import (
    InternalError,
    ShiftbossError,
    StoreDamaged,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
    StoreRejected,
    StoreTooNew,
    StoreUnavailable,
)
from shiftboss.stores.postgres.address import Address
from shiftboss.stores.postgres.wire import ServerRefused

# By SQLSTATE, or by its first two characters, the class.
REJECTED = ("SB", "22", "23", "54")  # ours (0001_first.sql); what a column cannot hold; constraints; limits
DAMAGED = ("XX001", "XX002")  # data_corrupted, index_corrupted
FULL = ("53100",)
BUSY = ("55P03", "57014")  # the lock could not be had in time; the statement took too long
WAITED = "55P03"  # lock_not_available
AGAIN = ("40", "08", "53", "57", "25P03", "58", "XX000")
LOGIN = ("28",)
NO_DATABASE = ("3D000",)
NO_TABLES = ("3F000", "42P01")
NOT_ALLOWED = ("42501",)
STANDBY = ("25006",)


def refused(address: Address, state: str, text: str, *, maybe_stored: bool = False) -> ShiftbossError:
    """The error to raise for an error answer of the server."""
    url, schema = address.url, address.schema
    if state.startswith(REJECTED):
        return StoreRejected(f"{url} refused a write: {text}; the change that needs it is refused with it")
    if state in FULL:
        return StoreFull(
            f"{url} cannot grow because the server's disk is full: {text}; it accepts no new work until it has room"
        )
    if state in STANDBY:
        return standby(address)
    if state in BUSY:
        return StoreUnavailable(
            f"{url} is blocked: {text}; look in pg_stat_activity for a transaction that does not end",
            maybe_stored=maybe_stored,
            answers=True,
        )
    if state in DAMAGED:
        return StoreDamaged(f"{url} is damaged: {text}; see the server's log, and restore a backup")
    if state.startswith(LOGIN):
        shut_out = StoreUnavailable(
            f"{url} refuses the login: {text}; correct user and password, or pg_hba.conf", answers=True
        )
        shut_out.retryable = False
        return shut_out
    if state in NO_DATABASE:
        return StoreMissing(f"{url}: {text}; create it (CREATE DATABASE), or name another one")
    if state in NO_TABLES:
        return StoreMissing(
            f"{url}: the tables in schema {schema} are gone: {text}; restore a backup, or restart a node"
        )
    if state in NOT_ALLOWED:
        return StoreReadOnly(
            f"{url}: {text}; as the owner of schema {schema} let this role use it: "
            f"GRANT USAGE ON SCHEMA {schema} TO …; GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO …; "
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO …"
        )
    if state.startswith(AGAIN):
        return StoreUnavailable(
            f"{url} cannot be used at the moment: {text}; retrying", maybe_stored=maybe_stored, answers=True
        )
    return InternalError(f"{url}: a statement of shiftboss failed: {text} ({state})")


def waited_in_vain(error: ShiftbossError) -> bool:
    """Whether a lock could not be had in time."""
    return isinstance(error.__cause__, ServerRefused) and error.__cause__.state == WAITED


def broken(address: Address, fact: object, *, maybe_stored: bool = False) -> StoreUnavailable:
    text = " ".join(str(fact).split()) or "the connection was lost"
    return StoreUnavailable(f"{address.url} cannot be reached: {text}; retrying", maybe_stored=maybe_stored)


def silent(address: Address, waited_s: float, *, maybe_stored: bool = False) -> StoreUnavailable:
    return StoreUnavailable(
        f"{address.url} did not answer within {waited_s:.2g} s; the connection was closed; retrying",
        maybe_stored=maybe_stored,
    )


def standby(address: Address) -> StoreReadOnly:
    error = StoreReadOnly(
        f"{address.url} is read-only: a standby, or default_transaction_read_only is on; name the primary, or all "
        "hosts (host1,host2), of which the writable one is used"
    )
    error.retryable = True
    return error


def cannot_create(address: Address, text: str, role: str) -> StoreReadOnly:
    return StoreReadOnly(
        f"{address.url}: the schema {address.schema} cannot be created: {text}; as the database's owner run: "
        f'CREATE SCHEMA {address.schema} AUTHORIZATION "{role}";'
    )


def missing(address: Address) -> StoreMissing:
    return StoreMissing(
        f"there is no store in schema {address.schema} of {address.url}; start an application on it first, or name "
        "another one (?schema=name)"
    )


def too_new(address: Address, version: int, known: int) -> StoreTooNew:
    return StoreTooNew(
        f"{address.url} has schema version {version}, but this shiftboss knows only {known}; nothing was changed: "
        "upgrade this process"
    )
