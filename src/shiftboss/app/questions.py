"""What can be asked of an open store: each question is written once.

Rules of this file
- Questions are read from committed state, in the calling thread or in a thread beside the loop, never by the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shiftboss.app.methods import Face, Method, Question
from shiftboss.app.options import CALL, Named, known_run, name_of
from shiftboss.core.audit import Head
from shiftboss.core.model import DeadLetter, LogLine, Run
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.verify import AuditVerdict
from shiftboss.ports.faces import AuditFilter, HistoryFilter, LetterFilter, WorkerFilter

if TYPE_CHECKING:  # 15 ms of import, left to the start and the first question
    from shiftboss.app.acts import Act
    from shiftboss.app.status import NodeStatus, SystemStatus
    from shiftboss.core.explain import Explanation
    from shiftboss.core.health import SystemHealth

NEWEST_RUNS, NEWEST_LETTERS, NEWEST_ACTS = HistoryFilter(), LetterFilter(), AuditFilter()
EVERY_WORKER = WorkerFilter()


class Questions(Face):
    """The questions that the orchestrator and `boss.sync` share."""

    @Method
    def status(self, wanted: WorkerFilter = EVERY_WORKER) -> Question[SystemStatus]:
        """The state of everything; disabled workers first, then the worst.  All workers, or those that *wanted* names.

        The next page begins at the `cursor` that is `next` of the one before.
        """
        return Question(lambda views: views.status(wanted))

    @Method
    def health(self, wanted: WorkerFilter = EVERY_WORKER) -> Question[SystemHealth]:
        """The health of the whole and of each worker, with the reasons, worst first (H1 to H3).

        All workers, or those that *wanted* names.  The next page begins at the `cursor` that is `next` of the one
        before.
        """
        return Question(lambda views: views.health(wanted))

    @Method
    def nodes(self) -> Question[tuple[NodeStatus, ...]]:
        """The nodes that the store knows, including those whose lease has ended, until they are forgotten."""
        return Question(lambda views: views.nodes())

    @Method
    def why(self, worker: Named) -> Question[Explanation | None]:
        """Every hold of the worker's next run; None if nothing waits.  Raises UnknownWorker."""
        name = name_of(worker)
        return Question(lambda views: views.why(name))

    @Method
    def why_run(self, run_id: int) -> Question[Explanation]:
        """Every hold of one run; none if it runs, has ended or is about to start.  Raises UnknownRun."""
        known = known_run(run_id)
        return Question(lambda views: views.why_run(known))

    @Method
    def run_info(self, run_id: int) -> Question[Run]:
        """A run as the store has it now, with payload, result and attempts.  Raises UnknownRun."""
        known = known_run(run_id)
        return Question(lambda views: views.run(known))

    @Method
    def runs(self, wanted: HistoryFilter = NEWEST_RUNS) -> Question[list[Run]]:
        """Runs, live and finished, newest first, without payloads: the newest 50, or as *wanted* says.

        The next page begins `before` the id of the last one.
        """
        return Question(lambda views: views.history(wanted))

    @Method
    def lines(self, run_id: int) -> Question[list[LogLine]]:
        """What the attempts of a run logged, the last 1,000 lines of each.  Raises UnknownRun."""
        known = known_run(run_id)
        return Question(lambda views: views.lines(known))

    @Method
    def dead_letters(self, wanted: LetterFilter = NEWEST_LETTERS) -> Question[list[DeadLetter]]:
        """Dead letters, newest first: the newest 1,000 open ones, or as *wanted* says; `state=None`: all of them."""
        return Question(lambda views: views.letters(wanted))

    @Method
    def unreadable(self) -> Question[list[Unreadable]]:
        """Every stored row that cannot be read, with the reason (W8).  This reads the whole store."""
        return Question(lambda views: views.unreadable())

    @Method
    def audit(self, wanted: AuditFilter = NEWEST_ACTS) -> Question[list[Act]]:
        """What people did, the newest first: the newest 50, or as *wanted* says (A8).

        The next page begins `before` the number of the last one.
        """
        return Question(lambda views: views.audit(wanted))

    @Method
    def verify_audit(self, *heads: Head) -> Question[AuditVerdict]:
        """Whether the audit still says what was sealed, and how much is proven; *heads*: seals kept elsewhere."""
        from shiftboss.app.audit_key import keys_of  # only for those who ask

        given: tuple[Head, ...] = CALL.read_one("heads", heads, of="verify_audit")
        node = self.opened()
        return Question(lambda views: views.verify_audit(keys_of(node.store, create=False), given))
