"""The acts of people are sealed soon after their commit, never within it (A8).

Rules of this file
- No commit waits for a seal, and no node for another: two nodes that seal the same rows make the same seal.
- A seal costs three statements, however many acts it covers; a normal run costs none.
- The last seal is remembered outside the store.  If the store has lost it, that is logged at once and remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from shiftboss.clock import Clock
from shiftboss.core.audit import Head, Key, Seal, seal_of
from shiftboss.core.events import Event
from shiftboss.errors import OperatorError
from shiftboss.logs import get_logger
from shiftboss.ports.store import Reader, Session

log = get_logger("shiftboss.audit")

AFTER_S = 0.2  # so that the acts of one bulk operation share a seal
EVERY_S = 5.0  # for the acts of processes that have no key
AT_ONCE = 200  # rows in one seal: retention deletes whole seals, and one has to fit into its batch


class Keyring(Protocol):
    """The key of this process, and the last seal that it remembers outside the store."""

    @property
    def key(self) -> Key: ...

    @property
    def head(self) -> Head | None:
        """The last seal that this machine knows."""
        ...

    def remember(self, head: Head) -> None:
        """The store has that seal now."""
        ...

    def lose(self, head: Head) -> None:
        """The store no longer has that seal: keep it, so that a verification can report it."""
        ...


class Sealing:
    """Without a *keyring* it does nothing: other processes seal."""

    def __init__(self, session: Session, clock: Clock, keyring: Keyring | None, *, keep_s: float) -> None:
        self._session = session
        self._clock = clock
        self._keyring = keyring
        self._keep_s = keep_s
        self._is_owed = False  # whether this process has committed an act since its last seal
        self._next_s = clock.monotonic_s() if keyring is not None else float("inf")

    def committed(self, events: Iterable[Event]) -> None:
        if self._keyring is not None and not self._is_owed and any(event.AUDITED for event in events):
            self._is_owed = True
            self._next_s = min(self._next_s, self._clock.monotonic_s() + AFTER_S)

    def seal_if_due(self) -> None:
        if self._clock.monotonic_s() >= self._next_s:
            self.seal()

    def seal_what_is_owed(self) -> None:
        """The last act of this process."""
        if self._is_owed:
            self.seal()

    @property
    def due_in_s(self) -> float:
        return max(0.0, self._next_s - self._clock.monotonic_s())

    def seal(self) -> None:
        """Seal what is not sealed yet.  If the store refuses, it is asked again later; the rows can wait."""
        keyring = self._keyring
        if keyring is None:
            return
        self._next_s = self._clock.monotonic_s() + EVERY_S
        self._is_owed = False
        try:
            while seal := self._session.seal(lambda reader: self._made(reader, keyring)):
                keyring.remember(Head(seal.digest, seal.id))
        except OperatorError as error:
            self._is_owed = True
            log.debug("sealing the audit is postponed: %s", error)

    def _made(self, reader: Reader, keyring: Keyring) -> Seal | None:
        last, head = reader.last_seal(), keyring.head
        if head is not None and not _has(reader, last, head):
            log.error(
                "the audit log lacks rows that this machine had sealed, up to row %d: its end was cut off, or an "
                "older backup was restored; run `shiftboss audit verify`",
                head.id,
            )
            keyring.lose(head)
        rows = reader.audit(after=0 if last is None else last.id, limit=AT_ONCE)
        return seal_of(last, rows, key=keyring.key, keep_s=self._keep_s)


def _has(reader: Reader, last: Seal | None, head: Head) -> bool:
    """Whether the store still has that seal, or retention has deleted it."""
    if last is None or last.id < head.id:
        return False
    if last.id == head.id:
        return last.digest == head.digest
    here = reader.seals(after=head.id - 1, limit=1)[0]
    if here.id == head.id:
        return here.digest == head.digest
    return reader.seals(after=0, limit=1)[0].id > head.id
