"""What a stored row leaves out is what the default of its field says (W4).

Values are written without the fields that have their default.  So a default says what old rows mean, and never changes.
A new field may be added, with the default that old rows mean.
"""

from __future__ import annotations

import re
from enum import Enum

import pytest

from shiftboss.core import declarations, events, model, policy, worker
from shiftboss.core.value import Value

TABLE = """
Attempt: cause=None, error=None, code_version=''
BreakerState: policy=BreakerPolicy(), mode=closed, failures=0, window=(), opened_at=None, until=None,
    cooldown_s=None, successes=0, unreadable=None
CancelRequest: reason=''
Claim: probe=False, fallback=False, zombie_since=None
ClockMark: set_us=0, steps=()
DeadLetter: state='open', closed_at=None, closed_by='', note='', replayed_as=None, unreadable=None
Disabled: error=None, run=None, probation_s=None, probation_until=None
Error: message='', traceback=''
Failed: fatal=False, retry_after_s=None, crashed=False
Interrupted: reason='', began=True
Node: held_since_s=0.0, mode=running, slots=100, executors=<factory>, workers=<factory>, shed=nothing,
    shed_reason='', lag_s=0.0, memory_bytes=0, pid=0, host='', version='', code_version='', unreadable=None,
    durability='', decodes=(), freeze_limit_s=0.0, declares=<factory>, resources=<factory>
Progress: total=None, message='', at=None
Record: latest=None, last_instant=None, anchor_at=None, last_run_at=None, last_success_at=None,
    last_success_started_at=None, last_error=None, last_error_at=None, streak=0, failed_iterations=0, ring=(),
    owes_letters=False, tokens=None, tokens_at=None, unreadable=None, ran_ahead=()
Report: code_version='', traceparent=None
Run: attempt=0, attempts=(), claim=None, covers_until=None, missed=0, key=None, digest=None, payload=None,
    forced=False, degraded=False, give_up_at=None, deadline_at=None, first_started_at=None, finished_at=None,
    cause=None, error=None, result=None, result_error=None, interruptions=0, rescues=0, cancel=None,
    progress=None, heartbeat_at=None, replay_of=None, caused_by=None, by='', traceparent=None, unreadable=None,
    by_calendar=False, masked=(), clock_set_us=0, undecodable='', encoded_by='', place_at=None
Succeeded: result=None, idle_s=None, result_error=None
WorkerState: disabled=None, unreadable=None, declarations=Declarations()
ArrivalRefused: key='', by='', reason=''
AttemptEnded: attempt=1, cause=error, error=None, retry_at=None
Audit: by='', action='', before='', after=''
BreakerClosed: breaker=''
BreakerHalfOpen: breaker=''
BreakerOpened: breaker='', until=None
ClockStepped: step_s=0.0
DeadLettered: cause=error, error=None
Event: worker='', run=None, node=''
NodeDrained: drained=0, interrupted=0, waiting=0, lost=0
NodeFrozen: name='', seconds=0.0, bodies='', stack=''
NodeJoined: name=''
NodeLeft: name='', lost=False
NodeShedding: level='', reason=''
RunEnded: status=succeeded, cause=None, duration_s=0.0, error=None, attempt=0, attempt_cause=None
RunRescued: lost_node='', due_at=None
RunSkipped: reason=misfire, first=None, last=None, count=1
RunStarted: attempt=1, delay_s=0.0
RunStored: origin=''
StaleReport: fence=0
StoreRestored: reason='', epoch=0
UnreadableEvent: reason=''
WorkerDeclared: changed=()
WorkerDisabled: by='', reason='', starves=(), accepts=False, probe_at=None
WorkerEnabled: by=''
WorkerForgotten: by=''
BreakerPolicy: failures=5, rate=None, window=20, min_calls=10, cooldown_s=30.0, max_cooldown_s=600.0,
    successes=1
HealthPolicy: degraded_rate=0.05, unhealthy_rate=0.15, min_attempts=20, expected_duration_s=None,
    slow_factor=1.5, very_slow_factor=3.0, max_due=100, heartbeat_timeout_s=60.0, expect_success_within_s=None
RetryPolicy: max_retries=3, first_s=1.0, factor=2.0, cap_s=300.0
Definition: mode=triggered, schedule=None, start=next, jitter_s=0.0, misfire=one, grace_s=60.0,
    misfire_limit=100, pause_s=0.0, priority=1, timeout_s=60.0, start_within_s=None, deadline_s=None,
    cancel_grace_s=5.0, concurrency=None, patience_s=30.0, retry=RetryPolicy(), breaker=None,
    breaker_policy=None, fallback=False, max_consecutive_failures=5, fatal_counts=None, probation_s=3600.0,
    depends_on=(), after=(), blocks=(), tags=(), uses=<factory>, rate=None, health=HealthPolicy(),
    at_most_once=False, key_ttl_s=86400.0, max_payload_bytes=1048576, executor='coroutine',
    max_runs_per_child=1000, max_memory_bytes=None, parameters='', doc='', redact=(), redact_patterns=()
Upstream: fresh=False, max_age_s=None, on_failure=wait
Declarations: known=(), current=''
"""
MODULES = (model, events, policy, worker, declarations)
STORED = dict(line.split(": ", 1) for line in re.sub(r"\n    ", " ", TABLE.strip()).split("\n"))


def shown(value: object) -> str:
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, Value):
        return f"{type(value).__name__}()"
    return "<factory>" if "Factory" in type(value).__name__ else repr(value)


@pytest.mark.parametrize("name", STORED)
def test_a_default_of_a_stored_value_stays_what_it_was(name):
    (kind,) = {vars(module)[name] for module in MODULES if name in vars(module)}
    defaults = kind.__struct_defaults__
    said = {
        f"{field}={shown(value)}"
        for field, value in zip(kind.__struct_fields__[-len(defaults) :], defaults, strict=True)
    }

    assert set(re.split(r", (?=[a-z_]+=)", STORED[name])) - said == set()
