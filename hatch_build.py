"""The build of the package brings the dashboard: tools/dashboard.py does it.

Rules of this file
- A distribution contains the dashboard, or is not built, unless SHIFTBOSS_WITHOUT_DASHBOARD is set.
- An editable installation without it works, and its server says so on the page: there is a warning, no failure.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent / "tools"))  # the root is on no path while a package is built
import dashboard

LEFT_OUT = bool(os.environ.get("SHIFTBOSS_WITHOUT_DASHBOARD"))


class WithDashboard(BuildHookInterface[Any]):
    def dependencies(self) -> list[str]:
        return [] if LEFT_OUT or dashboard.is_built() else dashboard.requirements()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if LEFT_OUT:
            return
        try:
            dashboard.build()
        except dashboard.CannotBuild as error:
            if version != "editable":
                raise SystemExit(
                    f"the dashboard cannot be built: {error}\n"
                    "Set SHIFTBOSS_WITHOUT_DASHBOARD=1 to build the package without it."
                ) from error
            self.app.display_warning(f"installed without the dashboard: {error}")
