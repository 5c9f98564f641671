"""`shiftboss dead`: which runs died for good, and what is to become of them (Q1 to Q5)."""

from __future__ import annotations

from datetime import datetime

import click

from shiftboss.app.dead_letters import DeadGroup, DeadLetterSelection, grouped, open_letters
from shiftboss.app.pages import redaction_of, without_secrets
from shiftboss.cli import dead_letter_options, dump, formatting, messages, store_access, table, times
from shiftboss.cli.command import Group, examples, json_option, store_option
from shiftboss.cli.commands.verbs import of_letters
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import run_id
from shiftboss.clock import SystemClock
from shiftboss.core.opaque import OpaqueBytes
from shiftboss.errors import NotAllowed

GROUPS = (
    table.Column("DEAD", right=True),
    table.Column("WORKER"),
    table.Column("CAUSE"),
    table.Column("ERROR", gives=True),
    table.Column("OLDEST"),
    table.Column("NEWEST"),
    table.Column("NEWEST RUN", right=True),
)


class Dead(Group):
    default = "list"


@click.group(
    cls=Dead,
    invoke_without_command=False,
    epilog=examples(
        "shiftboss dead",
        "shiftboss dead show 1042",
        "shiftboss dead replay --worker sync-orders --error ReadTimeout --rate 10/s",
    ),
)
def dead() -> None:
    """List, replay, resolve and discard runs that failed for good.

    Without a command: the list.
    """


@dead.command("list", epilog=examples("shiftboss dead", "shiftboss dead --worker sync-orders --since 1d"))
@dead_letter_options.filter_options
@json_option
@store_option
def list_(
    worker: str | None, error: str | None, since: datetime | None, as_json: bool, store: str | None, app: str | None
) -> int:
    """List open dead letters by worker and error, the largest group first."""
    with store_access.reading(store, app) as views:
        wanted = DeadLetterSelection(worker=worker, error=error, since=since)
        groups = grouped(open_letters(views, wanted))
    total = sum(group.count for group in groups)
    if as_json:
        dump.one({"total": total, "groups": groups})
    elif not groups:
        messages.note("no dead letters")
    else:
        now = SystemClock().now()
        table.show(GROUPS, [_row(group, now) for group in groups])
        first = groups[0]
        by_error = f" --error {first.error_type.rpartition('.')[2]}" if first.error_type else ""
        messages.hint(f"details: shiftboss dead show {first.newest_run}")
        messages.hint(f"run again: shiftboss dead replay --worker {first.worker}{by_error}")
    return Exit.DONE


def _row(group: DeadGroup, now: datetime) -> list[str | table.Cell]:
    return [
        table.Cell(f"{group.count:,}", "red"),
        group.worker,
        group.cause.replace("_", " "),
        group.error_type.rpartition(".")[2],
        times.ago(group.oldest_at, now),
        times.ago(group.newest_at, now),
        str(group.newest_run),
    ]


@dead.command("show", epilog=examples("shiftboss dead show 1042 --json"))
@click.argument("run")
@json_option
@store_option
def show(run: str, as_json: bool, store: str | None, app: str | None) -> int:
    """Show one dead letter: payload, attempts, errors, and how it was closed."""
    from shiftboss.app.pages import page_of_run as read_run
    from shiftboss.cli import show_run

    with store_access.reading(store, app) as views:
        page = read_run(views, run_id(run))
    if page.letter is None:
        raise NotAllowed(f"run {page.run.id} of {page.run.worker!r} is not a dead letter (it is {page.run.status})")
    dump.one(page) if as_json else show_run.show(page)
    return Exit.DONE


for command in of_letters():
    dead.add_command(command)


@dead.command(
    "export",
    epilog=examples(
        "shiftboss dead export > dead.jsonl",
        "shiftboss dead export --worker send-mail",
        "shiftboss dead export --unmasked > keep-this-safe.jsonl",
    ),
)
@dead_letter_options.filter_options
@click.option("--unmasked", is_flag=True, help="Write payloads byte for byte, with their secrets.")
@store_option
def export(
    worker: str | None,
    error: str | None,
    since: datetime | None,
    unmasked: bool,  # its name is the option's
    store: str | None,
    app: str | None,
) -> int:
    """Write all open dead letters as JSON, one per line.

    payload_base64 is the payload byte for byte, payload_sha256 its digest, and payload_text its text if it is UTF-8.
    If a payload has secrets, payload_text is masked, payload_base64 is null and payload_masked is true, unless you give
    --unmasked.  With the codec of --app payloads are written decrypted.  If a payload cannot be decoded, payload_base64
    has the stored bytes and payload_encrypted says so.
    """
    from shiftboss.cli import export as exporting

    wanted = DeadLetterSelection(worker=worker, error=error, since=since)
    asked = [f"{name} {value}" for name, value in wanted._asdict().items() if value] + ["unmasked"] * unmasked
    store_access.recorded(store, app, "export dead letters", about=worker, after=", ".join(asked))
    with store_access.reading(store, app) as views:
        plain = encrypted = masked = 0
        for letter in list(open_letters(views, wanted))[::-1]:
            run = views.run(letter.run)
            plain += bool(run.encoded_by and not isinstance(run.payload, OpaqueBytes))
            encrypted += isinstance(run.payload, OpaqueBytes)
            shown = run.payload
            if not unmasked and shown is not None and not isinstance(shown, OpaqueBytes):
                shown = without_secrets(shown, run, redaction_of(views, run))
            masked += shown != run.payload
            dump.lines([exporting.entry(letter, run, shown)])
    if masked:
        messages.note(f"secrets masked in {formatting.plural(masked, 'payload')}; --unmasked writes them unchanged")
    if plain:
        messages.note(
            f"{formatting.plural(plain, 'payload')} decrypted, although encrypted in the store; keep this output safe"
        )
    if encrypted:
        messages.note(
            f"{formatting.plural(encrypted, 'payload')} still encrypted; name the app that has the key with --app"
        )
    return Exit.DONE
