"""Which declaration of a worker or a resource is in force, if nodes declare different ones?  (M7)

Rules of this file
- The newest one that a live node declares; if no live node declares it, the stored one stays.
- A node that starts nothing more has no say while others do: what it declares would hold runs that it never starts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from shiftboss.core.declarations import Declarations, are_alike
from shiftboss.core.model import Node, NodeMode
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import Value

NO_DECLARATIONS = Declarations()


class Declared(NamedTuple):
    """What is declared: a worker or a resource."""

    table: str
    of: Callable[[Node], Mapping[str, str]]  # the name → key mapping of what a node declares


WORKER = Declared("worker", lambda node: node.declares)
RESOURCE = Declared("resource", lambda node: node.resources)


def declaring(nodes: Iterable[Node], live: Collection[str]) -> tuple[Node, ...]:
    """The live nodes, without clients and without nodes whose row cannot be read."""
    return tuple(
        node for node in nodes if node.id in live and node.mode is not NodeMode.CLIENT and node.unreadable is None
    )


def keys_in_play(nodes: Iterable[Node], kind: Declared, name: str) -> frozenset[str]:
    """The keys of what *nodes* declare about that worker or resource, as far as they have a say."""
    pairs = [(node, kind.of(node)[name]) for node in nodes if name in kind.of(node)]
    running = frozenset(key for node, key in pairs if node.mode is NodeMode.RUNNING)
    return running or frozenset(key for _, key in pairs)


def prevails(declarations: Declarations, key: str, keys: Collection[str]) -> bool:
    """Whether *key* is the newest of those that live nodes declare, so that it is to be in force."""
    newest = declarations.newest(keys)
    return newest is not None and newest.key == key


class OtherDeclaration(Value, frozen=True, omit_defaults=False):
    """A live node that declares a worker differently from the declaration in force."""

    node: str  # its name
    id: str  # of the node
    pid: int  # of its process
    host: str  # its machine's name
    code_version: str  # of its application
    first_seen_at: datetime | None  # when that declaration was first seen; None: not known

    def __str__(self) -> str:
        code = f" (code {self.code_version})" if self.code_version else ""
        seen = f", first seen at {self.first_seen_at:%Y-%m-%d %H:%M:%S} UTC" if self.first_seen_at is not None else ""
        return (
            f"node {self.node}{code} has another declaration than the one in force{seen}; stop its process {self.pid} "
            f"on {self.host}, or use its declaration: shiftboss prefer {self.node}"
        )


def declared_otherwise(snapshot: Snapshot, name: str, live: Collection[str]) -> tuple[OtherDeclaration, ...]:
    """The live nodes whose declaration of that worker is not the one in force, by name."""
    state = snapshot.workers.get(name)
    if state is None or not state.declarations.current:
        return ()
    current = state.declarations.current
    nodes = [
        node
        for node in declaring(snapshot.nodes.values(), live)
        if name in node.declares and not are_alike(node.declares[name], current)
    ]
    return tuple(
        OtherDeclaration(
            node=node.name,
            id=node.id,
            pid=node.pid,
            host=node.host,
            code_version=node.code_version,
            first_seen_at=_first_seen_at(state.declarations, node.declares[name]),
        )
        for node in sorted(nodes, key=lambda node: (node.name, node.id))
    )


def _first_seen_at(declarations: Declarations, key: str) -> datetime | None:
    declaration = declarations.find(key)
    return None if declaration is None else declaration.first_seen_at


# ── what a node has to declare again ─────────────────────────────────────────────────────────────────────────────


class Owed(Value, frozen=True):
    """What a node has to declare again: it should be in force and is not, or the store no longer knows it."""

    workers: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.workers or self.resources)


NOTHING_OWED = Owed()


def not_holding(snapshot: Snapshot, node: Node) -> Owed:
    """Which of *node*'s declarations are not in force, whether they should be or not; normally none.

    A worker that is not stored was forgotten, or its row was set aside; the next process that starts declares it (A5).
    """
    states = ((snapshot.workers.get(name), name, key) for name, key in node.declares.items())
    workers = [
        name
        for state, name, key in states
        if state is not None and state.unreadable is None and state.declarations.current != key
    ]
    sizes = snapshot.size_declarations
    resources = [name for name, key in node.resources.items() if sizes.get(name, NO_DECLARATIONS).current != key]
    return Owed(tuple(workers), tuple(resources)) if workers or resources else NOTHING_OWED


def owed(snapshot: Snapshot, other: Owed, *, node: Node, live: Collection[str]) -> Owed:
    """Which of *other*, the declarations of the live *node* that are not in force, it has to declare again."""
    nodes = (node, *(each for each in declaring(snapshot.nodes.values(), live) if each.id != node.id))

    def is_owed(declarations: Declarations, kind: Declared, name: str) -> bool:
        key = kind.of(node)[name]
        return declarations.find(key) is None or prevails(declarations, key, keys_in_play(nodes, kind, name))

    sizes = snapshot.size_declarations
    return Owed(
        tuple(name for name in other.workers if is_owed(snapshot.workers[name].declarations, WORKER, name)),
        tuple(name for name in other.resources if is_owed(sizes.get(name, NO_DECLARATIONS), RESOURCE, name)),
    )
