"""The exception that a function raised, as a value that can be stored.

Rules of this file
- Nothing here raises, whatever the exception's `__str__`, notes or class do.
- Texts are bounded loosely here; they are cut to their final size after their secrets are masked (`core/bounds.py`).
  A traceback that is too long keeps its head (where it came from) and its tail (where it failed).
- Our own frames are left out: a traceback begins at the function.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dis import opname
from types import FrameType, TracebackType

from shiftboss.context import storable
from shiftboss.core.bounds import MAX_MESSAGE_CHARS, MAX_TRACEBACK_CHARS, RAW_CHARS, loose_ends
from shiftboss.core.model import Error
from shiftboss.ports.executor import Raised

MAX_LEAVES = 100  # exceptions that are visited in a group, and links in a chain
OUR_MODULES = "shiftboss.executors."
UNSHOWN = "(the traceback cannot be shown"


def error_of(error: BaseException) -> Error:
    """*error* with its class, message and traceback."""
    return Error(type=class_name(type(error)), message=_message(error), traceback=traceback_of(error))


def raised(error: BaseException, stored: Error) -> Raised | None:
    """*error* with its traceback from the function's first frame on, for a log record.

    None if *stored* is shortened: a handler would write megabytes, or fail in the user's code.
    """
    is_whole = len(stored.message) < MAX_MESSAGE_CHARS and len(stored.traceback) <= MAX_TRACEBACK_CHARS
    if not is_whole or stored.traceback.startswith(UNSHOWN):
        return None
    return type(error), error, _from_the_body(error.__traceback__)


def class_name(cls: type) -> str:
    """The qualified name of a class, without `builtins`."""
    module = cls.__module__
    return cls.__qualname__ if not isinstance(module, str) or module == "builtins" else f"{module}.{cls.__qualname__}"


def traceback_of(error: BaseException) -> str:
    """The traceback as Python prints it, from the function's first frame on, cut to the bound."""
    try:
        text = "".join(traceback.format_exception(type(error), error, _from_the_body(error.__traceback__)))
    except BaseException as broken:  # noqa: BLE001  # notes, causes and frames are user objects
        text = f"{UNSHOWN}: {class_name(type(broken))})"
    return cut(text)


def stack_of(frame: FrameType) -> str:
    """Where a thread is right now, from the function's first frame on, cut to the bound."""
    frames = list(traceback.walk_stack(frame))
    frames.reverse()
    while frames and _is_ours(frames[-1][0]):  # our code, which the function has called
        frames.pop()
    ours = [at for at, (each, _) in enumerate(frames) if _is_ours(each)]
    return cut("".join(traceback.StackSummary.extract(iter(frames[ours[-1] + 1 if ours else 0 :])).format()))


def cut(text: str) -> str:
    """*text* cut to the loose bound: its head, its tail, and how much is missing between them."""
    text = loose_ends(text)
    return storable(text, len(text))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, or *error* itself: a task group's exception is judged by what it holds."""
    waiting = [error]
    for _ in range(MAX_LEAVES):
        if not waiting:
            return
        leaf = waiting.pop()
        if isinstance(leaf, BaseExceptionGroup):
            waiting.extend(leaf.exceptions)
        else:
            yield leaf


def is_process_end(error: BaseException) -> bool:
    """Whether *error* says that nothing can be started because the interpreter ends, or was raised while handling that.

    Python 3.12 and later start neither threads nor forks then; a pool of `concurrent.futures` takes no work in any
    version.
    """
    return any(isinstance(each, RuntimeError) and "interpreter shutdown" in _message(each) for each in _chain(error))


def is_ctrl_c(error: BaseException) -> bool:
    """Whether a signal's handler raised *error* while its thread ran a function, and not that function.

    Python's own handler has no frame: its exception seems to come from an instruction that raises nothing.  asyncio's
    handler has one.
    """
    innermost = error.__traceback__
    if type(error) is not KeyboardInterrupt or innermost is None:
        return False
    while innermost.tb_next is not None:
        innermost = innermost.tb_next
    frame = innermost.tb_frame
    if frame.f_globals.get("__name__") == "asyncio.runners":
        return True
    return not opname[frame.f_code.co_code[innermost.tb_lasti]].startswith(("RAISE", "RERAISE"))


def arose_from(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether *error* is a *kind*, or was raised while one was handled."""
    return any(isinstance(each, kind) for each in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """*error* and the exceptions it was raised from or during, as far as they can be read: it is a user object."""
    link: BaseException | None = error
    for _ in range(MAX_LEAVES):
        if not isinstance(link, BaseException):
            return
        yield link
        try:
            link = link.__context__ if link.__cause__ is None else link.__cause__
        except BaseException:  # noqa: BLE001  # a property that raises
            return


def _message(error: BaseException) -> str:
    try:
        return storable(error, RAW_CHARS)
    except BaseException as broken:  # noqa: BLE001  # its __str__ is user code
        return f"(no message: its __str__ raised {class_name(type(broken))})"


def _from_the_body(traceback: TracebackType | None) -> TracebackType | None:
    first = traceback
    while first is not None and _is_ours(first.tb_frame):
        first = first.tb_next
    return (
        first if first is not None else traceback
    )  # we raised it (a payload that does not fit): then our frames are shown


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(OUR_MODULES)
