"""What a child needs to make a `FunctionBody` again: where its function is defined, and its options."""

from __future__ import annotations

import msgspec

from shiftboss.errors import ConfigurationError
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.function_ref import FunctionRef, Script, ref_of, resolve
from shiftboss.ports.executor import Body


class BodyRef(msgspec.Struct, frozen=True):
    """What a `FunctionBody` was made from, by name."""

    fn: FunctionRef
    is_async: bool
    fallback: FunctionRef | None = None
    retry_on: tuple[FunctionRef, ...] = ()
    no_retry_on: tuple[FunctionRef, ...] = ()


def body_ref_of(body: FunctionBody) -> BodyRef:
    """What a child needs to make *body* again.  Raises ConfigurationError."""
    parts, worker = body.parts, body.worker
    return BodyRef(
        fn=ref_of(parts.fn, worker),
        is_async=body.is_async,
        fallback=None if parts.fallback is None else ref_of(parts.fallback, worker),
        retry_on=tuple(ref_of(each, worker) for each in parts.retry_on),
        no_retry_on=tuple(ref_of(each, worker) for each in parts.no_retry_on),
    )


def body_of(ref: BodyRef, script: Script, worker: str) -> FunctionBody:
    """The same function, in the child.  Raises what importing its modules raises."""
    return FunctionBody(
        resolve(ref.fn, script),
        worker=worker,
        retry_on=[resolve(each, script) for each in ref.retry_on],
        no_retry_on=[resolve(each, script) for each in ref.no_retry_on],
        fallback=None if ref.fallback is None else resolve(ref.fallback, script),
        is_async=ref.is_async,
    )


class BodyRefs:
    """The references of an executor's functions, one for each worker."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, tuple[FunctionBody, BodyRef]] = {}

    def of(self, body: Body) -> BodyRef:
        """Raises ConfigurationError."""
        known = self._known.get(id(body))
        if known is not None and known[0] is body:
            return known[1]
        if not isinstance(body, FunctionBody):
            raise ConfigurationError("executor='process' runs functions only")
        ref = body_ref_of(body)
        self._known[id(body)] = body, ref
        return ref
