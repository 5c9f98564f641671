"""A function as a body: what it takes, what its ends mean.  No executor runs here."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import msgspec
import pytest

from shiftboss import context as context_module
from shiftboss.context import Context, Fatal, Idle, Retry, UnfitPayload
from shiftboss.core.bounds import MAX_TRACEBACK_CHARS, RAW_CHARS
from shiftboss.core.model import Failed, Succeeded, Unfit
from shiftboss.engine.redacting import redacted
from shiftboss.errors import ConfigurationError, WrongPayload
from shiftboss.executors import json_types
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.results import MAX_RESULT_BYTES
from shiftboss.ports.executor import Body

if TYPE_CHECKING:
    import elsewhere
    from elsewhere import Missing


class Colour(Enum):
    RED = "red"


@dataclass
class Address:
    street: str
    number: int = 1

    def __post_init__(self) -> None:
        if self.number < 0:
            raise KeyError("number")  # neither ValueError nor TypeError, which msgspec wraps


class Item(msgspec.Struct):
    name: str
    price: Decimal


def send(to: str, copies: int = 2, *, urgent: bool = False) -> Any:
    return [to, copies, urgent]


def a_body(fn: Callable[..., Any], **options: Any) -> FunctionBody:
    return FunctionBody(fn, worker="send-mail", **options)


def call(body: Body, payload: bytes | None = None, ctx: Any = None) -> Any:
    return body.call(ctx, payload, fallback=False)


# ── payloads ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_payload_holds_what_was_given_by_name_and_no_defaults():
    assert a_body(send).encode_payload(("ada",), {"urgent": True}) == b'{"to":"ada","urgent":true}'


def test_the_order_in_which_arguments_are_given_makes_no_difference():
    body = a_body(send)

    assert body.encode_payload((), {"copies": 1, "to": "ada"}) == body.encode_payload(("ada", 1))


def test_a_call_without_arguments_has_no_payload():
    assert a_body(lambda: None).encode_payload() is None


def test_what_goes_in_comes_out_by_its_hint():
    def body(
        at: datetime, item: Item, where: Address, colour: Colour, key: uuid.UUID, raw: bytes, sizes: set[int], any_: Any
    ) -> Any:
        return at, item, where, colour, key, raw, sizes, any_

    given = (
        datetime(2026, 1, 1, tzinfo=UTC),
        Item("pen", Decimal("1.50")),
        Address("Main", 5),
        Colour.RED,
        uuid.UUID(int=7),
        b"\0\xff",
        {3, 1, 2},
        {"a": [1, None]},
    )

    payload = a_body(body).encode_payload(given)

    assert payload is not None
    assert call(a_body(body), payload) == given


def test_plain_json_values_are_taken_for_what_they_spell():
    def body(at: datetime, item: Item, colour: Colour) -> Any:
        return at, item, colour

    payload = a_body(body).encode_payload(
        (), {"at": "2026-01-01T00:00:00Z", "item": {"name": "pen", "price": "1.5"}, "colour": "red"}
    )

    assert call(a_body(body), payload) == (datetime(2026, 1, 1, tzinfo=UTC), Item("pen", Decimal("1.5")), Colour.RED)


def test_a_default_that_json_cannot_carry_is_given_to_the_function_all_the_same():
    nothing = object()

    def body(to: str = "ada", when: Any = nothing, names: Any = [1]) -> Any:  # noqa: B006  # what is tested
        return to, when is nothing, names

    assert call(a_body(body)) == ("ada", True, [1])
    assert call(a_body(body), b"{}") == ("ada", True, [1])
    assert call(a_body(body), b'{"to":"bob"}') == ("bob", True, [1])


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "'to' must be given"),
        ((5,), {}, "parameter 'to' does not accept 5 (int): Expected `str`, got `int`"),
        (("ada", "three"), {}, "parameter 'copies' does not accept 'three' (str): Expected `int`, got `str`"),
        (("ada", 1, True), {}, "it was given 3 positional arguments but takes 2"),
        (("ada",), {"copy": 1}, "it has no parameter 'copy'; did you mean 'copies'?"),
        (("ada",), {"to": "bob"}, "parameter 'to' was given twice"),
        ((object(),), {}, "JSON has no object; give it a type hint, or give"),
        (("\ud800",), {}, "surrogates not allowed"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_with_all_that_helps(args, kwargs, message):
    with pytest.raises(WrongPayload) as refused:
        a_body(send).encode_payload(args, kwargs)

    assert str(refused.value).startswith("worker 'send-mail': ")
    assert message in str(refused.value)
    assert str(refused.value).endswith("; it takes (to: str, copies: int = …, urgent: bool = …)")


def test_a_value_inside_a_parameter_is_named_by_its_path():
    def body(items: list[Item]) -> None: ...

    with pytest.raises(WrongPayload, match=r"parameter 'items' .* - at `\$\[1\].price`"):
        a_body(body).encode_payload(([{"name": "a", "price": 1}, {"name": "b", "price": "x"}],))


def test_numbers_that_json_lacks_are_refused_where_null_would_be_taken_for_them():
    def body(share: float | None) -> None: ...

    with pytest.raises(WrongPayload, match="parameter 'share': JSON has no nan"):
        a_body(body).encode_payload((float("nan"),))


def test_whatever_a_users_type_raises_is_a_refusal():
    def body(where: Address) -> None: ...

    with pytest.raises(WrongPayload, match="parameter 'where'"):
        a_body(body).encode_payload(({"street": "Main", "number": -1},))


def test_a_value_that_cannot_be_shown_is_refused_all_the_same():
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(WrongPayload, match=r"\(cannot be shown\)"):
        a_body(send).encode_payload((Broken(),))


def test_a_payload_above_the_limit_is_refused():
    with pytest.raises(WrongPayload, match="has 111 bytes, the limit is 100;"):
        a_body(send, max_payload_bytes=100).encode_payload(("x" * 102,))


def test_parameters_without_a_hint_take_anything_json_has():
    def body(a, b=2):
        return a, b

    assert call(a_body(body), b'{"a":[1,{"b":null}]}') == ([1, {"b": None}], 2)


def test_constraints_in_a_hint_are_checked():
    def body(share: Annotated[float, msgspec.Meta(ge=0, le=1)]) -> None: ...

    with pytest.raises(WrongPayload, match="Expected `float` <= 1"):
        a_body(body).encode_payload((2.0,))


@pytest.mark.parametrize("payload", [b'{"to":5}', b"{}", b'{"to":"a","more":1}', b"[]", b"", b"{", b'{"to":"\xff"}'])
def test_a_stored_payload_that_no_longer_fits_is_told_apart_from_a_failure(payload):
    body = a_body(send)

    with pytest.raises(UnfitPayload) as unfit:
        call(body, payload)

    outcome = body.failed(unfit.value)
    assert isinstance(outcome, Unfit)
    assert outcome.error.type == "shiftboss.context.UnfitPayload"


def test_arguments_for_a_function_that_takes_none_do_not_fit():
    with pytest.raises(UnfitPayload):
        call(a_body(lambda: None), b'{"to":"ada"}')


def test_a_type_error_inside_the_body_is_its_own():
    def body() -> None:
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        call(a_body(body))


# ── signatures ───────────────────────────────────────────────────────────────────────────────────────────────────


def with_context(ctx: Context, to: str) -> Any:
    return ctx, to


def with_optional_context(c: Context | None, to: str) -> Any:
    return c, to


def with_old_optional_context(c: Optional[Context], to: str) -> Any:  # noqa: UP045  # what is tested
    return c, to


def with_qualified_context(c: context_module.Context, to: str) -> Any:
    return c, to


def with_bare_ctx(ctx, to: str) -> Any:
    return ctx, to


def with_context_for_type_checkers(c: elsewhere.Context, to: str) -> Any:
    return c, to


class Mailer:
    def send(self, ctx: Context, to: str) -> Any:
        return ctx, to

    async def send_later(self, to: str) -> Any: ...

    def __call__(self, ctx: Context, to: str) -> Any:
        return ctx, to


class AsyncMailer:
    async def __call__(self, to: str) -> Any: ...


def logged(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


@pytest.mark.parametrize(
    "fn",
    [
        with_context,
        with_optional_context,
        with_old_optional_context,
        with_qualified_context,
        with_bare_ctx,
        with_context_for_type_checkers,
        logged(with_context),
        functools.partial(with_context),
        Mailer().send,
        Mailer(),
    ],
)
def test_a_context_is_found_by_its_type_or_its_name(fn):
    body = a_body(fn)

    assert body.signature == "(to: str)"
    assert call(body, b'{"to":"ada"}', "the context") == ("the context", "ada")


def test_a_parameter_named_ctx_with_a_hint_of_its_own_is_part_of_the_payload():
    def body(ctx: str) -> str:
        return ctx

    assert call(a_body(body), b'{"ctx":"mine"}') == "mine"


def test_a_hint_that_only_type_checkers_can_see_is_refused_with_the_remedy():
    def body(it: Missing) -> None: ...

    with pytest.raises(ConfigurationError, match=r"worker 'send-mail': the hint 'Missing' of parameter 'it' cannot be"):
        a_body(body)


def test_a_return_type_that_only_type_checkers_can_see_does_not_matter():
    def body(ctx: Context, to: str) -> Missing:
        return to

    assert call(a_body(body), b'{"to":"ada"}') == "ada"


def test_hints_may_name_what_the_function_closes_over():
    class Local(msgspec.Struct):
        a: int

    def body(it: Local) -> Any:
        return Local, it

    assert call(a_body(body), b'{"it":{"a":1}}') == (Local, Local(1))


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda *args: None, r"\*args cannot be stored by name; take a list"),
        (lambda **options: None, r"\*\*options has no fixed names; take a dict"),
        (lambda a, /: None, "'a' is positional-only; drop the '/'"),
        (Mailer.send, "it is an unbound method; register object.method"),
        ("no function", "'no function' cannot be called"),
        (str.join, "positional-only"),
    ],
)
def test_a_function_that_cannot_be_a_body_is_refused(fn, message):
    with pytest.raises(ConfigurationError, match=f"worker 'send-mail': .*{message}"):
        a_body(fn)


def test_functions_that_yield_are_refused():
    def body() -> Any:
        yield 1

    async def async_body() -> Any:
        yield 1

    for fn in (body, async_body):
        with pytest.raises(ConfigurationError, match="its function yields"):
            a_body(fn)


def test_a_context_that_is_not_first_is_refused():
    def second(to: str, ctx: Context) -> None: ...
    def by_keyword(*, ctx: Context) -> None: ...

    for fn in (second, by_keyword):
        with pytest.raises(ConfigurationError, match="the context 'ctx' must be the first parameter"):
            a_body(fn)


def test_a_context_may_be_positional_only_as_it_is_no_part_of_the_payload():
    def body(ctx: Context, /, to: str) -> Any:
        return ctx, to

    assert call(a_body(body), b'{"to":"ada"}', "the context") == ("the context", "ada")


@pytest.mark.parametrize("hint", [Path | str, Callable[[], None], list[range], complex, Item | Address])
def test_a_hint_that_json_cannot_carry_is_refused_by_its_parameter(hint):
    def body(to: str, it: Any) -> None: ...

    body.__annotations__["it"] = hint

    with pytest.raises(ConfigurationError, match="worker 'send-mail': no JSON payload can carry its parameter 'it: "):
        a_body(body)


async def a_coroutine() -> None: ...


@pytest.mark.parametrize(
    ("fn", "is_async"),
    [
        (a_coroutine, True),
        (functools.partial(a_coroutine), True),
        (functools.partial(functools.partial(a_coroutine)), True),
        (logged(a_coroutine), True),
        (functools.partial(logged(a_coroutine)), True),
        (Mailer().send_later, True),
        (AsyncMailer(), True),
        (functools.partial(AsyncMailer()), True),
        (Mailer(), False),
        (Mailer().send, False),
        (lambda: None, False),
        (logged(send), False),
    ],
)
def test_an_async_function_is_recognised_under_whatever_it_wears(fn, is_async):
    assert a_body(fn).is_async is is_async


def test_whether_it_is_async_can_be_said_for_it():
    assert a_body(logged(a_coroutine), is_async=False).is_async is False


def test_what_needs_nothing_can_run_without_a_payload():
    assert a_body(lambda: None).takes_nothing_required
    assert a_body(lambda ctx, a=1: None).takes_nothing_required
    assert not a_body(send).takes_nothing_required


def test_the_schema_describes_the_payload():
    schema = a_body(send).schema()

    assert schema["$defs"]["Parameters"]["properties"] == {
        "to": {"type": "string"},
        "copies": {"type": "integer", "default": 2},
        "urgent": {"type": "boolean", "default": False},
    }
    assert schema["$defs"]["Parameters"]["required"] == ["to"]
    assert a_body(lambda: None).schema()["$defs"]["_Nothing"]["properties"] == {}


# ── fingerprints (M7) ────────────────────────────────────────────────────────────────────────────────────────────


def test_functions_whose_payloads_fit_each_other_have_one_fingerprint():
    def first(to: str, n: int = 1) -> None: ...
    def second(ctx: Context, to: str, *, n: int = 7) -> str:
        """Another default, a context and a docstring change no payload."""

    assert a_body(first).parameters == a_body(second).parameters
    assert a_body(first).parameters.startswith("to,n?:")


def test_what_takes_nothing_has_an_empty_fingerprint():
    assert a_body(lambda: None).parameters == a_body(lambda ctx: None).parameters == ""


def test_a_changed_name_type_or_need_changes_the_fingerprint():
    def title(title: str) -> None: ...
    def renamed(name: str) -> None: ...
    def retyped(title: int) -> None: ...
    def optional(title: str = "") -> None: ...
    def more(title: str, more: str = "") -> None: ...

    found = {a_body(fn).parameters for fn in (title, renamed, retyped, optional, more)}

    assert len(found) == 5


def test_a_change_deep_inside_a_type_changes_the_fingerprint():
    def body(it: list[Any]) -> None: ...

    body.__annotations__["it"] = list[msgspec.defstruct("It", [("description", str)])]
    one = a_body(body).parameters
    body.__annotations__["it"] = list[msgspec.defstruct("It", [("description", int)])]

    assert a_body(body).parameters != one


def test_a_fingerprint_and_a_payload_are_the_same_in_every_process():
    code = (
        "from typing import Literal\n"
        "from shiftboss.executors.body import FunctionBody\n"
        "def fn(names: set[str], kind: Literal['b', 'a', 'c'] = 'a'): ...\n"
        "body = FunctionBody(fn, worker='w')\n"
        "print(body.parameters, body.encode_payload(({'x', 'y', 'z', 'q'},)))"
    )

    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(found) == 1
    assert '{"names":["q","x","y","z"]}' in found.pop()


# ── results ──────────────────────────────────────────────────────────────────────────────────────────────────────


class PydanticLike:
    def model_dump(self, *, mode: str) -> Any:
        return {"mode": mode}


class NumpyLike:
    def tolist(self) -> Any:
        return [1, 2]


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (Item("pen", Decimal(1)), b'{"name":"pen","price":"1"}'),
        (Path("/tmp/x"), b'"/tmp/x"'),  # noqa: S108  # not opened
        ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, b'{"at":"2026-01-01T00:00:00Z"}'),
        (PydanticLike(), b'{"mode":"json"}'),
        ([NumpyLike()], b"[[1,2]]"),
        ({"a": 1}.keys(), b'["a"]'),
        (range(3), b"[0,1,2]"),
    ],
)
def test_a_result_that_no_annotation_explains_is_kept_as_json_with_what_to_do(value, result):
    """W6: for people to see; `result()` raises."""
    outcome = a_body(send).succeeded(value)

    assert outcome.result == result
    assert "; annotate its return type" in outcome.result_error


@pytest.mark.parametrize(("value", "result"), [(0, b"0"), ("", b'""'), ([1, {"a": None}], b'[1,{"a":null}]')])
def test_a_result_that_is_json_needs_no_annotation(value, result):
    assert a_body(send).succeeded(value) == Succeeded(result=result)


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        "x" * MAX_RESULT_BYTES,
        ["x" * 1000] * 100,
        list(range(MAX_RESULT_BYTES + 1)),
        object(),
        "\ud800",
        endless(),
        {(1, 2): 3},
        {"n": 1 << 70_000},
    ],
)
def test_a_result_that_cannot_be_kept_is_not_and_that_is_said_once(value, caplog):
    body = a_body(send)

    for _ in range(2):
        outcome = body.succeeded(value)
        assert outcome.result is None
        assert outcome.result_error.startswith(("it has more than 65,536 bytes", "it cannot be encoded ("))
    (record,) = [each for each in caplog.records if each.name == "shiftboss.body"]
    assert record.levelno == logging.WARNING
    assert record.worker == "send-mail"
    assert "its result of type" in record.getMessage()


def test_the_largest_result_that_is_kept():
    value = "x" * (MAX_RESULT_BYTES - 2)

    assert a_body(send).succeeded(value) == Succeeded(result=json.dumps(value).encode())


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────


def failed(error: BaseException, **options: Any) -> tuple[bool, float | None]:
    outcome = a_body(send, **options).failed(error)
    assert isinstance(outcome, Failed)
    return outcome.fatal, outcome.retry_after_s


@pytest.mark.parametrize(
    ("error", "options", "expected"),
    [
        (ValueError(), {}, (False, None)),
        (Fatal(), {}, (True, None)),
        (Retry(after=5), {}, (False, 5.0)),
        (Retry(), {}, (False, None)),
        (ValueError(), {"retry_on": ValueError}, (False, None)),
        (KeyError(), {"retry_on": [ValueError, LookupError]}, (False, None)),
        (TypeError(), {"retry_on": [ValueError, LookupError]}, (True, None)),
        (Retry(after=5), {"retry_on": ValueError}, (False, 5.0)),
        (UnicodeError(), {"retry_on": ValueError, "no_retry_on": UnicodeError}, (True, None)),
        (ValueError(), {"no_retry_on": (UnicodeError,)}, (False, None)),
        (ExceptionGroup("", [ValueError(), Retry(after=5), Retry(after=9)]), {}, (False, 9.0)),
        (ExceptionGroup("", [ValueError(), ExceptionGroup("", [Fatal()])]), {}, (True, None)),
        (ExceptionGroup("", [ValueError(), TypeError()]), {"retry_on": ValueError}, (True, None)),
        (BaseExceptionGroup("", [SystemExit()]), {}, (False, None)),
    ],
)
def test_which_exceptions_are_tried_again(error, options, expected):
    assert failed(error, **options) == expected


@pytest.mark.parametrize("given", [["ValueError"], 5, [5], int])
def test_options_that_are_no_exceptions_are_refused(given):
    with pytest.raises(ConfigurationError, match="worker 'send-mail': retry_on= takes exception classes"):
        a_body(send, retry_on=given)


def test_a_long_traceback_keeps_its_head_and_its_tail():
    def deep(n: int) -> None:
        exec(f"def level_{n}(): deep({n + 1})\nlevel_{n}()" if n < 300 else "1 / 0", {"deep": deep})  # noqa: S102

    with pytest.raises(ZeroDivisionError) as raised:
        deep(0)
    raw = a_body(send).failed(raised.value).error
    assert len(raw.traceback) < RAW_CHARS + 100
    error = redacted(None, Failed(raw)).error

    assert len(error.traceback) < MAX_TRACEBACK_CHARS + 100
    assert error.traceback.startswith("Traceback (most recent call last):")
    assert "characters left out" in error.traceback
    assert error.traceback.endswith("ZeroDivisionError: division by zero\n")


def test_a_long_message_is_cut():
    raw = a_body(send).failed(ValueError("x" * 10_000_000)).error
    assert len(raw.message) == RAW_CHARS
    error = redacted(None, Failed(raw)).error

    assert len(error.message) == 2000
    assert len(error.traceback) < MAX_TRACEBACK_CHARS + 100


def test_the_cause_of_a_failure_is_in_its_traceback():
    try:
        try:
            raise ConnectionError("refused")
        except ConnectionError as cause:
            raise Retry("later") from cause
    except Retry as error:
        found = a_body(send).failed(error).error

    assert found.type == "shiftboss.context.Retry"
    assert "ConnectionError: refused" in found.traceback


def test_an_exception_with_broken_parts_is_still_described():
    class Broken(Exception):
        __module__ = 5  # type: ignore[assignment]
        __notes__ = property(lambda self: 1 / 0)  # type: ignore[assignment]

        def __str__(self) -> str:
            raise SystemExit

    error = a_body(send).failed(Broken()).error

    assert "Broken" in error.type
    assert "SystemExit" in error.message


# ── the fallback (K3) ────────────────────────────────────────────────────────────────────────────────────────────


def fall_back(body: FunctionBody, payload: bytes | None, ctx: Any = None) -> Any:
    return body.call(ctx, payload, fallback=True)


def test_a_fallback_gets_the_arguments_that_it_names():
    body = a_body(send, fallback=lambda ctx, copies, of=1: (ctx, copies, of))

    assert fall_back(body, b'{"to":"ada"}', "the context") == ("the context", 2, 1)
    assert call(body, b'{"to":"ada"}') == ["ada", 2, False]


def test_a_fallback_gets_the_bodys_defaults_also_without_a_payload():
    def body(copies: int = 3) -> None: ...

    assert fall_back(a_body(body, fallback=lambda copies: copies), None) == 3


def test_a_body_without_a_fallback_runs_itself():
    assert fall_back(a_body(lambda: 1), None) == 1


def test_a_fallback_that_needs_what_the_body_does_not_take_is_refused():
    with pytest.raises(ConfigurationError, match=r"fallback= needs 'cc', which its function lacks; .*\(to: str"):
        a_body(send, fallback=lambda cc: None)


def test_an_async_fallback_of_a_plain_function_is_refused():
    with pytest.raises(ConfigurationError, match="fallback= is async but its function is not"):
        a_body(lambda: None, fallback=a_coroutine)


def test_a_plain_fallback_of_an_async_function_is_fine():
    body = a_body(a_coroutine, fallback=lambda: 5)

    assert fall_back(body, None) == 5
    coroutine = call(body)
    assert asyncio.run(coroutine) is None


def test_what_most_functions_return_is_made_once_for_all_workers(monkeypatch):
    """W6: each worker's first run costs the same however many have run before; no schema is made for each of them."""
    made = []
    plain_schema = json_types.schema_of
    monkeypatch.setattr(json_types, "schema_of", lambda hint: made.append(hint) or plain_schema(hint))

    def says_none() -> None: ...

    def says_nothing(): ...

    bodies = [FunctionBody(fn, worker=f"w{number}") for number in range(50) for fn in (says_none, says_nothing)]
    outcomes = {body.succeeded(None) for body in bodies}

    assert outcomes == {Succeeded()}
    assert len(made) <= 2


def test_idle_is_no_result():
    assert a_body(send).succeeded(Idle(2)) == Succeeded(idle_s=2.0)
