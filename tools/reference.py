"""Writes the parts of docs/reference that the code itself can tell; with --check only compares.

Rules of this file
- A part stands between `<!-- generated: NAME -->` and `<!-- end -->`; what is around it is written by hand.
- What is written by hand must be complete: every option, command, exit code and error has a line on its page.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

from shiftboss import errors
from shiftboss.app.declaration import WorkerOptions
from shiftboss.core import events, holds, lifecycle

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs/reference"
PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    is_check = "--check" in sys.argv
    stale: list[str] = []
    for page in sorted(REFERENCE.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = PART.sub(lambda part: f"{part[1]}{PARTS[part['name']]()}\n{part[3]}", before)
        if after != before and is_check:
            stale.append(f"{page.relative_to(ROOT)} is stale; run `make docs`")
        elif after != before:
            page.write_text(after, encoding="utf-8")
    wrong = [*stale, *unwritten()]
    if wrong:
        sys.exit("\n".join(wrong))
    print("reference: generated parts agree with the code, every option has its line")


# ── generated parts ──────────────────────────────────────────────────────────────────────────────────────────────


def statuses() -> str:
    return f"```mermaid\n{lifecycle.diagram()}\n```"


def event_table() -> str:
    rows = ["| event | stored | says | carries |", "|---|---|---|---|"]
    for kind in get_args(events.AnyEvent):
        own = [field for field in kind.__struct_fields__ if field not in events.Event.__struct_fields__]
        shown = ", ".join(f"`{field}`" for field in own)
        stored = "yes" if kind.STORED else ""
        rows.append(f"| `{kind.__struct_config__.tag}` | {stored} | {sentence(kind, events.Event)} | {shown} |")
    return "\n".join(rows)


def hold_table() -> str:
    rows = ["| `gate` | type | says | carries |", "|---|---|---|---|"]
    for kind in get_args(holds.AnyHold):
        own = [field for field in kind.__struct_fields__ if field not in holds.Hold.__struct_fields__]
        shown = ", ".join(f"`{field}`" for field in own)
        rows.append(f"| `{kind.__struct_config__.tag}` | {kind.__name__} | {sentence(kind, holds.Hold)} | {shown} |")
    return "\n".join(rows)


def error_table() -> str:
    rows = ["| error | is a | means |", "|---|---|---|"]
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.ShiftbossError):
            parents = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
            rows.append(f"| `{kind.__name__}` | {parents} | {sentence(kind, None)} |")
    return "\n".join(rows)


def sentence(kind: type, parent: type | None) -> str:
    """The class's own docstring on one line; nothing where it only has its parent's."""
    doc = inspect.cleandoc(kind.__doc__ or "")
    if not doc or (parent is not None and doc == inspect.cleandoc(parent.__doc__ or "")):
        return ""
    return " ".join(doc.split()).replace("|", "\\|")


PARTS: dict[str, Callable[[], str]] = {
    "statuses": statuses,
    "events": event_table,
    "holds": hold_table,
    "errors": error_table,
}


# ── written by hand, and complete ────────────────────────────────────────────────────────────────────────────────


def unwritten() -> Iterator[str]:
    """What the code has and the pages do not."""
    yield from missing("worker-options.md", WorkerOptions.__annotations__, "option")


def missing(page: str, names: object, what: str) -> Iterator[str]:
    text = (REFERENCE / page).read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE))
    for name in names:  # type: ignore[attr-defined]  # any iterable of names
        if name not in rows:
            yield f"docs/reference/{page} has no line for the {what} {name!r}"


if __name__ == "__main__":
    main()
