"""The worked example on a terminal: its workers run, its page shows them, its end says what became of everything.

Rules of this file
- All its files are in ./shiftboss-demo; started again, it continues from there.
- The page is that of `status --watch`, in a thread that only reads; off a terminal each event is a line.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.serve import exit_code, serve
from shiftboss.cli import messages, run_output, serving, stop_conditions, table, watch
from shiftboss.core.address import shown
from shiftboss.demo.archive import FOLDER, Archive
from shiftboss.demo.endpoint import Endpoint
from shiftboss.demo.observatory import observatory
from shiftboss.engine.engine import Engine
from shiftboss.errors import NotStarted


def run_demo(*, for_s: float | None, store: str | None, http: str | None, live: bool | None) -> int:
    """Run until Ctrl-C or for *for_s*; the exit code is that of `run`."""
    archive = Archive()
    archive.create()
    url = store or f"sqlite:///{FOLDER / 'demo.db'}"
    is_live = messages.is_terminal(sys.stdout) if live is None else live
    with (
        _endpoint() as endpoint,
        stop_conditions.conditions(_boss := _make(url, endpoint), for_s=for_s, burst=False) as until,
        serving.page(_boss, http or _default_page(), or_free=http is None) as served,
    ):
        boss = _boss
        _say_where(boss, is_live=is_live)
        pages: list[threading.Thread] = []

        def show_it(engine: Engine) -> None:
            until(engine)
            served.open()
            if is_live:
                page = threading.Thread(target=_show, args=(boss, engine, served), name="shiftboss-page", daemon=True)
                page.start()
                pages.append(page)

        report = serve(boss, until=show_it)
        for page in pages:
            page.join()
    counts = archive.counts()
    messages.say(
        f"observed: {counts['samples']} samples, {counts['summaries']} summaries, {counts['reports']} reports kept"
    )
    messages.say(report)
    return exit_code(report, [report.signal] if report.signal is not None else [])


def _default_page() -> str | None:
    """The usual port, if the extra is installed."""
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        messages.note("no dashboard; to have it: pip install 'shiftboss[web]'")
        return None
    return "127.0.0.1:8420"


def _make(url: str, endpoint: Endpoint) -> Orchestrator:
    boss = observatory(url, endpoint)
    boss.store_override = url  # never the user's own store, whatever SHIFTBOSS_STORE says
    return boss


@contextlib.contextmanager
def _endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()


def _say_where(boss: Orchestrator, *, is_live: bool) -> None:
    command = os.path.relpath(sys.argv[0]) if os.path.sep in sys.argv[0] else sys.argv[0]
    if command.endswith("__main__.py"):
        command = "python -m shiftboss"
    place = shown(boss.store_url).removeprefix("sqlite:///")
    messages.note(f"the demo stores everything in {place}; Ctrl-C drains it and prints a summary")
    messages.note("in a second terminal:")
    for what in ("status --watch", "why summarize", "trigger outlook sensor=cpu --wait", "logs backup", "dead"):
        messages.note(f"  {command} {what} -s {place}")
    if is_live:
        handler: logging.Handler = logging.FileHandler(FOLDER / "demo.log")
        handler.setFormatter(run_output.PlainLines())
        logging.getLogger().handlers[:] = [handler]
        logging.getLogger().setLevel(logging.INFO)
    else:
        run_output.say_what_happens(boss, log_format=None, log_level=None)


def _show(boss: Orchestrator, engine: Engine, served: serving.Page) -> None:
    console = table.console()
    if console is None:
        return
    with (
        contextlib.closing(boss.new_views()) as views,
        contextlib.suppress(NotStarted),
    ):  # the display is closed at the end
        watch.show_live(console, views, until=engine.over.done, foot=lambda: _foot(served))


def _foot(served: serving.Page) -> str:
    link = served.link()
    return "" if link is None else f"dashboard: {link}   "
