"""One table of all peers: versions, settings, medians; and beneath it what could not be measured, and why.

Rules of this file
- Pure: figures come in, lines go out.
- A row says what it is worth beside shiftboss in the same run, on the same kind of store.
- A dash is a figure that was not asked for; a word in its place says why there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Report = dict[str, Any]  # peer, title, store, versions, settings, figures by measure; or peer, title, unavailable

STORES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
HEADS = (
    ("end to end", "jobs/s"),
    ("draining", "jobs/s"),
    ("storing", "jobs/s"),
    ("start, idle", "p50 / p99 ms"),
    ("1,000 schedules/s", "fired · gap off p99 · core"),
    ("kill -9", "in flight · lost · twice · again after"),
    ("SIGTERM", "ended after · cut · lost · twice"),
)


def merged(reports: Sequence[Report]) -> list[Report]:
    """Reports of several runs as one: of one peer on one store, a later figure takes the place of an earlier one."""
    known: dict[tuple[str, str], Report] = {}
    for report in reports:
        key = (report["peer"], report.get("store", ""))
        before = known.get(key, {})
        figures = {**before.get("figures", {}), **report.get("figures", {})}
        known[key] = {**before, **report, **({"figures": figures} if figures else {})}
    return list(known.values())


def lines(reports: Sequence[Report]) -> list[str]:
    measured = [report for report in reports if "unavailable" not in report]
    out: list[str] = []
    for store, title in STORES.items():
        rows = [report for report in measured if report["store"] == store]
        if not rows:
            continue
        ours = next((report for report in rows if report["peer"] == "shiftboss"), None)
        heads = [(title, ""), *HEADS]
        ordered = sorted(rows, key=lambda report: report["peer"] != "shiftboss")
        out += [*aligned([[h[0] for h in heads], [h[1] for h in heads], *(row(r, ours) for r in ordered)]), ""]
    for report in measured:
        said = "; ".join(f"{name}: {value}" for name, value in report["settings"].items())
        out.append(f"{name_of(report)}: {said}")
    out += [""] if measured else []
    for report in reports:
        if "unavailable" in report:
            out.append(f"{report['title']} could not be installed: {report['unavailable']}")
            continue
        for measure, figures in report["figures"].items():
            if "failed" in figures:
                out.append(f"{report['title']} failed at {measure}: {figures['failed']}")
            if "absent" in figures:
                out.append(f"{report['title']} has no such {measure}: {figures['absent']}")
    return out


def name_of(report: Report) -> str:
    return f"{report['title']} {report['versions']}"


def row(report: Report, ours: Report | None) -> list[str]:
    figures = report["figures"]
    speed, drain = figures.get("end to end", {}), figures.get("draining", {})
    return [
        f"{report['title']} {report['versions'].partition(',')[0]}",
        rate("end_to_end_per_s", speed, ours, "end to end"),
        rate("draining_per_s", drain, ours, "draining"),
        said(drain, lambda f: f"{f['storing_per_s']:,}"),
        said(speed, lambda f: f"{f['start_ms_p50']:,} / {f['start_ms_p99']:,}"),
        said(figures.get("schedules", {}), fired),
        said(figures.get("kill -9", {}), after_kill),
        said(figures.get("SIGTERM", {}), after_term),
    ]


def said(figures: dict[str, Any], words: Callable[[dict[str, Any]], str]) -> str:
    if not figures:
        return "–"
    if "failed" in figures:
        return "failed"
    if "absent" in figures:
        return "none"
    return words(figures)


def rate(key: str, figures: dict[str, Any], ours: Report | None, measure: str) -> str:
    def words(figures: dict[str, Any]) -> str:
        own = (ours or {}).get("figures", {}).get(measure, {}).get(key)
        beside = f" ({figures[key] / own:.2f})" if own else ""
        return f"{figures[key]:,}{beside}"

    return said(figures, words)


def fired(figures: dict[str, Any]) -> str:
    off = "–" if figures["gap_off_ms_p99"] is None else f"{figures['gap_off_ms_p99']:,} ms"
    return f"{figures['fires_per_s']:,} · {off} · {figures['cpu_share']:.0%}"


def after_kill(figures: dict[str, Any]) -> str:
    again = "–" if figures["again_after_s"] is None else f"{figures['again_after_s']} s"
    return f"{figures['in_flight']} · {figures['lost']} · {figures['twice']} · {again}"


def after_term(figures: dict[str, Any]) -> str:
    after = "not in 30 s" if figures["ended_after_s"] is None else f"{figures['ended_after_s']} s"
    return f"{after} · {figures['cut']} · {figures['lost']} · {figures['twice']}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
