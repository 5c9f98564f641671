"""Makes an operation of each declared verb (app/verbs.py).

Rules of this file
- The path is that of the target with the verb's name at its end, and the body has the other parameters.  The type that
  the verb returns determines the answer and its status.
- A body is named after its verb, except where several verbs share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from shiftboss.app.methods import NewRun
from shiftboss.app.pages import listed
from shiftboss.app.verb import DEAD_LETTER, NODE, RUN, WORKER, Target, Verb
from shiftboss.app.verbs import verbs
from shiftboss.core.model import DeadLetter, Node, NodeMode, Run, WorkerState
from shiftboss.core.value import Value
from shiftboss.web.operation import Call, Nothing, Operation
from shiftboss.web.params import RunAsked, Text, WorkerNamed

Note = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*$")]
Until = Annotated[float, Meta(ge=0, le=10 * 366 * 86400)] | Annotated[str, Meta(max_length=50)]
Delay = Annotated[float, Meta(ge=0, le=10 * 366 * 86400)] | Annotated[str, Meta(min_length=1, max_length=50)]

# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────


class NodeNamed(msgspec.Struct, frozen=True):
    """A node, by its id or its name."""

    node: Text


PARAMS: dict[Target, type[msgspec.Struct]] = {
    WORKER: WorkerNamed,
    RUN: RunAsked,
    DEAD_LETTER: RunAsked,
    NODE: NodeNamed,
}


class Field(NamedTuple):
    """A parameter in a body."""

    type: Any
    default: Any
    says: str


FIELDS = {
    "reason": Field(Note | None, None, "Why; recorded in the audit log.  null: no reason."),
    "until": Field(
        Until | None,
        None,
        '`until`: how long, in seconds or as "2h", or a time of ISO 8601; null: until resumed.',
    ),
    "note": Field(Note | None, None, "What was done about it; recorded in the audit log.  null: no note."),
    "delay": Field(Delay, 0.0, '`delay` in seconds or as "5m".'),
    "worker": Field(Text | None, None, "`worker`: only this one; null: all that the node declares."),
}
SHARED: dict[tuple[str, ...], str] = {("reason",): "Reason", ("note",): "NoteBody"}


def body_of(verb: Verb[..., Any, Any]) -> type[msgspec.Struct]:
    """`Nothing` for a verb without further parameters."""
    if not verb.parameters:
        return Nothing
    name = SHARED.get(verb.parameters, f"{verb.name.capitalize()}Body")
    fields = {each: FIELDS[each] for each in verb.parameters}
    return struct_of(name, " ".join(field.says for field in fields.values()), fields)


_made: dict[str, type[msgspec.Struct]] = {}  # by name: verbs with the same body share its class


def struct_of(name: str, doc: str, fields: dict[str, Field]) -> type[msgspec.Struct]:
    """The class of a body, made once for each name."""
    if name not in _made:
        _made[name] = msgspec.defstruct(
            name,
            [(each, field.type, field.default) for each, field in fields.items()],
            namespace={"__doc__": doc},
            module=__name__,
            frozen=True,
        )
    return _made[name]


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Accepted(Value, frozen=True, omit_defaults=False):
    """The stored run, or the one that the same key had made before."""

    run: int
    worker: str


class Switched(Value, frozen=True, omit_defaults=False):
    """A worker, whether it is enabled now, and whether it is paused."""

    worker: str
    enabled: bool
    paused: bool = False


class Drained(Value, frozen=True, omit_defaults=False):
    """A node that starts no new runs."""

    id: str
    name: str
    mode: NodeMode


class Preferred(Value, frozen=True, omit_defaults=False):
    """The workers and resources that this changes; none if the node's declarations are already in force."""

    names: tuple[str, ...]


class Answer(NamedTuple):
    """How a return value of the library becomes an answer."""

    type: Any
    made_of: Callable[[Any], Any]
    status: int = 200


ANSWERS: dict[Any, Answer] = {
    NewRun: Answer(Accepted, lambda handle: Accepted(handle.id, handle.worker), 202),
    Run: Answer(Run, listed),
    WorkerState: Answer(Switched, lambda state: Switched(state.name, state.disabled is None, state.paused is not None)),
    DeadLetter: Answer(DeadLetter, lambda letter: letter),
    Node: Answer(Drained, lambda node: Drained(node.id, node.name, node.mode)),
    tuple[str, ...]: Answer(Preferred, Preferred),
    type(None): Answer(Nothing, lambda _: Nothing(), 204),
}

# ── the operations ───────────────────────────────────────────────────────────────────────────────────────────────


def operations_of(target: Target) -> Sequence[Operation]:
    """The operations on a single target of that kind."""
    return [_operation(verb) for verb in verbs() if verb.target == target]


def _operation(verb: Verb[..., Any, Any]) -> Operation:
    params, body, answer = PARAMS[verb.target], body_of(verb), ANSWERS[verb.answer]
    (target,) = params.__struct_fields__  # in the path

    async def act(call: Call, params: msgspec.Struct, body: msgspec.Struct) -> Any:
        given = msgspec.structs.asdict(body)
        return answer.made_of(await getattr(call.boss, verb.name)(getattr(params, target), **given))

    act.__name__, act.__doc__ = verb.name, verb.words.api
    act.__annotations__ = {"params": params, "body": body, "return": answer.type}
    return Operation("POST", f"{verb.target.path}/{verb.name}", verb.role, act, status=answer.status)
