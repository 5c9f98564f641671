"""What people ask of the file where it has two ways to the answer."""

from __future__ import annotations

import pytest
from store_values import a_run, at, ended, finish, listed, started

from shiftboss.core.value import replace
from shiftboss.stores.sqlite import history
from shiftboss.stores.sqlite.store import SqliteStore


def test_pages_of_a_long_stretch_are_exact_whatever_the_order_of_ends(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(history, "FEW", 3)
    monkeypatch.setattr(history, "NEAR", 4)
    session = sqlite.session()
    late = {2, 3, 5, 7, 11, 13, 14, 16, 17}  # the others ended long before, also some with greater ids
    runs = [ended(started(a_run(n))) for n in range(1, 20)]
    finish(session, *(replace(run, finished_at=at(30) if run.id in late else at(1)) for run in runs))

    pages: list[int] = []
    before: int | None = None
    while page := listed(session, since=at(20), before=before, limit=2):
        pages.extend(page)
        before = page[-1]

    assert pages == sorted(late, reverse=True)
