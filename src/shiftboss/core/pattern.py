"""A regular expression that is compiled at its first use: those of this package would be a tenth of its import.

Rules of this file
- Whoever uses it sees an ordinary pattern.  Two threads may both compile it, with the same result.
- A wrong expression is found at its first use, and by `tests/core/test_patterns.py`, which compiles all of them.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def lazy_pattern(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """What `re.compile` returns, but later."""
    return cast("re.Pattern[AnyStr]", Pattern(source, flags))


class Pattern:
    """Has no attribute of a pattern before the first one is asked for, and all of them from then on."""

    def __init__(self, source: Any, flags: int) -> None:
        self._source = source, flags

    def __getattr__(self, name: str) -> Any:
        compiled: re.Pattern[Any] = re.compile(*self._source)
        self.__dict__.update({each: getattr(compiled, each) for each in dir(compiled) if not each.startswith("_")})
        return getattr(compiled, name)
