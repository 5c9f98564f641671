"""What may be asked of a store and done to it, through a started orchestrator or a client: a method for each.

Rules of this file
- Whatever is a single act or question is in verbs.py and questions.py, for the orchestrator and for `boss.sync`; here
  is what only the orchestrator has, because it runs on a loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import msgspec

from shiftboss.app import call, setting_aside
from shiftboss.app.fan_out import FanOut, TriggerItem, answered_within_s, arriving_many, given_triggers, in_chunks
from shiftboss.app.handle import ManyOptions, PromisedRun, RunHandle, TriggerOptions, triggered
from shiftboss.app.options import CALL, Named, Payload, known_run, name_of
from shiftboss.app.questions import Questions
from shiftboss.app.verbs import Verbs
from shiftboss.app.within import Within, insert_many
from shiftboss.clock import Clock
from shiftboss.core.kinds import Duration, shown
from shiftboss.core.model import Run
from shiftboss.core.unreadable import Unreadable
from shiftboss.engine import mutation
from shiftboss.errors import WrongPayload
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.command import CommandBody
from shiftboss.executors.parameters import plain_payload
from shiftboss.ports.executor import Body

if TYPE_CHECKING:  # 15 ms of import, left to the start and the first question
    from shiftboss.app.views import Views

T = TypeVar("T")


class Operations(Verbs, Questions):
    """The half of an orchestrator that acts on an open store; the other half decides which one is open, and how."""

    has_loop = True
    bodies: dict[str, Body]

    @property
    def clock(self) -> Clock:
        raise NotImplementedError

    def encode(self, worker: Named, payload: Payload) -> bytes | None:
        """The payload as it would be stored, checked against the worker's type hints if it is declared here.

        Raises WrongPayload.  For a worker that only other processes declare, JSON is taken as it is; they check it.
        """
        return self._encode_for(name_of(worker), payload)

    def _encode_for(self, name: str, payload: Payload) -> bytes | None:
        """The same for a worker by its name."""
        if not isinstance(payload, Mapping | msgspec.Raw | None):
            raise WrongPayload(
                f"worker {name!r}: the payload {shown(payload)} is not a mapping; give the parameters by name, as in "
                "{'to': 'ada@example.org'}"
            )
        given = bytes(payload) if isinstance(payload, msgspec.Raw) else payload or {}
        body = self.bodies.get(name)
        if isinstance(body, FunctionBody | CommandBody):
            return body.take_payload(given) if isinstance(given, bytes) else body.encode_payload((), given)
        return plain_payload(name, given, "register the worker in this process too, so that its type hints are known")

    async def trigger(
        self, worker: Named, payload: Payload = None, /, **options: Unpack[TriggerOptions]
    ) -> RunHandle[Any]:
        """Store a run of *worker* (a name or a function); returns after its commit.

        *payload*: its parameters by name, None or empty if it takes none.  A `msgspec.Raw` is ready-made JSON, which
        must be an object and is stored byte for byte.  *options*: see `TriggerOptions`.

        With `within=` it returns after the insert, a `PromisedRun`: the commit is yours.  Raises UnknownWorker,
        WrongPayload, WorkerDisabled, DuplicateKey, NotStarted, StoreUnavailable.
        """
        return await triggered(self, name_of(worker), self.encode(worker, payload), options)

    @overload
    async def trigger_many(
        self,
        worker: Named,
        payloads: Iterable[Payload],
        /,
        *,
        keys: Iterable[str | None] | None = None,
        **options: Unpack[ManyOptions],
    ) -> list[RunHandle[Any]]: ...
    @overload
    async def trigger_many(
        self, items: Iterable[TriggerItem], /, *, within: Within | None = None
    ) -> list[RunHandle[Any]]: ...
    async def trigger_many(
        self,
        worker: Any,
        payloads: Any = None,
        /,
        *,
        keys: Any = None,
        **options: Any,
    ) -> list[RunHandle[Any]]:
        """Store a run for each of *payloads*, in one commit, or none at all; at most 50,000 (O6).

        *keys*: one for each payload, or None where there is none; *options* count for all.  For several workers give a
        list of `TriggerItem` in place of worker and payloads.  The handles have the order of the payloads; a key that
        was seen before with the same payload gives the run that it made.

        With `within=` it returns after the insert of all rows, as `trigger` does.  Raises TriggersRefused, whose
        `refused` has every trigger that was refused and why, ConfigurationError, NotStarted, StoreUnavailable.
        """
        node, within = self.opened(), options.pop("within", None)
        fan_out = FanOut(node, self._encode_for, given_triggers(worker, payloads, keys, options))
        await fan_out.read_on_loop()
        triggers = fan_out.triggers
        if not triggers:
            return []
        if within is not None:
            promises, arrivals = await asyncio.to_thread(arriving_many, node, triggers)
            for inserting in in_chunks(arrivals, lambda rows: insert_many(within, rows)):
                if inserting is not None:
                    await inserting
            return [PromisedRun(self, promise) for promise in promises]
        runs = await call.on_loop_within(
            lambda answer: node.engine.put(mutation.trigger_many(triggers, answer)),
            within_s=answered_within_s(len(triggers)),
        )
        return [RunHandle(self, run) for run in runs]

    async def set_aside(
        self, rows: Collection[Unreadable] | None = None, *, note: str | None = None
    ) -> list[Unreadable]:
        """Move rows that cannot be read into the table `set_aside`: those given, as `unreadable` returned them, or all.

        Returns what was moved: a row that can be read by now, or does not exist any more, is left alone.
        """
        node = self.opened()
        moved: list[Unreadable] = []
        for put in await asyncio.to_thread(setting_aside.batches, node, rows, note):
            moved += await call.on_loop(put)
        return moved

    async def wait_for(self, run_id: int, *, timeout: Duration | None = None) -> Run:
        """Wait until a run has ended, here or on any node.

        *timeout*: a duration such as 30 or "5m"; None waits without limit, 0 does not wait.
        Raises UnknownRun, and WaitTimeout if that takes longer; the run goes on.
        """
        timeout_s: float | None = CALL.read_one("timeout", timeout)
        node, known = self.opened(), known_run(run_id)
        run: Run = await call.wait_on_loop(
            lambda answer: node.engine.watch(known, answer), timeout_s=timeout_s, what=f"run {run_id}"
        )
        return run

    async def ask(self, question: Callable[[Views], T]) -> T:
        """Ask the store any question, in a thread: `await boss.ask(lambda views: views.next_instants("report", 5))`.

        Raises NotStarted.
        """
        return await asyncio.to_thread(self.opened().read, question)
