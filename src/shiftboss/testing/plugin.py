"""The pytest plugin: a fixture that puts any orchestrator into virtual time.

def test_reports_wait_for_the_import(shiftboss_simulation):
    sim = shiftboss_simulation(boss, start="2026-03-01")
    sim.fail("import", times=4)
    sim.run_for("1h")
    assert sim.starts("report") == []
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator
    from shiftboss.testing.harness import Simulation


@pytest.fixture
def shiftboss_simulation() -> Iterator[Callable[..., Simulation]]:
    """Makes a `shiftboss.testing.Simulation`; at the end of the test, a rule that was broken raises AssertionError."""
    from shiftboss.testing.harness import Simulation  # here, so that other projects' test runs do not pay for it

    with ExitStack() as stack:

        def simulate(boss: Orchestrator, **options: Any) -> Simulation:
            return stack.enter_context(Simulation(boss, **options))

        yield simulate
