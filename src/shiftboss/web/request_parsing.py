"""Reads a request's parameters and body as values, or raises a problem that names what is wrong.

Rules of this file
- An unknown name is refused with the nearest known one: a misspelt filter must not show everything.
- A body must be JSON, with that content type, within its bound, and in time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from starlette.requests import ClientDisconnect, Request

from shiftboss.app.fan_out import MAX_TRIGGERS
from shiftboss.app.options import CALL, TRIGGER
from shiftboss.core import json_text
from shiftboss.core.kinds import Table, flag, many, optional, run_id, shown, text, whole, word
from shiftboss.core.policy import Rate
from shiftboss.errors import CallerError, ConfigurationError, did_you_mean
from shiftboss.web.params import ROW_NAME
from shiftboss.web.problems import Problem

LARGE_BYTES = 64 * 1024  # a body of a megabyte takes some 50 ms to parse, and all requests share the loop
BODY_WITHIN_S = 10.0  # a slow client holds a connection no longer than that
MAX_SHOWN_CHARS = 80  # of a client's value in a message
LISTS = (tuple, list, frozenset, set)

S = TypeVar("S", bound=msgspec.Struct)


def read_params(kind: type[S], request: Request) -> S:
    """The path and query parameters as *kind*.  Raises Problem."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    given: dict[str, Any] = dict(request.path_params)
    query = [name for name in fields if name not in given]
    for name, value in request.query_params.multi_items():
        if name not in query:
            raise Problem(400, "unknown-parameter", f"there is no parameter {_short(name)!r}; {_hint(name, query)}")
        if is_list(fields[name].type):
            given.setdefault(name, []).append(value)
        elif name in given:
            raise Problem(400, "repeated-parameter", f"parameter {name!r} was given twice")
        else:
            given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise Problem(400, "wrong-parameter", _said(error, "parameters")) from error


async def read_body(kind: type[S], request: Request, *, limit: int) -> S:
    """The JSON body as *kind*; an empty one is `{}`.  Raises Problem."""
    data = await _bytes(request, limit)
    if not data.strip():
        data = b"{}"
    elif request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "not-json", "Send JSON with Content-Type: application/json.")
    try:
        content = await asyncio.to_thread(json_text.read, data) if len(data) > LARGE_BYTES else json_text.read(data)
    except json_text.WrongJson as error:
        problem = "no-json" if isinstance(error, json_text.NoJson) else "wrong-body"
        raise Problem(400, problem, f"The body {error}.") from error
    if not isinstance(content, dict):
        raise Problem(400, "wrong-body", "The body must be a JSON object.")
    _must_know(kind, content, "the body")
    try:
        body: S = msgspec.json.decode(data, type=kind)
        return body
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise Problem(400, "wrong-body", _as_the_library_says(content) or _said(error, "body")) from error


def _must_know(kind: type[msgspec.Struct], content: dict[str, Any], what: str) -> None:
    """Raises Problem for an unknown field, also in nested objects."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for name, value in content.items():
        if name not in fields:
            raise Problem(400, "unknown-field", f"{what} has no field {_short(name)!r}; {_hint(name, fields)}")
        inner = fields[name]
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            _must_know(inner, value, f"`{name}`")


def is_list(kind: Any) -> bool:
    """Whether a parameter may be repeated."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return get_origin(kind) in LISTS


async def _bytes(request: Request, limit: int) -> bytes:
    too_much = Problem(413, "too-large", f"The body may have at most {limit:,} bytes.")
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise too_much
    data = bytearray()  # a part may be a single byte
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for part in request.stream():
                if len(data) + len(part) > limit:
                    raise too_much
                data += part
    except TimeoutError:
        raise Problem(
            408, "too-slow", f"The body did not arrive within {BODY_WITHIN_S:g} s.", headers={"connection": "close"}
        ) from None
    except ClientDisconnect:
        raise Problem(400, "gone", "The client has disconnected.") from None
    return bytes(data)


def _hint(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name[:MAX_SHOWN_CHARS], known)


def _as_the_library_says(content: dict[str, Any]) -> str:
    """The library's message that refuses one of these fields; empty if the API refuses it."""
    for name, value in content.items():
        try:
            if name in FIELDS:
                FIELDS[name](value, name=name)
        except CallerError as error:
            return str(error)
        if name == "filter" and (sentence := _as_the_library_says(value)):
            return sentence
        for place, one in enumerate(value if name == "triggers" else ()):
            if sentence := _as_the_library_says(one):
                return f"at {place}: {sentence}"
    return ""


def _as_text(value: Any, /, *, name: str) -> datetime:
    """A time, which JSON has as a text."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment
    except (TypeError, ValueError):
        pass
    raise ConfigurationError(
        f'{name}={shown(value)} is not a time; write it like "2030-01-31T12:00:00Z", with its zone'
    )


def _object(value: Any, /, *, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name}={shown(value)} is not an object; write it like {{…}}")
    return value


def _row(value: Any, /, *, name: str) -> str:
    row_name = text(500)(value, name=name)
    if not re.fullmatch(ROW_NAME, row_name):
        raise ConfigurationError(
            f'{name}={shown(row_name)} does not name a row; write "table/id", as /unreadable lists it'
        )
    return row_name


FIELDS = Table(  # fields of bodies and of nested objects, with the types of the library's own calls
    {
        **TRIGGER,
        **CALL,
        "payload": optional(_object),
        "filter": _object,
        "at": optional(_as_text),
        "since": optional(_as_text),
        "due_before": optional(_as_text),
        "worker": optional(text(128)),
        "error": optional(text()),
        "status": many(word("pending", "running")),
        "runs": many(run_id, most=1000),
        "rows": optional(many(_row, most=1000)),
        "triggers": many(_object, most=MAX_TRIGGERS),
        "expect": optional(whole()),
        "dry_run": flag,
        "rate": optional(Rate.parse),
        "token": text(4096),
        "code": text(200),
    }
)


def _said(error: Exception, what: str) -> str:
    """msgspec's message, with the field's name instead of its path if there is one."""
    return str(error).replace("`$.", f"`{what}.").replace("`$`", f"the {what}")[:500]


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"
