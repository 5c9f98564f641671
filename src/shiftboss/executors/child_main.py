"""The main function of a child process: runs one function at a time, until the node ends it or is gone.

Rules of this file
- Functions run in the main thread, where signals arrive; a second thread reads the node's messages.
- A TERM that the node has announced interrupts the function: asyncio.CancelledError is raised in it, once, so that
  its cleanup runs within the grace.  Any other TERM does not concern the function: service managers send one to every
  process of a service, and the node decides what it still waits for.
- When the node closes its socket, or ends, the child ends every process that was started here, then itself.
- The child decides a function's outcome by the same rules as everywhere (`execution.py`), and sends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import inspect
import logging
import os
import queue
import select
import signal
import sys
import threading
from collections.abc import Coroutine
from types import FrameType, TracebackType
from typing import Any

from shiftboss.body_lines import kept
from shiftboss.clock import SystemClock
from shiftboss.context import SAY_EVERY_S, Announcement, Context, current
from shiftboss.core.model import Failed, Outcome
from shiftboss.core.worker import Definition
from shiftboss.executors import environment, function_ref
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.body_ref import BodyRef, body_of
from shiftboss.executors.execution import Execution
from shiftboss.executors.failure import error_of, stack_of
from shiftboss.executors.forking import let_go_in_child
from shiftboss.executors.function_ref import Script
from shiftboss.executors.warden import MARK, Process, relatives, send
from shiftboss.executors.wire import (
    Announce,
    Begun,
    ChildEnd,
    Ended,
    Hello,
    KeptLine,
    Mask,
    RelayedRecord,
    Said,
    Tell,
    ToNode,
    Where,
    Work,
)
from shiftboss.logs import as_given
from shiftboss.ports.executor import Launch
from shiftboss.trace import VARIABLE, RemoteSpan

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
OOM_SCORE = "500"  # short of memory, the kernel kills a child before it kills the node
MAX_TEXT_CHARS = 8_000  # of a log record
NO_MARK = "\n"  # for a function that has emptied the environment: no process carries this
TELL_AGAIN_S = 0.05  # a signal between Python's check for signals and a system call is seen only after that call
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Terminated(asyncio.CancelledError):
    """Raised in a plain function when the node ends its attempt."""


def main(fd: int, parent: int) -> None:
    """The child's entry point; *parent* is the node's process."""
    function_ref.in_child = True
    _tie_to(parent)
    _Child(ChildEnd(fd)).serve()


def _tie_to(parent: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None, use_errno=True)
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # so that it finds orphaned descendants
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(OOM_SCORE)
    if os.getppid() != parent:  # the node ended before prctl was in force
        os._exit(1)


class _Child:
    def __init__(self, end: ChildEnd) -> None:
        self._end = end
        self._clock = SystemClock()
        self._announcement = Announcement()
        self._script = Script()
        self._levels: dict[str, int] = {}  # of the node's loggers
        self._bodies: dict[BodyRef, FunctionBody] = {}
        self._works: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._main = threading.get_ident()
        self._attempt: Execution | None = None
        self._is_open = False  # the function runs, and may be interrupted: it was not yet
        self._late = False  # a TERM came while a message was being sent
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    def serve(self) -> None:
        signal.signal(signal.SIGTERM, self._terminated)
        let_go_in_child((signal.SIGTERM,), self._leave_to_parent, is_needed=lambda: True)
        logging.getLogger().addHandler(_Sender(self))
        threading.Thread(target=self._listen, name="shiftboss-node", daemon=True).start()
        with kept():
            while (work := self._works.get()) is not None:
                self._work(work)
                del work

    def _leave_to_parent(self) -> None:
        """In a process that a function forks (multiprocessing): a TERM ends it, as it would elsewhere."""
        if signal.getsignal(signal.SIGTERM) == self._terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._end.leave_to_parent()

    def send(self, message: ToNode) -> None:
        self._end.send(message)
        if self._late and threading.get_ident() == self._main:
            self._late = False
            self._break_off()

    # ── the node's messages, in a thread ─────────────────────────────────────────────────────────────────────────

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._end.fileno(), select.POLLIN)
        while True:
            attempt = self._attempt
            is_told = attempt is not None and attempt.stop_reason is not None and self._is_open
            every_s = TELL_AGAIN_S if is_told else SAY_EVERY_S
            if not poll.poll(None if attempt is None else every_s * 1000):
                if attempt is not None:
                    attempt.context.flush()
                if is_told and self._is_open and signal.getsignal(signal.SIGTERM) == self._terminated:
                    signal.pthread_kill(self._main, signal.SIGTERM)
                continue
            messages = self._end.receive()
            if messages is None:
                return self._orphaned()
            for message in messages:
                self._hear(message)

    def _hear(self, message: Hello | Work | Tell | Announce) -> None:
        match message:
            case Hello():
                sys.path[:] = message.path
                sys.argv[:] = message.argv
                self._script = message.script
                logging.getLogger().setLevel(message.level)
                self._levels = message.levels
                environment.take_from_node(message.store)
            case Work():
                if message.stopping:
                    self._announcement.make()
                self._attempt = self._made(message)
                self._works.put(message)
            case Tell():
                attempt = self._attempt  # the main thread may clear it at any moment
                if attempt is not None:
                    frame = sys._current_frames().get(self._main)
                    if frame is not None and attempt.has_begun:
                        self.send(Where(stack_of(frame)))  # first: the function may ignore TERM and be killed
                    attempt.tell(message.reason, self._clock.monotonic_s())
                    signal.pthread_kill(self._main, signal.SIGTERM)  # the node's TERM may precede its message
            case Announce():
                self._announcement.make()

    def _orphaned(self) -> None:
        """The node has closed its socket, or has ended."""
        for each in _below():
            send(each, signal.SIGKILL)
        if self._attempt is not None:
            os._exit(1)
        self._works.put(None)

    # ── one attempt, in the main thread ──────────────────────────────────────────────────────────────────────────

    def _made(self, work: Work) -> Execution:
        launch = Launch(
            run=work.run,
            definition=Definition(work.run.worker),
            body=_NO_BODY,
            report=lambda outcome, duration_s: None,
            signal=self._say,
            timeout_s=work.timeout_s,
            last_success_at=work.last_success_at,
            span=None if work.traceparent is None else RemoteSpan(work.traceparent),
        )
        return Execution(launch, Context(launch, self._clock, self._announcement))

    def _say(self, kind: str, value: Any) -> None:
        match kind:
            case "progress":
                self.send(Said(progress=value))
            case "log":
                self.send(KeptLine(value.level, value.text))
            case "mask":
                self.send(Mask(value))
            case _:
                self.send(Said(beat_at=value))

    def _work(self, work: Work) -> None:
        attempt = self._attempt
        assert attempt is not None  # noqa: S101  # it is set before the work is queued
        is_new = work.ref not in self._bodies
        outcome: Outcome
        try:
            attempt.launch.body = self._body(work)
        except BaseException as error:  # noqa: BLE001  # importing a module runs the user's code
            outcome = Failed(error_of(error))
        else:
            if is_new:
                self.send(Begun())
            signal.signal(signal.SIGTERM, self._terminated)  # the last function may have replaced the handler
            outcome = contextvars.copy_context().run(self._enter, attempt)
        attempt.context.flush()
        self._attempt = None
        self._end.send(Ended(outcome, leaves_processes=_has_children()))

    def _body(self, work: Work) -> FunctionBody:
        ref = work.ref
        body = self._bodies.get(ref)
        if body is None:
            body = body_of(ref, self._script, work.run.worker)
            for name, level in self._levels.items():  # only now: a module's `dictConfig` disables existing loggers
                logging.getLogger(name).setLevel(level)
            self._bodies[ref] = body
        return body

    def _enter(self, attempt: Execution) -> Outcome:
        current.set(attempt.context)
        os.environ.pop(VARIABLE, None)  # set for the last function
        if attempt.context.traceparent is not None:
            os.environ[VARIABLE] = attempt.context.traceparent
        attempt.enter(self._clock.monotonic_s())
        try:
            try:
                self._is_open = True
                if attempt.stop_reason is not None:  # the node's message came before this line
                    self._break_off()
                value = attempt.call()
                if inspect.iscoroutine(value):
                    return asyncio.run(self._await(attempt, value))
            finally:
                self._is_open = self._late = False
            return attempt.returned(value)
        except BaseException as error:  # noqa: BLE001  # the boundary around a handler: whatever it raises is an outcome
            return attempt.raised(_without_us(error))

    async def _await(self, attempt: Execution, body: Coroutine[Any, Any, Any]) -> Outcome:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio.run made it
        self._task = asyncio.get_running_loop(), task
        try:
            return attempt.returned(await body)
        except BaseException as error:  # noqa: BLE001  # as above
            return attempt.raised(error)
        finally:
            self._task = None

    # ── being told to end ────────────────────────────────────────────────────────────────────────────────────────

    def _terminated(self, signum: int, frame: FrameType | None) -> None:
        attempt = self._attempt
        if attempt is None or attempt.stop_reason is None or not self._is_open:
            return
        if self._end.sender == self._main:  # a message is being sent
            self._late = True
            return
        self._break_off()

    def _break_off(self) -> None:
        self._is_open = False
        if self._task is None:
            raise Terminated
        loop, task = self._task
        loop.call_soon_threadsafe(task.cancel)


class _NoBody:
    is_async = False

    def call(self, context: Any, payload: bytes | None, *, fallback: bool) -> Any:
        raise NotImplementedError

    succeeded = failed = call


_NO_BODY: Any = _NoBody()


def _without_us(error: BaseException) -> BaseException:
    """*error* with a traceback that ends where the function was interrupted, not in the signal's handler."""
    if isinstance(error, Terminated):
        last: TracebackType | None = None
        each = error.__traceback__
        while each is not None:
            if each.tb_frame.f_globals.get("__name__") != __name__:
                last = each
            each = each.tb_next
        if last is not None:
            last.tb_next = None
    return error


