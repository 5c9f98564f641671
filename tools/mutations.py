"""The mutants of a source file: each is the file with one small mistake in it.

Rules of this file
- It is pure: text goes in, values and syntax trees come out.
- A mutant is named by its file, its function and the text before and after, so its name outlives edits elsewhere.
- What no test of behaviour could notice is no mutant: annotations, docstrings, texts of messages, assertions for the
  type checker, imports.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

WIDTH = 100  # characters of code that a name quotes: enough to recognise the place

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr,
}  # fmt: skip
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    file: str  # beneath src/shiftboss
    place: str  # the function or class; empty for the module itself
    first_line: int  # of the statement that is changed, without the body of a compound one
    last_line: int
    before: str
    after: str
    number: int  # among those with the same texts in the same place
    sets: str  # the name that the statement sets as the module is imported; empty within a function

    @property
    def name(self) -> str:
        place = f" {self.place}" if self.place else ""
        number = f" ({self.number})" if self.number > 1 else ""
        return f"{self.file}{place}: {self.before} → {self.after}{number}"


class Change(NamedTuple):
    """Put *new* where *field* of *parent* (at *index*, if it is a list) has another node; None takes it out."""

    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST | None

    @property
    def old(self) -> ast.AST:
        value = getattr(self.parent, self.field)
        return value if self.index is None else value[self.index]

    def apply(self) -> None:
        if self.index is None:
            setattr(self.parent, self.field, self.new)
            return
        nodes = list(getattr(self.parent, self.field))
        nodes[self.index : self.index + 1] = [] if self.new is None else [self.new]
        setattr(self.parent, self.field, nodes)


class Site(NamedTuple):
    change: Change
    place: str
    statement: ast.stmt
    around: tuple[ast.AST, ...]  # the nodes of the statement that contain the change, outermost first
    sets: str

    def texts(self) -> tuple[str, str]:
        """The code before and after: as much of the statement as a name can quote."""
        for node in self.around:
            before = _text(node)
            if len(before) <= WIDTH:
                kept = getattr(self.change.parent, self.change.field)
                self.change.apply()
                after = _text(node)
                setattr(self.change.parent, self.change.field, kept)
                return before, after
        new = self.change.new
        return _text(self.change.old), "(nothing)" if new is None else _text(new)


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Every mutant of *source*, in the order of its lines."""
    numbers: Counter[tuple[str, str, str]] = Counter()
    mutants = []
    for site in _sites(ast.parse(source)):
        before, after = site.texts()
        numbers[site.place, before, after] += 1
        first, last = _lines(site.statement)
        number = numbers[site.place, before, after]
        mutants.append(Mutant(file, site.place, first, last, before, after, number, site.sets))
    return mutants


def mutated(source: str, index: int) -> ast.Module:
    """The tree of the mutant with that index in `mutants_of`."""
    tree = ast.parse(source)
    _sites(tree)[index].change.apply()
    return ast.fix_missing_locations(tree)


# ── where ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Walk(NamedTuple):
    place: str
    statement: ast.stmt | None
    around: tuple[ast.AST, ...]  # the nodes within the statement, outermost first
    sets: str
    in_function: bool


def _sites(tree: ast.Module) -> list[Site]:
    return list(_within(tree, _Walk("", None, (), "", in_function=False)))


def _within(node: ast.AST, walk: _Walk) -> Iterator[Site]:
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params", "bases", "ops", "op", "ctx"):
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if isinstance(child, ast.AST) and not _is_left_alone(child, node):
                at = index if isinstance(value, list) else None
                inner = _step(walk, child)
                if inner.statement is not None:
                    for change in _changes(node, field, at, child):
                        yield Site(change, inner.place, inner.statement, _around(inner, child, change), inner.sets)
                yield from _within(child, inner)


def _is_left_alone(node: ast.AST, parent: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.JoinedStr() | ast.Global() | ast.Nonlocal():
            return True
        case ast.Expr(value=ast.Constant()):
            return True  # a docstring
        case ast.Expr(value=ast.Call(func=ast.Name(id="assert_never"))):
            return True  # is never reached, as the type checker has shown
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.arguments():
            return not (node.defaults or node.kw_defaults)
        case ast.arg():
            return True
        case ast.Assign(value=ast.Subscript()) if isinstance(parent, ast.Module):
            return True  # the name of a type
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in ("__all__", "__slots__") or name.startswith("TypeVar")
        case ast.Constant(value=bool()) | ast.Constant(value=int()) | ast.Constant(value=float()):
            # msgspec's and dataclasses' own words
            return isinstance(parent, ast.keyword) and parent.arg in ("frozen", "slots", "kw_only", "tag", "order")
        case _:
            return False


def _step(walk: _Walk, child: ast.AST) -> _Walk:
    match child:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            place = f"{walk.place}.{child.name}".strip(".")
            return _Walk(place, child, (), child.name, in_function=True)
        case ast.ClassDef():
            return _Walk(f"{walk.place}.{child.name}".strip("."), child, (), child.name, walk.in_function)
        case ast.stmt():
            return walk._replace(statement=child, around=(), sets="" if walk.in_function else _set_by(child))
        case ast.arguments():
            return walk._replace(in_function=False)  # defaults: part of the definition, run by the import
        case _:
            return walk._replace(around=(*walk.around, child))


def _set_by(statement: ast.stmt) -> str:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name), *_]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return ""


