"""Derives the OpenAPI document from the table and from its types.

Rules of this file
- It describes the JSON as `app/json_format.py` writes it: every field is present, a priority is its name, stored JSON
  is included as it is, a hold and an event have their sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, get_args

import msgspec
from starlette.responses import Response

from shiftboss.app.node import package_version
from shiftboss.core import event, hold
from shiftboss.core.events import AnyEvent
from shiftboss.core.policy import Priority
from shiftboss.web import frames
from shiftboss.web.operation import Nothing, Operation
from shiftboss.web.request_parsing import is_list
from shiftboss.web.stream import EventStream
from shiftboss.web.table import OPERATIONS

REF = "#/components/schemas/{name}"
BYTES = {"type": "string", "contentEncoding": "base64"}
JSON_OR_BYTES: dict[str, Any] = {"description": "JSON as it was stored; other bytes as base64."}
EVENTS = {kind.__name__ for kind in get_args(AnyEvent)}
SEVERITY = {"$ref": REF.format(name=event.Severity.__name__)}
STREAMED = [AnyEvent if kind is frames.STREAMED["event"] else kind for kind in frames.STREAMED.values()]


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The document, OpenAPI 3.1; `servers` are relative, so that it is right under any prefix."""
    kinds = _kinds(OPERATIONS)
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    sent = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    asked = {kind.__name__ for operation in OPERATIONS if (kind := operation.body) is not None} | {
        "RunFilter",
        "LetterChoice",
        "TriggerOne",
    }
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, sent)
    return {
        "openapi": "3.1.0",
        "info": {"title": "shiftboss", "version": package_version()},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {
            "schemas": {
                **{name: schema if name in asked else _as_sent(name, schema) for name, schema in components.items()},
                "Problem": _problem(),
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _kinds(operations: Sequence[Operation]) -> list[Any]:
    kinds: list[Any] = [*STREAMED]
    for operation in operations:
        kinds += [each for each in (operation.answer, operation.body) if each is not None and _is_json(each)]
    return kinds


def _is_json(kind: Any) -> bool:
    return kind is not Nothing and not (isinstance(kind, type) and issubclass(kind, Response))


def _operation(operation: Operation, sent: dict[int, dict[str, Any]]) -> dict[str, Any]:
    role = operation.role
    document: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.doc,
        "tags": [operation.path.split("/")[1]],
        "x-role": role.name.lower() if role is not None else None,
        "security": [{"token": []}] if role is not None else [],
        "parameters": [_parameter(operation, field) for field in msgspec.structs.fields(operation.params)],
        "responses": {
            str(operation.status): _answer(operation, sent),
            "default": {
                "description": "What went wrong.",
                "content": {"application/problem+json": {"schema": {"$ref": REF.format(name="Problem")}}},
            },
        },
    }
    if operation.body is not None and operation.body is not Nothing:
        document["requestBody"] = {"content": {"application/json": {"schema": sent[id(operation.body)]}}}
    return document


def _parameter(operation: Operation, field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    in_path = field.encode_name in operation.path_params
    document: dict[str, Any] = {
        "name": field.encode_name,
        "in": "path" if in_path else "query",
        "required": in_path,
        "schema": msgspec.json.schema(field.type),
    }
    schema = document["schema"]
    definitions = schema.pop("$defs", {})
    document["schema"] = _inlined(schema, definitions)
    if is_list(field.type):
        document |= {"style": "form", "explode": True}
    if not in_path and not isinstance(field.default, msgspec.UnsetType | type(msgspec.NODEFAULT)):
        document["schema"]["default"] = msgspec.to_builtins(field.default)
    return document


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """*schema* with its references replaced: parameters are small."""
    match schema:
        case {"$ref": str(ref)}:
            return definitions[ref.rpartition("/")[2]]
        case dict():
            return {key: _inlined(each, definitions) for key, each in schema.items()}
        case list():
            return [_inlined(each, definitions) for each in schema]
        case _:
            return schema


def _answer(operation: Operation, sent: dict[int, dict[str, Any]]) -> dict[str, Any]:
    if operation.answer is EventStream:
        return {
            "description": f"Frames: {', '.join(frames.STREAMED)}; `data` is the schema of that name.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    if not _is_json(operation.answer):
        return {"description": "Done."}
    return {"description": "Done.", "content": {"application/json": {"schema": sent[id(operation.answer)]}}}


def _as_sent(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A component's schema as `facts` writes its values."""
    if name == Priority.__name__:
        return {"title": name, "description": schema.get("description", ""), "enum": [each.label for each in Priority]}
    if schema.get("type") != "object":
        return schema
    properties = {key: _property(each) for key, each in schema.get("properties", {}).items()}
    changed = {**schema, "properties": properties, "required": list(properties)}
    if name == "Hold":
        changed["properties"] = {**{key: {"type": "string"} for key in hold.DERIVED}, **properties}
        changed["required"] = [*hold.DERIVED, *properties]
        changed["additionalProperties"] = True
    elif name in EVENTS:
        words = {key: SEVERITY if key == "severity" else {"type": "string"} for key in event.DERIVED}
        changed["properties"] = {"type": properties.pop("type"), **words, **properties}
        changed["required"] = [*changed["properties"]]
    return changed


def _property(schema: dict[str, Any]) -> dict[str, Any]:
    if schema == BYTES or schema.get("anyOf", [None])[0] == BYTES:
        return JSON_OR_BYTES
    default = schema.get("default")
    if isinstance(default, int) and not isinstance(default, bool) and "$ref" in schema:
        return {**schema, "default": Priority(default).label}
    return schema


def _problem() -> dict[str, Any]:
    return {
        "title": "Problem",
        "description": "RFC 9457.  `type` is stable; some types have further members (`matched`, `maybe_stored`).",
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
        "required": ["type", "title", "status", "detail"],
        "additionalProperties": True,
    }
