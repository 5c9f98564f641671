"""The generated part of docs/reference/python.md: every public name, from signatures, docstrings and comments.

Rules of this file
- What is public is what `shiftboss.__all__` names, and the values that its methods give back.
- Each class, method, property and field has words, or the page is not made: a docstring, or a comment on its line.
- A default is shown as it is; a docstring's example is shown as Python and compiled by tests/docs.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

import shiftboss
from shiftboss import errors
from shiftboss.app import handle, status, sync
from shiftboss.app.methods import Method
from shiftboss.core import explain, health, model, policy

ROOT = Path(__file__).resolve().parent.parent
RULES = frozenset(
    re.findall(r"^### ([A-Z]\d+)$", (ROOT / "docs/reference/semantics.md").read_text(encoding="utf-8"), re.MULTILINE)
)
EXAMPLE = re.compile(r"(?:    |async def |def |raise |app\.|boss\.|await )")
INHERITED = {"count", "index", "with_traceback", "add_note", "args"}  # of tuple and of BaseException

GROUPS: dict[str, list[Any]] = {
    "Declaring workers, living": [
        shiftboss.Orchestrator,
        shiftboss.Worker,
        handle.Trigger,
        shiftboss.Dependency,
        shiftboss.Breaker,
        shiftboss.Calendar,
        shiftboss.SecretValue,
        shiftboss.RetryPolicy,
        shiftboss.HealthPolicy,
        shiftboss.command,
    ],
    "Runs": [shiftboss.RunHandle, handle.PromisedRun, shiftboss.TriggerItem],
    "Without a loop": [sync.SyncFace],
    "In a body": [shiftboss.Context, shiftboss.Retry, shiftboss.Fatal, shiftboss.Idle],
    "Asking for runs, dead letters and workers": [
        shiftboss.AuditFilter,
        shiftboss.HistoryFilter,
        shiftboss.LetterFilter,
        shiftboss.WorkerFilter,
    ],
    "What is answered": [
        shiftboss.Run,
        shiftboss.Status,
        model.Cause,
        model.Origin,
        policy.Priority,
        model.Attempt,
        model.Error,
        model.Claim,
        model.CancelRequest,
        model.Progress,
        model.LogLine,
        model.DeadLetter,
        status.SystemStatus,
        status.Totals,
        status.WorkerStatus,
        status.RunningRun,
        status.NodeStatus,
        model.WorkerState,
        model.Disabled,
        model.Verdict,
        model.Node,
        health.SystemHealth,
        health.WorkerHealth,
        health.HealthReason,
        health.Health,
        explain.Explanation,
        shiftboss.ShutdownReport,
    ],
}


def page() -> str:
    """Raises SystemExit, naming whatever is public and has no words."""
    wordless: list[str] = []
    lines: list[str] = []
    for title, things in GROUPS.items():
        lines += [f"## {title}", ""]
        for thing in things:
            lines += described(thing, wordless)
    lines += ["## Errors", "", *error_rows(wordless), ""]
    wrong = [f"{each} is public and has no words; give it a docstring, or a comment" for each in wordless]
    wrong += unlisted("\n".join(lines))
    if wrong:
        sys.exit("\n".join(wrong))
    return "\n".join(lines).rstrip()


def unlisted(text: str) -> Iterator[str]:
    """Public names that are not on the page."""
    for name in shiftboss.__all__:
        if not re.search(rf"^(?:### |\| )`?{name}`?(?:$| \|)", text, re.MULTILINE):
            yield f"shiftboss.{name} is not on docs/reference/python.md; add it to GROUPS in tools/python_reference.py"


# ── one thing ────────────────────────────────────────────────────────────────────────────────────────────────────


def described(thing: Any, wordless: list[str]) -> Iterator[str]:
    name = shown_name(thing)
    yield from (f"### {thing.__name__}", "", f"`{imported(thing)}`" if name is None else name, "")
    if not own_doc(thing):
        wordless.append(thing.__qualname__)
    yield from (words(own_doc(thing) or ""), "")
    if not inspect.isclass(thing):
        yield from (code(signature(thing, thing.__name__)), "")
        return
    if issubclass(thing, enum.Enum):
        yield from (*member_rows(thing), "")
        yield from members(thing, wordless)
        return
    fields = field_rows(thing, wordless)
    if fields:
        yield from (*fields, "")
    elif takes_arguments(thing):
        yield from (code(signature(thing.__init__, thing.__name__)), "")
    yield from members(thing, wordless)


def imported(thing: Any) -> str:
    is_public = thing.__name__ in shiftboss.__all__
    return f"from {'shiftboss' if is_public else thing.__module__} import {thing.__name__}"


def shown_name(thing: Any) -> str | None:
    """Where one gets it, for what nobody makes."""
    return {
        "Trigger": "What `Worker.options(…)` gives.",
        "PromisedRun": "What a trigger with `within=` gives.",
        "SyncFace": "`boss.sync`",
    }.get(thing.__name__)


def takes_arguments(kind: type) -> bool:
    init = vars(kind).get("__init__")
    made_by_us = {"Worker", "Trigger", "RunHandle", "PromisedRun", "SyncFace", "Context"}
    return inspect.isfunction(init) and kind.__name__ not in made_by_us


def own_doc(thing: Any) -> str | None:
    doc = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    return inspect.cleandoc(doc) if doc and not doc.startswith(f"{thing.__name__}(") else None


# ── fields and members ───────────────────────────────────────────────────────────────────────────────────────────


def field_rows(kind: type, wordless: list[str]) -> list[str]:
    fields = list(fields_of(kind))
    if not fields:
        return []
    comments = comments_of(kind)
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    for name, annotation, default in fields:
        if name not in comments and not is_explained(kind, name):
            wordless.append(f"{kind.__qualname__}.{name}")
        rows.append(f"| `{name}` | `{cell(annotation)}` | {default} | {cell(linked(comments.get(name, '')))} |")
    return rows


def is_explained(kind: type, name: str) -> bool:
    """Whether the docstring of its class speaks of it."""
    return f"`{name}`" in (own_doc(kind) or "") or f"*{name}*" in (own_doc(kind) or "")


def fields_of(kind: type) -> Iterator[tuple[str, str, str]]:
    if issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield field.name, annotation_of(kind, field.name), default_of(field)
    elif hasattr(kind, "_field_defaults"):
        for name in kind._fields:  # type: ignore[attr-defined]  # a NamedTuple
            default = kind._field_defaults.get(name, inspect.Parameter.empty)
            yield name, annotation_of(kind, name), "" if default is inspect.Parameter.empty else f"`{default!r}`"
    elif dataclasses.is_dataclass(kind) and kind.__dataclass_params__.init:  # type: ignore[attr-defined]  # there is one
        for found in dataclasses.fields(kind):
            shown = "" if found.default is dataclasses.MISSING else f"`{found.default!r}`"
            yield found.name, annotation_of(kind, found.name), shown


def annotation_of(kind: type, name: str) -> str:
    for each in kind.__mro__:
        annotations = inspect.get_annotations(each)
        if name in annotations:
            found = annotations[name]
            return str(getattr(found, "__forward_arg__", found)) if not isinstance(found, type) else found.__name__
    return ""


def default_of(field: Any) -> str:
    if field.default is not msgspec.NODEFAULT:
        value = field.default
        return f"`{value.value!r}`" if isinstance(value, enum.Enum) else f"`{value!r}`"
    return "" if field.default_factory is msgspec.NODEFAULT else f"`{field.default_factory()!r}`"


def comments_of(kind: type) -> dict[str, str]:
    """Field → the comment on its line, here or in a class that it comes from."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("shiftboss"):
            for line in inspect.getsource(each).splitlines():
                if match := re.match(r"\s+(\w+)(?:: [^#]+| = [^#]+?)\s+# (.+)$", line):
                    found[match[1]] = match[2].rpartition("noqa: ")[0].rstrip("# ") or match[2]
    return found


