"""Many triggers in one call: they are read and encoded one by one, and go to the engine as one mutation (O6).

Rules of this file
- A trigger that is refused here does not end the reading: the error names all of them, also those that only the rule
  refuses.
- A call is bounded in number and bytes, because it is one transaction and other writers wait for it.
- An event loop gets its turn between slices, however many triggers are read.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Raw

from shiftboss.app.call import ANSWER_WITHIN_S
from shiftboss.app.options import TRIGGER, Named, Payload, name_of
from shiftboss.app.triggering import Promise, known_digests, read_options, request_of
from shiftboss.core.control import Request
from shiftboss.core.kinds import Duration, shown
from shiftboss.core.policy import Priority
from shiftboss.core.redact import places_of
from shiftboss.core.value import replace
from shiftboss.errors import CallerError, ConfigurationError, RefusedTrigger, TriggersRefused

if TYPE_CHECKING:
    from shiftboss.app.declaration import PriorityName
    from shiftboss.app.open_node import OpenNode
    from shiftboss.core.fan_out import Trigger
    from shiftboss.ports.store import Arrival

MAX_TRIGGERS = 50_000  # of a call: about a second of the store's time, in which nobody else writes
MAX_BYTES = 32 * 1024 * 1024  # of their payloads: they travel to a server within the deadline of one call
SLICE = 250  # triggers that are encoded before an event loop gets its turn: 2 to 5 ms
SLICE_BYTES = 256 * 1024  # or as many bytes
SLOWEST_A_SECOND = 2_000  # what a store still manages while it answers at all

MISSING: Any = object()

Encode = Callable[[Named, Payload], bytes | None]


class TriggerItem(NamedTuple):
    """One trigger among many, with options of its own."""

    worker: Named  # its name or its function
    payload: Payload = None  # the parameters by name
    key: str | None = None  # makes it idempotent (O5)
    delay: Duration | None = None  # due after that time …
    at: datetime | None = None  # … or at that one, which is aware
    priority: PriorityName | Priority | None = None  # None: that of the worker
    force: bool = False  # passes a disabled worker


def answered_within_s(count: int) -> float:
    """How long to wait for the answer to so many triggers."""
    return ANSWER_WITHIN_S + count / SLOWEST_A_SECOND


# ── what was given ───────────────────────────────────────────────────────────────────────────────────────────────


class Given(NamedTuple):
    """The triggers of a call; the options are those of all of them."""

    items: Iterator[TriggerItem]
    options: Mapping[str, Any]
    worker: str | None  # the one worker of all of them; None: each item has its own, and its own options


def given_triggers(worker: Named, payloads: Any, keys: Any, options: Mapping[str, Any]) -> Given:
    """The triggers of a call.  Raises ConfigurationError, UnknownWorker."""
    if payloads is None:
        given = _iterated(worker, "give a worker and its payloads, or a list of TriggerItem(…)")
        if keys is not None or options:
            named = "keys" if keys is not None else min(options)
            raise ConfigurationError(
                f"trigger_many: {named}= cannot be given beside items; give it in each TriggerItem(…)"
            )
        return Given(map(_item, given), {}, None)
    name = name_of(worker)
    of = f"trigger_many of worker {name!r}"
    if "key" in options:
        raise ConfigurationError(f"{of}: there is no option 'key'; give keys=, one for each payload")
    many = _iterated(payloads, f"{of}: give its payloads as a list")
    common = read_options(name, options)
    if keys is None:
        return Given((TriggerItem(name, payload) for payload in many), common, name)
    return Given(_keyed(name, many, _iterated(keys, f"{of}: give keys= as a list"), of), common, name)


def _iterated(value: Any, remedy: str) -> Iterator[Any]:
    if isinstance(value, str | bytes | Mapping | Raw | TriggerItem) or not isinstance(value, Iterable):
        raise ConfigurationError(f"{shown(value)} is not a list of triggers; {remedy}")
    return iter(value)


def _item(value: Any) -> TriggerItem:
    if not isinstance(value, TriggerItem):
        raise ConfigurationError(f"{shown(value)} is not a TriggerItem; give TriggerItem(worker, payload, key=…)")
    return value


def _keyed(name: str, payloads: Iterator[Any], keys: Iterator[Any], of: str) -> Iterator[TriggerItem]:
    for payload, key in zip_longest(payloads, keys, fillvalue=MISSING):
        if payload is MISSING or key is MISSING:
            raise ConfigurationError(
                f"{of}: the numbers of keys and payloads differ; give a key for each payload, or None"
            )
        yield TriggerItem(name, payload, key)


# ── what becomes of it ───────────────────────────────────────────────────────────────────────────────────────────


class FanOut:
    """The triggers of one call, in order: requests, and refusals where one cannot be a request."""

    def __init__(self, node: OpenNode, encode: Encode, given: Given) -> None:
        self._node = node
        self._encode = encode
        self._given = given
        self._common: dict[str, Request] = {}  # by worker: what all its triggers without options of their own share
        self._bytes = 0
        self.triggers: list[Trigger] = []

    def read(self) -> None:
        """Read all of them at once.  Raises ConfigurationError."""
        for _ in self.slices():
            pass

    async def read_on_loop(self) -> None:
        """Read all of them, and give others their turn between slices.  Raises ConfigurationError."""
        for _ in self.slices():
            await asyncio.sleep(0)

    def slices(self) -> Iterator[None]:
        """Read one slice at each step."""
        triggers, ends_at = self.triggers, SLICE_BYTES
        for item in self._given.items:
            if len(triggers) == MAX_TRIGGERS:
                raise ConfigurationError(
                    f"trigger_many takes at most {MAX_TRIGGERS:,} triggers at once; call it once per batch"
                )
            triggers.append(self._trigger(item))
            if self._bytes > MAX_BYTES:
                raise ConfigurationError(
                    f"the payloads of trigger_many may have {MAX_BYTES:,} bytes together, but the first "
                    f"{len(triggers):,} have more; call it with fewer at once"
                )
            if len(triggers) % SLICE == 0 or self._bytes > ends_at:
                ends_at = self._bytes + SLICE_BYTES
                yield

    def _trigger(self, item: TriggerItem) -> Trigger:
        try:
            name = self._given.worker or name_of(item.worker)
            payload = self._encode(name, item.payload)
            self._bytes += 0 if payload is None else len(payload)
            return self._request(name, item, payload)
        except CallerError as error:
            worker = self._given.worker or getattr(item.worker, "name", item.worker)
            return RefusedTrigger.of(len(self.triggers), worker if isinstance(worker, str) else "", error)

    def _request(self, name: str, item: TriggerItem, payload: bytes | None) -> Request:
        node = self._node
        if item[3:] != NO_OPTIONS:
            options = dict(zip(OPTIONS, item[3:], strict=True))
            common = request_of(node, name, None, options)
        else:
            known = self._common.get(name)
            if known is None:
                known = self._common[name] = request_of(node, name, None, self._given.options)
            common = known
        key = item.key if item.key is None else TRIGGER.read_one("key", item.key)
        if payload is None:
            return common if key is None else replace(common, key=key)
        digests = known_digests(node, payload, is_keyed=key is not None)
        return replace(
            common,
            payload=payload,
            digest=digests[0],
            key=key,
            other_digests=digests[1:],
            masked=places_of(node.secrets, payload) if node.secrets else (),
        )


OPTIONS = TriggerItem._fields[3:]
NO_OPTIONS = (None, None, None, False)


# ── within a transaction of the caller's ─────────────────────────────────────────────────────────────────────────


def arriving_many(node: OpenNode, triggers: Sequence[Trigger]) -> tuple[list[Promise], list[Arrival]]:
    """The rows to insert, and what to look for after their commit.  Raises TriggersRefused, ConfigurationError."""
    newest = node.read(lambda views: views.before_arrivals(triggers))
    refused = [each for each in triggers if isinstance(each, RefusedTrigger)]
    if refused:
        raise TriggersRefused(len(triggers), refused)
    promises: list[Promise] = []
    arrivals: list[Arrival] = []
    for request in triggers:
        assert isinstance(request, Request)  # noqa: S101  # the others were refused
        named = request if request.key else replace(request, key=f"within-{uuid.uuid4().hex}")
        digests = () if named.digest is None else (named.digest, *named.other_digests)
        promises.append(Promise(named.worker, named.key or "", digests, *newest))
        arrivals.append(node.store.arrival(named))
    return promises, arrivals


def in_chunks(arrivals: Iterable[Arrival], insert: Callable[[list[Arrival]], Awaitable[Any] | None]) -> Iterator[Any]:
    """What *insert* returns for each statement's worth of rows."""
    rest = iter(arrivals)
    while chunk := list(islice(rest, MAX_ROWS)):
        yield insert(chunk)


MAX_ROWS = 1000  # of one statement
