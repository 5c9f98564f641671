"""What a name on the command line means, a worker or a run; and the names that a shell can complete.

Rules of this file
- A worker takes precedence over a run: a worker's name may be digits.
- Completion never reports an error: whatever goes wrong, it offers nothing.  It imports no app, named or not, and
  offers no name that a declaration could not have: a shell would take it apart.
"""

from __future__ import annotations

from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from shiftboss.app.views import Views
from shiftboss.core.worker import NAME
from shiftboss.errors import UnknownRun, UnknownWorker


class Named(NamedTuple):
    """A worker, or one of its runs."""

    worker: str
    run: int | None = None


def find(views: Views, text: str) -> Named:
    """The worker or run that *text* names.  Raises UnknownWorker or UnknownRun."""
    snapshot = views.snapshot()
    if text in snapshot.workers:
        return Named(text)
    if text.isascii() and text.isdigit():
        run = views.run(run_id(text))
        return Named(run.worker, run.id)
    snapshot.worker(text)
    raise UnknownWorker(text)


def run_id(text: str) -> int:
    """Raises UnknownRun for a text that is no number."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UnknownRun(f"{text!r} is not a run id; run ids are numbers, see `shiftboss runs`")
    return int(text)


class WorkerName(click.ParamType[str]):
    """A worker's name, completed from the store."""

    name = "worker"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from shiftboss.cli import store_access

        try:
            store = ctx.params.get("store")
            with store_access.opened(store_access.store_url(store, None)) as (opened, clock):
                views = Views(opened, clock)
                names = sorted(views.snapshot().workers)
        except Exception:  # noqa: BLE001  # no store, a broken one, a busy one: a shell must not show that here
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete) and NAME.fullmatch(name)]


worker_name = WorkerName()
worker_or_run = WorkerName()
