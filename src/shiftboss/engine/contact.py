"""How the store answers this process: what health checks and calls must know without asking the store (C3, H3, H5).

Rules of this file
- The engine's thread writes, any thread reads.  There is no lock: each field is replaced as a whole.
- Trouble ends with a turn that wrote something: that a store answers questions does not prove that it takes writes.
- A turn that takes long is trouble even before it has failed.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.clock import Clock, SystemClock
from shiftboss.core.health import DOES_NOT_ANSWER, StoreTrouble
from shiftboss.core.value import replace
from shiftboss.errors import OperatorError
from shiftboss.logs import get_logger
from shiftboss.ports.store import Store

log = get_logger("shiftboss.engine")

SLOW_S = 3.0  # a turn takes milliseconds; this is two seconds before a call is given up
WRITE_EVERY_S = 5.0  # so that a store that takes no writes is noticed within ten seconds, even while nothing runs

_clock = SystemClock()  # the silence of a store is real time, whatever clock the rules use


class Contact:
    """The contact of one engine with its store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turn_began_s: float | None = None
        self._answered_s = self._wrote_s = _clock.monotonic_s()  # opening it went well: the caller made the first call
        self._failure: StoreTrouble | None = None
        self._refusal: tuple[str, datetime] | None = None  # what the store says about itself, and since when
        self._told: StoreTrouble | None = None

    # ── from the engine ──────────────────────────────────────────────────────────────────────────────────────────

    def asks(self) -> None:
        """A turn with the store begins."""
        self._turn_began_s = _clock.monotonic_s()

    def answered(self) -> None:
        """The turn is over, and went well."""
        self._turn_began_s = None
        self._answered_s = _clock.monotonic_s()
        if self._wrote_s > float("-inf"):  # since the last failure, if there was one
            self._failure = None

    def wrote(self) -> None:
        """Something was committed."""
        self._wrote_s = _clock.monotonic_s()

    def failed(self, error: OperatorError, *, fact: str | None = None) -> None:
        """A turn failed.  This is the trouble until a whole turn has gone well and something was written."""
        self._turn_began_s = None
        self._wrote_s = float("-inf")
        before = self._failure
        trouble = StoreTrouble.of(error, since=before.since if before is not None else self._clock.now())
        self._failure = trouble if fact is None else replace(trouble, fact=fact)

    @property
    def has_failed(self) -> bool:
        """Whether the latest attempt to write failed."""
        return self._failure is not None

    @property
    def write_in_s(self) -> float:
        """Seconds until something should be written, if only to see that the store takes writes."""
        return max(0.0, self._wrote_s + WRITE_EVERY_S - _clock.monotonic_s())

    def tell(self) -> None:
        """Log each trouble once when it begins and once when it is over."""
        trouble, reported = self.trouble, self._told
        if trouble is not None and (reported is None or trouble.fact != reported.fact):
            log.error("%s; no new runs start until it works again", trouble)
        elif trouble is None and reported is not None:
            again = "answers again" if reported.fact == DOES_NOT_ANSWER else "accepts new work again"
            log.warning("the store %s; runs start again", again)
        self._told = trouble

    # ── from any thread ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def age_s(self) -> float:
        """For how long the store has not answered this process."""
        return max(0.0, _clock.monotonic_s() - self._answered_s)

    @property
    def trouble(self) -> StoreTrouble | None:
        """What keeps the store from taking new work of this process; None if nothing does."""
        failure = self._failure
        if failure is not None:
            return failure
        began_s = self._turn_began_s
        if began_s is not None and _clock.monotonic_s() - began_s > SLOW_S:
            return StoreTrouble(f"a transaction has taken longer than {SLOW_S:g} s", fact=DOES_NOT_ANSWER)
        return self._trouble_of_store()

    def _trouble_of_store(self) -> StoreTrouble | None:
        trouble = self._store.trouble
        if trouble is None:
            self._refusal = None
            return None
        before = self._refusal
        since = before[1] if before is not None else self._clock.now()
        self._refusal = trouble, since
        return StoreTrouble(trouble, since=since)
