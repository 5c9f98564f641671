"""Schedules as people write them: which options make which schedule, and what does not go together.  (M1, M4, W9)"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shiftboss import Calendar, ConfigurationError
from shiftboss.app.declaration import declare
from shiftboss.app.scheduling import pause_end
from shiftboss.core.schedule import Anchored, At, CalendarEvent, Cron, Every, RRule, Several, Within
from shiftboss.core.schedules.within import DayFilter, Otherwise
from shiftboss.core.worker import Mode, Start

BERLIN = "Europe/Berlin"


def body() -> None: ...


def declared(**options: Any):
    return declare(body, options)[0]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "schedule"),
    [
        ({"every": "5m"}, Every(300.0)),
        ({"every": "2w", "anchor": "2026-07-06"}, Anchored(1_209_600.0, utc("2026-07-06"), 14)),
        (
            {"every": "1w 1d", "anchor": "2026-07-06 09:00", "timezone": BERLIN},
            Anchored(691_200.0, utc("2026-07-06T07:00"), 8, BERLIN),
        ),
        ({"every": "1d12h", "anchor": date(2026, 7, 6)}, Anchored(129_600.0, utc("2026-07-06"), 0)),
        ({"every": timedelta(days=1), "anchor": utc("2026-07-06T09:00")}, Anchored(86_400.0, utc("2026-07-06T09:00"))),
        ({"every": "1d", "anchor": "2026-07-06T09:00+02:00"}, Anchored(86_400.0, utc("2026-07-06T07:00"), 1)),
        ({"cron": "0 6 * * *"}, Cron("0 6 * * *")),
        ({"cron": ["0 6 * * *"]}, Cron("0 6 * * *")),
        ({"cron": ["0 6 * * *", "0 6 * * *"]}, Cron("0 6 * * *")),
        (
            {"cron": ("0 6 * * *", "0 18 * * *"), "timezone": BERLIN},
            Several((Cron("0 6 * * *", BERLIN), Cron("0 18 * * *", BERLIN))),
        ),
        ({"at": "2026-12-24 09:00", "timezone": BERLIN}, At((utc("2026-12-24T08:00"),), BERLIN)),
        (
            {"at": ["2026-12-31", utc("2026-12-24T08:00"), date(2026, 12, 31)]},
            At((utc("2026-12-24T08:00"), utc("2026-12-31"))),
        ),
        ({"on_calendar": "Mon..Fri 09:00", "timezone": BERLIN}, CalendarEvent("Mon..Fri 09:00", BERLIN)),
        ({"on_calendar": ["daily", "*:30"]}, Several((CalendarEvent("daily"), CalendarEvent("*:30")))),
        (
            {"rrule": "RRULE:FREQ=WEEKLY;BYDAY=TU", "anchor": "2026-07-07 09:00", "timezone": BERLIN},
            RRule("FREQ=WEEKLY;BYDAY=TU", utc("2026-07-07T07:00"), BERLIN),
        ),
        (
            {"cron": "0 9 * * *", "calendar": Calendar(weekdays="Mon..Fri", hours="08:30-24:00", otherwise="next")},
            Within(Cron("0 9 * * *"), DayFilter((0, 1, 2, 3, 4), hours=(30_600, 86_400), otherwise=Otherwise.NEXT)),
        ),
        (
            {
                "cron": "0 9 * * *",
                "calendar": Calendar(holidays="de-by", except_dates=["2026-07-08", date(2026, 7, 7)]),
            },
            Within(
                Cron("0 9 * * *"),
                DayFilter(country="DE", subdivision="BY", except_dates=(date(2026, 7, 7), date(2026, 7, 8))),
            ),
        ),
        ({"cron": "0 9 * * *", "calendar": None}, Cron("0 9 * * *")),
        ({"mode": "scheduled"}, Every(300.0)),
    ],
)
def test_options_make_a_schedule(options, schedule):
    definition = declared(**options)

    assert definition.schedule == schedule
    assert definition.mode is Mode.SCHEDULED


def test_only_a_plain_distance_starts_at_once():
    """M3"""
    assert declared(every="1h").start is Start.NOW
    assert declared(every="1h", anchor="2026-01-01").start is Start.NEXT
    assert declared(on_calendar="daily").start is Start.NEXT
    assert declared(on_calendar="daily", start="now").start is Start.NOW


@pytest.mark.parametrize(
    ("until", "timezone", "at"),
    [
        ("2026-12-31", "UTC", "2026-12-31T23:59:59.999999"),
        (date(2026, 12, 31), BERLIN, "2026-12-31T22:59:59.999999"),
        ("2026-12-31 12:00", BERLIN, "2026-12-31T11:00"),
        (utc("2026-12-31T12:00"), BERLIN, "2026-12-31T12:00"),
    ],
)
def test_a_day_as_the_end_means_its_end_in_the_zone(until, timezone, at):
    """M4"""
    assert declared(every="1h", until=until, timezone=timezone).until == utc(at)
    assert declared(cron="0 * * * *", until=until, timezone=timezone, times=3).times == 3
    assert declared(every="1h", until=None, times=None).until is None


CRON = {"cron": "0 9 * * *"}


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"every": 5, "on_calendar": "daily"}, "every= and on_calendar= cannot be combined"),
        ({"at": "2026-12-24", "rrule": "FREQ=DAILY"}, "at= and rrule= cannot be combined"),
        ({"at": "2026-12-24", "continuous": True}, "at= and continuous= cannot be combined"),
        ({"mode": "triggered", "at": "2026-12-24"}, "cannot be combined with at="),
        ({"rrule": "FREQ=DAILY"}, "give it as anchor="),
        ({"anchor": "2026-01-01", **CRON}, "anchor= is the first time of every= or rrule="),
        ({"anchor": "2026-01-01"}, "anchor= is the first time of every= or rrule="),
        ({"timezone": BERLIN, "every": 5}, "timezone= has no use"),
        ({"timezone": BERLIN}, "timezone= goes with a schedule"),
        ({"until": "2026-01-01"}, "until= goes with a schedule"),
        ({"times": 3}, "times= goes with a schedule"),
        ({"times": 3, "continuous": True}, "times= goes with a schedule"),
        ({"calendar": Calendar(), "every": "1h"}, "add anchor=, or use cron="),
        ({"calendar": Calendar()}, "calendar= goes with a schedule"),
        ({"times": 0, **CRON}, "must be at least 1"),
        ({"times": True, **CRON}, "is not a whole number"),
        ({"until": 5, **CRON}, "until=5 is not a time"),
        ({"until": "tomorrow", **CRON}, "until='tomorrow' is not a time"),
        ({"until": "1969-12-31", **CRON}, "from 1970 to 2199"),
        ({"anchor": datetime.min.replace(tzinfo=UTC), "every": 5}, "from 1970 to 2199"),
        ({"anchor": True, "every": 5}, "anchor=True is not a time"),
        ({"anchor": "2026-02-30", "every": 5}, "is not a time"),
        ({"at": []}, r"at=\[\] is empty"),
        ({"at": [1]}, r"at\[0\]=1 is not a time"),
        ({"at": ["2026-01-01"] * 10_001}, "has more than 10,000 entries"),
        ({"cron": []}, r"cron=\[\] is empty"),
        ({"cron": ["0 9 * * *", "61 * * * *"]}, "the minute field '61'"),
        ({"cron": ["0 9 * * *", 5]}, r"cron\[1\]=5 is not a string"),
        ({"cron": "*/90 * * * *"}, "so only the first value fires"),
        ({"on_calendar": "Mon..Fri 25:00"}, "the hour '25' is out of range"),
        ({"on_calendar": 5}, "on_calendar=5 is not a string"),
        ({"on_calendar": "x" * 201}, "the limit is 200"),
        ({"on_calendar": ["daily", "12:00 Europe/Berlin"]}, "have several time zones"),
        ({"rrule": "DTSTART:20260101T000000\nFREQ=DAILY", "anchor": "2026-01-01"}, "give the start as anchor="),
        ({"rrule": "EXDATE:20260101T000000", "anchor": "2026-01-01"}, "has no FREQ="),
        ({"rrule": "DAILY", "anchor": "2026-01-01"}, "is not understood"),
        ({"rrule": "FREQ=DAILY\nEXDATE;TZID=X:20260101T000000", "anchor": "2026-01-01"}, "is not understood"),
        ({"calendar": "DE", **CRON}, r"give Calendar\(…\)"),
        ({"calendar": Calendar(weekdays="Mun"), **CRON}, "'Mun' is not a weekday"),
        ({"calendar": Calendar(weekdays=5), **CRON}, "weekdays=5 is not a string"),
        ({"calendar": Calendar(holidays="Germany"), **CRON}, "is not a country"),
        ({"calendar": Calendar(holidays="XX"), **CRON}, "is not a country that is known"),
        ({"calendar": Calendar(holidays="DE-TX"), **CRON}, "DE has no part 'TX'"),
        ({"calendar": Calendar(hours="9-17"), **CRON}, "write them as '09:00-17:00'"),
        ({"calendar": Calendar(hours="09:00-09:00"), **CRON}, "is out of range"),
        ({"calendar": Calendar(hours="24:00-09:00"), **CRON}, "is out of range"),
        ({"calendar": Calendar(hours="00:00-24:00"), **CRON}, "is out of range"),
        ({"calendar": Calendar(hours="09:00-17:60"), **CRON}, "is out of range"),
        ({"calendar": Calendar(hours="10:00-11:00"), **CRON}, "leaves nothing of the schedule"),
        ({"calendar": Calendar(except_dates=["2026-07-08 09:00"]), **CRON}, "is not a day"),
        ({"calendar": Calendar(except_dates="2026-07-08"), **CRON}, "is not a list"),
        ({"calendar": Calendar(otherwise="before"), **CRON}, "use skip, next"),
    ],
)  # fmt: skip
def test_what_makes_no_schedule_is_refused_with_the_remedy(options, fact):
    """W9"""
    with pytest.raises(ConfigurationError, match=fact):
        declared(**options)


@pytest.mark.parametrize(
    ("until", "end"),
    [
        (None, (None, None)),
        ("", (None, None)),
        ("2h", (7200.0, None)),
        (90, (90.0, None)),
        ("90", (90.0, None)),
        (timedelta(minutes=1), (60.0, None)),
        ("2026-12-01 18:00", (None, utc("2026-12-01T18:00"))),
        ("2026-12-01T18:00+01:00", (None, utc("2026-12-01T17:00"))),
        ("20261201T180000Z", (None, utc("2026-12-01T18:00"))),
        ("2026-12-01", (None, utc("2026-12-01T23:59:59.999999"))),
        (utc("2026-12-01T18:00"), (None, utc("2026-12-01T18:00"))),
    ],
)
def test_the_end_of_a_pause_is_a_duration_or_a_time(until, end):
    """K7"""
    assert tuple(pause_end(until, name="until")) == end


@pytest.mark.parametrize(
    "until", [0, -1, True, "soon", "18:00", float("inf"), [], b"2h", "2026-13-01", "2026-12-01 25:00"]
)
def test_what_is_no_end_of_a_pause_is_refused(until):
    """K7, W9"""
    with pytest.raises(ConfigurationError, match=r"^until="):
        pause_end(until, name="until")
