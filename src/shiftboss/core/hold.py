"""A hold is one reason why a run does not start, as a value that knows itself.

Rules of this file
- A hold says what holds, since when, and when that can change by time alone (`until`; None: only by an event).
- Its sentence (`str`) is its one wording: `why`, the logs, the command and the dashboard show it.
- Whatever else anybody asks of a kind of hold stands in its class: what else it holds, what would have to change, what
  ends it.  A class that leaves one of these out cannot be imported.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from shiftboss.core.value import Value
from shiftboss.core.worker import HOLDING


class Scope(StrEnum):
    """What else the same thing holds."""

    RUN = "run"  # nothing else
    WORKER = "worker"  # every run of its worker
    COMPONENT = "component"  # runs of workers with which it has to do
    FLEET = "fleet"  # everything
    NODE = "node"  # on the node that was asked; another one may start it


class Thing(StrEnum):
    """What kind of thing a hold is about."""

    RUN = "run"  # the run itself, or time
    WORKER = "worker"
    NODE = "node"
    BREAKER = "breaker"
    RESOURCE = "resource"
    PERSON = "person"
    STORE = "store"


class Ends(StrEnum):
    """What ends a hold, beside its instant `until`: whoever keeps the agenda looks at its lane then."""

    SOON = "soon"  # time alone, in a moment
    RUN = "run"  # the end of a run of its component
    SLOT = "slot"  # a slot that becomes free on the node
    COMPANY = "company"  # what runs on the node, or waits to run there alone (C8)
    NODES = "nodes"  # anything that changes on a node
    OTHERWISE = "otherwise"  # not by itself: a person, an instant, a success or another process ends it


class Hold(Value, frozen=True):
    """Why a run does not start."""

    since: datetime | None = None
    until: datetime | None = None

    # each kind says these
    scope: ClassVar[Scope]  # what else the same thing holds
    thing: ClassVar[Thing]  # what its subject is
    ends: ClassVar[Ends]  # what ends it
    # and these, where the default is wrong
    about: ClassVar[str] = ""  # the field that names its subject; empty: the run itself, its worker, or time
    option: ClassVar[str] = ""  # of the worker, without which there is no such hold
    until_says: ClassVar[str] = "re-checked"  # what happens at `until`: "re-checked at 14:02", "due in 9 s"
    is_passed: ClassVar[bool] = False  # another run of its worker may start before it
    is_passed_in_queue: ClassVar[bool] = False  # and so may those right behind it (E3)
    reserves: ClassVar[bool] = False  # B4: who waits for nothing else of the fleet reserves in time
    forbids_skip: ClassVar[bool] = False  # D5: an occurrence that it holds is not skipped

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        missing = [name for name in ("scope", "thing", "ends", "__str__") if name not in vars(cls)]
        if missing:
            raise TypeError(f"hold {cls.__name__} does not say its {' and '.join(missing)}: see Hold in core/hold.py")
        if cls.option and cls.option not in HOLDING:
            raise TypeError(f"hold {cls.__name__} comes of {cls.option!r}: add that to HOLDING in core/worker.py")

    @property
    def subject(self) -> str:
        """What would have to change: a worker, breaker, resource, node or person; empty: the run itself, or time."""
        return str(getattr(self, self.about)) if self.about else ""

    @property
    def is_passing(self) -> bool:
        """Whether it ends by itself, when a run ends or soon; else it takes a person, an instant or another process."""
        return self.ends is not Ends.OTHERWISE

    @property
    def is_planned(self) -> bool:
        """Whether it merely waits for the instant for which it was stored."""
        return False

    @property
    def gate(self) -> str:
        """The rule's name: depends_on, blocks, …"""
        return str(self.__struct_config__.tag)

    @property
    def text(self) -> str:
        """Its sentence."""
        return str(self)

    @property
    def subject_kind(self) -> str:
        """What its subject is: `Thing`; empty where it has none."""
        return str(self.thing) if self.subject else ""


DERIVED = ("gate", "text", "scope", "subject", "subject_kind", "until_says")  # of a hold in JSON, before its fields

MAX_RUNS = 5  # that a sentence names: the rest is in the hold's field


def runs_in_words(runs: tuple[int, ...]) -> str:
    """ "run #7", "runs #4, #5"."""
    shown = ", ".join(f"#{run}" for run in runs[:MAX_RUNS])
    return f"run{'s' if len(runs) > 1 else ''} {shown}{', …' if len(runs) > MAX_RUNS else ''}"
