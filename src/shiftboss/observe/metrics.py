"""Metrics for Prometheus: the fleet's state, read from the store at each scrape; this process's work, from its events.

Rules of this file
- Names carry unit and kind.  A value of the fleet is the same on every node that is scraped; a counter is of this
  process alone.
- Labels are names of workers and nodes, and words of closed vocabularies: never a part of a payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shiftboss.core.events import AttemptEnded, Event, RunEnded, RunRescued, RunSkipped, RunStarted
from shiftboss.core.health import Health
from shiftboss.core.model import BreakerMode, Cause

DURATIONS_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
CYCLES_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
DELAYS_S = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0)


class MeasuredStatus(Protocol):
    """The parts of a status that are read here (`app/views.py`)."""

    @property
    def at(self) -> datetime: ...
    @property
    def nodes(self) -> Sequence[Any]: ...
    @property
    def workers(self) -> Sequence[Any]: ...
    @property
    def totals(self) -> Any: ...


class EventCounter:
    """Counts what this process did; called with the events of each commit."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._runs = Counter(
            "shiftboss_runs", "Runs that ended, by status and cause.", ("worker", "outcome"), registry=self.registry
        )
        self._attempts = Counter(
            "shiftboss_attempts", "Attempts that ended, by outcome.", ("worker", "outcome"), registry=self.registry
        )
        self._durations = Histogram(
            "shiftboss_run_duration_seconds",
            "Duration of the last attempt of a run.",
            ("worker",),
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        self._delays = Histogram(
            "shiftboss_start_delay_seconds",
            "Time from due to start.",
            ("worker",),
            buckets=DELAYS_S,
            registry=self.registry,
        )
        self._cycles = Histogram(
            "shiftboss_cycle_duration_seconds",
            "Duration of a cycle of the engine, with its transaction.",
            buckets=CYCLES_S,
            registry=self.registry,
        )
        self._store_errors = Counter(
            "shiftboss_store_errors", "Transactions that failed in the store.", registry=self.registry
        )

    def cycle(self, duration_s: float) -> None:
        self._cycles.observe(duration_s)

    def store_error(self, error: Exception) -> None:
        self._store_errors.inc()

    def __call__(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case RunStarted():
                    self._delays.labels(event.worker).observe(max(0.0, event.delay_s))
                case AttemptEnded():
                    self._attempts.labels(event.worker, event.cause.value).inc()
                case RunEnded():
                    self._runs.labels(event.worker, event.status.value).inc()
                    if event.attempt:
                        cause = event.attempt_cause
                        self._attempts.labels(event.worker, "succeeded" if cause is None else cause.value).inc()
                        self._durations.labels(event.worker).observe(event.duration_s)
                case RunRescued():
                    self._attempts.labels(event.worker, Cause.RESCUED.value).inc()
                case RunSkipped():
                    self._runs.labels(event.worker, "skipped").inc()
                case _:
                    pass


def exposition(
    status: MeasuredStatus | None,
    counted: EventCounter,
    *,
    version: str,
    is_store_up: bool,
    contact_age_s: float | None,
    log_bytes: int = 0,
) -> tuple[bytes, str]:
    """Text for Prometheus, and its content type.  Without a *status*, if the store is away, it has no fleet values."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_WithoutCreated(counted.registry))
    families = [*_of_store(contact_age_s, log_bytes, is_up=is_store_up), _built(version)]
    if status is not None:
        families = [*_of_workers(status), *_of_nodes(status), _of_all(status), *families]
    fleet = "".join(family.text() for family in families)
    return fleet.encode() + generate_latest(registry), CONTENT_TYPE_LATEST


class _WithoutCreated(Collector):
    """The counters without their `_created` series, which nobody queries and which take room."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class _Gauge:
    """A family in the text format.

    Written here because ten thousand workers have 170,000 series: the library took 5.5 s for them, this takes 0.1 s.
    """

    def __init__(self, name: str, says: str) -> None:
        self._name = name
        self._lines = [f"# HELP {name} {says}\n# TYPE {name} gauge\n"]

    def add(self, labels: str, value: float) -> None:
        """*labels*: as `_label` writes them."""
        self._lines.append(f"{self._name}{{{labels}}} {value!r}\n" if labels else f"{self._name} {value!r}\n")

    def text(self) -> str:
        return "".join(self._lines)


def _label(name: str, value: str) -> str:
    return f'{name}="{value}"' if value.isalnum() else f'{name}="{_escaped(value)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _of_workers(status: MeasuredStatus) -> Iterator[_Gauge]:
    running = _Gauge("shiftboss_runs_running", "Runs in progress in the fleet.")
    pending = _Gauge("shiftboss_runs_pending", "Pending runs, counted to 1,001.")
    oldest = _Gauge("shiftboss_oldest_due_age_seconds", "Waiting time of the run that has been due the longest.")
    success = _Gauge("shiftboss_last_success_timestamp_seconds", "Time of the last success of the worker.")
    letters = _Gauge("shiftboss_dead_letters", "Open dead letters.")
    enabled = _Gauge("shiftboss_worker_enabled", "1 while the worker is enabled, else 0.")
    health = _Gauge("shiftboss_worker_health", "1 for the health of the worker, 0 for the others.")
    breaker = _Gauge("shiftboss_breaker_state", "1 for the state of the worker's breaker, 0 for the others.")
    healths = [(each.value, f",{_label('health', each.value)}") for each in Health]
    modes = [(each.value, f",{_label('state', each.value)}") for each in BreakerMode]
    now = status.at
    for worker in status.workers:
        name = _label("worker", worker.name)
        running.add(name, worker.running)
        pending.add(name, worker.pending)
        due = worker.next_due_at
        oldest.add(name, max(0.0, (now - due).total_seconds()) if due is not None else 0.0)
        if worker.last_success_at is not None:
            success.add(name, worker.last_success_at.timestamp())
        letters.add(name, worker.dead_letters)
        enabled.add(name, int(worker.enabled))
        for value, label in healths:
            health.add(name + label, int(value == worker.health))
        for value, label in modes if worker.breaker is not None else ():
            breaker.add(name + label, int(value == worker.breaker))
    return iter((running, pending, oldest, success, letters, enabled, health, breaker))


def _of_nodes(status: MeasuredStatus) -> Iterator[_Gauge]:
    slots = _Gauge("shiftboss_node_slots", "Slots of a live node.")
    used = _Gauge("shiftboss_node_slots_used", "Slots in use on a live node.")
    lag = _Gauge("shiftboss_event_loop_lag_seconds", "Event-loop lag of a node.")
    for node in status.nodes:
        if node.live:
            name = _label("node", node.name)
            slots.add(name, node.slots)
            used.add(name, node.used)
            lag.add(name, node.lag_s)
    return iter((slots, used, lag))


def _of_all(status: MeasuredStatus) -> _Gauge:
    """All workers, also those that have no series of their own."""
    workers = _Gauge("shiftboss_workers", "Workers by health, also those without series of their own.")
    for each in Health:
        workers.add(_label("health", each.value), status.totals.health.get(each.value, 0))
    return workers


def _of_store(contact_age_s: float | None, log_bytes: int, *, is_up: bool) -> Iterator[_Gauge]:
    up = _Gauge("shiftboss_store_up", "1 while the store accepts work from this process, else 0.")
    up.add("", int(is_up))
    age = _Gauge("shiftboss_store_contact_age_seconds", "For how long the store has not answered this process.")
    if contact_age_s is not None:
        age.add("", round(contact_age_s, 3))
    log = _Gauge("shiftboss_store_log_bytes", "Size of the write-ahead log beside a store in a file; 0 elsewhere.")
    log.add("", log_bytes)
    return iter((up, age, log))


def _built(version: str) -> _Gauge:
    built = _Gauge("shiftboss_build_info", "The version that was scraped.")
    built.add(_label("version", version), 1)
    return built
