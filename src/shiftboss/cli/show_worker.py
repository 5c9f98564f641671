"""The page of one worker: settings in words, relations, health, next scheduled times, last runs."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from shiftboss.app.pages import PageOfWorker
from shiftboss.app.status import WorkerStatus
from shiftboss.cli import formatting, hold_text, relations, table, times
from shiftboss.cli.commands.runs import show_runs
from shiftboss.cli.table import Cell, Column
from shiftboss.core.policy import BreakerPolicy
from shiftboss.core.schedule import Every
from shiftboss.core.schedule_words import until_words
from shiftboss.core.worker import Definition, Misfire, Mode

FACTS = (Column(""), Column("", wraps=True, gives=True))
MISFIRES = {Misfire.ONE: "run once", Misfire.ALL: "run all", Misfire.SKIP: "skip"}


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
    if worker.paused is not None:
        facts.append(("pause", formatting.paused(worker.paused, now)))
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
        facts.append(("consecutive failures", str(worker.consecutive_failures)))
    if page.next and worker.enabled:
        facts.append(("next", _next(page)))
    facts.append(("nodes", ", ".join(page.nodes) or "no live node"))
    facts += [("other declarations", str(other)) for other in page.declared_otherwise]
    return [(key, text) for key, text in facts]


def _next(page: PageOfWorker) -> str:
    """ "02:00:00, Tue 02:00 (Europe/Berlin), the first in 1 h": in the zone that the schedule names."""
    rule, now = page.definition.schedule, page.at
    name = None if rule is None or isinstance(rule, Every) else rule.zone
    zone, named = (None, "") if name is None else (ZoneInfo(name), f" ({name})")
    instants = ", ".join(times.clock(at, now, zone) for at in page.next)
    first = times.until(page.next[0], now) if page.next[0] > now else f"was due {times.ago(page.next[0], now)}"
    return f"{instants}{named}, the first {first}"


def _settings(page: PageOfWorker) -> list[tuple[str, str]]:
    """The declared options, without those that say nothing."""
    it = page.definition
    facts = [
        ("runs", _when(it, page.worker)),
        ("payload", _parameters(it)),
        ("priority", it.priority.label),
        ("concurrency", "unlimited" if it.concurrency is None else f"{it.concurrency} in the fleet"),
        ("timeout", times.length(it.timeout_s)),
        ("must start within", times.length(it.start_within_s) if it.start_within_s is not None else ""),
        ("deadline", times.length(it.deadline_s) if it.deadline_s is not None else ""),
        ("retries", _retries(it)),
        ("rate limit", times.rate(it.rate.count, it.rate.per_s) if it.rate is not None else ""),
        ("breaker", _breaker(it, page.worker)),
        ("auto-disable", _auto_disable(it)),
        ("missed runs", MISFIRES[it.misfire] if it.mode is Mode.SCHEDULED else ""),
        ("jitter", times.length(it.jitter_s) if it.jitter_s else ""),
        ("executor", it.executor),
        ("memory limit", formatting.in_bytes(it.max_memory_bytes) if it.max_memory_bytes is not None else ""),
        ("at most once", "an interrupted run is never retried" if it.at_most_once else ""),
        ("registered", times.ago(page.declared_at, page.at)),
    ]
    return [(key, text) for key, text in facts if text]


def _when(it: Definition, worker: WorkerStatus) -> str:
    if it.mode is Mode.SCHEDULED and it.schedule is not None:
        zone = "UTC" if isinstance(it.schedule, Every) else it.schedule.zone
        return ", ".join(filter(None, (worker.schedule, until_words(it.until, it.times, zone))))
    if it.mode is Mode.CONTINUOUS:
        return f"continuously, {times.length(it.pause_s)} pause" if it.pause_s else "continuously"
    return "after other workers" if it.after else "when triggered"


def _parameters(it: Definition) -> str:
    """The parameters' names from the fingerprint; those with a default end in a question mark."""
    names = [name for name in it.parameters.partition(":")[0].split(",") if name]
    return ", ".join(f"{name[:-1]} (optional)" if name.endswith("?") else name for name in names)


def _retries(it: Definition) -> str:
    retry = it.retry
    if retry.max_retries == 0:
        return "none"
    most = "unlimited" if retry.max_retries is None else f"up to {retry.max_retries}"
    back_off = f"{times.length(retry.first_s)}, ×{retry.factor:g} each time, at most {times.length(retry.cap_s)}"
    return f"{most}, after a random wait of up to {back_off}"


def _breaker(it: Definition, worker: WorkerStatus) -> str:
    if it.breaker is None:
        return ""
    policy = it.breaker_policy or BreakerPolicy()
    shared = "" if it.breaker == it.name else f"{it.breaker!r}, "
    fallback = ", with a fallback" if it.fallback else ""
    state = f"now {worker.breaker.replace('_', '-')}" if worker.breaker is not None else ""
    return f"{shared}opens after {policy.failures} consecutive failed attempts{fallback}; {state}".rstrip("; ")


def _auto_disable(it: Definition) -> str:
    if it.max_consecutive_failures is None:
        return "never"
    probation = "" if it.probation_s is None else f", with a test run after {times.length(it.probation_s)}"
    fatal = "" if it.counts_fatal else ", not counting fatal errors"
    return f"after {it.max_consecutive_failures} consecutive failures{fatal}{probation}"


def _relations(page: PageOfWorker) -> list[tuple[str, str]]:
    it = page.definition
    facts = [
        ("depends on", ", ".join(relations.edge_in_words(edge) for edge in it.depends_on)),
        ("runs after", ", ".join(it.after)),
        ("never runs with", ", ".join(page.blocked_with)),
        (
            "resources",
            ", ".join(f"{name} ({formatting.plural(slots, 'concurrency slot')})" for name, slots in it.uses.items()),
        ),
        ("required by", ", ".join(page.dependents)),
        ("triggers", ", ".join(page.triggers)),
        ("not named here", f"{page.related_left_out:,} more related workers" if page.related_left_out else ""),
        ("tags", ", ".join(it.tags)),
    ]
    return [(key, text) for key, text in facts if text]
