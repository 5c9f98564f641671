"""Every error that shiftboss raises, divided by who must act.

Rules of this file
- `CallerError`: the code that called must change.  `OperatorError`: somebody must look at the machine, the store or
  the worker.  `InternalError`: a mistake in shiftboss; please report it.
- A message names the thing, the fact and the remedy.
- What a worker's function raises is never one of these: it is an outcome of its run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MAX_NAMED = 5  # of many refusals, in a message
MAX_REASON_CHARS = 300  # of each of them


class ShiftbossError(Exception):
    """The root of everything that shiftboss raises on purpose."""


# ── the caller must act ──────────────────────────────────────────────────────────────────────────────────────────


class CallerError(ShiftbossError):
    """The call cannot be carried out as it was made; nothing was changed."""


class ConfigurationError(CallerError):
    """A declaration or an option that cannot work: unknown name, impossible combination, wrong unit."""


class CycleError(ConfigurationError):
    """`depends_on` and `after` together form a cycle; the message shows the path."""


class UnknownWorker(CallerError, LookupError):
    """No worker of that name is declared or stored."""


class UnknownRun(CallerError, LookupError):
    """No run of that id is stored (it may have been pruned)."""


class UnknownNode(CallerError):
    """The store knows no node of that id or name, or several of that name."""


class WrongPayload(CallerError, ValueError):
    """The payload does not fit the parameters of the worker's function."""


class WrongResult(CallerError, ValueError):
    """The run succeeded, but `result()` cannot give back what its function returned; the message says why."""


class DuplicateKey(CallerError):
    """The key was used before with another payload."""


class WorkerDisabled(CallerError):
    """The worker is disabled; `force=True` passes this one gate, `enable` opens it."""


class RefusedTrigger(NamedTuple):
    """One of many triggers that was refused: its place in the call, counted from 0, its worker, and why."""

    place: int
    worker: str
    error: CallerError

    @classmethod
    def of(cls, place: int, worker: str, error: CallerError) -> RefusedTrigger:
        """Without tracebacks: of 50,000 they would keep as many frames, with the payloads in them."""
        link: BaseException | None = error
        while link is not None:
            link.__traceback__ = None
            if link.__context__ is not link.__cause__:
                link.__context__ = None  # it may be what the caller was handling: that stays as it is
            link = link.__cause__
        return cls(place, worker, error)


class TriggersRefused(CallerError):
    """`trigger_many` has stored nothing.  `refused` has every refused trigger; the message names the first ones."""

    refused: tuple[RefusedTrigger, ...] = ()

    def __init__(self, count: int, refused: Sequence[RefusedTrigger]) -> None:
        self.count = count
        self.refused = tuple(refused)
        named = "; ".join(f"at {each.place}: {each.error}"[:MAX_REASON_CHARS] for each in self.refused[:MAX_NAMED])
        rest = len(self.refused) - MAX_NAMED
        more = f"; and {rest:,} more, see `refused`" if rest > 0 else ""
        super().__init__(
            f"{len(self.refused):,} of {count:,} triggers were refused, and nothing is stored: {named}{more}"
        )


class NotAllowed(CallerError):
    """The thing exists, but its state does not allow what was asked (a finished run cannot be cancelled)."""


class NotStarted(CallerError):
    """The orchestrator is neither started nor opened as a client."""


class AlreadyStarted(CallerError):
    """`start` was called on an orchestrator that runs already."""


class RunFailed(ShiftbossError):
    """`result()` was called for a run that did not succeed; `status` and `cause` say how it ended."""

    def __init__(self, message: str, *, status: str, cause: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.cause = cause


class WaitTimeout(ShiftbossError, TimeoutError):
    """The wait ended before the run did.  The run goes on."""


# ── the operator must act ────────────────────────────────────────────────────────────────────────────────────────


class OperatorError(ShiftbossError):
    """Somebody must look at the machine or the store.

    `retryable`: the same call may work later without anybody acting; otherwise somebody must act first.
    """

    retryable = True


class StoreUnavailable(OperatorError):
    """The store cannot be used now.  `maybe_stored`: whether the commit is in doubt; if so, repeat it with a `key`.

    `answers`: whether the store said so itself (a lock that others hold, an error of its disk), or was silent.
    """

    def __init__(self, message: str, *, maybe_stored: bool = False, answers: bool = False) -> None:
        super().__init__(message)
        self.maybe_stored = maybe_stored
        self.answers = answers


class StoreMissing(OperatorError):
    """There is no store at that address: only a node makes one, or a client that was told to (`create=True`)."""


class StoreDamaged(OperatorError):
    """The store's file is corrupt or is no database.  It is left as it is; restore a backup or name another file."""

    retryable = False


class StoreReadOnly(OperatorError):
    """The store's file or folder cannot be written."""

    retryable = False


class StoreFull(StoreUnavailable):
    """The disk is full: nothing new is accepted until there is room."""

    def __init__(self, message: str, *, maybe_stored: bool = False) -> None:
        super().__init__(message, maybe_stored=maybe_stored, answers=True)


class StoreTooNew(OperatorError):
    """A newer shiftboss wrote this store.  Nothing was touched; upgrade this process."""

    retryable = False


class StoreTooOld(OperatorError):
    """An older shiftboss wrote this store, and a process that only reads or triggers does not migrate it."""


class StoreRejected(OperatorError):
    """The store refused a write that it should have taken (a constraint); the offending change is refused with it."""


class Forked(OperatorError):
    """The process was forked after the start: connections and threads do not survive that."""

    retryable = False


# ── we must act ──────────────────────────────────────────────────────────────────────────────────────────────────


class InternalError(ShiftbossError):
    """A mistake in shiftboss itself."""


class NotLoaded(InternalError):
    """A rule asked for something that the cycle had not read."""


class IllegalMove(InternalError):
    """A rule tried to change a run's status in a way that the table does not allow."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown *name*: the nearest known one, or all of them if there are few."""
    import difflib  # 1 ms of import, only after a mistake

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    if not names:
        return "none is known"
    shown = ", ".join(names[:10])
    return f"known: {shown}" + (f" and {len(names) - 10} more" if len(names) > 10 else "")
