"""Writes the parts of docs/reference that the code itself can tell; with --check only compares.

Rules of this file
- A part stands between `<!-- generated: NAME -->` and `<!-- end -->`; what is around it is written by hand.
- What is written by hand must be complete: every option, command, exit code and error has a line on its page.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

import python_reference
from shiftboss import errors
from shiftboss.app.declaration import WorkerOptions
from shiftboss.app.handle import TriggerOptions
from shiftboss.app.orchestrator import Orchestrator
from shiftboss.cli.exits import Exit
from shiftboss.cli.root import SECTIONS, root
from shiftboss.context import Context
from shiftboss.core import events, lifecycle
from shiftboss.core.gates.table import KINDS
from shiftboss.core.hold import Hold, Scope
from shiftboss.core.model import Cause, Status
from shiftboss.core.schedules import cron
from shiftboss.web import actions, bulk_actions, frames
from shiftboss.web.operation import Nothing
from shiftboss.web.problems import STATUSES, TYPE, kind_of
from shiftboss.web.request_parsing import is_list
from shiftboss.web.table import OPERATIONS

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs/reference"
HOLDS = ROOT / "src/shiftboss/core/holds.py"
FOLDERS = (
    "core",
    "core/gates",
    "engine",
    "stores",
    "stores/sql",
    "stores/memory",
    "stores/sqlite",
    "stores/postgres",
    "stores/host",
    "executors",
    "observe",
    "app",
    "web",
    "testing",
    "cli",
    "cli/commands",
    "demo",
)
EVERYWHERE = (
    "-s, --store",
    "-a, --app",
    "--debug",
    "--help",
)  # options that are described once, at the top of the page
PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?((?:# )?<!-- end -->)", re.DOTALL)


def main() -> None:
    is_check = "--check" in sys.argv
    stale: list[str] = []
    for page in (*sorted(REFERENCE.glob("*.md")), HOLDS):
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


SAYS = {  # values whose name says enough in the code
    "RunStored": "A run is stored: triggered, or made by a rule.",
    "RunStarted": "An attempt was claimed and is started; `delay_s` from due to start.",
    "RunEnded": "A run has its final status.",
    "DeadLettered": "A run became a dead letter.",
    "WorkerDisabled": "A worker starts nothing new; `starves`: the workers that now wait for it.",
    "WorkerEnabled": "It starts again.",
    "WorkerPaused": "It starts nothing until its pause is over; a pause that ends by itself publishes no event.",
    "WorkerResumed": "Somebody has ended its pause.",
    "WorkerForgotten": "It was removed.",
    "BreakerOpened": "A breaker holds its workers until it is probed.",
    "BreakerHalfOpen": "A run probes it.",
    "BreakerClosed": "It holds nobody any more.",
    "NodeJoined": "A node holds a lease.",
    "NodeLeft": "A node has ended; `lost`: without saying so.",
}

# ── generated parts ──────────────────────────────────────────────────────────────────────────────────────────────


def statuses() -> str:
    return f"```mermaid\n{lifecycle.diagram()}\n```"


def event_table() -> str:
    rows = ["| event | class | stored | says | carries |", "|---|---|---|---|---|"]
    for kind in get_args(events.AnyEvent):
        own = [field for field in kind.__struct_fields__ if field not in events.Event.__struct_fields__]
        shown = ", ".join(f"`{field}`" for field in own)
        stored = "yes" if kind.STORED else ""
        names = f"`{kind.__struct_config__.tag}` | `{kind.__name__}`"
        rows.append(f"| {names} | {stored} | {sentence(kind, events.Event)} | {shown} |")
    return "\n".join(rows)


def hold_table() -> str:
    rows = ["| `gate` | type | says | holds | carries |", "|---|---|---|---|---|"]
    for kind in KINDS:
        own = [field for field in kind.__struct_fields__ if field not in Hold.__struct_fields__]
        shown = ", ".join(f"`{field}`" for field in own)
        says = f"{kind.__name__} | {sentence(kind, Hold)}"
        rows.append(f"| `{kind.__struct_config__.tag}` | {says} | {kind.scope} | {shown} |")
    return "\n".join(rows)


def hold_names() -> str:
    """Imports of every kind of hold, for those who import them from one place."""
    names = sorted((kind.__module__, kind.__name__) for kind in (*KINDS, Hold, Scope))
    return "\n".join(f"from {module} import {name} as {name}" for module, name in names)


def error_table() -> str:
    rows = ["| error | is a | means |", "|---|---|---|"]
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.ShiftbossError):
            parents = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
            rows.append(f"| `{kind.__name__}` | {parents} | {sentence(kind, None)} |")
    return "\n".join(rows)


def sentence(kind: type, parent: type | None) -> str:
    """The class's own docstring on one line, rules as links; what `SAYS` has for one without."""
    doc = inspect.cleandoc(kind.__doc__ or "")
    if not doc or (parent is not None and doc == inspect.cleandoc(parent.__doc__ or "")):
        if kind.__name__ not in SAYS:
            sys.exit(f"{kind.__module__}.{kind.__name__} has no docstring; give it one")
        doc = SAYS[kind.__name__]
    named = re.match(r"((?:[A-Z]\d+(?:, )?)+): ", doc)
    if named:
        links = re.sub(r"[A-Z]\d+", lambda rule: f"[{rule[0]}](semantics.md#{rule[0].lower()})", named[1])
        doc = f"{doc[named.end() :].rstrip('.')} ({links})."
        doc = doc[:1].upper() + doc[1:]
    return cell(doc)


