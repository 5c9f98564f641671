"""What is declared of a verb is on every face: its target, its role, its parameters, its words."""

from __future__ import annotations

import inspect

import click
import pytest

from shiftboss.app.roles import Role
from shiftboss.app.verb import DEAD_LETTER, RUN, Verb
from shiftboss.app.verbs import Verbs, verbs
from shiftboss.cli.root import root
from shiftboss.web.table import OPERATIONS

ALL = pytest.mark.parametrize("verb", verbs(), ids=lambda verb: verb.name)
BY_ID = {operation.id: operation for operation in OPERATIONS}


def command_of(verb: Verb) -> click.Command | None:
    context = click.Context(root)
    group = root.get_command(context, "dead") if verb.target == DEAD_LETTER else root
    return group.get_command(context, verb.name)


def test_the_verbs_are_those_of_the_class_and_their_roles_are_as_people_know_them():
    assert {each.name: each.role for each in verbs()} == {
        **dict.fromkeys(("cancel", "enable", "disable", "pause", "resume", "replay", "resolve"), Role.OPERATOR),
        **dict.fromkeys(("forget", "discard", "drain", "prefer"), Role.ADMIN),
    }
    assert all(vars(Verbs)[each.name] is each for each in verbs())


@ALL
def test_it_begins_with_its_subject_and_has_words_for_who_calls_it_and_who_looks_at_the_api(verb):
    _, first, *others = inspect.signature(verb.function).parameters

    assert (first, tuple(others)) == (verb.target.parameter, verb.parameters)
    assert verb.function.__doc__
    assert verb.words.api.endswith(".")


@ALL
def test_it_is_on_the_api_for_who_has_its_role_with_its_parameters(verb):
    operation = BY_ID[verb.name]

    assert (operation.method, operation.path, operation.role) == ("POST", f"{verb.target.path}/{verb.name}", verb.role)
    assert operation.body.__struct_fields__ == verb.parameters
    assert operation.doc == verb.words.api


@ALL
def test_it_is_done_to_many_where_the_api_says_so_by_the_same_role(verb):
    many = BY_ID.get(f"{verb.name}_many")

    assert (many is not None) == bool(verb.words.api_many)
    if many is not None:
        assert (many.role, many.doc) == (verb.role, verb.words.api_many)
        assert {"filter", "expect", "dry_run"} < set(many.body.__struct_fields__)


@ALL
def test_it_has_a_command_with_its_parameters_and_its_help(verb):
    command = command_of(verb)
    typed = {"delay": "rate"}  # of many: they become due one after another

    assert command is not None
    names = {each.name for each in command.params}
    assert {typed.get(name, name) for name in verb.parameters} < names
    assert command.help.partition("\n\n")[0] == verb.words.summary
    assert ("yes" in names) == (verb.asks or verb.target in (RUN, DEAD_LETTER))
    assert ({"dry_run", "as_json"} < names) == verb.makes_runs
