"""A hold is one reason why a run does not start, as a value that knows everything about itself.

Rules of this file
- A hold says what holds, since when, and when that can change without an event (`until`; None: only by an event).
- Its sentence (`str`) is its one wording: `why`, the logs, the command and the dashboard show it.
- Whatever else is asked about a kind of hold is in its class: what else it holds, what would have to change, what ends
  it. A class that leaves one of these out cannot be imported.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from shiftboss.core.value import Value
from shiftboss.core.worker import HOLDING

if TYPE_CHECKING:
    from shiftboss.core.gates.gate import View
    from shiftboss.core.model import Run
    from shiftboss.core.subject import Subject


class Scope(StrEnum):
    """What else the same thing holds."""

    RUN = "run"  # nothing else
    WORKER = "worker"  # every run of its worker
    COMPONENT = "component"  # runs of related workers
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
    """What ends a hold, besides its time `until`: the engine then looks at the hold's lane again."""

    SOON = "soon"  # time alone, within a moment
    RUN = "run"  # the end of a run in its component
    SLOT = "slot"  # a slot that becomes free on the node
    COMPANY = "company"  # a change of what runs on the node, or waits to run there alone (C8)
    SHED = "shed"  # the end of shedding on the node (H4)
    NODES = "nodes"  # any change on a node
    OTHERWISE = "otherwise"  # a person, a time, a success or another process


class Hold(Value, frozen=True):
    """Why a run does not start."""

    since: datetime | None = None
    until: datetime | None = None

    # each kind defines these
    scope: ClassVar[Scope]  # what else the same thing holds
    thing: ClassVar[Thing]  # what its subject is
    ends: ClassVar[Ends]  # what ends it
    # and these, where the default is wrong
    about: ClassVar[str] = ""  # the field that names its subject; empty: the run itself, its worker, or time
    option: ClassVar[str] = ""  # the worker's option without which there is no such hold
    until_says: ClassVar[str] = "re-checked"  # what happens at `until`: "re-checked at 14:02", "due in 9 s"
    is_passed: ClassVar[bool] = False  # another run of its worker may start before it
    is_passed_in_queue: ClassVar[bool] = False  # and so may the runs right behind it (E3)
    reserves: ClassVar[bool] = False  # B4: a run that only such holds of the fleet hold reserves after its patience
    is_reservation: ClassVar[bool] = False  # B4: what it lacks is reserved for a run of higher rank
    forbids_skip: ClassVar[bool] = False  # D5: a scheduled run that it holds is not skipped

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        missing = [name for name in ("scope", "thing", "ends", "__str__") if name not in vars(cls)]
        if missing:
            raise TypeError(f"hold {cls.__name__} does not say its {' and '.join(missing)}: see Hold in core/hold.py")
        if cls.option and cls.option not in HOLDING:
            raise TypeError(f"hold {cls.__name__} comes of {cls.option!r}: add that to HOLDING in core/worker.py")

    def awaits(self, view: View, run: Run) -> Subject | None:
        """What *run*, which it holds, and others wait for together; None: only what happens to its worker ends it."""
        return None

    @property
    def subject(self) -> str:
        """What would have to change: a worker, breaker, resource, node or person; empty: the run itself, or time."""
        return str(getattr(self, self.about)) if self.about else ""

    @property
    def is_passing(self) -> bool:
        """Whether it ends by itself, with a run or soon; otherwise it takes a person, a time or another process."""
        return self.ends is not Ends.OTHERWISE

    @property
    def is_planned(self) -> bool:
        """Whether the run merely waits for the time for which it was stored."""
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
        """What its subject is (`Thing`); empty if it has none."""
        return str(self.thing) if self.subject else ""


DERIVED = ("gate", "text", "scope", "subject", "subject_kind", "until_says")  # of a hold in JSON, before its fields

MAX_RUNS = 5  # named in a sentence: the others are in the hold's field


def runs_in_words(runs: tuple[int, ...]) -> str:
    """ "run #7", "runs #4, #5"."""
    shown = ", ".join(f"#{run}" for run in runs[:MAX_RUNS])
    return f"run{'s' if len(runs) > 1 else ''} {shown}{', …' if len(runs) > MAX_RUNS else ''}"
