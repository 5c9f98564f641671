"""When does a schedule fire?  (M3, M4, O2, O3)

The values of the named tests were worked out by hand from the zones' rules.  The properties compare with `vixie`, which
does what cron(8) says: it looks at the clock once a minute and knows nothing of eras.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from shiftboss.core.schedule import (
    Cron,
    Every,
    Schedule,
    count_until,
    first_instant,
    jitter_offset_s,
    last_until,
    newest,
    next_after,
)
from shiftboss.core.schedules.cron import cron_expression
from shiftboss.core.schedules.zone import clock_changes, timezone_name
from shiftboss.errors import ConfigurationError, InternalError

NEW_YORK, BERLIN, LORD_HOWE, KOLKATA = "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"
FOUR_ZONES = pytest.mark.parametrize("zone", [NEW_YORK, BERLIN, LORD_HOWE, KOLKATA])
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(expression: str, zone: str, start: str, end: str) -> list[str]:
    """Every instant in [start, end), written like "03-08 07:00"."""
    return [f"{at:%m-%d %H:%M}" for at in walk(Cron(expression, zone), utc(start), utc(end))]


def walk(cron: Cron, start: datetime, end: datetime) -> list[datetime]:
    found, at = [], start - timedelta(microseconds=1)
    while (at := next_after(cron, at, anchor=None)) < end:
        found.append(at)
    return found


# ── every= ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_interval_counts_from_its_anchor():
    anchor = utc("2026-06-01T12:00:07")

    assert next_after(Every(60.0), anchor, anchor=anchor) == utc("2026-06-01T12:01:07")
    assert next_after(Every(60.0), utc("2026-06-01T12:01:06.999999"), anchor=anchor) == utc("2026-06-01T12:01:07")
    assert next_after(Every(60.0), utc("2026-06-01T15:30:00"), anchor=anchor) == utc("2026-06-01T15:30:07")


def test_an_interval_never_fires_before_its_anchor():
    assert next_after(Every(60.0), utc("1999-01-01"), anchor=NOON) == NOON
    assert next_after(Every(60.0), NOON - timedelta(microseconds=1), anchor=NOON) == NOON


def test_a_tenth_of_a_second_does_not_drift_in_a_hundred_years():
    assert next_after(Every(0.1), utc("2126-06-01T12:00:00"), anchor=NOON) == utc("2126-06-01T12:00:00.100000")


def test_a_third_of_a_second_is_read_to_the_microsecond():
    assert next_after(Every(1 / 3), utc("2026-06-01T12:00:00.7"), anchor=NOON) == utc("2026-06-01T12:00:00.999999")


def test_an_interval_is_asked_with_its_anchor():
    with pytest.raises(InternalError, match="without its anchor"):
        next_after(Every(60.0), NOON, anchor=None)


@pytest.mark.parametrize("every_s", [0.0, -1.0, 0.009, float("nan"), float("inf"), 4e9])
def test_an_interval_outside_its_bounds_is_refused(every_s: float):
    with pytest.raises(ConfigurationError, match=r"every=.* s is out of range; use 0\.01 s to 100 years"):
        Every(every_s)


@given(
    every_us=st.integers(10_000, 10**13),
    anchor_us=st.integers(0, 10**15),
    steps=st.integers(0, 10**4),
    beside_us=st.integers(-(10**13), 10**13),
    limit=st.integers(1, 200),
)
@settings(deadline=None)
def test_the_questions_about_an_interval_agree(every_us, anchor_us, steps, beside_us, limit):
    every, step = Every(every_us / 1e6), timedelta(microseconds=every_us)
    anchor = utc("2000-01-01") + timedelta(microseconds=anchor_us)
    steps = min(steps, timedelta(days=365 * 100) // step)
    first, until = anchor + min(3, steps) * step, anchor + steps * step + timedelta(microseconds=beside_us % every_us)
    grid = [anchor + k * step for k in range(min(3, steps), steps + 1)]

    assert next_after(every, until, anchor=anchor) == anchor + (steps + 1) * step
    assert last_until(every, until, first=first, anchor=anchor) == grid[-1]
    assert count_until(every, first, until, anchor=anchor, limit=limit) == min(limit, len(grid))
    assert newest(every, until, first=first, anchor=anchor, limit=limit) == grid[-limit:][0]


# ── the first instant (M3) ───────────────────────────────────────────────────────────────────────────────────────


def test_the_first_instant_of_an_interval_is_one_interval_from_now():
    assert first_instant(Every(90.0), NOON) == utc("2026-06-01T12:01:30")


def test_the_first_instant_of_cron_is_its_next():
    assert first_instant(Cron("0 3 * * *", BERLIN), NOON) == utc("2026-06-02T01:00:00")


def test_a_start_beside_the_expression_is_counted_as_the_first_instant():
    cron, first = Cron("0 * * * *"), utc("2026-06-01T12:00:00.5")
    at_once = {"first": first, "anchor": None}

    assert last_until(cron, utc("2026-06-01T12:59:59"), **at_once) == first
    assert last_until(cron, utc("2026-06-01T14:00:00"), **at_once) == utc("2026-06-01T14:00:00")
    assert count_until(cron, first, utc("2026-06-01T14:00:00"), anchor=None, limit=100) == 3
    assert newest(cron, utc("2026-06-01T14:00:00"), limit=2, **at_once) == utc("2026-06-01T13:00:00")
    assert newest(cron, utc("2026-06-01T14:00:00"), limit=3, **at_once) == first


# ── cron: what is accepted ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("@hourly", "2026-06-01T13:00:00"),
        ("@daily", "2026-06-02T00:00:00"),
        ("@midnight", "2026-06-02T00:00:00"),
        ("@weekly", "2026-06-07T00:00:00"),
        ("@monthly", "2026-07-01T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        ("@annually", "2027-01-01T00:00:00"),
        ("@Daily", "2026-06-02T00:00:00"),
        ("*/7 * * * *", "2026-06-01T12:07:00"),
        ("15 12 1 6 *", "2026-06-01T12:15:00"),
        ("0 9 * * mon-fri", "2026-06-02T09:00:00"),
        ("0 0 13 * FRI", "2026-06-05T00:00:00"),  # either day: neither field starts with *
        ("0 0 */2 * FRI", "2026-06-05T00:00:00"),  # both: the first odd day that is a Friday
        ("0 0 L * *", "2026-06-30T00:00:00"),
        ("0 0 LW 2 *", "2027-02-26T00:00:00"),  # the 28th is a Sunday
        ("0 0 * * 5L", "2026-06-26T00:00:00"),
        ("0 0 * * MON#2", "2026-06-08T00:00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 0 * 2 MON#5", "2044-02-29T00:00:00"),
        ("*/20 * * * * *", "2026-06-01T12:00:20"),
        ("30 0 12 * * *", "2026-06-01T12:00:30"),
    ],
)
def test_an_expression_fires_next(expression: str, following: str):
    assert next_after(Cron(expression), NOON, anchor=None) == utc(following)


def test_an_instant_within_a_second_is_followed_by_the_next_whole_one():
    assert next_after(Cron("* * * * * *"), utc("2026-06-01T12:00:00.000001"), anchor=None) == utc("2026-06-01T12:00:01")
    assert next_after(Cron("* * * * *"), utc("2026-06-01T11:59:59.999999"), anchor=None) == NOON


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("61 * * * *", "the minute field '61' is not understood; it takes 0-59"),
        ("* 24 * * *", "the hour field '24' is not understood; it takes 0-23"),
        ("* * 0 * *", "the day-of-month field '0' is not understood; it takes 1-31"),
        ("* * * JANUARY *", "the month field 'JANUARY' is not understood; it takes 1-12, JAN-DEC"),
        ("* * * * FRI-SUN", "the day-of-week field 'FRI-SUN' is not understood; it takes 0-7, SUN-SAT"),
        ("60 * * * * *", "the second field '60' is not understood; it takes 0-59"),
        ("*/0 * * * *", "the minute field '*/0' is not understood"),
        ("0 0 ? * *", "the day-of-month field '?' is not understood"),
        ("9" * 5000 + " * * * *", "the minute field '9999"),
        ("* * * *", "has 4 fields; write five"),
        ("0 0 * * * * 2026", "has 7 fields; write five"),
        ("", "has 0 fields; write five"),
        ("@dayly", "is not a known nickname; did you mean '@daily'?"),
        ("@reboot", "is not a known nickname; known: @annually, @daily"),
        ("0 0 30 2 *", "never fires: no such day in these months"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 */31 * 2#5", "never fires"),  # the fifth Tuesday is never the first of a month
    ],
)
def test_an_expression_that_cannot_work_is_refused_by_name(expression: str, fault: str):
    with pytest.raises(ConfigurationError) as refused:
        Cron(expression)

    assert str(refused.value).startswith(f"cron={expression!r}")
    assert fault in str(refused.value)


def test_a_wildcard_that_names_only_a_skipped_hour_never_fires():
    with pytest.raises(ConfigurationError, match="an hour that the clock always skips then"):
        Cron("*/5 2 * 3 7#2", NEW_YORK)


@pytest.mark.parametrize("zone", ["Europe/Berln", "berlin", "America", "", "../UTC", "/etc/localtime", "a\0b"])
def test_an_unknown_zone_is_refused(zone: str):
    with pytest.raises(ConfigurationError, match="is unknown; use an IANA name such as 'Europe/Berlin'"):
        Cron("@daily", zone)


def test_a_misspelt_zone_is_answered_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"timezone='Europe/Berln' .*did you mean 'Europe/Berlin'\?"):
        Cron("@daily", "Europe/Berln")


@pytest.mark.parametrize("schedule", [Every(90.0), Cron("@daily"), Cron("0 3 * * *", BERLIN)])
def test_a_schedule_survives_being_stored(schedule: Schedule):
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule


# ── cron: clock changes, by hand (O3) ────────────────────────────────────────────────────────────────────────────

# 2026: New York 02:00 → 03:00 on March 8 (07:00 UTC), 02:00 → 01:00 on November 1 (06:00 UTC).
# Berlin 02:00 → 03:00 on March 29 and 03:00 → 02:00 on October 25 (01:00 UTC both).
# Lord Howe 02:00 → 01:30 on April 5 (April 4, 15:00 UTC), 02:00 → 02:30 on October 4 (October 3, 15:30 UTC).


@pytest.mark.parametrize(
    ("zone", "expression", "start", "end", "expected"),
    [
        (NEW_YORK, "30 2 * * *", "2026-03-07", "2026-03-10", ["03-07 07:30", "03-08 07:00", "03-09 06:30"]),
        (BERLIN, "30 2 * * *", "2026-03-28", "2026-03-31", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        (LORD_HOWE, "15 2 * * *", "2026-10-02", "2026-10-05", ["10-02 15:45", "10-03 15:30", "10-04 15:15"]),
        (KOLKATA, "30 2 * * *", "2026-03-28", "2026-03-31", ["03-28 21:00", "03-29 21:00", "03-30 21:00"]),
    ],
)
def test_a_time_that_does_not_exist_fires_when_the_gap_ends(zone, expression, start, end, expected):
    assert fires(expression, zone, start, end) == expected


@pytest.mark.parametrize(
    ("zone", "expression", "start", "end", "expected"),
    [
        (NEW_YORK, "30 1 * * *", "2026-10-31", "2026-11-03", ["10-31 05:30", "11-01 05:30", "11-02 06:30"]),
        (BERLIN, "30 2 * * *", "2026-10-24", "2026-10-27", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        (LORD_HOWE, "45 1 * * *", "2026-04-03", "2026-04-06", ["04-03 14:45", "04-04 14:45", "04-05 15:15"]),
        (KOLKATA, "30 1 * * *", "2026-10-24", "2026-10-27", ["10-24 20:00", "10-25 20:00", "10-26 20:00"]),
    ],
)
def test_a_time_that_occurs_twice_fires_once_the_first(zone, expression, start, end, expected):
    assert fires(expression, zone, start, end) == expected


def test_looking_back_finds_the_run_that_a_gap_delayed():
    cron, first = Cron("30 2 * * *", NEW_YORK), utc("2026-03-07T07:30")

    assert last_until(cron, utc("2026-03-08T06:59:59"), first=first, anchor=None) == first
    assert last_until(cron, utc("2026-03-08T07:00"), first=first, anchor=None) == utc("2026-03-08T07:00")
    assert last_until(cron, utc("2026-03-08T20:00"), first=first, anchor=None) == utc("2026-03-08T07:00")
    assert newest(cron, utc("2026-03-08T20:00"), first=first, anchor=None, limit=2) == first


def test_all_times_of_a_gap_fire_together():
    assert fires("0,20,40 2,3 * * *", NEW_YORK, "2026-03-08T06:00", "2026-03-08T09:00") == [
        "03-08 07:00",
        "03-08 07:20",
        "03-08 07:40",
    ]


def test_all_times_of_a_gap_count_as_one():
    cron, first = Cron("0,20,40 2,3 * * *", NEW_YORK), utc("2026-03-07T07:00")

    assert count_until(cron, first, utc("2026-03-08T06:59"), anchor=None, limit=100) == 6
    assert count_until(cron, first, utc("2026-03-08T07:00"), anchor=None, limit=100) == 7
    assert count_until(cron, first, utc("2026-03-08T07:40"), anchor=None, limit=100) == 9


def test_the_time_at_the_end_of_a_gap_fires_without_another():
    assert fires("0 3 * * *", NEW_YORK, "2026-03-08T06:00", "2026-03-08T12:00") == ["03-08 07:00"]


def test_asked_in_the_repeated_hour_a_time_that_has_passed_is_over():
    cron = Cron("30 1 * * *", NEW_YORK)

    assert next_after(cron, utc("2026-11-01T06:10"), anchor=None) == utc("2026-11-02T06:30")
    assert last_until(cron, utc("2026-11-01T06:10"), first=utc("2026-10-01"), anchor=None) == utc("2026-11-01T05:30")
    assert count_until(cron, utc("2026-10-31T05:30"), utc("2026-11-01T06:10"), anchor=None, limit=100) == 2


def test_the_time_at_which_clocks_went_back_fires_when_it_is_reached_for_good():
    assert fires("0 2 * * *", NEW_YORK, "2026-11-01T04:00", "2026-11-01T12:00") == ["11-01 07:00"]
    assert fires("0 1 * * *", NEW_YORK, "2026-11-01T04:00", "2026-11-01T12:00") == ["11-01 05:00"]


def test_a_gap_at_midnight_moves_a_daily_run_to_one_o_clock():
    assert fires("0 0 * * *", "Africa/Cairo", "2026-04-23", "2026-04-26") == [
        "04-23 22:00",
        "04-24 21:00",
        "04-25 21:00",
    ]


def test_a_repeated_midnight_is_one_midnight():
    """In a year that is past: the rules of years to come change with the time zone data (Cuba's did for 2026)."""
    expected = ["11-02 04:00", "11-03 04:00", "11-04 05:00"]
    assert fires("0 0 * * *", "America/Havana", "2024-11-02", "2024-11-05") == expected


def test_a_day_that_a_zone_skipped_fires_at_its_end():
    """Samoa went from December 29, 2011 to the 31st; cron(8) would drop it, for it makes up for three hours at most."""
    expected = ["12-29 19:00", "12-30 10:00", "12-30 19:00"]
    assert fires("0 9 * * *", "Pacific/Apia", "2011-12-29T12:00", "2011-12-31") == expected


def test_six_fields_follow_the_vixie_rule_too():
    assert fires("0 30 2 * * *", NEW_YORK, "2026-03-08", "2026-03-09") == ["03-08 07:00"]
    assert fires("0 30 1 * * *", NEW_YORK, "2026-11-01", "2026-11-02") == ["11-01 05:30"]


def test_a_wildcard_hour_runs_in_both_passes_and_not_in_the_gap():
    gap = fires("30 * * * *", NEW_YORK, "2026-03-08T06:00", "2026-03-08T08:00")
    repeated = fires("30 * * * *", NEW_YORK, "2026-11-01T04:00", "2026-11-01T08:00")

    assert gap == ["03-08 06:30", "03-08 07:30"]
    assert repeated == ["11-01 04:30", "11-01 05:30", "11-01 06:30", "11-01 07:30"]


def test_a_wildcard_minute_of_a_skipped_hour_does_not_run_that_day():
    assert fires("*/30 2 * * *", BERLIN, "2026-03-28T12:00", "2026-03-30T12:00") == ["03-30 00:00", "03-30 00:30"]


def test_a_wildcard_minute_of_a_repeated_hour_runs_twice():
    expected = ["10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30"]
    assert fires("*/30 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-25T12:00") == expected


def test_lord_howe_has_all_of_its_two_o_clock_when_clocks_go_back():
    expected = ["04-04 15:30", "04-04 15:45", "04-04 16:00", "04-04 16:15"]
    assert fires("*/15 2 * * *", LORD_HOWE, "2026-04-04T12:00", "2026-04-05T12:00") == expected


def test_every_second_hour_keeps_to_even_hours_of_the_clock():
    """cron(8): wildcards "are run based on the new time immediately", so three hours lie across either change."""
    gap = fires("0 */2 * * *", NEW_YORK, "2026-03-08T04:00", "2026-03-08T11:00")
    repeated = fires("0 */2 * * *", NEW_YORK, "2026-11-01T03:00", "2026-11-01T10:00")

    assert gap == ["03-08 05:00", "03-08 08:00", "03-08 10:00"]  # 00:00, 04:00, 06:00
    assert repeated == ["11-01 04:00", "11-01 07:00", "11-01 09:00"]  # 00:00, 02:00, 04:00


# ── cron: a year ─────────────────────────────────────────────────────────────────────────────────────────────────


def year_of(expression: str, zone: str) -> list[datetime]:
    start = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
    return walk(Cron(expression, zone), start.astimezone(UTC), start.replace(year=2027).astimezone(UTC))


@FOUR_ZONES
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 9 * * *", "15 2 * * *", "45 1 * * *"])
def test_a_daily_time_fires_once_on_each_local_day(expression: str, zone: str):
    days = [at.astimezone(ZoneInfo(zone)).date() for at in year_of(expression, zone)]

    assert days == [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]


@FOUR_ZONES
def test_nine_o_clock_is_always_nine_o_clock(zone: str):
    assert {f"{at.astimezone(ZoneInfo(zone)):%H:%M}" for at in year_of("0 9 * * *", zone)} == {"09:00"}


def spacings_min(expression: str, zone: str) -> dict[int, int]:
    """How often each distance, in minutes, lies between two instants of the year that follow each other."""
    found = year_of(expression, zone)
    distances = [(b - a) // timedelta(minutes=1) for a, b in pairwise(found)]
    return {distance: distances.count(distance) for distance in set(distances)}


@FOUR_ZONES
def test_every_quarter_hour_is_evenly_spaced_all_year(zone: str):
    assert spacings_min("*/15 * * * *", zone) == {15: 365 * 96 - 1}


@pytest.mark.parametrize("zone", [NEW_YORK, BERLIN, KOLKATA])
def test_every_hour_is_evenly_spaced_all_year(zone: str):
    assert spacings_min("0 * * * *", zone) == {60: 365 * 24 - 1}


def test_the_full_hour_of_lord_howe_is_half_an_hour_late_after_either_change():
    """The clock moves by 30 min, so full hours lie 90 min apart across a change: no rule about wildcards can help."""
    assert spacings_min("0 * * * *", LORD_HOWE) == {60: 365 * 24 - 4, 90: 2}


def test_every_second_hour_is_uneven_at_the_two_changes_only():
    assert spacings_min("0 */2 * * *", NEW_YORK) == {120: 365 * 12 - 4, 180: 2}


def test_a_daily_time_fires_365_times_in_every_zone_of_the_world():
    for zone in sorted(available_timezones() - {"localtime"}):
        start = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        end = datetime(2026, 12, 31, 23, 59, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        first = next_after(Cron("30 2 * * *", zone), start, anchor=None)

        assert count_until(Cron("30 2 * * *", zone), first, end, anchor=None, limit=1000) == 365, zone


# ── cron: properties ─────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache
def looks(zone: str, start: datetime, end: datetime, tick: timedelta) -> list[tuple[datetime, datetime]]:
    """Each tick in [start, end) with what the clock shows then."""
    ticks = [start + n * tick for n in range((end - start) // tick)]
    return [(at, at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for at in ticks]


def vixie(fields: list[str], zone: str, start: datetime, end: datetime, *, tick: timedelta) -> list[datetime]:
    """What cron(8) does in [start, end): look each *tick*; a fixed time runs when the clock first passes it."""
    seconds, minutes, hours, days, months, weekdays = map(numbers, fields, BOUNDS)
    is_fixed = not any(field.startswith("*") for field in fields[1:3])
    both_days = any(fields[index].startswith("*") for index in (3, 5))

    def names(reading: datetime) -> bool:
        if reading.minute not in minutes or reading.hour not in hours or reading.second not in seconds:
            return False
        day, weekday = reading.day in days, reading.isoweekday() % 7 in {number % 7 for number in weekdays}
        return reading.month in months and (day and weekday if both_days else day or weekday)

    found = []
    passed = looks(zone, start - tick, end, tick)[0][1]
    for at, shown in looks(zone, start - tick, end, tick)[1:]:
        due = not is_fixed and names(shown)
        while is_fixed and passed < shown:
            passed += tick
            due |= names(passed)
        if due:
            found.append(at)
    return found


BOUNDS = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


def numbers(field: str, bounds: tuple[int, int]) -> set[int]:
    if "," in field:
        return {number for part in field.split(",") for number in numbers(part, bounds)}
    span, _, step = field.partition("/")
    low, _, high = span.partition("-")
    begin, end = bounds if span == "*" else (int(low), int(high or low))
    return set(range(begin, end + 1, int(step or 1)))


def field_of(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: f"{pair[0]}-{pair[1]}")
    step = st.builds(lambda term, by: f"{term}/{by}", st.one_of(st.just("*"), span), st.integers(2, max(2, high // 2)))
    term = st.one_of(number.map(str), span, step)
    return st.one_of(st.just("*"), term, st.lists(term, min_size=2, max_size=3).map(",".join))


# a change of each kind: an hour, half an hour, at midnight, over midnight, a whole day, against the seasons, none
CHANGES = [
    (NEW_YORK, "2026-03-08T07:00"),
    (NEW_YORK, "2026-11-01T06:00"),
    (BERLIN, "2026-03-29T01:00"),
    (BERLIN, "2026-10-25T01:00"),
    (LORD_HOWE, "2026-04-04T15:00"),
    (LORD_HOWE, "2026-10-03T15:30"),
    ("Africa/Cairo", "2026-04-23T22:00"),
    ("Africa/Cairo", "2026-10-29T21:00"),
    ("America/Havana", "2026-03-08T05:00"),
    ("America/Havana", "2026-11-01T05:00"),
    ("Africa/Casablanca", "2026-02-15T02:00"),
    ("Europe/Dublin", "2026-10-25T01:00"),
    ("America/St_Johns", "2008-11-02T02:31"),
    ("Pacific/Chatham", "2026-04-04T14:00"),
    ("Pacific/Apia", "2011-12-30T10:00"),
    ("Pacific/Kiritimati", "1994-12-31T10:00"),
    (KOLKATA, "2026-03-29T01:00"),
    ("UTC", "2027-01-01T00:00"),
]
minutes = st.tuples(*(field_of(low, high) for low, high in BOUNDS[1:3]))
days = st.one_of(
    st.just(("*", "*", "*")),
    st.tuples(field_of(1, 31), st.just("*"), field_of(0, 7)),
    st.tuples(st.just("*"), field_of(1, 12), st.just("*")),
)


@given(at=minutes, on=days, change=st.sampled_from(CHANGES), limit=st.integers(1, 300), data=st.data())
@settings(deadline=None, max_examples=examples(100, of=300))
def test_around_a_change_of_clocks_all_questions_agree_with_cron_by_the_minute(at, on, change, limit, data):
    zone, instant = change
    start, end = utc(instant) - timedelta(hours=28), utc(instant) + timedelta(hours=28)
    cron = Cron(" ".join([*at, *on]), zone)
    expected = vixie(["0", *at, *on], zone, start, end, tick=timedelta(minutes=1))

    assert walk(cron, start, end) == expected
    if expected:
        agree(cron, expected, limit, data)


@given(second=field_of(0, 59), at=minutes, change=st.sampled_from(CHANGES), limit=st.integers(1, 300), data=st.data())
@settings(deadline=None, max_examples=examples(20, of=50))
def test_around_a_change_of_clocks_all_questions_agree_with_cron_by_the_second(second, at, change, limit, data):
    zone, instant = change
    start, end = utc(instant) - timedelta(hours=2), utc(instant) + timedelta(hours=2)
    cron = Cron(" ".join([second, *at, "*", "*", "*"]), zone)
    expected = vixie([second, *at, "*", "*", "*"], zone, start, end, tick=timedelta(seconds=1))

    assert walk(cron, start, end) == expected
    if expected:
        agree(cron, expected, limit, data)


def agree(cron: Cron, expected: list[datetime], limit: int, data: st.DataObject) -> None:
    """Asked from any instant up to any moment, the answers are those of counting through *expected*."""
    low, high = sorted(data.draw(st.tuples(*[st.integers(0, len(expected) - 1)] * 2)))
    first, last = expected[low], expected[high]
    room = expected[high + 1] - last if high + 1 < len(expected) else timedelta(seconds=1)
    until = last + data.draw(st.integers(0, room // timedelta(microseconds=1) - 1)) * timedelta(microseconds=1)

    between = expected[low : high + 1]

    assert last_until(cron, until, first=first, anchor=None) == last
    assert count_until(cron, first, until, anchor=None, limit=limit) == min(limit, len(between))
    assert newest(cron, until, first=first, anchor=None, limit=limit) == between[-limit:][0]


EXPRESSIONS = [
    "* * * * *",
    "*/15 * * * *",
    "30 2 * * *",
    "0 0 * * *",
    "59 23 31 12 *",
    "0 9 * * MON-FRI",
    "0 */2 * * *",
    "5 4 */3 * SUN",
    "0 0 L * *",
    "0 12 LW * *",
    "0 0 * * 5L",
    "0 3 * * MON#2",
    "0 0 29 2 *",
    "15,45 1-3 * 3,10,11 *",
    "*/10 30 1 * * *",
    "@monthly",
]
moments = st.integers(0, 65 * 365 * 86_400 * 10**6).map(lambda us: utc("1995-01-01") + timedelta(microseconds=us))


@given(
    expression=st.sampled_from(EXPRESSIONS),
    zone=st.sampled_from(sorted({zone for zone, _ in CHANGES})),
    after=moments,
    steps=st.integers(1, 20),
)
@settings(deadline=None, max_examples=300)
def test_at_any_time_instants_only_grow_and_looking_back_finds_them_again(expression, zone, after, steps):
    cron, found = Cron(expression, zone), [next_after(Cron(expression, zone), after, anchor=None)]
    for _ in range(steps):
        found.append(next_after(cron, found[-1], anchor=None))
    before = timedelta(microseconds=1)

    assert found[0] > after
    assert found == sorted(set(found))
    for earlier, later in pairwise(found):
        assert next_after(cron, later - before, anchor=None) == later
        assert last_until(cron, later, first=found[0], anchor=None) == later
        assert last_until(cron, later - before, first=found[0], anchor=None) == earlier
    assert count_until(cron, found[0], found[-1], anchor=None, limit=10**6) == steps + 1
    assert newest(cron, found[-1], first=found[0], anchor=None, limit=2) == found[-2]


@given(expression=st.sampled_from([e for e in EXPRESSIONS if not e.startswith("@")]), after=moments)
@settings(deadline=None)
def test_without_clock_changes_the_walk_is_cronsims_own(expression, after):
    forward, backward = CronSim(expression, after), CronSim(expression, after, reverse=True)
    following, cron = after, Cron(expression)
    preceding = after

    for _ in range(5):
        following = next_after(cron, following, anchor=None)
        assert following == next(forward)
        preceding = last_until(cron, preceding - timedelta(microseconds=1), first=utc("1900-01-01"), anchor=None)
        assert preceding == next(backward)


def test_years_of_minutes_are_counted_and_looked_back_over():
    cron, first, until = Cron("* * * * *", BERLIN), utc("2020-01-01"), utc("2026-01-01T00:00:30")

    assert last_until(cron, until, first=first, anchor=None) == utc("2026-01-01T00:00:00")
    assert count_until(cron, first, until, anchor=None, limit=10_000) == 10_000
    assert count_until(cron, first, until, anchor=None, limit=10**9) == 2192 * 1440 + 1
    assert newest(cron, until, first=first, anchor=None, limit=100) == utc("2025-12-31T22:21:00")


# ── beside the instants ──────────────────────────────────────────────────────────────────────────────────────────


def test_jitter_is_the_workers_own_and_stays_the_same():
    assert jitter_offset_s("backup", 60.0) == pytest.approx(0x54D0_0D86 / 2**32 * 60)  # how sha256 of "backup" begins
    assert jitter_offset_s("report", 60.0) != jitter_offset_s("backup", 60.0)
    assert jitter_offset_s("backup", 0.0) == 0.0


@given(worker=st.text(), jitter_s=st.floats(1e-3, 1e6))
@settings(deadline=None)
def test_jitter_is_never_as_long_as_its_bound(worker, jitter_s):
    assert 0 <= jitter_offset_s(worker, jitter_s) < jitter_s


def test_jitter_spreads_workers_evenly():
    tenths = [int(jitter_offset_s(f"worker-{n}", 10.0)) for n in range(1000)]

    assert all(70 < tenths.count(tenth) < 130 for tenth in range(10))


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (NEW_YORK, [("2026-03-08T07:00", 3600.0), ("2026-11-01T06:00", -3600.0)]),
        (BERLIN, [("2026-03-29T01:00", 3600.0), ("2026-10-25T01:00", -3600.0)]),
        (LORD_HOWE, [("2026-04-04T15:00", -1800.0), ("2026-10-03T15:30", 1800.0)]),
        (KOLKATA, []),
        ("UTC", []),
    ],
)
def test_clock_changes_of_a_year_are_named_with_their_size(zone: str, expected: list[tuple[str, float]]):
    changes = [(utc(at), change_s) for at, change_s in expected]
    assert clock_changes(zone, utc("2026-01-01"), utc("2027-01-01")) == changes


def test_a_clock_change_belongs_to_the_stretch_that_begins_with_it():
    at, microsecond = utc("2026-03-29T01:00"), timedelta(microseconds=1)

    assert clock_changes(BERLIN, at, at + microsecond) == [(at, 3600.0)]
    assert clock_changes(BERLIN, at + microsecond, at + timedelta(days=30)) == []
    assert clock_changes(BERLIN, at - timedelta(days=30), at) == []
    assert clock_changes(BERLIN, at, at - timedelta(days=30)) == []


def test_a_day_that_a_zone_skipped_is_a_change_of_a_day():
    assert clock_changes("Pacific/Apia", utc("2011-12-01"), utc("2012-02-01")) == [(utc("2011-12-30T10:00"), 86_400.0)]


def test_the_two_changes_that_lie_closest_are_both_found():
    """Fernando de Noronha had a summer time of one week, in October 2000."""
    week = [(utc("2000-10-08T02:00"), 3600.0), (utc("2000-10-15T01:00"), -3600.0)]

    assert clock_changes("America/Noronha", utc("2000-10-01"), utc("2000-11-01")) == week


def test_clock_changes_of_an_unknown_zone_are_refused():
    with pytest.raises(ConfigurationError, match="timezone='Mars/Base' is unknown"):
        clock_changes("Mars/Base", NOON, NOON + timedelta(days=1))


# ── as they are declared ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "expression",
    ["*/90 * * * *", "*/60 * * * *", "0 */25 * * *", "0 */24 * * *", "0 0 */32 * *", "0 0 1 */12 *", "0 0 * * */7",
     "50/15 * * * *", "10-20/30 * * * *", "0,*/70 * * * *", "*/75 0 0 * * *"],
)  # fmt: skip
def test_a_step_that_never_comes_is_refused_where_it_is_declared(expression):
    """O3: a store of an older version may hold one, so the schedule itself takes it."""
    with pytest.raises(ConfigurationError, match="so only the first value fires; "):
        cron_expression(expression, name="cron")
    if not expression.startswith("0,"):
        assert Cron(expression)


@pytest.mark.parametrize(
    "expression", ["*/59 * * * *", "0 */23 * * *", "5/15 * * * *", "0 0 * * 1-5/2", "@daily", "bad"]
)
def test_any_other_text_is_for_the_schedule_to_judge(expression):
    assert cron_expression(expression, name="cron") == expression


@pytest.mark.parametrize("expression", ["", " ", None, 5, ["0 6 * * *", "0 15 * * *"], ("0 6 * * *",), b"* * * * *"])
def test_what_is_no_expression_is_refused(expression):
    with pytest.raises(ConfigurationError, match=r"^cron="):
        cron_expression(expression, name="cron")


def test_a_zone_is_taken_by_its_name_or_as_an_object_that_has_one():
    """O3"""

    class OfPytz(tzinfo):
        zone = "Europe/Berlin"

    for zone in (BERLIN, ZoneInfo(BERLIN), OfPytz()):
        assert timezone_name(zone, name="timezone") == BERLIN
    for zone in ("UTC", UTC, timezone(timedelta(0)), ZoneInfo("UTC")):
        assert timezone_name(zone, name="timezone") == "UTC"


def test_a_fixed_offset_is_refused_with_its_name():
    with pytest.raises(ConfigurationError, match=r"timezone=.* write timezone='Etc/GMT-2'"):
        timezone_name(timezone(timedelta(hours=2)), name="timezone")
    with pytest.raises(ConfigurationError, match=r"give an IANA name"):
        timezone_name(timezone(timedelta(hours=5, minutes=30)), name="timezone")
    assert NOON.astimezone(ZoneInfo("Etc/GMT-2")).hour == 14


@pytest.mark.parametrize("zone", ["", None, 2, object(), timezone])
def test_what_names_no_zone_is_refused(zone):
    with pytest.raises(ConfigurationError, match=r"^timezone="):
        timezone_name(zone, name="timezone")
