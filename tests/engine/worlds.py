"""A cycle on a memory store and a virtual clock, turned by hand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from shiftboss.core.control import Request
from shiftboss.core.model import Node, Report, Succeeded
from shiftboss.core.reconcile import declare
from shiftboss.core.worker import Definition
from shiftboss.engine import mutation
from shiftboss.engine.cycle import Cycle, Launchable, Turn
from shiftboss.engine.declaring import Declaring, declaring_node
from shiftboss.engine.mutation import Mutation, Needs
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.testing.clock import VirtualClock


class Kept:
    """An answer that is looked at."""

    loop = None

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None

    def resolve(self, value: Any) -> None:
        self.value = value

    def reject(self, error: BaseException) -> None:
        self.error = error


class World:
    """One node on a store; several worlds may share the store and the clock."""

    def __init__(
        self,
        *definitions: Definition,
        store: MemoryStore | None = None,
        clock: VirtualClock | None = None,
        name: str = "one",
        slots: int = 10,
        resources: Mapping[str, int] | None = None,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.store = store or MemoryStore(clock=self.clock)
        self.store.open(create=True)
        self.session = self.store.session()
        self.node = Node(
            id=name,
            name=name,
            boot=self.clock.boot,
            lease_until_s=0.0,
            started_at=self.clock.now(),
            slots=slots,
            workers={d.name: d.parameters for d in definitions},
        )
        self.node = declaring_node(self.node, definitions, resources or {})
        self.cycle = Cycle(self.session, self.clock, self.node)
        answer = Kept()
        declaring = Declaring(self.node, definitions, resources or {}, self.clock)
        self.first = self.tell(self.cycle.turn([declaring.joins(self.node, answer)]))
        if answer.error is not None:
            raise answer.error

    def declare(self, *definitions: Definition) -> None:
        answer = Kept()
        names = tuple(d.name for d in definitions)
        self.tell(
            self.cycle.turn(
                [Mutation(partial(declare, definitions=definitions, resources={}), Needs(lanes=names), answer)]
            )
        )
        if answer.error is not None:
            raise answer.error

    def tell(self, turn: Turn) -> Turn:
        for answer, value, error in turn.replies:
            answer.resolve(value) if error is None else answer.reject(error)
        return turn

    def turn(self, *mutations: Mutation, **options: Any) -> Turn:
        return self.tell(self.cycle.turn(list(mutations), **options))

    def trigger(self, name: str, **fields: Any) -> tuple[Mutation, Kept]:
        answer = Kept()
        return mutation.trigger(Request(worker=name, **fields), answer), answer

    def done(self, start: Launchable, outcome: Any = None) -> Mutation:
        run = start.run
        assert run.claim is not None
        return mutation.report(Report(run.id, self.node.id, run.claim.fence, outcome or Succeeded(), 0.1))