def _around(walk: _Walk, child: ast.AST, change: Change) -> tuple[ast.AST, ...]:
    statement = walk.statement
    simple = () if statement is None or hasattr(statement, "body") or hasattr(statement, "cases") else (statement,)
    return tuple(
        node
        for node in (*simple, *walk.around)
        if isinstance(node, ast.expr | ast.stmt | ast.pattern) and (node is not child or change.parent is child)
    )


def _lines(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None) or getattr(statement, "cases", None)
    if not body:
        return statement.lineno, statement.end_lineno or statement.lineno
    first = body[0].pattern.lineno if isinstance(body[0], ast.match_case) else body[0].lineno
    return statement.lineno, max(statement.lineno, first - 1)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 2 * WIDTH else text[: 2 * WIDTH - 1] + "…"


# ── what ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _changes(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> Iterator[Change]:
    def put(new: ast.AST) -> Change:
        return Change(parent, field, index, new)

    match node:
        case ast.Compare(left, ops, comparators):
            for n, op in enumerate(ops):
                swapped = [*ops[:n], COMPARISONS[type(op)](), *ops[n + 1 :]]
                yield put(ast.Compare(left, swapped, comparators))
        case ast.BoolOp(op, values):
            yield put(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
            for n in range(len(values)):
                rest = [*values[:n], *values[n + 1 :]]
                yield put(rest[0] if len(rest) == 1 else ast.BoolOp(op, rest))
        case ast.UnaryOp(ast.Not(), operand):
            yield put(operand)
        case ast.BinOp(left, ast.BitOr(), right):
            yield put(left)
            yield put(right)
        case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
            yield put(ast.BinOp(left, ARITHMETIC[type(op)](), right))
        case ast.Constant(bool(value)):
            yield put(ast.Constant(not value))
        case ast.Constant(int(value) | float(value)):
            yield put(ast.Constant(value + 1))
        case ast.IfExp(test, body, orelse):
            yield put(ast.IfExp(test, orelse, body))
        case ast.Call(ast.Name(name), arguments, keywords) if name in CALLS:
            yield put(ast.Call(ast.Name(CALLS[name], ast.Load()), arguments, keywords))
        case _:
            pass
    if isinstance(node, ast.Call):
        for n, keyword in enumerate(node.keywords):
            if keyword.arg is not None:
                yield Change(node, "keywords", n, None)
    if isinstance(node, ast.comprehension):
        for n in range(len(node.ifs)):
            yield Change(node, "ifs", n, None)
    yield from _changes_of_cases(put, node)
    if isinstance(node, ast.stmt):
        yield from _changes_of_statement(put, node)


def _changes_of_cases(put: Callable[[ast.AST], Change], node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.match_case) and node.guard is not None:
        yield Change(node, "guard", None, None)
    if isinstance(node, ast.MatchOr):
        for n in range(len(node.patterns)) if len(node.patterns) > 2 else ():  # of two, one alone is no alternative
            yield Change(node, "patterns", n, None)
        if len(node.patterns) == 2:
            yield from (put(pattern) for pattern in reversed(node.patterns))


def _changes_of_statement(put: Callable[[ast.AST], Change], node: ast.stmt) -> Iterator[Change]:
    match node:
        case ast.If(test):
            yield Change(node, "test", None, ast.UnaryOp(ast.Not(), test))
        case ast.While():
            yield Change(node, "test", None, ast.Constant(False))
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield Change(node, "value", None, ast.Constant(None))
        case ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield put(ast.Pass())
        case ast.Expr(ast.Call() | ast.Await()):
            yield put(ast.Pass())
        case ast.Assign([ast.Attribute() | ast.Subscript(), *_]):
            yield put(ast.Pass())
        case ast.AugAssign(target, op, value):
            yield put(ast.Pass())
            if type(op) in ARITHMETIC:
                yield put(ast.AugAssign(target, ARITHMETIC[type(op)](), value))
        case _:
            pass
