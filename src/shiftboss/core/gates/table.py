"""The gates in the order in which they are asked: the one table that decisions and `why` go through.

Rules of this file
- What holds a run is what is shown: `decide`, `why` and the next run use these functions only.
- The order matters if a gate depends on the gates before it: the breaker's probe is the first run that passes all other
  gates, and only an isolated run that lacks nothing else makes others wait (C8).
"""

from __future__ import annotations

from typing import Any

from shiftboss.core.gates import (
    alone,
    blocks,
    breaker,
    codec,
    concurrency,
    depends_on,
    disabled,
    draining,
    not_due,
    paused,
    rate,
    reserved,
    shed,
    slots,
    store,
    unknown_worker,
    unreadable,
    uses,
    version,
)
from shiftboss.core.gates.gate import Answer, Gate, Here, View
from shiftboss.core.health import StoreTrouble
from shiftboss.core.hold import Hold
from shiftboss.core.model import Node, Run

STORE: tuple[Gate[StoreTrouble], ...] = (store.GATE,)  # while the store takes no work, whatever the other gates say

FLEET: tuple[Gate[View], ...] = (  # whichever node starts the run
    not_due.GATE,
    unreadable.GATE,
    codec.DAMAGED,
    disabled.GATE,
    paused.GATE,
    concurrency.GATE,
    rate.GATE,
    depends_on.GATE,
    blocks.GATE,
    uses.GATE,
    breaker.GATE,  # a probe is the first run that passes all gates above
    reserved.GATE,
)

NODE: tuple[Gate[Node], ...] = (  # the state of a node, whatever runs there
    unknown_worker.GATE,
    version.GATE,
    codec.NO_KEY,
    draining.GATE,
    shed.GATE,
)

HERE: tuple[Gate[Here], ...] = (  # what runs on the node
    slots.GATE,
    alone.GATE,  # last: only an isolated run that lacks nothing else makes others wait
)

# A free worker is asked about by few of them: together with the missing dots that saves 2 µs a run of 5 (measured).
ASK_FLEET = tuple(gate.ask for gate in FLEET)
ASK_FLEET_OF_FREE = tuple(gate.ask for gate in FLEET if not gate.is_about_options)
ASK_NODE = tuple(gate.ask for gate in NODE)
ASK_HERE = tuple(gate.ask for gate in HERE)

GATES: tuple[Gate[Any], ...] = (*STORE, *FLEET, *NODE, *HERE)
KINDS: tuple[type[Hold], ...] = tuple(dict.fromkeys(kind for gate in GATES for kind in gate.holds))


def ask(view: View, run: Run) -> Answer:
    """Ask every gate of the fleet that may hold the run."""
    snapshot, name = view.snapshot, run.worker
    answer = Answer(run, snapshot.worker(name))
    for gate in ASK_FLEET_OF_FREE if name in snapshot.relations.free else ASK_FLEET:
        gate(view, answer)
    return answer


def ask_node(node: Node, answer: Answer) -> None:
    """Ask the gates that look at the state of *node*."""
    for gate in ASK_NODE:
        gate(node, answer)


def ask_here(here: Here, answer: Answer) -> None:
    """Ask the gates that look at what runs on the node."""
    for gate in ASK_HERE:
        gate(here, answer)


def ask_store(trouble: StoreTrouble, answer: Answer) -> None:
    """Ask whether the store takes any work."""
    for gate in STORE:
        gate.ask(trouble, answer)
