"""Metrics for Prometheus: what the fleet is, from the store at scrape time; what this process did, from its events.

Rules of this file
- Names carry unit and kind; a fleet-wide value is the same whichever node is scraped, a counter is this process's own.
- Labels are names of workers, nodes and words of closed vocabularies: nothing that a payload could say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shiftboss.core.events import AttemptEnded, Event, RunEnded, RunRescued, RunSkipped, RunStarted
from shiftboss.core.health import Health
from shiftboss.core.model import BreakerMode, Cause

DURATIONS_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
CYCLES_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
DELAYS_S = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0)


class Status(Protocol):
    """What is read of a status (`app/views.py`)."""

    @property
    def at(self) -> datetime: ...
    @property
    def nodes(self) -> Sequence[Any]: ...
    @property
    def workers(self) -> Sequence[Any]: ...


class Counted:
    """What this process did: called with the events of each commit."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._runs = Counter(
            "shiftboss_runs", "Runs that ended, by how.", ("worker", "outcome"), registry=self.registry
        )
        self._attempts = Counter(
            "shiftboss_attempts", "Attempts that ended, by how.", ("worker", "outcome"), registry=self.registry
        )
        self._durations = Histogram(
            "shiftboss_run_duration_seconds",
            "How long the attempt took with which a run ended.",
            ("worker",),
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        self._delays = Histogram(
            "shiftboss_start_delay_seconds",
            "From due to start.",
            ("worker",),
            buckets=DELAYS_S,
            registry=self.registry,
        )
        self._cycles = Histogram(
            "shiftboss_cycle_duration_seconds",
            "How long a cycle of the engine took, its transaction included.",
            buckets=CYCLES_S,
            registry=self.registry,
        )
        self._store_errors = Counter(
            "shiftboss_store_errors", "Transactions that the store did not take.", registry=self.registry
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


def exposition(status: Status, counted: Counted, *, version: str) -> tuple[bytes, str]:
    """Text for Prometheus, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_FromStore(status, version))
    registry.register(_WithoutCreated(counted.registry))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _WithoutCreated(Collector):
    """What was counted, without a series beside each that says since when: nobody asks, and each costs its room."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class _FromStore(Collector):
    def __init__(self, status: Status, version: str) -> None:
        self._status = status
        self._version = version

    def collect(self) -> Iterator[Metric]:
        yield from self._of_workers()
        yield from self._of_nodes()
        built = GaugeMetricFamily("shiftboss_build_info", "The version that was scraped.", labels=("version",))
        built.add_metric((self._version,), 1)
        yield built

    def _of_workers(self) -> Iterator[Metric]:
        running = _gauge("shiftboss_runs_running", "Runs in progress in the fleet.")
        pending = _gauge("shiftboss_runs_pending", "Runs that wait, counted to 1,001.")
        oldest = _gauge("shiftboss_oldest_due_age_seconds", "For how long the run that is due longest has waited.")
        success = _gauge("shiftboss_last_success_timestamp_seconds", "When a run of it last succeeded.")
        letters = _gauge("shiftboss_dead_letters", "Dead letters that are open.")
        enabled = _gauge("shiftboss_worker_enabled", "1 while the worker is enabled, else 0.")
        health = _gauge("shiftboss_worker_health", "1 for the health that the worker has, 0 for the others.", "health")
        breaker = _gauge(
            "shiftboss_breaker_state", "1 for the state that the worker's breaker is in, 0 for the others.", "state"
        )
        now = self._status.at
        for worker in self._status.workers:
            name = worker.name
            running.add_metric((name,), worker.running)
            pending.add_metric((name,), worker.pending)
            due = worker.next_due_at
            oldest.add_metric((name,), max(0.0, (now - due).total_seconds()) if due is not None else 0.0)
            if worker.last_success_at is not None:
                success.add_metric((name,), worker.last_success_at.timestamp())
            letters.add_metric((name,), worker.dead_letters)
            enabled.add_metric((name,), float(worker.enabled))
            for each in Health:
                health.add_metric((name, each.value), float(each.value == worker.health))
            for mode in BreakerMode if worker.breaker is not None else ():
                breaker.add_metric((name, mode.value), float(mode.value == worker.breaker))
        yield from (running, pending, oldest, success, letters, enabled, health, breaker)

    def _of_nodes(self) -> Iterator[Metric]:
        slots = GaugeMetricFamily("shiftboss_node_slots", "Slots of a live node.", labels=("node",))
        used = GaugeMetricFamily("shiftboss_node_slots_used", "Slots in use, of a live node.", labels=("node",))
        lag = GaugeMetricFamily("shiftboss_event_loop_lag_seconds", "Lag of a node's event loop.", labels=("node",))
        for node in self._status.nodes:
            if node.live:
                slots.add_metric((node.name,), node.slots)
                used.add_metric((node.name,), node.used)
                lag.add_metric((node.name,), node.lag_s)
        yield from (slots, used, lag)


def _gauge(name: str, text: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=("worker", *more))
