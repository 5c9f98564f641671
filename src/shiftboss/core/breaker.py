"""The circuit breaker: closed → open → half-open → closed, as a fold over the ends of attempts (K1, K2).

Rules of this file
- An attempt that began before the breaker opened neither closes nor re-opens it.
- While the breaker is half-open, only the probe counts.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.events import BreakerClosed, BreakerOpened, Event
from shiftboss.core.model import BreakerMode, BreakerState, Claim
from shiftboss.core.policy import BreakerPolicy
from shiftboss.core.value import later, replace


def after_attempt(
    breaker: BreakerState, now: datetime, *, claim: Claim, ok: bool
) -> tuple[BreakerState, tuple[Event, ...]]:
    """The breaker after an attempt under *claim* succeeded or failed."""
    if claim.fallback or (breaker.opened_at is not None and claim.at < breaker.opened_at):
        return breaker, ()
    match breaker.mode:
        case BreakerMode.CLOSED:
            return _closed(breaker, now, ok=ok)
        case BreakerMode.OPEN | BreakerMode.HALF_OPEN if not claim.probe:
            return breaker, ()
        case _:
            return _probed(breaker, now, ok=ok)


def reset(breaker: BreakerState) -> BreakerState:
    """Closed, as if new; attempts that began earlier still do not count."""
    return BreakerState(name=breaker.name, policy=breaker.policy, opened_at=breaker.opened_at)


def _closed(breaker: BreakerState, now: datetime, *, ok: bool) -> tuple[BreakerState, tuple[Event, ...]]:
    policy = breaker.policy
    window = (*breaker.window, ok)[-policy.window :] if policy.rate is not None else ()
    failures = 0 if ok else breaker.failures + 1
    if failures == breaker.failures and window == breaker.window:
        return breaker, ()
    counted = replace(breaker, failures=failures, window=window)
    if not ok and (failures >= policy.failures or _rate_is_reached(policy, window)):
        return _opened(counted, now, cooldown_s=policy.cooldown_s)
    return counted, ()


def _rate_is_reached(policy: BreakerPolicy, window: tuple[bool, ...]) -> bool:
    if policy.rate is None or len(window) < policy.min_calls:
        return False
    return window.count(False) / len(window) >= policy.rate


def _probed(breaker: BreakerState, now: datetime, *, ok: bool) -> tuple[BreakerState, tuple[Event, ...]]:
    policy = breaker.policy
    if not ok:
        cooldown_s = min(policy.max_cooldown_s, 2 * (breaker.cooldown_s or policy.cooldown_s))
        return _opened(breaker, now, cooldown_s=cooldown_s)
    successes = breaker.successes + 1
    if successes < policy.successes:
        return replace(breaker, successes=successes), ()
    return reset(breaker), (BreakerClosed(at=now, breaker=breaker.name),)


def _opened(breaker: BreakerState, now: datetime, *, cooldown_s: float) -> tuple[BreakerState, tuple[Event, ...]]:
    until = later(now, cooldown_s)
    opened = replace(
        breaker, mode=BreakerMode.OPEN, opened_at=now, until=until, cooldown_s=cooldown_s, successes=0, window=()
    )
    return opened, (BreakerOpened(at=now, breaker=breaker.name, until=until),)
