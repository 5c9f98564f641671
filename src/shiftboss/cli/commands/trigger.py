"""`shiftboss trigger`: store a run, and wait for its end on request; or a run for each line of a file."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.pages import as_shown, redaction_of
from shiftboss.cli import dump, formatting, messages, store_access, waiting
from shiftboss.cli.command import SettingsCommand, create_option, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.line_import import import_lines
from shiftboss.cli.naming import worker_name
from shiftboss.cli.parameters import INSTANT, SECONDS
from shiftboss.cli.payload import read_payload
from shiftboss.core.model import Run, Status
from shiftboss.core.opaque import OpaqueBytes


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss trigger send-mail to=ada@example.org subject=hi",
        """shiftboss trigger send-mail '{"to": "ada@example.org"}' --key order-7 --wait""",
        "shiftboss trigger import-orders @orders.json --in 10m --priority high",
        "shiftboss trigger send-mail --from mails.jsonl",
    ),
)
@click.argument("name", type=worker_name)
@click.argument("payload", nargs=-1, metavar="[JSON | @FILE | - | KEY=VALUE...]")
@click.option("--key", help="Idempotency key: the same key gives the same run.")
@click.option("--in", "delay", type=SECONDS, help="Due after this time.")
@click.option("--at", type=INSTANT, help="Due at this time.")
@click.option(
    "--priority", type=click.Choice(["low", "normal", "high", "critical"]), help="Instead of the worker's own priority."
)
@click.option("--force", is_flag=True, help="Run even if the worker is disabled.")
@click.option("--from", "file", metavar="FILE", help="A trigger for each line of this file, - for stdin.")
@click.option("--import", "import_name", metavar="NAME", help="The name in the keys of --from.  [default: the file's]")
@click.option("--wait", is_flag=True, help="Wait until the run has ended, and print its result.")
@click.option("--timeout", type=SECONDS, help="Wait no longer than this; the run goes on.")
@create_option
@json_option
@store_option
def trigger(
    name: str,
    payload: tuple[str, ...],
    key: str | None,
    delay: float | None,
    at: datetime | None,
    priority: str | None,
    force: bool,
    file: str | None,
    import_name: str | None,
    wait: bool,
    timeout: float | None,
    create: bool,
    as_json: bool,
    store: str | None,
    app: str | None,
) -> int:
    """Trigger a run.

    Prints the id of the run once it is stored.  The payload is a JSON object, a file with one, - for stdin, or
    key=value pairs, whose values are JSON if they can be read as JSON and strings otherwise.  With --app the payload is
    checked at once against the type hints of the function, else by the process that runs it.

    With --wait the command prints the result instead, and exits with 0 when the run succeeded, 1 when it did not, and
    124 after --timeout.

    With --from every line of a file is a payload, a JSON object, and is triggered.  Its member "$key" is the key of
    that trigger and no parameter; a line without one gets a key of the file's name, or --import, and its number.  So
    the command can be repeated after an interruption, or after a line was corrected: a line that is stored is not
    triggered again, unless its run has died, was cancelled, or succeeded longer ago than the worker's key_ttl (24
    hours).  5,000 lines are committed at a time; if one is refused, nothing of its batch is stored.  The command
    prints how many were triggered; with --json it prints a line for each batch, with the ids of its runs.
    """
    if file is None and import_name is not None:
        raise click.UsageError("--import needs --from.")
    if file is not None and (payload or key is not None or wait):
        raise click.UsageError('--from goes without a payload, --key and --wait; a line has its own key as "$key".')
    if timeout is not None and not wait:
        raise click.UsageError("--timeout needs --wait.")
    if delay is not None and at is not None:
        raise click.UsageError("--in and --at cannot be combined.")
    given = read_payload(payload)
    options: dict[str, Any] = {"at": at, "priority": priority, "force": force}
    if delay is not None:
        options["delay"] = delay
    with store_access.operating(store, app, create=create) as boss:
        if given is not None or file is not None:
            _say_if_it_is_stored_plain(boss)
        if file is not None:
            count = import_lines(boss, name, file, name=import_name, options=options, as_json=as_json)
            if not force:
                _say_if_it_waits(boss, name)
            if not as_json:
                messages.say(count)
            return Exit.DONE
        run = boss.sync.trigger(name, given, key=key, **options)
        if not force:
            _say_if_it_waits(boss, name)
        if not wait:
            dump.one(run) if as_json else messages.say(run.id)
            return Exit.DONE
        messages.note(f"{run.worker} run {run.id}")
        run = waiting.wait_for(boss, run.id, timeout_s=timeout)
        if as_json:
            with store_access.asking(boss) as views:
                run = as_shown(run, redaction_of(views, run))
    return _tell_end(run, as_json=as_json)


def _say_if_it_is_stored_plain(boss: Orchestrator) -> None:
    if boss.codec is None and any(node.live and node.decodes for node in boss.sync.nodes()):
        messages.note(
            "payloads are stored in plain text although the nodes encrypt; name the app that has the codec with --app"
        )


def _say_if_it_waits(boss: Orchestrator, name: str) -> None:
    """K5: a worker that failures have disabled may accept a run that starts only after its probe."""
    with store_access.asking(boss) as views:
        for reason in views.worker(name).reasons:
            if reason.fact == "disabled":
                messages.note(f"{name} is {reason.text}")


def _tell_end(run: Run, *, as_json: bool) -> int:
    if as_json:
        dump.one(run)
    elif run.status is Status.SUCCEEDED:
        if isinstance(run.result, OpaqueBytes):
            messages.note(f"its result is {run.result.why}; name the app that has the key: --app APP")
        else:
            messages.json(run.result.decode() if run.result is not None else "null")
        if run.result_error is not None:
            messages.note(f"the return value could not be stored as it was: {run.result_error}")
    if run.status is Status.SUCCEEDED:
        return Exit.DONE
    why = f": {formatting.error(run.error.type, run.error.message)}" if run.error is not None else ""
    messages.error(f"run {run.id} of {run.worker!r} is {formatting.cause(run)}{why}")
    return Exit.FAILED
