"""Does the audit still say what was sealed, and how much of it can be proven here?  (A8)

Rules of this file
- It walks through rows and seals once, in order, and goes on after a contradiction: each doubt names the rows it is
  about.
- What the store alone cannot prove is reported, never passed over: rows above the last seal, a tail that was cut off, a
  key that is missing here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from shiftboss.core.audit import GENESIS, AuditRow, Head, Key, Seal, extended
from shiftboss.core.value import Value

SLACK = timedelta(days=1)  # for retention: clocks are set, and nodes may be configured differently


class Doubt(Value, frozen=True, omit_defaults=False):
    """What is not as it was sealed, or as somebody remembers it.  `what`: rows, seal, retention or head."""

    what: str
    first: int  # from the row with this number …
    last: int  # … to the one with that
    text: str


class AuditVerdict(Value, frozen=True, omit_defaults=False):
    """The result: `doubts` contradict the audit, `limits` are what cannot be proven here."""

    rows: int  # how many are stored
    removed: int  # how many retention has deleted before the first of them
    proven_to: int  # the number of the last row proven by a key that is here; 0: none
    proven: int  # how many of the stored rows are proven so
    unsealed: int  # rows above the last seal
    doubts: tuple[Doubt, ...]
    limits: tuple[str, ...]
    head: Seal | None  # the last seal: keep a copy of it elsewhere

    @property
    def holds(self) -> bool:
        return not self.doubts

    @property
    def is_proven(self) -> bool:
        """Whether a key that is here proves everything that is sealed, and nothing contradicts it."""
        return self.holds and (self.head is None or self.proven_to >= self.head.id)


def verify(
    seals: Iterable[Seal],
    rows: Iterable[AuditRow],
    *,
    keys: Collection[Key],
    heads: Collection[Head],
    now: datetime,
    since: int = 0,
) -> AuditVerdict:
    """Compare *rows* with *seals*, both in order, and both with *heads*: copies of seals that were kept elsewhere.

    *since*: the number of the first seal, if earlier ones were left out on purpose and not deleted by retention.
    """
    check = _Check(keys, heads)
    pending = iter(seals)
    seal = next(pending, None)
    for row in rows:
        if check.rows == 0 and seal is not None and row.id > seal.id:
            check.begin_at(seal)
            seal = next(pending, None)
        while seal is not None and seal.id < row.id:
            check.seal(seal)
            seal = next(pending, None)
        check.row(row)
    if check.rows == 0 and seal is not None:
        check.begin_at(seal)
        seal = next(pending, None)
    while seal is not None:
        check.seal(seal)
        seal = next(pending, None)
    return check.verdict(now, since)


class _Check:
    """How far the walk has come, and what it has found."""

    def __init__(self, keys: Collection[Key], heads: Collection[Head]) -> None:
        self._keys = {key.id: key for key in keys}
        self._heads = heads
        self._wanted = {head.id for head in heads}
        self._wanted_digests = {head.digest for head in heads}
        self._met: dict[int, str] = {}
        self._met_digests: set[str] = set()
        self._digest = GENESIS
        self._count = 0
        self._since = 0  # the number of the previous seal
        self._last_id = 0
        self._anchor: Seal | None = None
        self._head: Seal | None = None
        self._good: Seal | None = None  # the last seal that was made with a key of ours and is right
        self._proven = 0
        self._unsealed = 0
        self._strange: dict[str, int] = {}  # keys that are not here → the last row that only they prove
        self._doubts: list[Doubt] = []
        self.rows = 0

    def begin_at(self, seal: Seal) -> None:
        """Rows before this seal were deleted: the chain begins with its digest."""
        self._anchor = self._head = seal
        self._digest, self._count, self._since, self._last_id = seal.digest, seal.rows, seal.id, seal.id
        self._meet(seal.id)
        self._judge_key(seal, is_right=True)

    def row(self, row: AuditRow) -> None:
        self._digest = extended(self._digest, row)
        self._count += 1
        self.rows += 1
        self._unsealed += 1
        self._last_id = row.id
        self._meet(row.id)

    def seal(self, seal: Seal) -> None:
        is_right = (seal.digest, seal.rows) == (self._digest, self._count) and seal.id == self._last_id
        if not is_right:
            self._doubt("rows", self._since + 1, seal.id, _difference(seal, self._count))
            self._digest, self._count, self._last_id = seal.digest, seal.rows, max(self._last_id, seal.id)
        self._judge_key(seal, is_right=is_right)
        self._head, self._since, self._unsealed = seal, seal.id, 0

    def _judge_key(self, seal: Seal, *, is_right: bool) -> None:
        key = self._keys.get(seal.key)
        if key is None:
            self._strange[seal.key] = seal.id
        elif not key.has_made(seal):
            self._doubt("seal", seal.id, seal.id, f"the seal of row {seal.id} was not made with the key {seal.key}")
        elif is_right:
            self._good, self._proven = seal, self.rows

    def _meet(self, number: int) -> None:
        if number in self._wanted:
            self._met[number] = self._digest
        if self._digest in self._wanted_digests:
            self._met_digests.add(self._digest)

    def _doubt(self, what: str, first: int, last: int, text: str) -> None:
        self._doubts.append(Doubt(what, first, last, text))

    def verdict(self, now: datetime, since: int) -> AuditVerdict:
        for head in self._heads:
            self._compare(head)
        if not since:
            self._judge_retention(now)
        return AuditVerdict(
            rows=self.rows,
            removed=0 if self._anchor is None else self._anchor.rows,
            proven_to=0 if self._good is None else self._good.id,
            proven=self._proven,
            unsealed=self._unsealed,
            doubts=tuple(self._doubts),
            limits=tuple(self._limits()),
            head=self._head,
        )

    def _compare(self, head: Head) -> None:
        """Check that the head lies on the chain."""
        if head.digest in self._met_digests and head.id in (0, *self._met):
            return
        if not head.id:
            text = f"no row leads to the digest {head.digest[:12]}…: the end was cut off, an older backup was restored"
            self._doubt("head", 0, 0, f"{text}, or retention has deleted those rows")
        elif head.id > self._last_id:
            self._doubt(
                "head",
                self._last_id + 1,
                head.id,
                f"row {head.id} is missing: the end was cut off after row {self._last_id}, or an older backup was "
                "restored",
            )
        elif self._anchor is None or head.id >= self._anchor.id:
            self._doubt("head", 0, head.id, f"the rows up to {head.id} have changed since its digest was noted")

    def _judge_retention(self, now: datetime) -> None:
        anchor, good = self._anchor, self._good
        if anchor is None or good is None or good.keep_s <= 0:
            return
        try:
            is_early = anchor.at > now - timedelta(seconds=good.keep_s) + SLACK
        except OverflowError:
            is_early = True
        if is_early:
            days = good.keep_s / 86_400
            self._doubt(
                "retention",
                0,
                anchor.id,
                f"rows up to {anchor.id} are gone, the last of {anchor.at:%Y-%m-%d}; they are to be kept for {days:g} "
                "days",
            )

    def _limits(self) -> Iterator[str]:
        good_id = 0 if self._good is None else self._good.id
        for key, last in sorted(self._strange.items()):
            if last > good_id:
                yield f"rows up to {last} are sealed with key {key}, which this process does not have"
        if self._unsealed:
            are = "row is" if self._unsealed == 1 else "rows are"
            yield f"{self._unsealed} {are} newer than the last seal: not proven yet"
        known = max((head.id for head in self._heads), default=0)
        if self._head is not None and known < self._head.id and not (self._met_digests and not known):
            yield (
                "the store alone cannot show whether rows were cut off its end: compare with a head that is kept "
                "elsewhere (--head)"
            )


def _difference(seal: Seal, count: int) -> str:
    by = seal.rows - count
    what = "the number of rows is right, but not their content or order"
    if by:
        what = f"{abs(by)} {'row' if abs(by) == 1 else 'rows'} {'missing' if by > 0 else 'too many'}"
    return f"the rows up to {seal.id} are not those that were sealed: {what}"
