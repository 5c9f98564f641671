"""How a node is present in the store: it declares and joins, renews its lease, and goes on in a restored store.

Rules of this file
- A client is not present: it declares only what nobody has declared yet (M7), and writes to see whether it can.
- Each renewal also tells the executors for how long they may trust the lease (C3).
- Whether the store takes writes shows only in a write.  After a failure it comes before any read: a full disk can still
  be read, which proves nothing.
"""

from __future__ import annotations

from functools import partial

from shiftboss.core import fleet
from shiftboss.core.model import Node, NodeMode
from shiftboss.core.reconcile import declare_new
from shiftboss.core.value import replace
from shiftboss.engine import membership
from shiftboss.engine.after_commit import AfterCommit
from shiftboss.engine.cycle import Turn
from shiftboss.engine.declaring import Declaring
from shiftboss.engine.load import Load
from shiftboss.engine.mutation import Mutation, Needs, deliver
from shiftboss.engine.neighbours import Neighbours
from shiftboss.engine.restored import restored_in
from shiftboss.engine.shutdown import Phase
from shiftboss.engine.state import EngineState
from shiftboss.errors import CallerError, OperatorError
from shiftboss.logs import get_logger

log = get_logger("shiftboss.engine")

TRY_WITHIN_S = 2.0  # to wait for the store's lock, to see whether it takes writes: a busy store gives it within 0.1


