"""How a function is called: its parameters with their hints, whether it takes a context, whether it is a coroutine's.

Rules of this file
- Partials, methods, callable objects and decorators that keep `__wrapped__` are unwrapped.
- Each hint is resolved alone: one that only exists for type checkers (a return type, say) does not affect the others.
- Parameters that cannot be stored by name are refused: *args, **kwargs, positional-only ones, a context that is not
  first.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
import sys
import typing
from collections.abc import Callable, Sequence
from functools import partial
from types import CodeType, FunctionType, NoneType, SimpleNamespace, UnionType
from typing import Any, NamedTuple

from shiftboss.context import Context
from shiftboss.core.kinds import shown
from shiftboss.errors import ConfigurationError

CATCH_ALL = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
MARK = getattr(asyncio.coroutines, "_is_coroutine", None)  # before 3.12 asgiref and others mark their callables with it


class Parameter(NamedTuple):
    """One parameter of a payload.  `default` is `inspect.Parameter.empty` if it has none."""

    name: str
    hint: Any
    text: str  # "to: str", "copies: int = …"
    default: Any
    positional: bool

    @property
    def is_required(self) -> bool:
        return self.default is inspect.Parameter.empty


def read_signature(fn: Callable[..., Any], worker: str) -> tuple[Sequence[Parameter], bool]:
    """The parameters of *fn* without its context, and whether it takes one.  Raises ConfigurationError."""
    if _takes_nothing(fn):
        return (), False
    parameters = list(_signature(fn, worker).parameters.values())
    scope = _Scope(fn)
    wants_context = (
        bool(parameters) and _can_be_first(parameters[0]) and _is_context(parameters[0], scope, by_name=True)
    )
    if wants_context:
        parameters.pop(0)
    for each in parameters:
        _check(each, scope, worker)
    return [
        Parameter(each.name, scope.hint(each, worker), _text(each), each.default, each.kind is not each.KEYWORD_ONLY)
        for each in parameters
    ], wants_context


def read_return(fn: Callable[..., Any], worker: str) -> tuple[str, Any, str | None]:
    """The return annotation of *fn*: its text, its hint ("Any" if it has none), and why it cannot be resolved."""
    if _returns_nothing(fn):  # inspecting takes 40 µs
        return "None", NoneType, None
    try:
        annotation = _signature(fn, worker).return_annotation
    except ConfigurationError:
        return "Any", Any, None
    if annotation is inspect.Signature.empty:
        return "Any", Any, None
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    try:
        return text, _Scope(fn).resolve(annotation), None
    except Exception as error:  # noqa: BLE001  # evaluating a hint can raise anything
        return text, Any, str(error)


def runs_as_coroutine(fn: Any) -> bool:
    """Whether calling *fn* returns a coroutine.  A decorator that keeps `__wrapped__` is assumed to return it too."""
    return any(
        inspect.iscoroutinefunction(each) or (MARK is not None and getattr(each, "_is_coroutine", None) is MARK)
        for each in (fn, type(fn).__call__, _bottom(fn))
    )


def check_callable(fn: Any, worker: str) -> None:
    """Raises ConfigurationError if *fn* cannot be a worker's function."""
    if not callable(fn):
        raise ConfigurationError(f"worker {worker!r}: {shown(fn)} cannot be called; give a function")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise ConfigurationError(
            f"worker {worker!r}: its function yields; a worker's function must return, once per run"
        )


def undone_work(value: Any) -> str | None:
    """Work that a function returned instead of doing it: a coroutine, a generator or a lazy iterator; None for a value.

    At the declaration, a decorator without functools.wraps hides that its function is of that kind.
    """
    if inspect.isgenerator(value) or inspect.isasyncgen(value) or isinstance(value, (map, filter)):
        kind = "an async generator" if inspect.isasyncgen(value) else f"a {type(value).__name__} object"
        return (
            f"the function returned {kind}, which nothing iterates, so its work was not done; iterate within the "
            "function, and use functools.wraps in decorators"
        )
    if inspect.isawaitable(value) and not hasattr(value, "add_done_callback"):  # a future's work is under way
        if inspect.iscoroutine(value):
            value.close()
        return (
            "the function returned a coroutine, which nothing awaits; define it with async def, or use "
            "executor='coroutine', and use functools.wraps in decorators"
        )
    return None


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────


