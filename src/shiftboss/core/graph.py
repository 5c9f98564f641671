"""How workers are related: depends_on, after, blocks and what they share, as graphs over all stored workers.

Rules of this file
- Blocks are symmetric, whichever side declares them.  `tag:NAME` stands for every worker with that tag.  A worker never
  blocks itself (B1).  Blocks are checked against the few workers that run, and never expanded to pairs.
- A cycle over depends_on and after together is refused with its path, and so is an unknown name (D8).
- Nothing in one component can hold a run of another component.  A worker without relations is a component of its own.
- A component lies in one of 64 partitions, which stores may lock one by one.  Every version must put a component into
  the same partition: changing that changes the schema of the stores too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from zlib import crc32

from shiftboss.core.value import Value
from shiftboss.core.worker import HOLDING, TAG_PREFIX, Definition
from shiftboss.errors import ConfigurationError, CycleError, did_you_mean

PARTITIONS = 64  # more than a fleet's database has cores; two components in one partition merely wait for each other
NONE: tuple[str, ...] = ()
EMPTY: frozenset[str] = frozenset()


class Relations(Value, frozen=True):
    """The graphs, derived again whenever a declaration changes."""

    words: dict[str, frozenset[str]] = {}  # worker → the names and tags in its `blocks`; only workers that have any
    marks: dict[str, frozenset[str]] = {}  # worker → its name and tags; only workers that some `blocks` could mean
    after: dict[str, tuple[str, ...]] = {}  # upstream → workers that run after it
    dependents: dict[str, tuple[str, ...]] = {}  # upstream → workers that depend on it
    breakers: dict[str, tuple[str, ...]] = {}  # breaker → workers that share it
    members: dict[str, tuple[str, ...]] = {}  # worker → its component, only if that is larger than the worker alone
    wanted: dict[str, tuple[int, ...]] = {}  # resource → the different numbers of permits that workers use
    upstreams: dict[str, tuple[str, ...]] = {}  # worker → those that it depends on; only workers that do
    free: frozenset[str] = frozenset()  # workers that no gate of the fleet can hold: no relation, no limit, no breaker
    partitions: dict[str, int] = {}  # worker → the partition that its component lies in
    in_partition: dict[int, tuple[str, ...]] = {}  # partition → the workers in it

    @classmethod
    def of(cls, definitions: Iterable[Definition]) -> Relations:
        """Derive the relations of *definitions*; names that nobody declares are left out (`check` reports them)."""
        known = {definition.name: definition for definition in definitions}
        words = {name: frozenset(definition.blocks) for name, definition in known.items() if definition.blocks}
        marks = _marks_that_matter(known, words)
        after: dict[str, list[str]] = defaultdict(list)
        dependents: dict[str, list[str]] = defaultdict(list)
        breakers: dict[str, list[str]] = defaultdict(list)
        users: dict[str, list[str]] = defaultdict(list)
        wanted: dict[str, set[int]] = defaultdict(set)
        for name in sorted(known):
            definition = known[name]
            for upstream in definition.after:
                after[upstream].append(name)
            for edge in definition.depends_on:
                dependents[edge.worker].append(name)
            if definition.breaker is not None:
                breakers[definition.breaker].append(name)
            for resource, permits in definition.uses.items():
                users[resource].append(name)
                wanted[resource].add(permits)
        directed = ((a, b) for graph in (after, dependents) for a, bs in graph.items() for b in bs if a in known)
        shared = ((names[0], b) for names in (*breakers.values(), *users.values()) for b in names[1:])
        members = _components([*_exclusions(words, marks), *directed, *shared], known)
        partitions = {name: partition_of(members[name][0] if name in members else name) for name in known}
        in_partition: dict[int, list[str]] = defaultdict(list)
        for name, partition in partitions.items():
            in_partition[partition].append(name)
        return cls(
            words=words,
            marks=marks,
            after={name: tuple(others) for name, others in after.items()},
            dependents={name: tuple(others) for name, others in dependents.items()},
            breakers={name: tuple(others) for name, others in breakers.items()},
            members=members,
            wanted={resource: tuple(sorted(numbers)) for resource, numbers in wanted.items()},
            upstreams={
                name: tuple(dict.fromkeys(edge.worker for edge in definition.depends_on))
                for name, definition in known.items()
                if definition.depends_on
            },
            free=frozenset(name for name, definition in known.items() if name not in members and _is_free(definition)),
            partitions=partitions,
            in_partition={partition: tuple(names) for partition, names in in_partition.items()},
        )

    def may_block(self, name: str) -> bool:
        """Whether any worker could exclude this one."""
        return name in self.marks

    def conflict(self, name: str, other: str) -> bool:
        """B1: whether runs of the two exclude each other."""
        if name == other:
            return False
        marks = self.marks
        if name not in marks or other not in marks:
            return False
        return not (
            self.words.get(name, EMPTY).isdisjoint(marks[other])
            and self.words.get(other, EMPTY).isdisjoint(marks[name])
        )

    def excluding(self, name: str) -> tuple[str, ...]:
        """The workers that exclude this one, whichever side declared it (B1)."""
        if not self.may_block(name):
            return ()
        return tuple(other for other in self.component(name) if self.conflict(name, other))

    def sharing_breaker(self, breaker: str) -> tuple[str, ...]:
        return self.breakers.get(breaker, NONE)

    def component(self, name: str) -> tuple[str, ...]:
        """All workers whose runs can hold a run of this one, including itself."""
        return self.members.get(name) or (name,)

    def is_related(self, name: str, other: str) -> bool:
        """Whether both are in one component."""
        return name == other or (name in self.members and self.members[name] is self.members.get(other))

    def first(self, name: str) -> str:
        """The first worker, by name, of its component: it stands for the component."""
        members = self.members.get(name)
        return name if members is None else members[0]

    def above(self, name: str) -> Iterator[str]:
        """The workers that it depends on, directly or not (D9)."""
        return _reached(name, self.upstreams)

    def below(self, name: str) -> Iterator[str]:
        """The workers that depend on it, directly or not."""
        return _reached(name, self.dependents)

    def starved_by(self, name: str) -> tuple[str, ...]:
        """Every worker downstream by depends_on or after, the nearest first."""
        seen: dict[str, None] = {}
        queue = [name]
        while queue:
            here = queue.pop(0)
            for there in (*self.dependents.get(here, NONE), *self.after.get(here, NONE)):
                if there not in seen and there != name:
                    seen[there] = None
                    queue.append(there)
        return tuple(seen)


def _reached(name: str, graph: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    seen, todo = {name}, [name]
    while todo:
        for other in graph.get(todo.pop(), NONE):
            if other not in seen:
                seen.add(other)
                todo.append(other)
                yield other


def may_not_overlap(relations: Relations, one: Definition, other: Definition) -> bool:
    """Whether a limit or a block could keep runs of the two from running at the same time (C1, B1, B9)."""
    if one.name == other.name:
        return other.concurrency is not None
    return relations.conflict(one.name, other.name) or not one.uses.keys().isdisjoint(other.uses)


def partition_of(first: str) -> int:
    """The partition of the component whose first worker, by name, is *first*: the CRC-32 of its UTF-8, modulo 64."""
    return crc32(first.encode()) % PARTITIONS


def check(definitions: Iterable[Definition], *, resources: Mapping[str, int]) -> None:
    """Refuse what cannot work together: unknown names, cycles, impossible permits (D8, B9).

    Raises ConfigurationError or CycleError.
    """
    known = {definition.name: definition for definition in definitions}
    tags = {tag for definition in known.values() for tag in definition.tags}
    for definition in known.values():
        for word, others in (
            ("depends_on", [edge.worker for edge in definition.depends_on]),
            ("after", list(definition.after)),
            ("blocks", [other for other in definition.blocks if not other.startswith(TAG_PREFIX)]),
        ):
            for other in others:
                if other == definition.name:
                    raise ConfigurationError(
                        f"worker {definition.name!r}: {word} names itself; "
                        + ("use concurrency=1 instead" if word == "blocks" else "it could never run")
                    )
                if other not in known:
                    hint = did_you_mean(other, known)
                    raise ConfigurationError(
                        f"worker {definition.name!r}: {word} names {other!r}, which is unknown; {hint}"
                    )
        for other in definition.blocks:
            if other.startswith(TAG_PREFIX) and other.removeprefix(TAG_PREFIX) not in tags:
                hint = did_you_mean(other.removeprefix(TAG_PREFIX), tags)
                raise ConfigurationError(
                    f"worker {definition.name!r}: blocks names {other!r}, but no worker has that tag; {hint}"
                )
        for resource, permits in definition.uses.items():
            if resource not in resources:
                raise ConfigurationError(
                    f"worker {definition.name!r} uses {resource!r}, a resource without a size; "
                    f"add Orchestrator(resources={{{resource!r}: N}})"
                )
            if permits > resources[resource]:
                raise ConfigurationError(
                    f"worker {definition.name!r} uses {permits} concurrency slots of {resource!r}, which has only "
                    f"{resources[resource]}: it could never run"
                )
    path = find_cycle(
        {name: (*(e.worker for e in definition.depends_on), *definition.after) for name, definition in known.items()}
    )
    if path:
        raise CycleError(
            f"depends_on and after form a cycle: {' → '.join(path)}; none of these could ever start; remove one of "
            "these edges"
        )


def find_cycle(edges: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """A path that ends where it began, or an empty one.  Iterative: chains may be thousands long."""
    done: set[str] = set()
    for root in sorted(edges):
        path: list[str] = []
        on_path: set[str] = set()
        stack = [(root, iter(()) if root in done else iter(sorted(edges.get(root, ()))))]
        if root in done:
            continue
        path.append(root)
        on_path.add(root)
        while stack:
            node, targets = stack[-1]
            target = next(targets, None)
            if target is None:
                stack.pop()
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif target in on_path:
                return (*path[path.index(target) :], target)
            elif target not in done:
                stack.append((target, iter(sorted(edges.get(target, ())))))
                path.append(target)
                on_path.add(target)
    return ()


def _is_free(definition: Definition) -> bool:
    return not any(getattr(definition, option) for option in HOLDING)


def _marks_that_matter(
    known: Mapping[str, Definition], words: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """The marks of each worker that another one blocks, or that blocks others itself."""
    words_of_all = frozenset().union(*words.values())
    marks = {name: _marks(definition) for name, definition in known.items()}
    return {name: own for name, own in marks.items() if name in words or not own.isdisjoint(words_of_all)}


def _exclusions(words: Mapping[str, frozenset[str]], marks: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, str]]:
    """Who blocks what, and who has a mark that somebody blocks: edges by way of names and tags."""
    words_of_all = frozenset().union(*words.values())
    for name, blocked in words.items():
        yield from ((name, word) for word in blocked)
    for name, own in marks.items():
        yield from ((name, mark) for mark in own & words_of_all if mark != name)


def _marks(definition: Definition) -> frozenset[str]:
    return frozenset((definition.name, *(TAG_PREFIX + tag for tag in definition.tags)))


def _components(edges: Iterable[tuple[str, str]], known: Mapping[str, Definition]) -> dict[str, tuple[str, ...]]:
    """Groups of workers that *edges* join; ends of edges that are tags are left out of the answer."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in edges:
        parent[root(a)] = root(b)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in list(parent):
        if name in known:
            groups[root(name)].append(name)
    members = {root: tuple(sorted(group)) for root, group in groups.items() if len(group) > 1}
    return {name: group for group in members.values() for name in group}
