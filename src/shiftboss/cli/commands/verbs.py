"""The commands of verbs: each declaration (app/verbs.py) becomes a command.

Rules of this file
- An unknown worker or node ends the command; a run or dead letter that is refused does not stop the others.
- The command asks for confirmation before it acts on several runs, on dead letters that a filter selects, before it
  makes several runs, and where the verb requires it.
- A verb that makes runs prints them, and can only show what it would do.  A delay of many is a rate: they become due
  one after another.
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
from shiftboss.cli import dead_letter_options, dump, messages, store_access, times
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option, yes_option
from shiftboss.cli.exits import Exit, exit_of
from shiftboss.cli.naming import run_id, worker_name
from shiftboss.cli.parameters import RATE
from shiftboss.core.model import DeadLetter, Run
from shiftboss.core.policy import Rate
from shiftboss.errors import CallerError

AnyVerb = Verb[..., Any, Any]
Given = dict[str, Any]  # the verb's own parameters, by name

OPTIONS: dict[str, dict[str, Any]] = {  # the parameters that a command takes
    "reason": {"default": "", "help": "Recorded in the audit log."},
    "until": {},
    "note": {"default": "", "help": "What was done about it; recorded in the audit log."},
    "delay": {"type": RATE, "help": "How fast the new runs become due: 10/s, 100/m.  [default: all at once]"},
}
TYPED = {"delay": "rate"}  # the options with another name, because a command acts on many
SECOND: dict[str, Callable[[Any], Any]] = {  # the parameters that are typed without a name, after the target
    "worker": click.argument("worker", required=False, metavar="[WORKER]", type=worker_name),
}


def __getattr__(name: str) -> click.Command:
    """The command of that name, as `root.py` asks for it."""
    for verb in verbs():
        if verb.name == name:
            return command_of(verb)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def command_of(verb: AnyVerb) -> click.Command:
    """Makes a command with its arguments, options, help and examples, according to the verb's target."""
    callback = store_option(WAYS[verb.target](verb))
    if verb.makes_runs:
        callback = json_option(callback)
    if verb.target in (RUN, DEAD_LETTER) or verb.asks:
        callback = yes_option(callback)
    for name in reversed(verb.parameters):
        if name in SECOND:
            callback = SECOND[name](callback)
            continue
        help_option = {"help": verb.words.options[name]} if name in verb.words.options else {}
        callback = click.option(f"--{TYPED.get(name, name)}", **{**OPTIONS[name], **help_option})(callback)
    if verb.makes_runs:
        callback = click.option(
            "--dry-run", is_flag=True, help="Show which dead letters are meant, and change nothing."
        )(callback)
    callback = ARGUMENTS[verb.target](callback)
    callback.__doc__ = verb.words.command
    return click.command(verb.name, cls=SettingsCommand, epilog=examples(*verb.words.examples))(callback)


def _act(boss: Orchestrator, verb: AnyVerb, target: Any, given: Given) -> Any:
    return getattr(boss.sync, verb.name)(target, **given)


def _ask(boss: Orchestrator, verb: AnyVerb, target: Any, *, yes: bool) -> None:
    with store_access.asking(boss) as views:
        question = verb.words.question(views, target)
    if question:
        messages.confirm(question, yes=yes)


# ── by target ────────────────────────────────────────────────────────────────────────────────────────────────────


def _on_workers(verb: AnyVerb) -> Callable[..., int]:
    def command(names: tuple[str, ...], store: str | None, app: str | None, *, yes: bool = False, **given: Any) -> int:
        with store_access.operating(store, app) as boss:
            for name in names:
                if verb.asks:
                    _ask(boss, verb, name, yes=yes)
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
        *,
        dry_run: bool = False,
        as_json: bool = False,
        rate: Rate | None = None,
        **given: Any,
    ) -> int:
        wanted = dead_letter_options.choice(ids, worker, error, since, everything)
        spacing_s = 0.0 if rate is None else rate.per_s / rate.count
        with store_access.operating(store, app) as boss:
            with store_access.asking(boss) as views:
                letters = selected(views, wanted)
            if dry_run or not letters:
                return dead_letter_options.would(verb.name, letters, as_json=as_json)
            if verb.asks or (wanted.is_bulk if verb.makes_runs else not wanted.ids):
                lasts = f" over {times.span(spacing_s * len(letters))}" if rate is not None else ""
                messages.confirm(f"{verb.name.capitalize()} {dead_letter_options.in_words(letters)}{lasts}?", yes=yes)

            def act(number: int, letter: DeadLetter) -> Any:
                paced = {"delay": number * spacing_s} if "delay" in verb.parameters else {}
                return _act(boss, verb, letter.run, {**given, **paced})

            if verb.makes_runs:
                return dead_letter_options.do_all(letters, act, _say_runs_as_json if as_json else _say_runs)
            closed: list[DeadLetter] = []
            code = dead_letter_options.do_all(letters, act, lambda _, letter: closed.append(letter))
        if code is Exit.DONE:
            messages.note(f"{dead_letter_options.in_words(letters)} {closed[0].state}")
        return code

    return command


def _say_runs(letter: DeadLetter, run: Run) -> None:
    messages.say(f"{letter.run} {run.id}")


def _say_runs_as_json(letter: DeadLetter, run: Run) -> None:
    dump.lines([{"dead": letter.run, "run": run.id, "worker": run.worker, "due_at": run.due_at}])


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
    return [command_of(verb) for verb in verbs() if verb.target == DEAD_LETTER]