def _takes_nothing(fn: Callable[..., Any]) -> bool:
    """Reads the code object if it can: that halves the cost of a scheduled worker at the start (13 to 7 µs)."""
    if not isinstance(fn, FunctionType) or fn.__dict__:  # a decorator may have left __wrapped__ or __signature__
        return False
    code = fn.__code__
    return not (code.co_argcount or code.co_kwonlyargcount or code.co_flags & CATCH_ALL)


def _returns_nothing(fn: Callable[..., Any]) -> bool:
    """Whether it plainly says `-> None`."""
    if sys.version_info >= (3, 14) or not isinstance(fn, FunctionType) or fn.__dict__:  # from 3.14 on hints are lazy
        return False
    hint = fn.__annotations__.get("return", fn)
    return hint is None or (isinstance(hint, str) and hint == "None")


def _signature(fn: Callable[..., Any], worker: str) -> inspect.Signature:
    try:
        if sys.version_info >= (3, 14):  # hints are evaluated lazily; one that fails must not hide the others
            from annotationlib import Format

            return inspect.signature(fn, annotation_format=Format.FORWARDREF)
        return inspect.signature(fn)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"worker {worker!r}: the parameters of {shown(fn)} cannot be inspected; wrap it in a function"
        ) from error


def _check(parameter: inspect.Parameter, scope: _Scope, worker: str) -> None:
    name = parameter.name
    if parameter.kind is parameter.VAR_POSITIONAL:
        raise ConfigurationError(f"worker {worker!r}: *{name} cannot be stored by name; take a list instead")
    if parameter.kind is parameter.VAR_KEYWORD:
        raise ConfigurationError(f"worker {worker!r}: **{name} has no fixed names; take a dict instead")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise ConfigurationError(f"worker {worker!r}: {name!r} is positional-only; drop the '/' after it")
    if parameter.annotation is parameter.empty and name == "self":
        raise ConfigurationError(f"worker {worker!r}: it is an unbound method; register object.method")
    if _is_context(parameter, scope, by_name=False):
        raise ConfigurationError(f"worker {worker!r}: the context {name!r} must be the first parameter, before any '*'")


def _can_be_first(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)


def _is_context(parameter: inspect.Parameter, scope: _Scope, *, by_name: bool) -> bool:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return by_name and parameter.name == "ctx"
    try:
        return _names_context(scope.resolve(annotation))
    except Exception:  # noqa: BLE001  # evaluating a hint can raise anything; `hint` reports that, unless it is a context
        text = getattr(annotation, "__forward_arg__", annotation)  # imported under TYPE_CHECKING, most likely
        return isinstance(text, str) and text.replace("| None", "").strip(" '\"").rpartition(".")[2] == "Context"


def _names_context(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, UnionType, typing.Annotated):
        return any(map(_names_context, typing.get_args(hint)))
    return isinstance(hint, type) and issubclass(hint, Context)


def _text(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        text = parameter.name
    else:
        hint = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        text = f"{parameter.name}: {hint}"
    return text if parameter.default is parameter.empty else f"{text} = …"


# ── hints ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Scope:
    """Where the names in a function's hints are looked up: its module and its closure."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        function = _bottom(fn)
        code = getattr(function, "__code__", None)
        self._globals: dict[str, Any] = getattr(function, "__globals__", None) or vars(builtins)
        self._locals: dict[str, Any] = {each.__name__: each for each in getattr(function, "__type_params__", ())}
        if isinstance(code, CodeType):
            for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
                try:
                    self._locals[name] = cell.cell_contents
                except ValueError:  # not assigned yet: it is bound further down
                    continue

    def resolve(self, annotation: Any) -> Any:
        """The hint that *annotation* is, or names as a text.  Raises whatever evaluating it raises."""
        holder = SimpleNamespace(__annotations__={"it": annotation})
        return typing.get_type_hints(holder, self._globals, self._locals, include_extras=True)["it"]

    def hint(self, parameter: inspect.Parameter, worker: str) -> Any:
        if parameter.annotation is parameter.empty:
            return Any
        try:
            return self.resolve(parameter.annotation)
        except Exception as error:
            raise ConfigurationError(
                f"worker {worker!r}: the hint {parameter.annotation!r} of parameter {parameter.name!r} cannot be "
                f"resolved ({error}); define or import it at the top level of its module, not under TYPE_CHECKING"
            ) from error


def _bottom(fn: Any) -> Any:
    """The function under partials, methods, callable objects and decorators."""
    while True:
        if isinstance(fn, partial):
            fn = fn.func
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif not isinstance(fn, (FunctionType, type)) and inspect.ismethod(getattr(fn, "__call__", None)):  # noqa: B004  # the method itself is wanted
            fn = fn.__call__
        else:
            return fn