def member_rows(kind: type[enum.Enum]) -> Iterator[str]:
    comments = comments_of(kind)
    yield from ("| value | |", "|---|---|")
    for member in kind:
        yield f"| `{member.value}` | {cell(linked(comments.get(member.name, '')))} |"


def members(kind: type, wordless: list[str]) -> Iterator[str]:
    """Attributes first, then methods, in the order of the source."""
    found = list(public_members(kind))
    attributes = [(name, each) for name, each in found if isinstance(each, property)]
    if attributes:
        yield from ("| attribute | |", "|---|---|")
        for name, each in attributes:
            if not each.__doc__:
                wordless.append(f"{kind.__qualname__}.{name}")
            kinds = returned(each.fget)
            yield f"| `{name}`: `{cell(kinds)}` | {cell(words(inspect.cleandoc(each.__doc__ or '')))} |"
        yield ""
    for name, each in found:
        if isinstance(each, property):
            continue
        function = inspect.unwrap(getattr(each, "__func__", each), stop=lambda it: hasattr(it, "__signature__"))
        if not function.__doc__:
            wordless.append(f"{kind.__qualname__}.{name}")
        yield from (f"#### {kind.__name__}.{name}", "", code(signature(function, name)), "")
        yield from (words(inspect.cleandoc(function.__doc__ or "")), "")


