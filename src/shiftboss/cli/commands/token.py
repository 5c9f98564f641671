"""The command that manages tokens: who may connect over HTTP, by name and role; and the server's own token."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shiftboss.cli import messages, store_access, table
from shiftboss.cli.command import Group, examples, store_option
from shiftboss.cli.exits import Exit
from shiftboss.clock import SystemClock
from shiftboss.errors import ConfigurationError, StoreMissing

if TYPE_CHECKING:
    from shiftboss.web.access_file import AccessEntries

ROLES = ("metrics", "viewer", "operator", "admin")
COLUMNS = (table.Column("NAME"), table.Column("ROLE"), table.Column("IDENTIFIED BY"))
file_option = click.option(
    "--access-file",
    metavar="FILE",
    envvar="SHIFTBOSS_ACCESS_FILE",
    help="The access file, with names and roles.  [default: beside the store, as jobs.db.access]",
)


@click.group(
    cls=Group,
    epilog=examples("shiftboss token new prometheus --role metrics", "shiftboss token list", "shiftboss token link"),
)
def token() -> None:
    """Manage tokens of the dashboard and the HTTP API.

    An access file keeps the digests of named tokens, each with a role: `metrics` reads only /metrics, `viewer` reads
    everything, `operator` also triggers, cancels, enables, disables and replays, `admin` also discards, forgets, drains
    and prefers.  A server reloads the file when it changes.
    """


@token.command(epilog=examples("shiftboss token show -s shop.db"))
@store_option
def show(store: str | None, app: str | None) -> int:
    """Print the token that a server on this machine created for this store; it has the role admin."""
    messages.say(_own(store, app))
    return Exit.DONE


@token.command(
    epilog=examples("shiftboss token link", "shiftboss token link -s shop.db --http https://jobs.example.org/"),
)
@click.option(
    "--http",
    "address",
    metavar="ADDRESS",
    default="127.0.0.1:8420",
    show_default=True,
    help="Address of the server: HOST:PORT, or the URL that a browser uses.",
)
@store_option
def link(address: str, store: str | None, app: str | None) -> int:
    """Print a link that logs a browser in, once and within ten minutes.

    It works with the running server of this store.  The command makes it from the token that `shiftboss token show`
    prints, without contacting the server.
    """
    secret = _own(store, app)
    from shiftboss.web.login_codes import signed_code

    url = address if "://" in address else f"http://{address}"
    messages.say(f"{url.rstrip('/')}/#code={signed_code(secret, SystemClock().now())}")
    messages.note("the first to open it within ten minutes is logged in as admin")
    return Exit.DONE


def _own(store: str | None, app: str | None) -> str:
    """The server's own token.  Raises ConfigurationError."""
    _needs_web()
    from shiftboss.web.own_token import place_of, read_token

    file = place_of(store_access.store_url(store, app))
    if not os.path.lexists(file):
        raise ConfigurationError(f"there is no {file}; a server creates it at its first start, as in: shiftboss web")
    return read_token(file)


@token.command(
    epilog=examples("shiftboss token new prometheus --role metrics", "shiftboss token new ada --role admin -s shop.db"),
)
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the token permits.")
@file_option
@store_option
def new(name: str, role: str, access_file: str | None, store: str | None, app: str | None) -> int:
    """Create a named token and print it; this is the only time, for the file keeps only its digest."""
    file, is_given = _file(access_file, store, app)
    from shiftboss.app.roles import Role
    from shiftboss.web.access_file import line_of, parsed

    secret = secrets.token_urlsafe(32)
    text = _text(file, is_given=is_given)
    changed = (
        f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line_of(name, Role[role.upper()], secret)}\n"
    )
    parsed(changed)  # refuses a name that is taken or malformed
    _replace(file, changed)
    _recorded(store, app, "token new", f"{name} {role}")
    messages.say(secret)
    messages.note(f"{name} has the role {role} with this token, which is shown only now; {file} keeps its digest")
    return Exit.DONE


@token.command("list", epilog=examples("shiftboss token list"))
@file_option
@store_option
def list_(access_file: str | None, store: str | None, app: str | None) -> int:
    """List the tokens and users that have a role."""
    file, is_given = _file(access_file, store, app)
    entries = _entries(file, is_given=is_given)
    rows = [(each.name, each.role.name.lower(), "token") for each in entries.tokens]
    rows += [(name, role.name.lower(), "user") for name, role in entries.users.items()]
    table.show(COLUMNS, rows)
    return Exit.DONE


@token.command(epilog=examples("shiftboss token remove ada"))
@click.argument("name")
@file_option
@store_option
def remove(name: str, access_file: str | None, store: str | None, app: str | None) -> int:
    """Remove a token, or the role of a user; its sessions and streams end at once."""
    file, is_given = _file(access_file, store, app)
    lines = _text(file, is_given=is_given).splitlines(keepends=True)
    kept = [line for line in lines if line.partition("#")[0].split()[:1] != [name]]
    if len(kept) == len(lines):
        raise ConfigurationError(f"{file} has no entry {name!r}; `shiftboss token list` shows its entries")
    _replace(file, "".join(kept))
    _recorded(store, app, "token remove", name)
    messages.note(f"{name} no longer has a role")
    return Exit.DONE


def _recorded(store: str | None, app: str | None, action: str, who: str) -> None:
    with contextlib.suppress(StoreMissing):  # there may be tokens before there is a store
        store_access.recorded(store, app, action, after=who)


def _needs_web() -> None:
    if find_spec("starlette") is None:
        raise ConfigurationError("tokens are for the HTTP API, which needs an extra: pip install 'shiftboss[web]'")


def _file(access_file: str | None, store: str | None, app: str | None) -> tuple[Path, bool]:
    _needs_web()
    from shiftboss.web.authenticators import access_file_of

    if access_file is not None:
        return Path(access_file), True
    return access_file_of(store_access.store_url(store, app)), False


def _entries(file: Path, *, is_given: bool) -> AccessEntries:
    from shiftboss.web.access_file import AccessEntries, read_entries

    return read_entries(file, is_given=is_given) if file.exists() else AccessEntries()


def _text(file: Path, *, is_given: bool) -> str:
    """The access file as it stands, after it was checked."""
    _entries(file, is_given=is_given)
    return file.read_text(encoding="utf-8-sig") if file.exists() else ""


def _replace(file: Path, text: str) -> None:
    """Write the file in one step: a server reads either the old one or the new one."""
    from shiftboss.web.own_token import make_state_folder, owner_of, state_folder

    file = file.resolve()
    try:
        if file.parent == state_folder():
            make_state_folder()
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
        owner = file.stat() if file.exists() else owner_of(file)
        descriptor, draft = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(text)
                opened.flush()
                os.fsync(opened.fileno())
            os.chmod(draft, mode)
            if os.name != "nt" and os.geteuid() == 0:  # otherwise the server of that user could not read it
                os.chown(draft, owner.st_uid, owner.st_gid)
            os.replace(draft, file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
    except OSError as error:
        raise ConfigurationError(f"the access file {file} cannot be written: {error.strerror}") from error