def command_sections() -> str:
    """Each command as its own help tells it."""
    lines: list[str] = []
    for title, section in SECTIONS.items():
        lines += [f"## {title}", ""]
        for name in section:
            command = root.get_command(click.Context(root), name)
            if command is None:
                sys.exit(f"the command {name!r} cannot be imported")
            lines += [f"### {name}", "", *described(command, f"shiftboss {name}")]
    return "\n".join(lines).rstrip()


def described(command: click.Command, path: str) -> Iterator[str]:
    """Usage, text, options and examples of a command; then those within it."""
    context = click.Context(command, info_name=path)
    yield from (f"`{' '.join([path, *command.collect_usage_pieces(context)])}`", "")
    yield from (paragraphs(command.help or ""), "")
    rows = [row for param in command.params if (row := param.get_help_record(context)) and row[1]]
    rows = [row for row in rows if not row[1].startswith(EVERYWHERE)]
    if rows:
        yield from ("| option | |", "|---|---|")
        yield from (f"| `{cell(option)}` | {cell(text)} |" for option, text in rows)
        yield ""
    if command.epilog:
        shown = [line[2:] for line in command.epilog.splitlines() if line.startswith("  ")]
        yield from ("```console", *(f"$ {explained(line)}" for line in shown), "```", "")
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        yield from described(inner, f"{path} {name}")


def explained(line: str) -> str:
    """An example whose explanation stands in a second column."""
    return re.sub(r"\s{2,}(?=\S)", "  # ", line)


def paragraphs(text: str) -> str:
    parts = inspect.cleandoc(text).replace("\b\n", "").split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in parts)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def house() -> str:
    """The first line of every file, by folder."""
    source = ROOT / "src"
    lines: list[str] = []
    folders = ["shiftboss", *(f"shiftboss/{name}" for name in FOLDERS)]
    for folder in folders:
        lines += ["", f"## {folder}", "", "| file | |", "|---|---|"]
        for file in sorted((source / folder).glob("*.py")):
            doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            if doc:
                lines.append(f"| `{file.name}` | {cell(doc.partition(chr(10))[0])} |")
    return "\n".join(lines[1:])


def http_operations() -> str:
    """The table of operations, a line each."""
    rows = ["| | path | who | does | asked with | answers |", "|---|---|---|---|---|---|"]
    for it in OPERATIONS:
        asked = [field for field in msgspec.structs.fields(it.params) if field.encode_name not in it.path_params]
        names = ", ".join(f"`{field.encode_name}`{' (repeatable)' if is_list(field.type) else ''}" for field in asked)
        body = f"body [{it.body.__name__}](#{it.body.__name__.lower()})" if it.body not in (None, Nothing) else ""
        answer = it.answer.__name__ if issubclass(it.answer, msgspec.Struct) and it.answer is not Nothing else ""
        answer = "a stream" if it.answer.__name__ == "EventStream" else answer and f"{it.status} `{answer}`"
        role = it.role.name.lower() if it.role is not None else "everybody"
        said = " ".join(part for part in (names, body) if part)
        rows.append(f"| {it.method} | `{it.path}` | {role} | {cell(it.summary)} | {said} | {answer or it.status} |")
    return "\n".join(rows)


