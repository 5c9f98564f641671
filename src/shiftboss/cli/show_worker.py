"""The page of one worker: settings in words, relations, health, next scheduled times, last runs."""

from __future__ import annotations

from shiftboss.app.pages import PageOfWorker
from shiftboss.app.views import WorkerStatus
from shiftboss.cli import formatting, hold_text, relations, table, times
from shiftboss.cli.commands.runs import show_runs
from shiftboss.cli.table import Cell, Column
from shiftboss.core.policy import BreakerPolicy
from shiftboss.core.worker import Definition, Mode

FACTS = (Column(""), Column("", wraps=True, gives=True))


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────


def show(page: PageOfWorker) -> None:
    worker = page.worker
    health = formatting.health(worker.health)
    table.line(Cell(worker.name, "bold"), "  ", health._replace(style=f"bold {health.style}".strip()))
    if worker.doc:
        table.line("  ", Cell(" ".join(worker.doc.split()), "italic"))
    for title, facts in (("", _now(page)), ("Settings", _settings(page)), ("Relations", _relations(page))):
        if not facts:
            continue
        table.blank()
        if title:
            table.line(Cell(title, "bold"))
        table.show(FACTS, [(Cell(key, "dim"), text) for key, text in facts], indent="  ", header=False)
    if page.runs:
        table.blank()
        table.line(Cell("Last runs", "bold"))
        show_runs(page.runs, page.at, indent="  ", of_one_worker=True)


def _now(page: PageOfWorker) -> list[tuple[str, str]]:
    """How it is, and what comes next."""
    worker, now = page.worker, page.at
    facts = [("health", formatting.reason(reason, worker, now)) for reason in worker.reasons]
    if worker.enabled:
        facts += [("held", hold_text.sentence(hold, now)) for hold in worker.holds]
    counts = [f"{worker.running} running", f"{worker.pending} pending", f"{worker.due} due"]
    if worker.dead_letters:
        counts.append(formatting.plural(worker.dead_letters, "dead letter"))
    facts.append(("runs", ", ".join(counts)))
    if worker.last_success_at is not None:
        facts.append(("last success", times.ago(worker.last_success_at, now)))
    if worker.last_error is not None and worker.last_error_at is not None:
        error_text = formatting.error(worker.last_error.type, worker.last_error.message)
        facts.append(("last error", f"{times.ago(worker.last_error_at, now)}: {error_text}"))
    if worker.consecutive_failures:
        facts.append(("dead in a row", str(worker.consecutive_failures)))
    if page.next and worker.enabled:
        instants = ", ".join(times.clock(at, now) for at in page.next)
        facts.append(("next", f"{instants}  ({times.relative(page.next[0], now)})"))
    facts.append(("nodes", ", ".join(page.nodes) or "none that lives"))
    facts += [("declared otherwise", str(other)) for other in page.declared_otherwise]
    return [(key, text) for key, text in facts]


def _settings(page: PageOfWorker) -> list[tuple[str, str]]:
    """The declared options, without those that say nothing."""
    it = page.definition
    facts = [
        ("runs", _when(it, page.worker)),
        ("takes", _parameters(it)),
        ("priority", it.priority.label),
        ("at once", "no limit" if it.concurrency is None else f"{it.concurrency} in the fleet"),
        ("timeout", times.length(it.timeout_s)),
        ("start within", times.length(it.start_within_s) if it.start_within_s is not None else ""),
        ("deadline", times.length(it.deadline_s) if it.deadline_s is not None else ""),
        ("retries", _retries(it)),
        ("rate", f"{it.rate.count} starts in {times.length(it.rate.per_s)}" if it.rate is not None else ""),
        ("breaker", _breaker(it, page.worker)),
        ("auto-disable", _auto_disable(it)),
        ("misfire", it.misfire.value if it.mode is Mode.SCHEDULED else ""),
        ("jitter", times.length(it.jitter_s) if it.jitter_s else ""),
        ("executor", it.executor),
        ("max memory", formatting.in_bytes(it.max_memory_bytes) if it.max_memory_bytes is not None else ""),
        ("once only", "a run that was cut short is never tried again" if it.at_most_once else ""),
        ("declared", times.ago(page.declared_at, page.at)),
    ]
    return [(key, text) for key, text in facts if text]


def _when(it: Definition, worker: WorkerStatus) -> str:
    if it.mode is Mode.SCHEDULED:
        return worker.schedule
    if it.mode is Mode.CONTINUOUS:
        return f"for ever, {times.length(it.pause_s)} between two iterations" if it.pause_s else "for ever"
    return "after others" if it.after else "when triggered"


def _parameters(it: Definition) -> str:
    """The parameters' names from the fingerprint; those with a default end in a question mark."""
    names = [name for name in it.parameters.partition(":")[0].split(",") if name]
    return ", ".join(f"{name[:-1]} (optional)" if name.endswith("?") else name for name in names)


def _retries(it: Definition) -> str:
    retry = it.retry
    if retry.max_retries == 0:
        return "none"
    most = "without end" if retry.max_retries is None else f"up to {retry.max_retries}"
    back_off = f"{times.length(retry.first_s)}, ×{retry.factor:g}, at most {times.length(retry.cap_s)}"
    return f"{most}, after a random part of {back_off}"


def _breaker(it: Definition, worker: WorkerStatus) -> str:
    if it.breaker is None:
        return ""
    policy = it.breaker_policy or BreakerPolicy()
    shared = "" if it.breaker == it.name else f"{it.breaker!r}, "
    fallback = ", with a fallback" if it.fallback else ""
    state = f"now {worker.breaker.replace('_', '-')}" if worker.breaker is not None else ""
    return f"{shared}opens after {policy.failures} failed attempts in a row{fallback}; {state}".rstrip("; ")


def _auto_disable(it: Definition) -> str:
    if it.max_consecutive_failures is None:
        return "never"
    probation = "" if it.probation_s is None else f", one run may probe it after {times.length(it.probation_s)}"
    fatal = "" if it.counts_fatal else ", fatal ones not counted"
    return f"after {it.max_consecutive_failures} dead runs in a row{fatal}{probation}"


def _relations(page: PageOfWorker) -> list[tuple[str, str]]:
    it = page.definition
    facts = [
        ("depends on", ", ".join(relations.edge_in_words(edge) for edge in it.depends_on)),
        ("after", ", ".join(it.after)),
        ("excludes", ", ".join(page.blocked_with)),
        ("uses", ", ".join(f"{permits} of {name}" for name, permits in it.uses.items())),
        ("waited for by", ", ".join(page.dependents)),
        ("triggers", ", ".join(page.triggers)),
        ("tags", ", ".join(it.tags)),
    ]
    return [(key, text) for key, text in facts if text]
