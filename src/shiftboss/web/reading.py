"""A request's parameters and body as values, or a problem that names what is wrong.

Rules of this file
- A name that is not known is refused with the nearest that is: a misspelt filter must not show everything.
- A body is JSON and says so, has a bound, and comes in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from shiftboss.app.options import CALL, TRIGGER
from shiftboss.core.kinds import Table
from shiftboss.errors import CallerError, did_you_mean
from shiftboss.executors.json_types import WrittenNumber
from shiftboss.web.problems import Problem

BODY_WITHIN_S = 10.0  # a client that dribbles holds a connection no longer than that
MAX_SHOWN_CHARS = 80  # of what a client sent, in a message
SHARED = Table(  # the fields that are options of the library's calls; an instant is a text here
    {**{name: TRIGGER[name] for name in ("key", "delay", "priority", "force")}, **CALL}
)
LISTS = (tuple, list, frozenset, set)

S = TypeVar("S", bound=msgspec.Struct)


def read_params(kind: type[S], request: Request) -> S:
    """Path and query as *kind*.  Raises Problem."""
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
        raise Problem(415, "not-json", "Send JSON, and say so: Content-Type: application/json.")
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "no-json", f"The body is no JSON that can be read: {error}") from error
    if not isinstance(found, dict):
        raise Problem(400, "wrong-body", "The body must be a JSON object.")
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for name in found:
        if name not in known:
            raise Problem(400, "unknown-field", f"the body has no field {_short(name)!r}; {_hint(name, known)}")
    try:
        body: S = _body_decoder(kind).decode(data)
        return body
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise Problem(400, "wrong-body", _as_the_library_says(found) or _said(error, "body")) from error


@cache
def _body_decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, float_hook=WrittenNumber)  # a payload's numbers keep their digits


def is_list(kind: Any) -> bool:
    """Whether a parameter may be repeated."""
    return getattr(kind, "__origin__", None) in LISTS


async def _bytes(request: Request, limit: int) -> bytes:
    too_much = Problem(413, "too-large", f"The body may have {limit:,} bytes at most.")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) > limit:
        raise too_much
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise too_much
    except TimeoutError:
        raise Problem(
            408, "too-slow", f"The body did not come within {BODY_WITHIN_S:g} s.", headers={"connection": "close"}
        ) from None
    except ClientDisconnect:
        raise Problem(400, "gone", "The client has left.") from None
    return b"".join(parts)


def _hint(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name[:MAX_SHOWN_CHARS], known)


def _as_the_library_says(found: dict[str, Any]) -> str:
    """The sentence with which the library refuses one of these fields; empty where it is the API that does."""
    for name, value in found.items():
        if name in SHARED:
            try:
                SHARED[name](value, name=name)
            except CallerError as error:
                return str(error)
    return ""


def _said(error: Exception, what: str) -> str:
    """msgspec's sentence, with the name instead of a path where it is one."""
    return str(error).replace("`$.", f"`{what}.").replace("`$`", f"the {what}")[:500]


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"
