"""The commands of verbs: each declaration (app/verbs.py) with a help text becomes a command.

Rules of this file
- An unknown worker or node ends the command; a run or dead letter that is refused does not stop the others.
- The command asks for confirmation before it acts on several runs, on dead letters that a filter selects, and where the
  verb requires it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

from shiftboss.app.dead_letters import selected
from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.verb import DEAD_LETTER, NODE, RUN, WORKER, Target, Verb
from shiftboss.app.verbs import verbs
from shiftboss.cli import dead_letter_options, messages, store_access
from shiftboss.cli.command import SettingsCommand, examples, store_option, yes_option
from shiftboss.cli.exits import Exit, exit_of
from shiftboss.cli.naming import run_id, worker_name
from shiftboss.core.model import DeadLetter
from shiftboss.errors import CallerError

AnyVerb = Verb[..., Any, Any]
Given = dict[str, Any]  # the verb's own parameters, by name

OPTIONS: dict[str, dict[str, Any]] = {  # the parameters that a command takes
    "reason": {"default": "", "help": "Recorded in the audit log."},
    "note": {"default": "", "help": "What was done about it; recorded in the audit log."},
}
SECOND: dict[str, Callable[[Any], Any]] = {  # the parameters that are typed without a name, after the target
    "worker": click.argument("worker", required=False, metavar="[WORKER]", type=worker_name),
}


def __getattr__(name: str) -> click.Command:
    """The command of that name, as `root.py` asks for it."""
    for verb in verbs():
        if verb.name == name and verb.words.command is not None:
            return command_of(verb)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def command_of(verb: AnyVerb) -> click.Command:
    """Makes a command with its arguments, options, help and examples, according to the verb's target."""
    callback = store_option(WAYS[verb.target](verb))
    if verb.target in (RUN, DEAD_LETTER):
        callback = yes_option(callback)
    for name in reversed(verb.parameters):
        if name in SECOND:
            callback = SECOND[name](callback)
            continue
        help_option = {"help": verb.words.options[name]} if name in verb.words.options else {}
        callback = click.option(f"--{name}", **{**OPTIONS[name], **help_option})(callback)
    callback = ARGUMENTS[verb.target](callback)
    callback.__doc__ = verb.words.command
    return click.command(verb.name, cls=SettingsCommand, epilog=examples(*verb.words.examples))(callback)


def _act(boss: Orchestrator, verb: AnyVerb, target: Any, given: Given) -> Any:
    return getattr(boss.sync, verb.name)(target, **given)


# ── by target ────────────────────────────────────────────────────────────────────────────────────────────────────


def _on_workers(verb: AnyVerb) -> Callable[..., int]:
    def command(names: tuple[str, ...], store: str | None, app: str | None, **given: Any) -> int:
        with store_access.operating(store, app) as boss:
            for name in names:
                messages.note(verb.words.done(name, _act(boss, verb, name, given)))
        return Exit.DONE

    return command


def _on_node(verb: AnyVerb) -> Callable[..., int]:
    def command(node: str, store: str | None, app: str | None, **given: Any) -> int:
        with store_access.operating(store, app) as boss:
            answer = _act(boss, verb, node, given)
        messages.note(verb.words.done(node, answer))
        return Exit.DONE

    return command


def _on_runs(verb: AnyVerb) -> Callable[..., int]:
    def command(runs: tuple[str, ...], yes: bool, store: str | None, app: str | None, **given: Any) -> int:
        ids = [run_id(text) for text in dict.fromkeys(runs)]
        if len(ids) > 1:
            messages.confirm(f"{verb.name.capitalize()} {len(ids)} runs?", yes=yes)
        code = Exit.DONE
        with store_access.operating(store, app) as boss:
            for each in ids:
                try:
                    messages.note(verb.words.done(each, _act(boss, verb, each, given)))
                except CallerError as error:
                    messages.error(str(error))
                    code = code or exit_of(error)
        return code

    return command


def _on_letters(verb: AnyVerb) -> Callable[..., int]:
    def command(
        ids: tuple[str, ...],
        worker: str | None,
        error: str | None,
        since: datetime | None,
        everything: bool,
        yes: bool,
        store: str | None,
        app: str | None,
        **given: Any,
    ) -> int:
        wanted = dead_letter_options.choice(ids, worker, error, since, everything)
        with store_access.operating(store, app) as boss:
            with store_access.asking(boss) as views:
                open_letters = selected(views, wanted)
            if not open_letters:
                messages.note(f"nothing to {verb.name}")
                return Exit.DONE
            if verb.asks or not wanted.ids:
                messages.confirm(f"{verb.name.capitalize()} {dead_letter_options.in_words(open_letters)}?", yes=yes)
            closed: list[DeadLetter] = []
            code = dead_letter_options.do_all(
                open_letters, lambda _, each: _act(boss, verb, each.run, given), lambda _, letter: closed.append(letter)
            )
        if code is Exit.DONE:
            messages.note(f"{dead_letter_options.in_words(open_letters)} {closed[0].state}")
        return code

    return command


WAYS: dict[Target, Callable[[AnyVerb], Callable[..., int]]] = {
    WORKER: _on_workers,
    RUN: _on_runs,
    DEAD_LETTER: _on_letters,
    NODE: _on_node,
}
ARGUMENTS: dict[Target, Callable[[Any], Any]] = {
    WORKER: click.argument("names", nargs=-1, required=True, metavar="NAME...", type=worker_name),
    RUN: click.argument("runs", nargs=-1, required=True, metavar="RUN..."),
    DEAD_LETTER: dead_letter_options.choice_options,
    NODE: click.argument("node", metavar="NODE"),
}


def of_letters() -> Sequence[click.Command]:
    """The verbs whose commands are in the group `dead`."""
    return [command_of(verb) for verb in verbs() if verb.target == DEAD_LETTER and verb.words.command is not None]
