"""A verb's declaration: its function, its target, the role it needs, and its wording on each face.

Rules of this file
- Everything else follows from it: both methods (methods.py), the operations of the API (web/verbs.py,
  web/bulk_actions.py), the command (cli/commands/verbs.py) and the reference pages.
- A parameter has the same name on all faces, and takes what `app/options.py` says of that name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar, get_args, get_type_hints

from shiftboss.app.methods import Deferred, Method, NewRun
from shiftboss.app.roles import Role

if TYPE_CHECKING:
    from shiftboss.app.views import Views

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")


class Target(NamedTuple):
    """What a verb is done to: the first parameter of its function, and the path that the API has for it."""

    parameter: str
    path: str


WORKER = Target("worker", "/workers/{worker}")
RUN = Target("run_id", "/runs/{run}")
DEAD_LETTER = Target("run_id", "/dead-letters/{run}")
NODE = Target("node", "/nodes/{node}")


class VerbWords(NamedTuple):
    """What the API and the command say about a verb; its docstring is for those who call it from Python.

    *api*: the summary of the operation; *api_many*: of the one that acts on all that fit a filter, empty without one.
    *command*: the help of the command; *options*: the help of an option, if it differs from what other commands say of
    it; *done*: what the command prints, from the target as it was typed and the answer; *question*: what the command of
    a worker's verb that asks says first, from the target; empty if there is nothing to ask.
    """

    api: str
    command: str
    api_many: str = ""
    options: Mapping[str, str] = {}
    examples: tuple[str, ...] = ()
    done: Callable[[Any, Any], str] = lambda _, answer: str(answer)
    question: Callable[[Views, str], str] = lambda _, name: f"Continue with {name}?"

    @property
    def summary(self) -> str:
        """The first line of the help."""
        return self.command.partition("\n")[0]


class Verb(Method[P, A, R], Generic[P, A, R]):
    """*role*: the least that may do it.  *asks*: the command asks for confirmation even if one target is named."""

    def __init__(
        self,
        function: Callable[Concatenate[Any, P], Deferred[A, R]],
        *,
        target: Target,
        role: Role,
        words: VerbWords,
        asks: bool = False,
    ) -> None:
        super().__init__(function)
        self.name: str = function.__name__
        self.target = target
        self.role = role
        self.words = words
        self.asks = asks

    @property
    def stands_alone(self) -> bool:
        """Whether it has a command of its own; the verbs of a dead letter are in the group `dead`."""
        return self.target != DEAD_LETTER

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters after the face and the target."""
        return tuple(inspect.signature(self.function).parameters)[2:]

    @property
    def makes_runs(self) -> bool:
        return self.answer is NewRun

    @property
    def answer(self) -> Any:
        """The type of its answer; `NewRun` if it stores a run."""
        deferred = get_type_hints(self.function)["return"]
        return NewRun if deferred is NewRun else get_args(deferred)[0]


def verb(
    target: Target, role: Role, words: VerbWords, *, asks: bool = False
) -> Callable[[Callable[Concatenate[Any, P], Deferred[A, R]]], Verb[P, A, R]]:
    """Declare the decorated function."""

    def declare(function: Callable[Concatenate[Any, P], Deferred[A, R]]) -> Verb[P, A, R]:
        return Verb(function, target=target, role=role, words=words, asks=asks)

    return declare
