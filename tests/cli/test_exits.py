"""Which error becomes which exit code."""

import click
import pytest

from shiftboss import errors
from shiftboss.cli.exits import Exit, exit_of, is_ours


def everything_below(kind):
    return {kind}.union(*(everything_below(each) for each in kind.__subclasses__()))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("x"), 2),
        (errors.CycleError("x"), 2),
        (errors.WrongPayload("x"), 2),
        (errors.UnknownWorker("x"), 4),
        (errors.UnknownRun("x"), 4),
        (errors.StoreMissing("x"), 4),
        (errors.WorkerDisabled("x"), 5),
        (errors.DuplicateKey("x"), 5),
        (errors.NotAllowed("x"), 5),
        (errors.StoreUnavailable("x"), 75),
        (errors.StoreFull("x"), 75),
        (errors.StoreTooOld("x"), 75),  # a node of this version migrates it
        (errors.StoreRejected("x"), 5),
        (errors.StoreDamaged("x"), 78),
        (errors.StoreReadOnly("x"), 78),
        (errors.StoreTooNew("x"), 78),
        (errors.Forked("x"), 78),
        (errors.WaitTimeout("x"), 124),
        (errors.RunFailed("x", status="dead", cause="error"), 1),
        (click.UsageError("x"), 2),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("ours"), 1),
    ],
)
def test_an_error_says_who_must_act_by_its_code(error, code):
    assert exit_of(error) == code


def test_every_error_of_the_tree_has_a_code_above_zero():
    for kind in everything_below(errors.ShiftbossError):
        assert exit_of(kind.__new__(kind)) is not Exit.DONE


def test_only_a_mistake_of_ours_asks_to_be_reported():
    assert is_ours(errors.StoreMissing("x"))
    assert not is_ours(errors.NotLoaded("x"))
    assert not is_ours(ZeroDivisionError("x"))
