"""`shiftboss audit`: who did what, and whether the audit still says so (A1, A8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import click
import msgspec

from shiftboss.app.acts import Act
from shiftboss.app.audit_key import Keys, keys_of
from shiftboss.app.views import Views
from shiftboss.cli import dump, formatting, messages, store_access, table, times
from shiftboss.cli.command import Group, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name
from shiftboss.cli.parameters import SINCE
from shiftboss.clock import SystemClock
from shiftboss.core.audit import Head
from shiftboss.core.verify import AuditVerdict
from shiftboss.ports.faces import AuditFilter

PAGE = 500
DIGEST_CHARS = 64
COLUMNS = (
    table.Column("WHEN"),
    table.Column("WHO"),
    table.Column("WHAT"),
    table.Column("ABOUT"),
    table.Column("MORE", gives=True),
)


class AuditPage(Group):
    default = "list"


@click.group(
    cls=AuditPage,
    invoke_without_command=False,
    epilog=examples(
        "shiftboss audit --since 1d --by ada",
        "shiftboss audit --all --json > audit.jsonl",
        "shiftboss audit verify --head heads.jsonl",
    ),
)
def audit() -> None:
    """Show and verify the audit log.

    Without a command: the list.
    """


@audit.command("list", epilog=examples("shiftboss audit", "shiftboss audit --worker send-mail --action disable"))
@click.option("--since", type=SINCE, help="Only since then: 2h, 2027-03-28T18:00.")
@click.option("--worker", type=worker_name, help="Only about this worker.")
@click.option("--by", help="Only by this user or token.")
@click.option("--action", help="Only this action: trigger, disable, log in, refused …")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Show at most this many."
)
@click.option("--all", "everything", is_flag=True, help="Show all, whatever --limit says.")
@json_option
@store_option
def list_(
    since: datetime | None,
    worker: str | None,
    by: str | None,
    action: str | None,
    limit: int,
    everything: bool,
    as_json: bool,
    store: str | None,
    app: str | None,
) -> int:
    """List what people did, newest first.

    With --json one object per line; use that as the export.
    """
    wanted = AuditFilter(worker=worker, by=by, action=action, since=since)
    with store_access.reading(store, app) as views:
        acts = _pages(views, wanted, None if everything else limit)
        if as_json:
            dump.lines(acts)
            return Exit.DONE
        _show(list(acts))
    return Exit.DONE


def _pages(views: Views, wanted: AuditFilter, limit: int | None) -> Iterator[Act]:
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(left, PAGE)
        page = views.audit(wanted._replace(limit=size))
        yield from page
        if len(page) < size:
            return
        left = None if left is None else left - size
        wanted = wanted._replace(before=page[-1].id)


def _show(acts: Sequence[Act]) -> None:
    if not acts:
        messages.note("the audit log is empty")
        return
    now = SystemClock().now()
    table.show(COLUMNS, [_row(act, now) for act in acts])


def _row(act: Act, now: datetime) -> list[str | table.Cell]:
    run = f"run {act.run}" if act.run is not None else ""
    about = " ".join(filter(None, (act.worker, run, act.node)))
    changed = " → ".join(filter(None, (act.before, act.after)))
    return [
        times.ago(act.at, now),
        act.by or table.Cell("unknown", "dim"),
        table.Cell(act.action, "red" if act.action == "refused" else ""),
        about,
        changed,
    ]


# ── verifying ────────────────────────────────────────────────────────────────────────────────────────────────────


@audit.command("head", epilog=examples("shiftboss audit head >> /elsewhere/heads.jsonl"))
@store_option
def head(store: str | None, app: str | None) -> int:
    """Print the last seal as one line of JSON.

    Keep it where nobody who can write to the store can write; `shiftboss audit verify --head FILE` compares with it.
    """
    with store_access.opened(store_access.store_url(store, app)) as (opened, _):
        session = opened.session()
        try:
            with session.read() as reader:
                seal = reader.last_seal()
        finally:
            session.close()
    if seal is None:
        messages.note("nothing is sealed yet")
        return Exit.FALSE
    dump.lines([seal])
    return Exit.DONE


@audit.command("verify", epilog=examples("shiftboss audit verify", "shiftboss audit verify --head heads.jsonl --json"))
@click.option(
    "--head",
    "given",
    multiple=True,
    metavar="FILE|DIGEST",
    help="Output of `shiftboss audit head` to compare with.  Repeatable.",
)
@json_option
@store_option
def verify(given: tuple[str, ...], as_json: bool, store: str | None, app: str | None) -> int:
    """Verify that the audit log is what was sealed.

    Exits with 0 when it is and the key is known; with 3 when rows were changed, removed or added, or a head is missing;
    with 1 when nothing contradicts it but a key is missing, so that nothing is proven.

    The key is that of the store's nodes: SHIFTBOSS_AUDIT_KEY, SHIFTBOSS_AUDIT_KEY_FILE, or the file beside the store.
    """
    heads = [each for text in given for each in _heads(text)]
    with store_access.opened(store_access.store_url(store, app)) as (opened, clock):
        keys = keys_of(opened, create=False)
        views = Views(opened, clock)
        try:
            verdict = views.verify_audit(keys, heads)
        finally:
            views.close()
    if as_json:
        dump.one(verdict)
    else:
        _say(verdict, keys)
    if not verdict.holds:
        return Exit.FALSE
    return Exit.DONE if verdict.is_proven else Exit.FAILED


def _heads(text: str) -> list[Head]:
    """Raises UsageError."""
    if len(text) == DIGEST_CHARS and all(each in "0123456789abcdef" for each in text):
        return [Head(text)]
    try:
        lines = Path(text).read_bytes().splitlines()
        heads = [msgspec.json.decode(line, type=Head) for line in lines if line.strip()]
    except (OSError, ValueError, msgspec.DecodeError) as error:
        what = f"neither a digest nor a file of `shiftboss audit head`: {error}"
        raise click.UsageError(f"--head {text} is {what}") from error
    if not heads:
        raise click.UsageError(f"--head {text} is empty; `shiftboss audit head >> {text}` adds one")
    return heads


def _say(verdict: AuditVerdict, keys: Keys | None) -> None:
    removed = f", {verdict.removed:,} before them deleted by retention" if verdict.removed else ""
    by = f" with key {keys.key.id}" if keys is not None else ""
    messages.say(f"{formatting.plural(verdict.rows, 'row')}{removed}; {verdict.proven:,} proven{by}")
    for doubt in verdict.doubts:
        messages.error(doubt.text)
    for limit in verdict.limits:
        messages.note(limit)
    if keys is None and verdict.head is not None:
        messages.note("this machine does not have the key: name its file in SHIFTBOSS_AUDIT_KEY_FILE")
    remembers = keys is not None and keys.memory is not None and bool(keys.heads)
    if remembers and any(doubt.what == "head" for doubt in verdict.doubts):
        messages.note(
            f"{keys.memory} records what this machine had sealed; if a backup was restored on purpose, delete that file"  # type: ignore[union-attr]  # there are keys
        )
    if verdict.head is not None:
        messages.say(f"head: row {verdict.head.id} of {times.stamp(verdict.head.at)}, {verdict.head.digest}")
