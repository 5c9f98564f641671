"""A function that is written once becomes two methods: one to await on an orchestrator, a blocking one on `boss.sync`.

Rules of this file
- The function checks its parameters and returns what is to be done or asked (a `Deferred`).  It waits for nothing.
- Type checkers, editors and `inspect` see the function's own parameters and docstring on both methods.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from shiftboss.app import call
from shiftboss.app.actor import current_actor
from shiftboss.app.handle import RunHandle
from shiftboss.core.model import Run
from shiftboss.engine import mutation

if TYPE_CHECKING:
    from shiftboss.app.open_node import OpenNode
    from shiftboss.app.operations import Operations
    from shiftboss.app.sync import SyncFace
    from shiftboss.app.views import Views

P = ParamSpec("P")
R = TypeVar("R")  # what the blocking method returns …
A = TypeVar("A")  # … and what awaiting the other one gives: the same, except that a handle replaces a run
R_co = TypeVar("R_co", covariant=True)
A_co = TypeVar("A_co", covariant=True)


class Face:
    """An object with such methods: an orchestrator, or its `sync`."""

    has_loop: ClassVar[bool]  # whether its methods are awaited

    def opened(self) -> OpenNode:
        """The node or client that is open.  Raises NotStarted, Forked."""
        raise NotImplementedError


# ── what a method asks for ───────────────────────────────────────────────────────────────────────────────────────


class Deferred(Protocol[A_co, R_co]):
    """What a function returns: it can be awaited on a loop, or waited for in a thread."""

    async def on_loop(self, boss: Operations, node: OpenNode) -> A_co: ...
    def in_thread(self, node: OpenNode) -> R_co: ...


class Question(Generic[R]):
    """Read from committed state: in the calling thread, or in a thread beside the loop."""

    def __init__(self, ask: Callable[[Views], R]) -> None:
        self._ask = ask

    async def on_loop(self, boss: Operations, node: OpenNode) -> R:
        return await asyncio.to_thread(node.read, self._ask)

    def in_thread(self, node: OpenNode) -> R:
        return node.read(self._ask)


class Instruction(Generic[R]):
    """A mutation for the engine, in the name of whoever acts here (A1).  Its answer comes after the commit."""

    def __init__(self, make: Callable[..., mutation.Mutation], *args: Any, **facts: Any) -> None:
        self._make = functools.partial(make, *args, **facts)

    def _put(self, node: OpenNode) -> call.Put:
        return lambda answer: node.engine.put(self._make(by=current_actor(), answer=answer))

    async def on_loop(self, boss: Operations, node: OpenNode) -> R:
        return cast("R", await call.on_loop(self._put(node)))

    def in_thread(self, node: OpenNode) -> R:
        return cast("R", call.in_thread(self._put(node)))


class NewRun(Instruction[Run]):
    """An instruction that stores a run.  Awaiting it gives a handle of the run."""

    async def on_loop(self, boss: Operations, node: OpenNode) -> RunHandle[Any]:  # type: ignore[override]  # see above
        return RunHandle(boss, await super().on_loop(boss, node))


# ── the method ───────────────────────────────────────────────────────────────────────────────────────────────────


class Method(Generic[P, A, R]):
    """Both methods of a function; which one an attribute is depends on the `Face` that it is read from."""

    def __init__(self, function: Callable[Concatenate[Any, P], Deferred[A, R]]) -> None:
        async def awaited(face: Operations, *args: P.args, **kwargs: P.kwargs) -> A:
            node = face.opened()
            return await function(face, *args, **kwargs).on_loop(face, node)

        def blocking(face: SyncFace, *args: P.args, **kwargs: P.kwargs) -> R:
            node = face.opened()
            return function(face, *args, **kwargs).in_thread(node)

        self.function = function
        self._awaited = _looks_like(function, awaited, 0)
        self._blocking = _looks_like(function, blocking, 1)

    @overload
    def __get__(self, face: Operations, kind: type | None = None) -> Callable[P, Coroutine[Any, Any, A]]: ...
    @overload
    def __get__(self, face: SyncFace, kind: type | None = None) -> Callable[P, R]: ...
    @overload
    def __get__(self, face: None, kind: type | None = None) -> Callable[Concatenate[Any, P], Any]: ...
    def __get__(self, face: Any, kind: Any = None) -> Any:
        method = self._awaited if (type(face) if face is not None else kind).has_loop else self._blocking
        return method if face is None else MethodType(method, face)


ANSWERS = {"NewRun": ("RunHandle[Any]", "Run")}  # (awaited, returned); for others, what is in the brackets


def _looks_like(function: Callable[..., Any], method: Callable[..., Any], number: int) -> Callable[..., Any]:
    """Give *method* the name, the docstring and the parameters of *function*, and its own return type."""
    functools.update_wrapper(method, function)
    signature = inspect.signature(function)
    deferred: str = signature.return_annotation
    answer = ANSWERS[deferred][number] if deferred in ANSWERS else deferred.partition("[")[2].removesuffix("]")
    method.__annotations__ = {**function.__annotations__, "return": answer}
    method.__signature__ = signature.replace(return_annotation=answer)  # type: ignore[attr-defined]
    return method
