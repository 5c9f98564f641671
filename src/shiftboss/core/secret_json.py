"""The secrets in a JSON document: the values under secret names, and the secrets within its texts.

Rules of this file
- A secret's name may be a key, the `name` beside a `value`, or the first of a pair, as in lists of headers.
- All texts of a document are searched together: a million short ones cost no more than one long text.
- Nothing here is recursive: a document may have any depth.
- What is not masked does not change: numbers keep their digits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import msgspec

from shiftboss.core.json_text import WrittenNumber

MASK = "[redacted]"
MIN_TEXT_CHARS = 6  # "pwd=ab": a shorter text cannot name a secret

ITEMS_AT_ONCE = 4_000  # some 2 ms of work
MAX_SHAPES = 4_000  # objects of a document mostly have the same keys; each set of keys is examined once

_decode = msgspec.json.Decoder(float_hook=WrittenNumber).decode


def _as_written(value: Any) -> msgspec.Raw:
    if type(value) is WrittenNumber:
        return msgspec.Raw(value.text.encode())
    raise NotImplementedError


_encode = msgspec.json.Encoder(enc_hook=_as_written).encode
IsSecret = Callable[[str], bool]
Pause = Callable[[], None]
Spot = tuple[Any, Any]  # a list or a dict, and the index or key of one of its members
Place = tuple[int, ...]  # see `core/model.py`


class Found:
    """What a walk through a document finds."""

    __slots__ = ("keys", "mappings", "secrets", "text_keys", "text_nodes", "texts")

    def __init__(self) -> None:
        self.secrets: list[Spot] = []  # values under a secret's name; not the values within those
        self.texts: list[str] = []  # the other texts, and where each is: pairs would be a hundred thousand tuples
        self.text_nodes: list[Any] = []
        self.text_keys: list[Any] = []
        self.keys: set[str] = set()
        self.mappings: list[dict[str, Any]] = []


def no_pause() -> None:
    """For small documents, and where nobody waits."""


def walk(
    root: list[Any],
    is_secret: IsSecret,
    *,
    min_chars: int = MIN_TEXT_CHARS,
    numbers: frozenset[str] = frozenset(),
    pause: Pause = no_pause,
) -> Found:
    """Every place in *root* that may have to be masked; *numbers* are secret wherever they occur."""
    result = Found()
    shapes: dict[tuple[str, ...], tuple[frozenset[str], bool]] = {}
    nodes: list[Any] = [root]
    left = ITEMS_AT_ONCE
    while nodes:
        node = nodes.pop()
        left -= len(node) + 1
        if left < 0:
            left = ITEMS_AT_ONCE
            pause()
        items: Any
        secret: Collection[Any] = ()
        if type(node) is dict:
            result.mappings.append(node)
            names = tuple(node)
            shape = shapes.get(names)
            if shape is None:
                result.keys.update(names)
                shape = frozenset(filter(is_secret, names)), "name" in node or "key" in node
                if len(shapes) < MAX_SHAPES:
                    shapes[names] = shape
            secret = shape[0]
            if shape[1]:
                named = node.get("name", node.get("key"))
                if type(named) is str and is_secret(named):
                    secret = {*secret, "value"}
            items = node.items()
        else:
            if len(node) == 2 and type(node[0]) is str and type(node[1]) is str and is_secret(node[0]):
                secret = (1,)
            items = enumerate(node)
        for key, each in items:
            kind = type(each)
            if secret and key in secret:
                if kind is not bool and each is not None:
                    result.secrets.append((node, key))
            elif kind is str:
                if len(each) >= min_chars:
                    result.texts.append(each)
                    result.text_nodes.append(node)
                    result.text_keys.append(key)
            elif kind is dict or kind is list:
                if each:
                    nodes.append(each)
            elif numbers and not numbers.isdisjoint(_texts_of(each)):
                result.secrets.append((node, key))
    return result


def at_places(root: Any, places: Iterable[Place]) -> Iterator[tuple[Any, Any]]:
    """The containers and keys at these *places*; places that do not exist are left out."""
    keys: dict[int, list[str]] = {}  # of the objects on the way
    for place in places:
        container: Any = root
        key: str | int = 0
        for ordinal in place:
            inner = container[key]
            if not isinstance(inner, list | dict) or not 0 <= ordinal < len(inner):
                break
            container = inner
            key = keys.setdefault(id(inner), list(inner))[ordinal] if isinstance(inner, dict) else ordinal
        else:
            yield container, key


def texts_in(data: bytes) -> tuple[list[str], list[Place]]:
    """Every text and number of a document, with its place.  Raises what decoding raises."""
    texts, places = [], []
    nodes: list[tuple[Any, Place]] = [(msgspec.json.decode(data), ())]
    while nodes:
        node, place = nodes.pop()
        if type(node) is dict or type(node) is list:
            inner = node.values() if type(node) is dict else node
            nodes += [(each, (*place, ordinal)) for ordinal, each in enumerate(inner)]
        elif type(node) is not bool and node is not None:
            texts.append(node if type(node) is str else str(node))
            places.append(place)
    return texts, places


class Document:
    """A JSON document that is being masked.  Raises what decoding raises."""

    def __init__(
        self, data: bytes, is_secret: IsSecret, *, places: Iterable[Place] = (), pause: Pause = no_pause
    ) -> None:
        self._data = data
        self._is_secret = is_secret
        self._pause = pause
        self._root = [_decode(data)]
        pause()
        spots = list(at_places(self._root, places))
        self._of_places = [container[key] for container, key in spots]
        for container, key in spots:
            container[key] = MASK
        self._min_chars = MIN_TEXT_CHARS
        self._found = walk(self._root, is_secret, pause=pause)
        pause()

    def secrets(self) -> Iterator[str]:
        """The texts and numbers under a secret's name, at any depth, and those at the places."""
        nodes = [*(node[key] for node, key in self._found.secrets), *self._of_places]
        while nodes:
            node = nodes.pop()
            match node:
                case dict():
                    nodes.extend(node.values())
                case list():
                    nodes.extend(node)
                case str():
                    if node != MASK:
                        yield node
                case bool() | None:
                    pass
                case _:
                    yield from _texts_of(node)

    def masked(
        self,
        mask_texts: Callable[[list[str]], list[str]],
        *,
        min_chars: int = MIN_TEXT_CHARS,
        numbers: frozenset[str] = frozenset(),
    ) -> bytes:
        """The document with its secrets masked; the same bytes if it has none.  Call it once: it overwrites values."""
        if numbers or min_chars < MIN_TEXT_CHARS:
            self._found = walk(self._root, self._is_secret, min_chars=min_chars, numbers=numbers, pause=self._pause)
        result, texts = self._found, self._found.texts
        is_masked = bool(self._of_places)
        for node, key in result.secrets:
            if node[key] != MASK:
                node[key], is_masked = MASK, True
        keys = [key for key in result.keys if len(key) >= min_chars]
        self._pause()
        asked = texts + keys
        masks = mask_texts(asked)
        self._pause()
        if masks is not asked:
            for node, key, text, mask in zip(result.text_nodes, result.text_keys, texts, masks, strict=False):
                if mask != text:
                    node[key], is_masked = mask, True
            renamed = {key: mask for key, mask in zip(keys, masks[len(texts) :], strict=True) if mask != key}
            for mapping in result.mappings if renamed else ():
                items = [(renamed.get(key, key), each) for key, each in mapping.items()]
                mapping.clear()
                mapping.update(items)
                is_masked = True
            self._pause()
        return _encode(self._root[0]) if is_masked else self._data


def _texts_of(number: Any) -> tuple[str, ...]:
    """A number as the function has it, and as it was written."""
    text = str(number)
    return (text, number.text) if type(number) is WrittenNumber and number.text != text else (text,)
