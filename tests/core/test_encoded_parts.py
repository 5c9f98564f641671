"""Which parts of what is stored are encoded: each text is, or stands here as one that is not (E1)."""

from __future__ import annotations

import typing
from typing import Any, get_args

import msgspec
import pytest

from shiftboss.core import control, encoded, events, model, unreadable
from shiftboss.core.encoded import transformed
from shiftboss.core.events import Audit, Event
from shiftboss.core.model import Attempt, Error, Run
from shiftboss.core.opaque import OpaqueText, framed, framed_text, key_of, unframed_text
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace

NAMES = "who, what and where: lists, indexes and rules go by it"
MADE = "made by shiftboss, of numbers and of names"
PLAIN = {
    "Error.type": NAMES,
    "Attempt.node": NAMES,
    "Attempt.code_version": NAMES,
    "Claim.node": NAMES,
    "CancelRequest.by": NAMES,
    "LogLine.level": NAMES,
    "Run.worker": NAMES,
    "Run.key": NAMES,
    "Run.digest": "keyed, where there is a codec (E4)",
    "Run.by": NAMES,
    "Run.traceparent": NAMES,
    "Run.encoded_by": NAMES,
    "Run.undecodable": "why, and nothing of what it was; never stored",
    "Disabled.by": NAMES,
    "Pause.by": NAMES,
    "BreakerState.name": NAMES,
    "Node.id": NAMES,
    "Node.name": NAMES,
    "Node.boot": NAMES,
    "Node.executors": NAMES,
    "Node.workers": NAMES,
    "Node.shed_reason": MADE,
    "Node.host": NAMES,
    "Node.version": NAMES,
    "Node.code_version": NAMES,
    "Node.durability": NAMES,
    "Node.decodes": NAMES,
    "Node.declares": "names, and digests of what is declared about them",
    "Node.resources": "likewise",
    "ClockMark.boot": NAMES,
    "DeadLetter.worker": NAMES,
    "DeadLetter.error_type": NAMES,
    "DeadLetter.state": NAMES,
    "DeadLetter.closed_by": NAMES,
    "Request.worker": NAMES,
    "Request.digest": "keyed, where there is a codec (E4)",
    "Request.other_digests": "an arrival has the keyed ones only (E4)",
    "Request.key": NAMES,
    "Request.by": NAMES,
    "Request.traceparent": NAMES,
    "SetAside.table": NAMES,
    "SetAside.id": NAMES,
    "SetAside.by": NAMES,
    "SetAside.worker": NAMES,
    "SetAside.reason": MADE,
    "SetAside.data": "the row as it lay there, encoded as it was",
    "ArrivalRefused.key": NAMES,
    "ArrivalRefused.by": NAMES,
    "RunStored.origin": NAMES,
    "RunRescued.lost_node": NAMES,
    "WorkerDeclared.changed": NAMES,
    "WorkerDisabled.by": NAMES,
    "WorkerDisabled.starves": NAMES,
    "WorkerEnabled.by": NAMES,
    "WorkerPaused.by": NAMES,
    "WorkerResumed.by": NAMES,
    "WorkerForgotten.by": NAMES,
    "BreakerOpened.breaker": NAMES,
    "BreakerHalfOpen.breaker": NAMES,
    "BreakerClosed.breaker": NAMES,
    "NodeJoined.name": NAMES,
    "NodeLeft.name": NAMES,
    "NodeFrozen.name": NAMES,
    "NodeFrozen.bodies": NAMES,
    "NodeShedding.level": NAMES,
    "NodeShedding.reason": MADE,
    "StoreRestored.reason": MADE,
    "UnreadableEvent.reason": "stands for an event, and is never stored",
    "Audit.by": NAMES,
    "Audit.action": NAMES,
}
WITHIN_AN_EVENT = ("worker", "node")  # of every one
NOT_STORED = {"Succeeded", "Failed", "TimedOut", "Cancelled", "Interrupted", "Unfit", "Report", "Unreadable"}


