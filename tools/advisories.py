"""Asks the package index about every package that requirements-dev.txt pins: known vulnerabilities, withdrawn releases.

    advisories.py [FILE …]     ends with 1 where one is known; what could not be asked is said, and is no failure

Rules of this file
- One host, the index (PyPI, or SHIFTBOSS_INDEX): its JSON API has the vulnerabilities (the advisories of OSV), its
  simple API what was withdrawn (PEP 592).  Mirrors often have neither; then nothing is known, and that is what is said.
- All in all it takes DEADLINE_S at most.  What has not answered by then could not be asked.
- It asks about pinned packages only, not what they bring in turn; npm's packages are `npm audit`'s, which asks npm.
- A vulnerability that does not concern us stands in ACCEPTED with its reason.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = (ROOT / "requirements-dev.txt",)
INDEX = os.environ.get("SHIFTBOSS_INDEX", "https://pypi.org")
DEADLINE_S = 15.0
REQUEST_S = 5.0
AT_ONCE = 16  # the index is asked some eighty things
MAX_BYTES = 64 * 1024 * 1024  # of one answer; the longest known ones have some ten
ACCEPTED: dict[str, str] = {}  # id of an advisory: why it does not concern us
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;#]+)")


@dataclass(frozen=True)
class Pin:
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass
class Report:
    known: list[str] = field(default_factory=list)  # a line for each: it fails
    accepted: list[str] = field(default_factory=list)
    not_asked: dict[str, list[str]] = field(default_factory=dict)  # question and reason: packages
    answered: int = 0

    @property
    def code(self) -> int:
        return 1 if self.known else 0

    def lines(self) -> list[str]:
        gaps = [
            f"NOT ASKED: {why}: {len(names)} packages ({', '.join(sorted(names))})"
            for why, names in sorted(self.not_asked.items())
        ]
        end = f"{self.answered} answers, {len(self.known)} findings" if self.answered else "nothing could be asked"
        return [*map(_one_line, [*self.known, *self.accepted, *gaps]), f"advisories: {end}"]


class CannotAsk(Exception):
    """Says why."""


Fetch = Callable[[str, str], Any]  # an address and what is accepted → the decoded answer; raises CannotAsk


def main() -> None:
    pins = [pin for path in map(Path, sys.argv[1:] or FILES) for pin in pins_of(path.read_text(encoding="utf-8"))]
    report = look(pins, fetch)
    print("\n".join(report.lines()), flush=True)
    os._exit(report.code)  # a request that still hangs keeps nobody


def pins_of(text: str) -> list[Pin]:
    """Of a requirements file: `name[extra]==version`; a line of another shape pins nothing."""
    return [Pin(found[1].lower(), found[2]) for line in text.splitlines() if (found := PIN.match(line.strip()))]


def look(pins: Iterable[Pin], ask: Fetch, *, deadline_s: float = DEADLINE_S) -> Report:
    """Both questions about each pin, many at once."""
    report = Report()
    pool = ThreadPoolExecutor(AT_ONCE)
    asked: dict[Future[list[str]], tuple[str, Pin]] = {}
    for pin in pins:
        asked[pool.submit(vulnerabilities, pin, ask)] = ("vulnerabilities", pin)
        asked[pool.submit(withdrawn, pin, ask)] = ("withdrawn releases", pin)
    _, late = wait(asked, timeout=deadline_s)
    pool.shutdown(wait=False, cancel_futures=True)
    for future in sorted(asked, key=lambda each: str(asked[each])):
        question, pin = asked[future]
        try:
            if future in late:
                raise CannotAsk(f"no answer within {deadline_s:g} s")
            for line in future.result():
                _file(report, line)
            report.answered += 1
        except CannotAsk as error:
            report.not_asked.setdefault(f"{question}: {error}", []).append(pin.name)
    return report


def _one_line(text: str) -> str:
    """What an index says is shown, and moves no cursor."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def vulnerabilities(pin: Pin, ask: Fetch) -> list[str]:
    address = f"{INDEX}/pypi/{urllib.parse.quote(pin.name)}/{urllib.parse.quote(pin.version)}/json"
    return judged(pin, ask(address, "application/json"))


def judged(pin: Pin, answer: Any) -> list[str]:
    """A line for each advisory that holds.  Raises CannotAsk for an answer without them: it is not "none"."""
    found = answer.get("vulnerabilities") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise CannotAsk("the index answers without `vulnerabilities`")
    lines = []
    for each in found:
        if each.get("withdrawn"):  # the advisory, not the release
            continue
        names = [each.get("id", "?"), *each.get("aliases", [])]
        mended = ", ".join(each.get("fixed_in") or []) or "no release yet"
        lines.append(
            f"VULNERABLE: {pin}: {' '.join(names)}; mended in: {mended}; {each.get('link') or ''}".rstrip("; ")
        )
    return lines


def withdrawn(pin: Pin, ask: Fetch) -> list[str]:
    return judged_files(pin, ask(f"{INDEX}/simple/{re.sub(r'[-_.]+', '-', pin.name)}/", SIMPLE_JSON))


def judged_files(pin: Pin, answer: Any) -> list[str]:
    """A line where every file of the release was withdrawn.  Raises CannotAsk where the index lists none of it."""
    files = answer.get("files") if isinstance(answer, dict) else None
    if not isinstance(files, list):
        raise CannotAsk("the index answers without `files`")
    mine = [each for each in files if _version_of(each["filename"], pin.name) == pin.version]
    if not mine:
        raise CannotAsk("the index lists no file of this release")
    reasons = [each.get("yanked", False) for each in mine]
    if not all(reason is not False for reason in reasons):
        return []
    said = next((reason for reason in reasons if isinstance(reason, str) and reason), "no reason given")
    return [f"WITHDRAWN: {pin}: {said}"]


def _version_of(filename: str, name: str) -> str:
    """PEP 427 and 625: `name-version-…whl`, `name-version.tar.gz`; older names have hyphens of their own."""
    stem = re.sub(r"\.(tar\.gz|tar\.bz2|zip|whl|tgz)$", "", filename)
    spelled = "[-_.]+".join(map(re.escape, re.split(r"[-_.]+", name)))
    found = re.match(rf"{spelled}-([^-]+)", stem, re.IGNORECASE)
    return found[1] if found else ""


def _file(report: Report, line: str) -> None:
    reason = next((why for name, why in ACCEPTED.items() if name in re.findall(r"[\w-]+", line)), None)
    if reason is None:
        report.known.append(line)
    else:
        report.accepted.append(f"ACCEPTED: {line}: {reason}")


def fetch(address: str, accept: str) -> Any:
    if not address.startswith(("https://", "http://")):
        raise CannotAsk(f"{INDEX} is no web address")
    request = urllib.request.Request(address, headers={"accept": accept, "user-agent": "shiftboss-advisories"})  # noqa: S310  # checked above
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:  # noqa: S310
            return json.loads(answer.read(MAX_BYTES))
    except urllib.error.HTTPError as error:
        raise CannotAsk(f"{INDEX} answers {error.code}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise CannotAsk(f"{INDEX}: {type(reason).__name__}: {reason}"[:120]) from error


if __name__ == "__main__":
    main()
