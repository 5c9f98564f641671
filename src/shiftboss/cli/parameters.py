"""How durations, points in time and rates are typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from shiftboss.clock import SystemClock
from shiftboss.core.kinds import duration
from shiftboss.core.policy import Rate
from shiftboss.errors import ConfigurationError


class Seconds(click.ParamType[float]):
    """A duration: "90s", "5m", "1h30m", or plain seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return duration(value, name=_option(param))
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


class Instant(click.ParamType[datetime]):
    """A point in time: ISO 8601, or a time of day; in the machine's zone if none is given."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        moment = _read_instant(value)
        if moment is None:
            self.fail(f"{value!r} is not a time; write 2027-03-28T18:00, 2027-03-28T18:00+01:00 or 18:00", param, ctx)
        return moment


class Since(click.ParamType[datetime]):
    """A point in time, or how long ago it was: "2h"."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        moment = None if isinstance(value, int | float) else _read_instant(value)
        if moment is not None:
            return moment
        try:
            return SystemClock().now() - timedelta(seconds=duration(value, name=_option(param)))
        except (ConfigurationError, OverflowError):
            self.fail(f"{value!r} is neither a duration like 2h nor a time like 2027-03-28T18:00", param, ctx)


class PerSecond(click.ParamType[Rate]):
    """A rate: "10/s", "100/m"."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        if isinstance(value, Rate):
            return value
        try:
            return Rate.parse(str(value))
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


SECONDS = Seconds()
INSTANT = Instant()
SINCE = Since()
RATE = PerSecond()


def _option(param: click.Parameter | None) -> str:
    return param.opts[0] if param is not None else "duration"


def _read_instant(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.astimezone(UTC)
    text = str(value).strip()
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # the first and last hours of the calendar exist in no other zone
        pass
    now = SystemClock().now().astimezone()
    for form in ("%H:%M", "%H:%M:%S"):
        try:
            of_day = datetime.strptime(text, form).time()  # noqa: DTZ007  # the zone comes with the day
        except ValueError:
            continue
        at = datetime.combine(now.date(), of_day).astimezone(UTC)  # the machine's zone
        return at if at > now else datetime.combine(now.date() + timedelta(days=1), of_day).astimezone(UTC)
    return None
