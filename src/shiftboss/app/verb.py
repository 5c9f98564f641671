"""A verb as it is declared: the function that does it, whom it is done to, who may, and what each face says of it.

Rules of this file
- Everything else follows: both methods (methods.py), the operation of the API (web/verbs.py), the command
  (cli/commands/verbs.py), and the reference pages.
- A parameter is known by its name, in all faces: options.py says what it takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar, get_args, get_type_hints

from shiftboss.app.methods import Deferred, Method, NewRun
from shiftboss.app.roles import Role

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")


class Subject(NamedTuple):
    """What a verb is done to: the first parameter of its function, and the path of its page."""

    parameter: str
    path: str


WORKER = Subject("worker", "/workers/{worker}")
RUN = Subject("run_id", "/runs/{run}")
DEAD_LETTER = Subject("run_id", "/dead-letters/{run}")
NODE = Subject("node", "/nodes/{node}")


class Words(NamedTuple):
    """What the faces say of a verb, beside the docstring, which is for who calls it.

    *api*: of one; *api_many*: of all that fit a filter, where the API does that.  *command*: the help of the command,
    None where that is written by hand; *options*: of its options, what is not said of all of that name; *done*: what
    it says of an answer.
    """

    api: str
    api_many: str = ""
    command: str | None = None
    options: Mapping[str, str] = {}
    examples: tuple[str, ...] = ()
    done: Callable[[Any], str] = str

    @property
    def summary(self) -> str:
        """The first line of the help."""
        return (self.command or "").partition("\n")[0]


class Verb(Method[P, A, R], Generic[P, A, R]):
    """Done to *of*, by who has the *role* at least.  *asks*: the command asks first even about one that is named."""

    def __init__(
        self,
        function: Callable[Concatenate[Any, P], Deferred[A, R]],
        *,
        of: Subject,
        role: Role,
        words: Words,
        asks: bool = False,
    ) -> None:
        super().__init__(function)
        self.name: str = function.__name__
        self.of = of
        self.role = role
        self.words = words
        self.asks = asks

    @property
    def stands_alone(self) -> bool:
        """Whether its command is one of the root's, and written by nobody; those of dead letters are in their group."""
        return self.of != DEAD_LETTER and self.words.command is not None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Those that come after its face and its subject."""
        return tuple(inspect.signature(self.function).parameters)[2:]

    @property
    def answer(self) -> Any:
        """The type of what it answers; `NewRun` where it stores a run."""
        deferred = get_type_hints(self.function)["return"]
        return NewRun if deferred is NewRun else get_args(deferred)[0]


def verb(
    of: Subject, role: Role, words: Words, *, asks: bool = False
) -> Callable[[Callable[Concatenate[Any, P], Deferred[A, R]]], Verb[P, A, R]]:
    """Declare the decorated function."""

    def declare(function: Callable[Concatenate[Any, P], Deferred[A, R]]) -> Verb[P, A, R]:
        return Verb(function, of=of, role=role, words=words, asks=asks)

    return declare
