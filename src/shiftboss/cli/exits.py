"""Exit codes, and which error becomes which code: decided only here.

Rules of this file
- A code tells a script who must act: 2 the caller, 4 and 5 those who run the workers, 75 and 78 those who run the
  machine.
- 75 is for what may pass by itself, so that a supervisor tries again; 78 is for what does not.
- If two lines of the table fit an error, the first counts: the narrower class comes before the wider.
"""

from __future__ import annotations

from enum import IntEnum

import click

from shiftboss import errors


class Exit(IntEnum):
    """Codes that a script may rely on; docs/reference/exit-codes.md lists them all."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    FALSE = 3  # the requested condition is false
    UNKNOWN = 4  # no such thing
    REFUSED = 5
    UNREACHABLE = 75  # sysexits' EX_TEMPFAIL
    UNUSABLE = 78  # its EX_CONFIG: trying again cannot help
    TIMED_OUT = 124
    INTERRUPTED = 130
    BROKEN_PIPE = 141  # as for every tool that SIGPIPE ends
    TERMINATED = 143


CODES: tuple[tuple[type[BaseException], Exit], ...] = (
    (errors.UnknownWorker, Exit.UNKNOWN),
    (errors.UnknownRun, Exit.UNKNOWN),
    (errors.UnknownNode, Exit.UNKNOWN),
    (errors.StoreMissing, Exit.UNKNOWN),
    (errors.WorkerDisabled, Exit.REFUSED),
    (errors.DuplicateKey, Exit.REFUSED),
    (errors.NotAllowed, Exit.REFUSED),
    (errors.CallerError, Exit.USAGE),
    (errors.StoreRejected, Exit.REFUSED),
    (errors.OperatorError, Exit.UNREACHABLE),
    (errors.WaitTimeout, Exit.TIMED_OUT),
    (errors.RunFailed, Exit.FAILED),
    (click.UsageError, Exit.USAGE),
    (click.Abort, Exit.INTERRUPTED),
    (KeyboardInterrupt, Exit.INTERRUPTED),
)


class Declined(Exception):
    """A person was asked whether to go on and said no."""


def exit_of(error: BaseException) -> Exit:
    """The exit code for the error that ended a command; of many refused triggers the first one counts."""
    if isinstance(error, errors.TriggersRefused) and error.refused:
        error = error.refused[0].error
    code = next((code for kind, code in CODES if isinstance(error, kind)), Exit.FAILED)
    is_final = code is Exit.UNREACHABLE and isinstance(error, errors.OperatorError) and not error.retryable
    return Exit.UNUSABLE if is_final else code


def is_ours(error: BaseException) -> bool:
    """Whether its message is all that a person needs; any other error is a mistake in shiftboss."""
    expected = (errors.CallerError, errors.OperatorError, errors.WaitTimeout, errors.RunFailed, click.ClickException)
    return isinstance(error, expected)