def public_members(kind: type) -> Iterator[tuple[str, Any]]:
    names: dict[str, Any] = {}
    for each in kind.__mro__:  # its own first
        if each.__module__.startswith("shiftboss"):
            own = {name: member for name, member in vars(each).items() if name[0] != "_" and name not in names}
            names |= {name: getattr(kind, name) if isinstance(each, Method) else each for name, each in own.items()}
    hidden = FOR_US.get(kind.__name__, frozenset()) | INHERITED | {name for name, *_ in fields_of(kind)}
    for name, member in names.items():
        is_method = inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)
        if is_method and name not in hidden:
            yield name, member


FOR_US: Mapping[str, frozenset[str]] = {  # public by their names, for other layers
    "Context": frozenset({"flush", "keep_line", "stops_within", "tell_to_end"}),
    "Breaker": frozenset({"policy"}),
    "Orchestrator": frozenset({"opened"}),
    "Run": frozenset({"held_by"}),
    "SyncFace": frozenset({"opened"}),
    "Priority": frozenset(),
    "ShutdownReport": frozenset({"worded"}),
}


# ── signatures ───────────────────────────────────────────────────────────────────────────────────────────────────


def signature(function: Callable[..., Any], name: str) -> str:
    """As one would call it, with types and defaults; what is awaited or entered says so."""
    found = inspect.signature(function)
    parts: list[str] = []
    is_keyword_only = False
    for parameter in found.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not is_keyword_only:
            is_keyword_only = True
            parts.append("*")
        parts.append(parameter_text(parameter))
    positional_only = [p for p in found.parameters.values() if p.kind is p.POSITIONAL_ONLY and p.name != "self"]
    if positional_only:
        parts.insert(len(positional_only), "/")
    before = ""
    if inspect.iscoroutinefunction(function):
        before = "await "
    elif inspect.isasyncgenfunction(function):
        before = "async with "
    answer = returned(function)
    after = f" -> {answer}" if answer and answer != "None" and before != "async with " else ""
    line = f"{before}{name}({', '.join(parts)}){after}"
    if len(line) <= 100 or not parts:
        return line
    return f"{before}{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){after}"


def parameter_text(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{star}{parameter.name}"
    if parameter.annotation is not inspect.Parameter.empty:
        text += f": {kind_text(parameter.annotation)}"
    if parameter.default is inspect.Parameter.empty:
        return text
    default = parameter.default
    shown = f"{type(default).__name__}()" if hasattr(default, "_fields") else repr(default)
    return f"{text} = {shown}"


def returned(function: Any) -> str:
    found = inspect.signature(function).return_annotation
    return "" if found is inspect.Signature.empty else kind_text(found)


def kind_text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


def error_rows(wordless: list[str]) -> Iterator[str]:
    yield "The tree, by who must act: [errors](errors.md). Those not named by `shiftboss` are in `shiftboss.errors`."
    yield from ("", "| error | is a | means |", "|---|---|---|")
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.ShiftbossError):
            if not own_doc(kind):
                wordless.append(name)
            parents = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
            yield f"| `{name}` | {parents} | {cell(linked(own_doc(kind) or ''))} |"


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def words(doc: str) -> str:
    """A docstring as Markdown: paragraphs on one line, examples as Python that is compiled and not run."""
    parts = []
    for paragraph in doc.split("\n\n"):
        if EXAMPLE.match(paragraph):
            lines = paragraph.splitlines()
            margin = min(len(line) - len(line.lstrip()) for line in lines)
            parts.append("<!-- not run: an example -->\n" + code("\n".join(line[margin:] for line in lines), "python"))
        else:
            parts.append(linked(" ".join(paragraph.split())))
    return "\n\n".join(parts)


def linked(text: str) -> str:
    return re.sub(r"\b[A-Z]\d+\b", lambda rule: link(rule[0]), text)


def link(rule: str) -> str:
    return f"[{rule}](semantics.md#{rule.lower()})" if rule in RULES else rule


def code(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
