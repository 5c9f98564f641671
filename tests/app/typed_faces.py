"""What type checkers see of both faces; `make check` reads it, nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

from shiftboss import Orchestrator, Run, RunHandle, TriggerItem
from shiftboss.core.explain import Explanation
from shiftboss.core.model import DeadLetter, WorkerState


async def awaited(boss: Orchestrator) -> None:
    assert_type(await boss.disable("report", reason="broken"), WorkerState)
    assert_type(await boss.replay(7, delay="5m"), RunHandle[Any])
    assert_type(await boss.prefer("web-1", worker="report"), tuple[str, ...])
    assert_type(await boss.why("report"), Explanation | None)
    assert_type(await boss.trigger_many("report", [{"day": 1}], keys=["a", None], delay="5m"), list[RunHandle[Any]])
    assert_type(await boss.trigger_many([TriggerItem("report", key="a")]), list[RunHandle[Any]])
    await boss.trigger_many([TriggerItem("report")], keys=["a"])  # type: ignore[call-overload]  # an item has its key
    await boss.disable("report", raeson="broken")  # type: ignore[call-arg]  # the names of parameters are checked,
    await boss.cancel("7")  # type: ignore[arg-type]  # their types,
    await boss.why()  # type: ignore[call-arg]  # and that they are there


def blocking(boss: Orchestrator) -> None:
    assert_type(boss.sync.disable("report", reason="broken"), WorkerState)
    assert_type(boss.sync.replay(7, delay=5.0), Run)
    assert_type(boss.sync.dead_letters(), list[DeadLetter])
    assert_type(boss.sync.trigger_many("report", ({"day": day} for day in range(9))), list[Run])
    boss.sync.trigger_many("report", [{}], kyes=["a"])  # type: ignore[call-overload]
    boss.sync.resolve(7, "paid")  # type: ignore[call-arg]  # a note is given by its name
