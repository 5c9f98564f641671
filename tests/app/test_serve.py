"""What `boss.run()` does to a process that is its own."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from shiftboss.app.serve import COLLECT_AFTER, collect_seldom


@pytest.fixture
def threshold() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("threshold")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((700, 10, 10), COLLECT_AFTER),  # what Python comes with
        ((2000, 10, 5), COLLECT_AFTER),
        ((0, 10, 10), (0, 10, 10)),  # switched off on purpose
        ((50_000, 5, 5), (50_000, 5, 5)),  # somebody knows better
    ],
)
def test_the_collector_looks_seldom_unless_somebody_chose_otherwise(
    before: tuple[int, int, int], after: tuple[int, int, int]
):
    gc.set_threshold(*before)
    collect_seldom()

    assert gc.get_threshold() == after