class Presence:
    def __init__(self, state: EngineState, *, load: Load, neighbours: Neighbours, after: AfterCommit) -> None:
        self._setup = state.setup
        self._store = state.store
        self._clock = state.clock
        self._node = state.node
        self._session = state.session
        self._cycle = state.cycle
        self._inbox = state.inbox
        self._lease = state.lease
        self._contact = state.contact
        self._shutdown = state.shutdown
        self._load = load
        self._neighbours = neighbours
        self._after = after
        self._declaring = _declaring_of(state)
        self._epoch: int | None = None  # of the store, when this process last declared

    def enter(self) -> None:
        """Declare and join, or look as a client.  Raises what the store raises, and what `declare` refuses."""
        if self._node is None or self._declaring is None:
            self._cycle.turn()
            if self._setup.declares_new:
                self._declare_new()
        else:
            self._join(self._node, self._declaring)
            self.renew(joining=True)
        self._epoch = self._cycle.cache.epoch

    def _join(self, node: Node, declaring: Declaring) -> None:
        answer = _KeptAnswer()
        self._have_taken(declaring.joins(node, answer), answer)
        unstoppable = [
            definition.name
            for definition in self._setup.definitions
            if definition.name in node.workers and not definition.can_be_stopped and definition.timeout_s is not None
        ]
        if unstoppable:  # T2: this is said once
            log.info(
                "timeouts cannot be enforced in threads and pools: after its timeout a run of %s keeps its slot until "
                "its function returns; executor='process' can be stopped",
                ", ".join(unstoppable),
            )

    def _declare_new(self) -> None:
        definitions = self._setup.definitions
        names = tuple(definition.name for definition in definitions)
        answer = _KeptAnswer()
        rule = partial(declare_new, definitions=definitions, resources=self._setup.resources)
        self._have_taken(Mutation(rule, Needs(lanes=names), answer), answer)

    def _have_taken(self, mutation: Mutation, answer: _KeptAnswer) -> None:
        """Raises the error with which it was refused."""
        turn = self._cycle.turn([mutation])
        deliver(turn.replies)
        answer.get()
        self._after.publish(turn)

    # ── the lease, and whether the store takes writes ────────────────────────────────────────────────────────────

    def renew(self, *, joining: bool = False) -> None:
        """Renew the lease of a node; a client has none."""
        if self._node is None:
            return
        asked_s = self._clock.elapsed_s()
        processes = self._neighbours.look(self._cycle.snapshot) if joining else None
        turn = self._cycle.turn([membership.renew(self._row(self._node), self._clock)], processes=processes)
        self._lease.renewed(asked_s)
        self._lease.epoch = self._cycle.cache.epoch
        self._contact.wrote()
        ends_s = fleet.bodies_end_s(asked_s)
        frozen_s = fleet.bodies_end_at_last_s(asked_s, freeze_limit_s=self._node.freeze_limit_s)
        for executor in self._setup.executors.values():
            executor.trust(ends_s, frozen_until_s=frozen_s if self._store.shows_life else ends_s)
        self._after.act_on(turn)

    def _row(self, node: Node) -> Node:
        """*node* as it is to be stored now."""
        stored = self._cycle.snapshot.nodes.get(node.id, node)
        return replace(
            node,
            mode=NodeMode.DRAINING if self._shutdown.announced > Phase.RUNNING else stored.mode,
            shed=stored.shed,
            shed_reason=stored.shed_reason,
            lag_s=self._load.lag_s,
            memory_bytes=self._setup.resident_bytes(),
        )

    def write_if_due(self) -> None:
        """A node renews its lease, a client begins a transaction.  Raises OperatorError if that fails."""
        if self._node is not None:
            if self._lease.renew_in_s <= 0.0 or self._contact.write_in_s <= 0.0:
                self.renew()
        elif self._contact.write_in_s <= 0.0 and not len(self._inbox) and self._shutdown.requests == 0:
            # Mutations in the inbox are a write as well; a client that stops need not know any more.
            try:
                self._try_to_write()
            except OperatorError as error:
                if not len(self._inbox):
                    raise
                self._contact.failed(error)  # what arrived meanwhile has its own time limit
                self._contact.tell()

    def _try_to_write(self) -> None:
        """What a client does while it has nothing to write."""
        self._session.try_lock(TRY_WITHIN_S)
        if self._contact.has_failed:
            self._session.try_write()
        self._contact.wrote()

    # ── what should be declared ──────────────────────────────────────────────────────────────────────────────────

    def owed_declarations(self) -> Mutation | None:
        """M7: the node with the newer declaration may be gone, or a person has chosen what this node declares."""
        if self._node is None or self._declaring is None or not self._lease.is_trusted:
            return None
        me = self._cycle.snapshot.nodes.get(self._node.id)
        if me is None:
            return None
        me = self._node if me.unreadable is not None else me
        owed = self._declaring.owed(self._cycle.snapshot, me)
        return self._declaring.again(me, owed) if owed else None

    @property
    def is_owed_after_restore(self) -> bool:
        """Whether the store was put back to an earlier state since this process declared."""
        return self._cycle.cache.epoch not in (None, self._epoch) and self._shutdown.requests == 0

    def go_on_after_restore(self) -> None:
        """The store has lost what was declared after the backup: declare it again, and report the restore (M7)."""
        epoch = self._cycle.cache.epoch
        if self._node is not None and self._declaring is not None:
            self.renew()  # first: only declarations of live nodes can be in force
            self._after.act_on(self._cycle.turn([self._declaring.again(self._node)]))
        elif self._setup.declares_new:
            try:
                self._declare_new()
            except CallerError as error:
                log.error("the store was restored and refuses this client's declarations: %s", error)  # noqa: TRY400  # the message says it all
        with self._session.read() as reader:
            restored = restored_in(reader)
        if restored is not None:
            self._after.publish(Turn(events=[restored]))
        self._epoch = epoch


def _declaring_of(state: EngineState) -> Declaring | None:
    node, setup = state.node, state.setup
    if node is None:
        return None
    return Declaring(node, setup.definitions, setup.resources, state.clock, is_dead=state.store.is_dead)


class _KeptAnswer:
    """An answer that the engine itself waits for."""

    loop = None

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def resolve(self, value: object) -> None:
        pass

    def reject(self, error: BaseException) -> None:
        self._error = error

    def get(self) -> None:
        if self._error is not None:
            raise self._error
