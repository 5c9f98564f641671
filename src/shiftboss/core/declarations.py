"""The declarations of one worker or resource that the store has met, in the order in which it first met them (M7).

Rules of this file
- A declaration is identified by a key: a digest of it, and of the code's version if one is given.  So restarted code
  declares what it declared before, and the same declaration in new code is a new one.
- A new number is always larger than earlier ones, whatever the wall clock does.  If the store has lost some, the clock
  keeps new numbers above those that nodes remember.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from hashlib import sha256

import msgspec

from shiftboss.core.value import EPOCH, US, Value, replace
from shiftboss.core.worker import Definition

MAX_KNOWN = 20  # of each worker, besides those of live nodes: a restarted node is seldom 20 deploys behind
DIGEST_CHARS = 12  # 48 bits, to tell 20 declarations apart
VERSION_CHARS = 6

_encode = msgspec.json.Encoder(order="deterministic").encode


class Declaration(Value, frozen=True, array_like=True):
    """A declaration that the store has met."""

    key: str  # what identifies it
    number: int  # larger than the numbers of all that were met before
    first_seen_at: datetime  # when it was first met, or chosen by a person


class Declarations(Value, frozen=True):
    """The declarations of one worker or resource, by number."""

    known: tuple[Declaration, ...] = ()
    current: str = ""  # the key of the stored one

    def find(self, key: str) -> Declaration | None:
        return next((each for each in self.known if each.key == key), None)

    def newest(self, keys: Collection[str]) -> Declaration | None:
        """The newest of *keys*; None if none of them is known."""
        return next((each for each in reversed(self.known) if each.key in keys), None)

    def met(
        self, key: str, now: datetime, *, remembered: Declaration | None = None, keep: Collection[str] = ()
    ) -> Declarations:
        """These declarations and *key*, which becomes the newest unless it was met before.

        *remembered* is what its node knows of it.  Those in *keep* are not forgotten.
        """
        before = self.find(key)
        if before is not None and (remembered is None or remembered.number <= before.number):
            return self
        declaration = remembered or Declaration(key, self._next_number(now), now)
        return replace(self, known=_kept(self.known, declaration, {key, self.current, *keep}))

    def chosen(self, key: str, now: datetime, *, keep: Collection[str] = ()) -> Declarations:
        """These declarations with *key* as the newest."""
        declaration = Declaration(key, self._next_number(now), now)
        return replace(self, known=_kept(self.known, declaration, {key, self.current, *keep}))

    def compact(self) -> Declarations:
        """The same with one text for the key that is current, which was read as two."""
        current = self.find(self.current)
        return self if current is None else replace(self, current=current.key)

    def _next_number(self, now: datetime) -> int:
        last = self.known[-1].number if self.known else 0
        return max(last + 1, (now - EPOCH) // US)


def _kept(known: Iterable[Declaration], added: Declaration, keep: Collection[str]) -> tuple[Declaration, ...]:
    others = [each for each in known if each.key != added.key]
    first_kept = max(0, len(others) + 1 - MAX_KNOWN)
    left = [each for place, each in enumerate(others) if place >= first_kept or each.key in keep]
    return tuple(sorted((*left, added), key=lambda each: (each.number, each.first_seen_at, each.key)))


def first_of(key: str, declared_at: datetime) -> Declarations:
    """The declarations of a row that is older than their order: the stored one was met when it was declared."""
    return Declarations((Declaration(key, (declared_at - EPOCH) // US, declared_at),), key)


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def key_of(definition: Definition, code_version: str = "") -> str:
    return _versioned(sha256(_encode(definition)).hexdigest()[:DIGEST_CHARS], code_version)


def keys_of(definitions: Iterable[Definition], code_version: str = "") -> dict[str, str]:
    """The keys by the names of the workers."""
    return {definition.name: key_of(definition, code_version) for definition in definitions}


def key_of_size(size: int, code_version: str = "") -> str:
    return _versioned(str(size), code_version)


def keys_of_sizes(resources: Mapping[str, int], code_version: str = "") -> dict[str, str]:
    """The keys by the names of the resources."""
    return {name: key_of_size(size, code_version) for name, size in resources.items()}


def _versioned(digest: str, code_version: str) -> str:
    version = sha256(code_version.encode(errors="surrogatepass")).hexdigest()[:VERSION_CHARS] if code_version else ""
    return f"{digest}.{version}" if version else digest


def are_alike(one: str, other: str) -> bool:
    """Whether two keys stand for the same declaration, whatever the version of the code."""
    return one.partition(".")[0] == other.partition(".")[0]