def http_bodies() -> str:
    """Each body, and the filters within them."""
    kinds = {it.body.__name__: it.body for it in OPERATIONS if it.body is not None and it.body is not Nothing}
    kinds |= {kind.__name__: kind for kind in (bulk_actions.RunFilter, bulk_actions.LetterChoice, actions.TriggerOne)}
    lines: list[str] = []
    for name, kind in sorted(kinds.items()):
        lines += [f"### {name}", "", cell(inspect.getdoc(kind) or ""), "", "| field | type |", "|---|---|"]
        for field in msgspec.structs.fields(kind):
            must = " (needed)" if field.required else ""
            lines.append(f"| `{field.encode_name}` | {cell(_json_type(field.type))}{must} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _json_type(kind: object) -> str:
    """A type in the words of JSON Schema."""
    found = msgspec.json.schema(kind)

    def said(schema: dict[str, Any]) -> str:
        if "anyOf" in schema:
            return " or ".join(said(each) for each in schema["anyOf"])
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        if "enum" in schema:
            return " or ".join(f"`{each}`" for each in schema["enum"])
        bounds = [f"{word} {schema[key]}" for key, word in BOUNDS.items() if key in schema]
        of = f" of {said(schema['items'])}" if "items" in schema else ""
        form = f" ({schema['format']})" if "format" in schema else ""
        return f"{schema.get('type', 'anything')}{of}{form}{', ' if bounds else ''}{', '.join(bounds)}"

    return said(found)


BOUNDS = {"minimum": "from", "maximum": "to", "maxLength": "at most", "maxItems": "at most"}


def http_frames() -> str:
    rows = ["| frame | says | carries |", "|---|---|---|"]
    for name, kind in frames.STREAMED.items():
        fields = ", ".join(f"`{field}`" for field in kind.__struct_fields__)
        rows.append(f"| `{name}` | {cell(inspect.getdoc(kind) or '')} | {fields} |")
    return "\n".join(rows)


def http_problems() -> str:
    rows = ["| error | status | type |", "|---|---|---|"]
    rows += [f"| `{kind.__name__}` | {status} | `{TYPE}{kind_of(kind)}` |" for kind, status in STATUSES]
    return "\n".join(rows)


def cron_fields() -> str:
    """The fields of an expression, and its nicknames."""
    rows = [
        "| field | takes |",
        "|---|---|",
        *(f"| {name} | {cell(takes)} |" for name, takes in cron.FIELDS.items()),
    ]
    rows += ["", "| nickname | is |", "|---|---|"]
    rows += [f"| `{name}` | `{expression}` |" for name, expression in cron.NICKNAMES.items()]
    return "\n".join(rows)


PARTS: dict[str, Callable[[], str]] = {
    "statuses": statuses,
    "events": event_table,
    "holds": hold_table,
    "hold-names": hold_names,
    "errors": error_table,
    "commands": command_sections,
    "house": house,
    "http-operations": http_operations,
    "http-bodies": http_bodies,
    "http-frames": http_frames,
    "http-problems": http_problems,
    "python": python_reference.page,
    "cron": cron_fields,
}


# ── written by hand, and complete ────────────────────────────────────────────────────────────────────────────────


def unwritten() -> Iterator[str]:
    """What the code has and the pages do not."""
    options = {
        *WorkerOptions.__annotations__,
        *TriggerOptions.__annotations__,
        *inspect.signature(Orchestrator).parameters,
    }
    yield from missing("worker-options.md", options, "option")
    yield from missing("worker-options.md", said_by_bodies(), "word")
    yield from missing("exit-codes.md", (str(int(code)) for code in Exit), "code")
    yield from missing("statuses.md", (*Status, *Cause), "word")


def said_by_bodies() -> list[str]:
    """What a body may use of its context."""
    for_executors = {"flush", "keep_line", "stops_within", "tell_to_end"}
    return [name for name in dir(Context) if name[0] != "_" and name not in for_executors]


def missing(page: str, names: Iterable[str], what: str) -> Iterator[str]:
    """Names without a row on *page*: those in the first column, several to a row."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    firsts = " ".join(re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE))
    rows = set(re.findall(r"\w+", firsts))
    for name in names:
        if name not in rows:
            yield f"docs/reference/{page} has no line for the {what} {name!r}"


if __name__ == "__main__":
    main()
