"""Our loggers: a host that configures logging does not silence them by accident.

Rules of this file
- `dictConfig` and `fileConfig` disable every logger that exists and that they do not name, unless they are told not to
  (`disable_existing_loggers`): a failure would not be said any more.  Ours stay awake.
- Whatever else a host sets holds, as for any logger: levels, filters, handlers, and `disabled`.
"""

from __future__ import annotations

import functools
import logging
import sys
from typing import TypeVar

Named = TypeVar("Named", bound=logging.Logger)


def get_logger(name: str) -> logging.Logger:
    """The logger of that name, awake."""
    logger = logging.getLogger(name)
    if not isinstance(logger, _Awake):
        logger.__class__ = _awake(type(logger))  # type: ignore[arg-type]  # a class is hashable
    return logger


class _Awake:
    """Stays out of the sweep of `logging.config`."""

    @property
    def disabled(self) -> bool:
        return bool(vars(self).get("disabled", False))

    @disabled.setter
    def disabled(self, value: bool) -> None:
        if not value or sys._getframe(1).f_globals.get("__name__") != "logging.config":
            vars(self)["disabled"] = value


@functools.cache
def _awake(kind: type[Named]) -> type[Named]:
    """A class of the host's own (`logging.setLoggerClass`) stays beneath."""
    return type(kind.__name__, (_Awake, kind), {"__module__": kind.__module__})