def _has_children() -> bool:
    """Whether a process that was started here is left; a single system call if there is none."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return ended is None or any(not each.is_zombie for each in _below())


def _below() -> list[Process]:
    return relatives(leaders=(os.getpid(),), mark=os.environ.get(MARK, NO_MARK)).processes


class _Sender(logging.Handler):
    """Sends log records to the node, which handles them as its own.

    A `dictConfig` in a module of the function removes this handler: the handlers that it configures get the records.
    """

    def __init__(self, child: _Child) -> None:
        super().__init__()
        self._child = child

    def emit(self, record: logging.LogRecord) -> None:
        try:
            extra = {
                name: value
                for name, value in vars(record).items()
                if name not in STANDARD and isinstance(value, (str, int, float, bool, type(None)))
            }
            text = as_given(record)[:MAX_TEXT_CHARS]
            shown = None if not record.exc_info else logging.Formatter().formatException(record.exc_info)
            line = RelayedRecord(
                name=record.name,
                level=record.levelno,
                text=text.encode("utf-8", "backslashreplace").decode(),
                created_s=record.created,
                file=record.pathname,
                line=record.lineno,
                function=record.funcName or "",
                in_body=current.get() is not None,
                traceback=None if shown is None else shown[-MAX_TEXT_CHARS:],
                extra=extra,
            )
        except Exception:  # noqa: BLE001  # as every handler: a log line must not end a function
            self.handleError(record)
            return
        self._child.send(line)
