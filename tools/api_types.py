"""Writes dashboard/src/api/schema.ts, the types of the API, from the server's OpenAPI; with --check only compares.

Rules of this file
- A component is an interface or a type of its own name; a frame of the stream is found by its name in `Frames`.
- What the document leaves open (payloads, results) is `unknown`: the dashboard has to look before it touches.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from shiftboss.core.events import AnyEvent
from shiftboss.web import frames
from shiftboss.web.openapi import document

FILE = Path(__file__).resolve().parent.parent / "dashboard/src/api/schema.ts"
HEAD = "/** The types of the API, written by tools/api_types.py from the server's OpenAPI: change them there. */\n"


def main() -> None:
    after = "\n".join([HEAD, *_schemas(), _events(), _frames()])
    before = FILE.read_text(encoding="utf-8") if FILE.is_file() else ""
    if after != before and "--check" in sys.argv:
        sys.exit(f"{FILE.name} is stale; run `make docs`")
    if after != before:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(after, encoding="utf-8")
    print("dashboard: the types of the API agree with the server")


def _schemas() -> Iterator[str]:
    for name, schema in sorted(document()["components"]["schemas"].items()):
        said = " ".join(schema.get("description", "").split())
        yield f"/** {said} */" if said else ""
        if schema.get("type") == "object":
            yield f"export interface {name} {_members(schema)}\n"
        else:
            yield f"export type {name} = {_type(schema)};\n"


def _members(schema: dict[str, Any]) -> str:
    needed = schema.get("required", [])
    lines = [
        f"  {key}{'' if key in needed else '?'}: {_type(each)};" for key, each in schema.get("properties", {}).items()
    ]
    if schema.get("additionalProperties") is True:
        lines.append("  [more: string]: unknown;")
    return "\n".join(["{", *lines, "}"])


def _type(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": str(ref)}:
            return ref.rpartition("/")[2]
        case {"enum": values}:
            return " | ".join(json.dumps(value) for value in values)
        case {"anyOf": kinds}:
            return " | ".join(dict.fromkeys(_type(kind) for kind in kinds))
        case {"type": "array", "items": items}:
            return f"Array<{_type(items)}>"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"Record<string, {_type(values)}>"
        case {"type": "object"}:
            return "Record<string, unknown>"
        case {"type": "integer" | "number"}:
            return "number"
        case {"type": "string" | "boolean" | "null" as word}:
            return word
        case _:
            return "unknown"


def _events() -> str:
    return "export type AnyEvent =" + "".join(f"\n  | {kind.__name__}" for kind in get_args(AnyEvent)) + ";\n"


def _frames() -> str:
    names = {name: "AnyEvent" if name == "event" else kind.__name__ for name, kind in frames.STREAMED.items()}
    return "\n".join(
        [
            "/** What the `data` of a frame of the stream is, by its `event`. */",
            "export interface Frames {",
            *(f"  {name}: {kind};" for name, kind in names.items()),
            "}\n",
        ]
    )


if __name__ == "__main__":
    main()