def stored_kinds() -> list[type[msgspec.Struct]]:
    """The values that are rows, and those that are parts of them; a definition is code, not what somebody said."""
    here = (model, events, control, unreadable)
    found = {
        each
        for module in here
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == module.__name__
    }
    return sorted((each for each in found if each.__name__ not in NOT_STORED), key=lambda each: each.__name__)


def mentions(hint: Any, kind: type) -> bool:
    return hint is kind or any(mentions(each, kind) for each in get_args(hint))


def fields(kind: type) -> list[tuple[str, Any]]:
    return list(typing.get_type_hints(kind).items())


def test_each_text_of_a_stored_value_is_encoded_or_is_named_as_one_that_is_not():
    """E1: a field that is new fails here until somebody has decided."""
    texts = {
        f"{kind.__name__}.{name}"
        for kind in stored_kinds()
        for name, hint in fields(kind)
        if (mentions(hint, str) or mentions(hint, bytes)) and name in kind.__struct_fields__
        if not (issubclass(kind, Event) and name in WITHIN_AN_EVENT)
    }
    covered = {
        f"{kind.__name__}.{name}"
        for table in (encoded.TEXTS, encoded.BYTES)
        for kind, names in table.items()
        for name in names
    }

    assert texts - covered - PLAIN.keys() == set()
    assert covered & PLAIN.keys() == set()


def test_each_part_of_a_stored_value_that_has_such_a_text_is_looked_into():
    """E1."""
    have_texts = {*encoded.TEXTS, *encoded.BYTES, *encoded.NESTED}
    parts = {
        (kind.__name__, name)
        for kind in stored_kinds()
        for name, hint in fields(kind)
        if name in kind.__struct_fields__ and any(mentions(hint, each) for each in have_texts)
    }
    looked_into = {(kind.__name__, name) for kind, names in encoded.NESTED.items() for name in names}

    assert parts - looked_into == set()


def test_every_part_of_a_change_is_encoded_or_has_no_such_text():
    """E1: a change is all that is ever written."""
    have_texts = {*encoded.TEXTS, *encoded.BYTES, *encoded.NESTED, Event}
    with_texts = {name for name, hint in fields(Change) if any(mentions(hint, each) for each in have_texts)}

    assert with_texts == {"runs", "workers", "records", "letters", "lines", "events", "set_aside"}


def test_what_is_not_changed_is_the_same_object():
    event = Audit(at=model.datetime.max, before="", after="")

    assert transformed(event, text=str.upper, data=bytes) is event
    assert transformed(replace(event, after="a"), text=str.upper, data=bytes).after == "A"


def test_attempts_are_looked_into():
    attempt = Attempt(1, "n", model.datetime.min, model.datetime.min, 0.0, error=Error("ValueError", "m", "t"))
    run = Run(1, "w", model.Origin.TRIGGER, model.Status.DEAD, model.Priority.NORMAL, *[model.datetime.min] * 3)
    run = replace(run, attempts=(attempt,), payload=b"{}", result_error="r")

    made = transformed(run, text=str.upper, data=lambda data: data * 2)

    assert made.attempts[0].error == Error("ValueError", "M", "T")
    assert (made.payload, made.result_error) == (b"{}{}", "R")


def test_a_frame_names_its_key_and_no_json_looks_like_one():
    """E2."""
    assert key_of(framed(b"\0\xff", "2026-11")) == "2026-11"
    assert unframed_text(framed_text(b"\0\xff", "2026-11")) == ("2026-11", b"\0\xff")
    assert key_of(b'"$sb1$k$x"') is None
    assert unframed_text("$sb1$ is how it begins") is None
    assert unframed_text("$sb1$k$no base64!") is None


@pytest.mark.parametrize("part", [slice(None, 3), slice(0, 500), 0])
def test_the_beginning_of_what_cannot_be_decoded_is_all_of_it(part: Any):
    """E3: an error is shortened for a worker's row, and must be whole there."""
    opaque = OpaqueText.of("$sb1$k$AAAA", "k", "why")

    assert opaque[part] is opaque
    assert str(opaque) == "(why)"
