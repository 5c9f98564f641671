"""The graph of workers: as a tree in text, as mermaid, as edges.

Rules of this file
- A worker with several upstreams is drawn under the first of them; under the others it is a reference.
- Names that nobody declares are drawn as well: they are what people look for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from shiftboss.app.views import Views
from shiftboss.app.worker_graph import selection
from shiftboss.cli import formatting, messages, relations, table
from shiftboss.cli.table import Cell
from shiftboss.core import schedule_words
from shiftboss.core.graph import Relations
from shiftboss.core.model import BreakerMode, BreakerState
from shiftboss.core.worker import Definition, Mode

TREE = {True: ("└─ ", "   "), False: ("├─ ", "│  ")}
ASCII_TREE = {True: ("`- ", "   "), False: ("|- ", "|  ")}


def of_store(views: Views, *, around: str | None, limit: int | None) -> Drawing:
    """The workers of a store, at most *limit*, or *around* and those nearest to it.  Raises UnknownWorker."""
    known = views.assessed()
    snapshot = known.snapshot
    if around is not None:
        snapshot.worker(around)
    definitions = {name: state.definition for name, state in snapshot.workers.items()}
    most = len(definitions) if limit is None else limit
    names = selection(definitions, snapshot.relations, known.places, around=around, limit=most).names
    return Drawing(
        {name: definition for name, definition in definitions.items() if name in names},
        resources=snapshot.resources,
        breakers=snapshot.breakers,
        left_out=definitions.keys() - names,
    )


class Drawing:
    """Definitions, and what is known of the resources and breakers that they share."""

    def __init__(
        self,
        definitions: Mapping[str, Definition],
        *,
        resources: Mapping[str, int],
        breakers: Mapping[str, BreakerState] | None = None,
        left_out: Collection[str] = (),
    ) -> None:
        """*left_out*: workers that are known and not drawn."""
        self.left_out = left_out
        self._all = definitions
        self._resources = resources
        self._breakers = breakers or {}
        self._relations = Relations.of(definitions.values())
        self._drawn: set[str] = set()

    # ── edges ────────────────────────────────────────────────────────────────────────────────────────────────────

    def edges(self) -> dict[str, Any]:
        """All edges as lists, for programs."""
        return {
            "workers": {name: self._schedule(name) for name in sorted(self._all)},
            "depends_on": [(edge.worker, name) for name, it in self._each() for edge in it.depends_on],
            "after": [(upstream, name) for name, it in self._each() for upstream in it.after],
            "blocks": list(self._exclusions()),
            "resources": {name: {"size": size, "used_by": self._users(name)} for name, size in self._resources.items()},
            "breakers": {name: list(sharing) for name, sharing in sorted(self._relations.breakers.items())},
        }

    def _each(self) -> Iterator[tuple[str, Definition]]:
        return iter(sorted(self._all.items()))

    def _exclusions(self) -> Iterator[tuple[str, str]]:
        """Each pair once."""
        names = sorted(name for name in self._all if self._relations.may_block(name))
        for number, name in enumerate(names):
            for other in names[number + 1 :]:
                if self._relations.conflict(name, other):
                    yield name, other

    def _users(self, resource: str) -> dict[str, int]:
        return {name: it.uses[resource] for name, it in self._each() if resource in it.uses}

    def _schedule(self, name: str) -> str:
        definition = self._all.get(name)
        if definition is None:
            return "not shown here" if name in self.left_out else "not registered"
        if definition.after and definition.mode is Mode.TRIGGERED:
            return "after other workers"
        rule = definition.schedule
        return schedule_words.in_words(rule) if rule is not None else definition.mode.value

    def _downstream(self, name: str) -> list[tuple[str, str]]:
        """(worker, the relation that puts it below *name*), ordered by name."""
        edges = dict.fromkeys(self._relations.after.get(name, ()), "after")
        for below in self._relations.dependents.get(name, ()):
            edge = next(edge for edge in self._all[below].depends_on if edge.worker == name)
            text = relations.edge_in_words(edge).removeprefix(name).strip()
            edges[below] = f"{edges[below]} and depends_on {text}".strip() if below in edges else text
        return sorted(edges.items())

    # ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def show(self) -> None:
        """Print the trees of upstreams and downstreams, then what is shared."""
        if not self._all:
            messages.note("no workers")
            return
        self._drawn.clear()
        for root in self._roots():
            self._show(root, first="", rest="", why="")
        for name in sorted(self._all):
            if name not in self._drawn:  # it is part of a cycle, which `check` names
                self._show(name, first="", rest="", why="")
        self._show_shared()

    def _roots(self) -> list[str]:
        upstreams = {name: [*(e.worker for e in it.depends_on), *it.after] for name, it in self._all.items()}
        unknown = {above for aboves in upstreams.values() for above in aboves if above not in self._all}
        return sorted([*(name for name, aboves in upstreams.items() if not aboves), *unknown])

    def _show(self, name: str, *, first: str, rest: str, why: str) -> None:
        seen = name in self._drawn
        self._drawn.add(name)
        below = [] if seen else self._downstream(name)
        notes = "  see above" if seen else f"  {self._schedule(name)}"
        table.line(
            Cell(first, "dim"),
            Cell(name, "bold" if not seen else ""),
            Cell(notes, "red" if name not in self._all and name not in self.left_out else "dim"),
            Cell(f"  {why}" if why else "", "cyan"),
        )
        tree = TREE if formatting.sign("█") == "█" else ASCII_TREE
        for number, (child, reason) in enumerate(below):
            branch, trunk = tree[number == len(below) - 1]
            self._show(child, first=rest + branch, rest=rest + trunk, why=reason)

    def _show_shared(self) -> None:
        rows: list[table.Row] = []
        for name, other in self._exclusions():
            rows.append((Cell("exclusion", "dim"), f"{name} never runs with {other}", ""))
        for name, size in sorted(self._resources.items()):
            users = ", ".join(f"{user} {permits}" for user, permits in self._users(name).items())
            rows.append((Cell("resource", "dim"), f"{name} ({formatting.plural(size, 'concurrency slot')})", users))
        for name, sharing in sorted(self._relations.breakers.items()):
            state = self._breakers.get(name)
            is_closed = state is None or state.mode is BreakerMode.CLOSED
            mode = Cell("" if is_closed or state is None else state.mode.replace("_", "-"), "yellow")
            rows.append((Cell("breaker", "dim"), f"{name} {mode.text}".strip(), ", ".join(sharing)))
        if rows:
            table.blank()
            table.show(
                (table.Column(""), table.Column(""), table.Column("", wraps=True, gives=True)), rows, header=False
            )

    # ── mermaid ──────────────────────────────────────────────────────────────────────────────────────────────────

    def mermaid(self) -> str:
        """A flowchart: solid arrows for depends_on, dashed for after, crosses for blocks."""
        ids = {name: f"w{number}" for number, name in enumerate(self._names())}
        lines = ["flowchart LR"]
        lines += [
            f'    {key}["{name}<br/><small>{_quoted(self._schedule(name))}</small>"]' for name, key in ids.items()
        ]
        for name, it in self._each():
            for edge in it.depends_on:
                label = _quoted(relations.edge_in_words(edge).removeprefix(edge.worker).strip(" ()"))
                lines.append(f"    {ids[edge.worker]} -->{f'|{label}|' if label else ''} {ids[name]}")
            lines += [f"    {ids[upstream]} -.->|after| {ids[name]}" for upstream in it.after]
        lines += [f"    {ids[name]} x--x {ids[other]}" for name, other in self._exclusions()]
        for number, (resource, size) in enumerate(sorted(self._resources.items())):
            lines.append(f'    r{number}(["{_quoted(resource)} ({size})"])')
            lines += [f"    {ids[user]} ---|{permits}| r{number}" for user, permits in self._users(resource).items()]
        for number, (breaker, sharing) in enumerate(sorted(self._relations.breakers.items())):
            lines.append(f'    b{number}{{{{"{_quoted(breaker)}"}}}}')
            lines += [f"    {ids[name]} -.- b{number}" for name in sharing]
        return "\n".join(lines)

    def _names(self) -> list[str]:
        upstreams = {above for _, it in self._each() for above in (*(e.worker for e in it.depends_on), *it.after)}
        return sorted(self._all.keys() | upstreams)


def _quoted(text: str) -> str:
    return text.replace('"', "#quot;").replace("|", "#124;").replace("<", "#lt;").replace(">", "#gt;")
