"""What may be asked of a store and done to it, through a started orchestrator or a client: a method for each thing.

Rules of this file
- Each operation is one mutation for the engine, made in one place.  The coroutine here and its blocking twin in
  `boss.sync` wait for the same answer.
- Questions are read from committed state, in the calling thread or in one beside the loop, never by the engine.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import msgspec

from shiftboss.app import call
from shiftboss.app.actor import MAX_CHARS, acting, current_actor
from shiftboss.app.handle import Promise, PromisedRun, RunHandle, TriggerOptions, with_options
from shiftboss.app.options import CALL, Named, Payload, name_of
from shiftboss.app.within import insert
from shiftboss.clock import Clock
from shiftboss.context import storable
from shiftboss.core import json_text
from shiftboss.core.audit import Head
from shiftboss.core.control import Request
from shiftboss.core.kinds import Duration, shown
from shiftboss.core.model import DeadLetter, LogLine, Node, Run, WorkerState
from shiftboss.core.redact import places_of, redaction
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import replace
from shiftboss.core.verify import AuditVerdict
from shiftboss.engine import mutation
from shiftboss.errors import WaitTimeout, WrongPayload
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.command import CommandBody
from shiftboss.executors.parameters import plain_payload
from shiftboss.ports.executor import Body
from shiftboss.ports.faces import AuditFilter, HistoryFilter, LetterFilter
from shiftboss.ports.store import Arrival, Store
from shiftboss.stores.encryption import cipher_of
from shiftboss.trace import current_traceparent

if TYPE_CHECKING:  # 15 ms of import, which is for the start and the first question
    from shiftboss.app.views import Act, NodeStatus, SystemStatus, Views
    from shiftboss.core.explain import Explanation
    from shiftboss.core.health import SystemHealth
    from shiftboss.engine.engine import Engine

# Until what was triggered within a transaction is there; nobody rings for one run, and thousands may be waited for.
MIN_PROMISE_POLL_S, MAX_PROMISE_POLL_S = 0.05, 1.0
MAX_SET_ASIDE = 200  # rows in one transaction, which nobody else can write beside
T = TypeVar("T")


class Operations:
    """The half of an orchestrator that acts on an open store; which one is open, and how, is the other half's."""

    bodies: dict[str, Body]
    redact: tuple[str, ...]
    redact_patterns: tuple[str, ...]
    secrets: tuple[str, ...]  # by their value; not stored
    max_dead_letters: int
    _views: Views | None
    _views_lock: threading.Lock

    def _require(self) -> Engine:
        """Raises NotStarted, Forked."""
        raise NotImplementedError

    @property
    def clock(self) -> Clock:
        raise NotImplementedError

    def new_views(self) -> Views:
        """Questions to the open store, for one thread; whoever has them closes them.  Raises NotStarted."""
        raise NotImplementedError

    @property
    def store(self) -> Store:
        raise NotImplementedError

    # ── operations, written once ─────────────────────────────────────────────────────────────────────────────────

    def _asked(self, name: str, payload: bytes | None, options: Mapping[str, Any]) -> Request:
        digests = () if payload is None else self._digests(payload, is_keyed=options.get("key") is not None)
        request = Request(
            worker=name,
            payload=payload,
            digest=digests[0] if digests else None,
            by=acting.get(),
            traceparent=current_traceparent(),
            other_digests=digests[1:],
            masked=places_of(self.secrets, payload),
        )
        if options:
            request = with_options(request, options)
        if request.force and not request.by:  # code has no name, unless it forces something
            request = replace(request, by=current_actor())
        return request

    def _digests(self, payload: bytes, *, is_keyed: bool) -> tuple[str, ...]:
        """O5: the one it is stored with, then those that the same payload may have been stored with before."""
        self._require()
        cipher = cipher_of(self.store)
        form = json_text.in_one_form(payload)
        before = json_text.as_stored_before(payload) if is_keyed else form
        return tuple(
            digest
            for each in dict.fromkeys((form, before))
            for digest in (*cipher.digests(each), hashlib.sha256(each).hexdigest())
        )

    def _put_trigger(self, request: Request) -> call.Put:
        engine = self._require()
        return lambda answer: engine.put(mutation.trigger(request, answer))

    def _arriving(self, name: str, payload: bytes | None, options: Mapping[str, Any]) -> tuple[Promise, Arrival]:
        """The row of a trigger within a transaction, and what to look for after its commit.

        Refused by what is known now; at its pick-up it is asked again.  A run is known by its key there: one that names
        none gets one.  Raises UnknownWorker, WorkerDisabled, DuplicateKey, ConfigurationError.
        """
        request = self._asked(name, payload, options)
        named = replace(request, key=request.key or f"within-{uuid.uuid4().hex}")
        arrival = self.store.arrival(named)
        newest = self._read(lambda views: views.before_arrival(request))
        digests = () if named.digest is None else (named.digest, *named.other_digests)
        return Promise(name, named.key or "", digests, *newest), arrival

    def encode(self, worker: Named, payload: Payload) -> bytes | None:
        """The payload as it would be stored, checked by the worker's type hints where it is declared here.

        Raises WrongPayload.  A worker that only other processes declare takes JSON as it is; they check it.
        """
        name = name_of(worker)
        if not isinstance(payload, Mapping | msgspec.Raw | None):
            raise WrongPayload(
                f"worker {name!r}: the payload {shown(payload)} is no mapping; give the parameters by name, as in "
                "{'to': 'ada@example.org'}"
            )
        given = bytes(payload) if isinstance(payload, msgspec.Raw) else payload or {}
        body = self.bodies.get(name)
        if isinstance(body, FunctionBody | CommandBody):
            return body.take_payload(given) if isinstance(given, bytes) else body.encode_payload((), given)
        return plain_payload(name, given, "declare the worker here too, so that its hints are known")

    def _put_cancel(self, run_id: int, reason: str | None) -> call.Put:
        engine, known = self._require(), known_run(run_id)
        why: str = self._said("reason", reason, of=f"cancel of run {known}")
        return lambda answer: engine.put(mutation.cancel(known, by=current_actor(), reason=why, answer=answer))

    def _put_disable(self, worker: Named, reason: str | None) -> call.Put:
        engine, name = self._require(), name_of(worker)
        why: str = self._said("reason", reason, of=f"disable of worker {name!r}")
        return lambda answer: engine.put(mutation.disable(name, by=current_actor(), reason=why, answer=answer))

    def _put_enable(self, worker: Named) -> call.Put:
        engine, name = self._require(), name_of(worker)
        return lambda answer: engine.put(mutation.enable(name, by=current_actor(), answer=answer))

    def _put_forget(self, worker: Named) -> call.Put:
        engine, name = self._require(), name_of(worker)
        clock = self.clock
        return lambda answer: engine.put(mutation.forget(name, clock=clock, by=current_actor(), answer=answer))

    def _put_drain(self, node: str) -> call.Put:
        engine = self._require()
        wanted: str = CALL.read_one("node", node, of="drain")
        return lambda answer: engine.put(mutation.drain(wanted, by=current_actor(), answer=answer))

    def _put_prefer(self, node: str, worker: Named | None) -> call.Put:
        engine, clock = self._require(), self.clock
        wanted: str = CALL.read_one("node", node, of="prefer")
        name = None if worker is None else name_of(worker)
        return lambda answer: engine.put(
            mutation.prefer(wanted, worker=name, clock=clock, by=current_actor(), answer=answer)
        )

    def _put_replay(self, run_id: int, delay: Duration) -> call.Put:
        engine, known = self._require(), known_run(run_id)
        delay_s: float = CALL.read_one("delay", delay, of=f"replay of run {known}")
        return lambda answer: engine.put(mutation.replay(known, by=current_actor(), delay_s=delay_s, answer=answer))

    def _put_resolve(self, run_id: int, note: str | None) -> call.Put:
        engine, known = self._require(), known_run(run_id)
        said: str = self._said("note", note, of=f"resolve of run {known}")
        return lambda answer: engine.put(mutation.resolve(known, by=current_actor(), note=said, answer=answer))

    def _put_discard(self, run_id: int, note: str | None) -> call.Put:
        engine, known = self._require(), known_run(run_id)
        said: str = self._said("note", note, of=f"discard of run {known}")
        return lambda answer: engine.put(mutation.discard(known, by=current_actor(), note=said, answer=answer))

    def _put_set_aside(self, rows: Sequence[Unreadable], note: str | None) -> call.Put:
        engine, clock, places = self._require(), self.clock, tuple(row.place for row in rows)
        said: str = self._said("note", note, of="set_aside")
        return lambda answer: engine.put(
            mutation.set_aside(places, clock=clock, by=current_actor(), note=said, answer=answer)
        )

    def _to_set_aside(self, rows: Collection[Unreadable] | None) -> Iterator[Sequence[Unreadable]]:
        """A few at a time, for each batch is one transaction."""
        given: tuple[Unreadable, ...] | None = CALL.read_one("rows", rows, of="set_aside")
        found = list(self._read(lambda views: views.unreadable()) if given is None else given)
        for first in range(0, len(found), MAX_SET_ASIDE):
            yield found[first : first + MAX_SET_ASIDE]

    def _put_record(self, action: str, about: str | None, before: str | None, after: str | None) -> call.Put:
        engine = self._require()
        given = CALL.read({"action": action, "about": about, "before": before, "after": after}, of="record")
        facts = {
            "by": current_actor(),
            "worker": given["about"] or "",
            "before": self._masked(given["before"]),
            "after": self._masked(given["after"]),
        }
        return lambda answer: engine.put(mutation.record(given["action"], **facts, answer=answer))

    def _note(self, action: str, *, by: str, before: str, after: str) -> None:
        """The same with nobody waiting: what the store does not take is tried again (H5).  Raises NotStarted."""
        before, after = self._masked(before), self._masked(after)
        facts = {"by": storable(by, MAX_CHARS), "worker": "", "before": before, "after": after}
        self._require().put(mutation.record(action, **facts, answer=None))

    def _said(self, name: str, value: str | None, *, of: str) -> str:
        """Why, or what was done: it is kept for long, so no secret stays in it."""
        return self._masked(CALL.read_one(name, value, of=of))

    def _masked(self, text: str) -> str:
        return redaction(self.redact, self.redact_patterns).knowing(self.secrets).text(text) if text else text

    def _put_watch(self, run_id: int) -> call.Put:
        engine, known = self._require(), known_run(run_id)
        return lambda answer: engine.watch(known, answer)

    def _read(self, question: Callable[[Views], T]) -> T:
        """Ask the store, in the calling thread."""
        self._require()
        CALL.read_one("question", question)
        with self._views_lock:
            if self._views is None:
                self._views = self.new_views()
            return question(self._views)

    # ── operating, from a loop ───────────────────────────────────────────────────────────────────────────────────

    async def trigger(
        self, worker: Named, payload: Payload = None, /, **options: Unpack[TriggerOptions]
    ) -> RunHandle[Any]:
        """Store a run of *worker* (a name or a function); returns after its commit.

        *payload*: its parameters by name, None or empty where it takes none.  A `msgspec.Raw` is JSON that somebody
        wrote: an object, which is stored byte for byte.  *options*: see `TriggerOptions`.

        With `within=` it returns after the insert, a `PromisedRun`: the commit is yours.  Raises UnknownWorker,
        WrongPayload, WorkerDisabled, DuplicateKey, NotStarted, StoreUnavailable.
        """
        return await self._trigger(name_of(worker), self.encode(worker, payload), options)

    async def _trigger_call(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> RunHandle[Any]:
        """What `Worker.trigger` awaits."""
        body = self.bodies[name]
        payload = body.encode_payload(args, kwargs) if isinstance(body, FunctionBody | CommandBody) else None
        return await self._trigger(name, payload, options)

    async def _trigger(self, name: str, payload: bytes | None, options: Mapping[str, Any]) -> RunHandle[Any]:
        within = options.get("within")
        if within is None:
            return RunHandle(self, await call.on_loop(self._put_trigger(self._asked(name, payload, options))))
        promise, arrival = await asyncio.to_thread(self._arriving, name, payload, options)
        done = insert(within, arrival)
        if done is not None:
            await done
        return PromisedRun(self, promise)

    async def _promised(self, promise: Promise, *, timeout_s: float | None) -> Run:
        """The run of a trigger within a transaction, once it is there.  Raises WaitTimeout, NotAllowed."""
        until_s = None if timeout_s is None else self.clock.monotonic_s() + timeout_s
        pause_s = MIN_PROMISE_POLL_S
        while True:
            found: Run | None = await asyncio.to_thread(self._read, lambda views: views.promised(promise))
            if found is not None:
                return found
            left_s = pause_s if until_s is None else until_s - self.clock.monotonic_s()
            if left_s <= 0:
                raise WaitTimeout(
                    f"no run of {promise.worker!r} with key {promise.key!r} is there: its transaction is not "
                    "committed, or no node has picked it up yet"
                )
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(MAX_PROMISE_POLL_S, pause_s * 1.5)

    async def cancel(self, run_id: int, *, reason: str | None = None) -> Run:
        """End a run: at once while it waits, by asking its body while it runs.  Raises UnknownRun, NotAllowed."""
        run: Run = await call.on_loop(self._put_cancel(run_id, reason))
        return run

    async def disable(self, worker: Named, *, reason: str | None = None) -> WorkerState:
        """Start nothing new of it; what runs goes on.  Twice is once: the first reason stays.  Raises UnknownWorker."""
        state: WorkerState = await call.on_loop(self._put_disable(worker, reason))
        return state

    async def enable(self, worker: Named) -> WorkerState:
        """Start again; resets the streak and the breaker.  Raises UnknownWorker."""
        state: WorkerState = await call.on_loop(self._put_enable(worker))
        return state

    async def forget(self, worker: Named) -> None:
        """Remove a worker that no live node declares.  Raises UnknownWorker, NotAllowed."""
        await call.on_loop(self._put_forget(worker))

    async def drain(self, node: str) -> Node:
        """Let a node (its id or its name) finish what runs and start nothing new until it is started again.

        Raises UnknownNode.
        """
        drained: Node = await call.on_loop(self._put_drain(node))
        return drained

    async def prefer(self, node: str, worker: Named | None = None) -> tuple[str, ...]:
        """What a node (its id or its name) declares is the newest from now on, of one worker or of all it declares.

        So it holds in the whole fleet, a moment later, until newer code comes.  The answer names the workers and
        resources that this changes.  Raises UnknownNode, UnknownWorker, NotAllowed.
        """
        names: tuple[str, ...] = await call.on_loop(self._put_prefer(node, worker))
        return names

    async def replay(self, run_id: int, *, delay: Duration = 0.0) -> RunHandle[Any]:
        """A new run of a dead letter, with the same payload bytes, due after *delay*.

        Raises UnknownRun, NotAllowed where it was closed already.
        """
        return RunHandle(self, await call.on_loop(self._put_replay(run_id, delay)))

    async def resolve(self, run_id: int, *, note: str | None = None) -> DeadLetter:
        """Close a dead letter with a note.  Raises UnknownRun, NotAllowed where it was closed otherwise."""
        letter: DeadLetter = await call.on_loop(self._put_resolve(run_id, note))
        return letter

    async def discard(self, run_id: int, *, note: str | None = None) -> DeadLetter:
        """Close a dead letter as not worth anything.  Raises UnknownRun, NotAllowed where it was closed otherwise."""
        letter: DeadLetter = await call.on_loop(self._put_discard(run_id, note))
        return letter

    async def unreadable(self) -> list[Unreadable]:
        """Every stored row that cannot be read, with the reason (W8).  All of the store is looked through."""
        return await asyncio.to_thread(self._read, lambda views: views.unreadable())

    async def set_aside(
        self, rows: Collection[Unreadable] | None = None, *, note: str | None = None
    ) -> list[Unreadable]:
        """Move rows that cannot be read into the table `set_aside`: those that `unreadable` named, or all there are.

        The answer is what was moved: a row that can be read by now, or is not there any more, is left alone.
        """
        moved: list[Unreadable] = []
        for batch in await asyncio.to_thread(lambda: list(self._to_set_aside(rows))):
            moved += await call.on_loop(self._put_set_aside(batch, note))
        return moved

    async def record(
        self, action: str, *, about: str | None = None, before: str | None = None, after: str | None = None
    ) -> None:
        """Put into the audit what was done beside the store, a log-in to the application around us say (A8).

        *action*: a word or two; *about*: a worker, where it is about one; *before* and *after*: what it changed.
        """
        await call.on_loop(self._put_record(action, about, before, after))

    async def audit(self, wanted: AuditFilter = AuditFilter()) -> list[Act]:  # noqa: B008  # immutable
        """What people did, the newest first: the newest 50, or as *wanted* says (A8).

        The next page begins `before` the number of the last one.
        """
        return await asyncio.to_thread(self._read, lambda views: views.audit(wanted))

    async def verify_audit(self, *heads: Head) -> AuditVerdict:
        """Whether the audit says what was sealed, and what of it is proven; with *heads* that were kept elsewhere."""
        return await asyncio.to_thread(self._verified, heads)

    def _verified(self, heads: Sequence[Head]) -> AuditVerdict:
        from shiftboss.app.audit_key import keys_of  # for current_actor asks only

        given: tuple[Head, ...] = CALL.read_one("heads", heads, of="verify_audit")
        keys = keys_of(self.store, create=False)
        return self._read(lambda views: views.verify_audit(keys, given))

    async def wait_for(self, run_id: int, *, timeout: Duration | None = None) -> Run:
        """Wait until a run has ended, here or on any node; *timeout* None waits without end.

        Raises UnknownRun, and WaitTimeout when it takes longer; the run goes on.
        """
        timeout_s: float | None = CALL.read_one("timeout", timeout)
        run: Run = await call.wait_on_loop(self._put_watch(run_id), timeout_s=timeout_s, what=f"run {run_id}")
        return run

    async def ask(self, question: Callable[[Views], T]) -> T:
        """Any question to the store, in a thread: `await boss.ask(lambda views: views.next_instants("report", 5))`."""
        return await asyncio.to_thread(self._read, question)

    async def status(self) -> SystemStatus:
        """The state of everything; disabled workers first."""
        return await asyncio.to_thread(self._read, lambda views: views.status())

    async def health(self) -> SystemHealth:
        """How well the whole is and each worker, with the reasons, worst first (H1 to H3)."""
        return await asyncio.to_thread(self._read, lambda views: views.health())

    async def nodes(self) -> tuple[NodeStatus, ...]:
        """The nodes that the store knows, those whose lease has ended among them until they are forgotten."""
        return await asyncio.to_thread(self._read, lambda views: views.nodes())

    async def why(self, worker: Named) -> Explanation | None:
        """Every hold of the worker's next run; None when nothing waits.  Raises UnknownWorker."""
        name = name_of(worker)
        return await asyncio.to_thread(self._read, lambda views: views.why(name))

    async def why_run(self, run_id: int) -> Explanation:
        """Every hold of one run; none where it runs, has ended or is about to start.  Raises UnknownRun."""
        known = known_run(run_id)
        return await asyncio.to_thread(self._read, lambda views: views.why_run(known))

    async def run_info(self, run_id: int) -> Run:
        """A run as the store has it now, with payload, result and attempts.  Raises UnknownRun."""
        known = known_run(run_id)
        return await asyncio.to_thread(self._read, lambda views: views.run(known))

    async def runs(self, wanted: HistoryFilter = HistoryFilter()) -> list[Run]:  # noqa: B008  # immutable
        """Runs, live and finished, newest first, without payloads: the newest 50, or as *wanted* says.

        The next page begins `before` the id of the last one.
        """
        return await asyncio.to_thread(self._read, lambda views: views.history(wanted))

    async def lines(self, run_id: int) -> list[LogLine]:
        """What the attempts of a run logged, the last 1,000 lines of each.  Raises UnknownRun."""
        known = known_run(run_id)
        return await asyncio.to_thread(self._read, lambda views: views.lines(known))

    async def dead_letters(self, wanted: LetterFilter = LetterFilter()) -> list[DeadLetter]:  # noqa: B008  # immutable
        """Dead letters, newest first: the newest 1,000 open ones, or as *wanted* says; `state=None` is all of them."""
        return await asyncio.to_thread(self._read, lambda views: views.letters(wanted))


def known_run(given: Any) -> int:
    """Raises ConfigurationError, UnknownRun."""
    known: int = CALL.read_one("run_id", given)
    return known
