"""Where does a text reveal a secret?  After a secret's name, as a password in an address, after `Bearer`.

Rules of this file
- A value follows its name after `=`, `:` or `>`, as an option of a command (`--password X`), or as its neighbour in a
  pair.  Quotes (however deeply escaped), brackets and blocks are followed to their end.
- A value without an end reaches to the end of the text: too much is masked rather than too little.
- The value of a header that contains blanks (`Authorization`, `Cookie`) reaches to the end of its line.
- A name is searched for only in a text that has its letters: most texts have those of no name.  So most processes
  compile few of these patterns, which takes 80 ms for all of them.
- Each pattern takes linear time: whatever it repeats is bounded, or is a single character, matched possessively
  (CPython before 3.11.5 matches more than one character possessively in a wrong way, gh-106052).
- A text that names more than MAX_FOUND secrets, or has more than MAX_LOOKED_AT things that look like one, is masked
  from there on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from heapq import heappop, heapreplace
from itertools import islice

from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.secret_names import MAX_NAME_CHARS, Names, reaches_to_line_end

MAX_FOUND = 5_000  # secrets of one kind in a text: with more of them it is no text
MAX_LOOKED_AT = 10_000  # places of one kind that turn out to be no secret: each costs a step, not only a comparison
MAX_TOKENS = 10_000  # quotes and brackets within one value
SEPARATOR = "\ud800"  # between texts that are searched together; a lone surrogate is in no JSON
REACH_CHARS = 1024  # no pattern searches further than this for the start of a value
MANY_SIGNS = 8  # of @ in a slice: with more of them, searching all of the slice is faster
MIN_LONE_CHARS = 20  # of a text alone before the @ of an address: a shorter one is a user name

Span = tuple[int, int]

_QUOTE = r"(?:\\{0,15}[\"']|%2[27]|&quot;|&#(?:3[49]|x27);)"
_BLANKS = r"(?:\s|\\{1,8}[nrt]){0,4}"  # also in the way in which `repr` writes them
_ASSIGNS = rf"{_QUOTE}?\]?{_BLANKS}(?P<mark>[:=]{{1,2}}>?|%3[ad]|>){_BLANKS}"
_TYPE = lazy_pattern(
    r"""(?:[\w.]{0,40}\.)?(?:str|bytes|int|float|bool|None|Any|object|SecretStr|Optional|Annotated|Union|Literal)\b"""
    r"""(?:\[[^\]=\n]{0,80}\])?(?:\s?\|\s?[\w.\[\]]{1,40}){0,3}(?P<default>\s{0,2}=\s{0,2}(?!=))?(?=[\s,;)\]}"'|]|$|(?<=\s)|(?<==))"""
)
_NOTHING = frozenset(("none", "true", "false", "null", "...", "…", "str", "bytes", "int"))

_OPENING = lazy_pattern(
    r"""[bru]{0,2}(?P<slashes>\\{0,15}+)(?P<quote>\"{3}|'{3}|"|'|%2[27]|&quot;|&#(?:3[49]|x27);)""", re.I
)
_NAMES_ANOTHER = lazy_pattern(rf"{_QUOTE}\s{{0,3}}+[:=]")
_MAY_OPEN = frozenset("bruBRU\\\"'%&")
_BRACKET = lazy_pattern(r"""(?P<slashes>\\{0,15}+)(?P<quote>["'])|(?P<open>[\[({])|[\])}]""")
_BLOCK = lazy_pattern(r"[|>][+-]?\d?[ \t]*\n[ \t]+")
_BLOCK_END = lazy_pattern(r"\n(?![ \t\n])")
_SCHEME = lazy_pattern(r"(?:bearer|basic|digest|negotiate|token)\s{1,3}", re.I)
_BARE_END = lazy_pattern(r"""[\s"',;&<](?:(?<=\s)|(?<=[,;&])(?=\s|$|[\w.-]{1,40}\s{0,2}[=:])|(?<=["'<])(?!\w))""")
_LINE_END = lazy_pattern(r"[\\\r\n](?:(?<!\\)|(?=[rn]))")
_QUOTED_LINE_END = {  # or, of a header, the end of one of its quoted values
    '"': lazy_pattern(r'(?P<inner>="[^"\r\n]*+")|["\r\n]|\\[rn]'),
    "'": lazy_pattern(r"(?P<inner>='[^'\r\n]*+')|['\r\n]|\\[rn]"),
}
_REST_OF_NAME = r"[a-z0-9_\xb5-\u1fff\u2c00-\ud7ff\ud801-\U0010ffff-]"  # in lower-case texts; twice as fast as [\w-]
_IS_PAIR = rf"(?=[\w .-]{{1,{4 * MAX_NAME_CHARS}}}{_QUOTE}\s{{0,3}},\s{{0,3}}b?[\"'\\])"  # mostly searches no further
_IN_FRONT = lazy_pattern(rf"[\w-]{{0,{MAX_NAME_CHARS}}}+")
_NO_SIGN = r"""(?!s?(?:(?:\s|\\[nrt])\w|["'],))"""  # after a name: a word follows, or the next item of a list
# A name ends with its secret word.  If none of 512 letters has one in the first half, that half is skipped at once.
_LONG_WORD = rf"(?={_REST_OF_NAME}{{{REACH_CHARS // 2}}}){_REST_OF_NAME}{{{REACH_CHARS // 4}}}"

_BEGIN_OF_ADDRESS = lazy_pattern(r":\\?/\\?/")
_ADDRESS = lazy_pattern(
    r""":\\?/\\?/(?P<user>[^\s/?#@:"'<>\\\ud800]{0,300}+)"""
    r"""(?P<password>:[^\s/?#"'<>\\\ud800]{0,500}(?=@)|:(?!\\?/\\?/|\d{1,5}(?:[/?#\s]|$))[^\s@"'<>\ud800]{0,100}+(?=@)"""
    r"""|:\\?/\\?/[^\s@"'<>\ud800]{0,30}+(?=@))?@""",
)
_WEB = ("http", "https")
_SCHEMES = {
    each: lazy_pattern(rf"{each}(?<!\w{each})(?:\s|%20|\+){{1,3}}(?P<value>[\w.~+/=-]{{8,}}+)")
    for each in ("bearer", "basic", "negotiate")
}
_REST_OF_VALUE = lazy_pattern(r"[\w.~+/=-]*+")
_PLAIN_WORD = lazy_pattern(r"[A-Za-z]?[a-z]+")


class Assignments:
    """Values that follow the names that *names* calls secret."""

    __slots__ = ("_letters", "flagged", "is_secret", "named", "paired")

    def __init__(self, names: Names) -> None:
        rest = rf"{_REST_OF_NAME}{{0,{MAX_NAME_CHARS}}}+"
        name = rf"(?P<name>[\w-]{{0,{MAX_NAME_CHARS}}}?{names.in_texts}{rest})"
        quoted = rf"(?P<name>(?:{rest}[ .]{{1,2}}+)?[\w-]{{0,{MAX_NAME_CHARS}}}?{names.in_texts}{rest})"
        self.is_secret = names.is_secret
        self._letters = tuple(map(_letters, names.parts_in_texts))
        self.named = tuple(
            lazy_pattern(rf"{_early(part)}(?:{rest}(?![a-z0-9_-]){_NO_SIGN}(?P<sign>{_ASSIGNS})|{_LONG_WORD})")
            for part in names.parts_in_texts
        )
        self.flagged = lazy_pattern(rf"-(?<![\w-]-)-?(?=\w){name}(?:[\"'],)?\s{{1,3}}(?!-)")
        self.paired = tuple(
            lazy_pattern(rf"{bracket}\s{{0,3}}+b?{_QUOTE}{_IS_PAIR}{quoted}{_QUOTE}\s{{0,3}},\s{{0,3}}(?=b?[\"'\\])")
            for bracket in (r"\[", r"\(")
        )

    def within(self, lowered: str) -> tuple[re.Pattern[str], ...]:
        """Those of `named` whose letters *lowered* has.  Without any, it has no name of a secret."""
        return tuple(pattern for letters, pattern in zip(self._letters, self.named, strict=True) if letters in lowered)


def _letters(part: str) -> str:
    """The letters with which *part* begins, and without which it is in no text; empty if it begins otherwise."""
    letters = re.match(r"[a-z]+(?![\[?*{])", part)
    return "" if letters is None else letters[0]


def _early(part: str) -> str:
    """*part* with the check for a following sign right behind its first letters: its slow rest is tried less often."""
    letters = _letters(part)
    return letters + _NO_SIGN + part[len(letters) :] if letters else part


class AfterSigns:
    """`name=value` and similar assignments in one text, searched slice by slice."""

    __slots__ = ("_at", "_ends", "_known", "_lowered", "_named_within", "_open_end", "_text")

    def __init__(self, known: Assignments, text: str, lowered: str) -> None:
        self._known = known
        self._text = text
        self._lowered = lowered
        self._named_within = known.within(lowered)
        self._ends = _Ends(text)
        self._at = 0  # everything before this position has been searched
        self._open_end = 0  # of the last value without a closing quote or bracket: others may begin inside and go on

    @property
    def may_have_names(self) -> bool:
        """Whether the text has the letters of any secret's name."""
        return bool(self._named_within)

    def spans(self, first: int, last: int, end: int) -> Iterator[Span]:
        """The values whose name begins within *first* and *last*; names and signs do not reach beyond *end*."""
        text, lowered = self._text, self._lowered
        if all(lowered.find(sign, first, end) < 0 for sign in ":=>%"):
            return
        for start, sign_at, at, mark in self._named(max(first, self._at), last, end):
            self._at = at
            name_at = self._begin_of_name(start)
            in_front = text[name_at - 1] if name_at else ""
            if mark == ">":  # an element of XML, or a comparison
                yield (at, _until(text, "<", at, self._ends.after(at))) if in_front and in_front in "<:" else (at, at)
                continue
            name = text[name_at:sign_at]
            if not self._known.is_secret(name):
                longer_at = self._begin_of_words(name_at)
                if longer_at == name_at or not self._known.is_secret(name := text[longer_at:sign_at]):
                    yield at, at
                    continue
                in_front = text[longer_at - 1] if longer_at else ""
            value_end = self._ends.after(at)
            span = _closed_value(text, at, value_end)
            if span is not None:
                yield span
                if _NAMES_ANOTHER.match(text, span[1], value_end) is None:  # otherwise it is checked as a name as well
                    self._at = max(at, span[1])
            elif at >= self._open_end:
                span = _open_value(text, at, value_end, name, in_front)
                yield span
                self._open_end = span[1]
            else:  # inside a value that is masked as a whole
                yield at, self._open_end

    def _named(self, at: int, last: int, end: int) -> Iterator[tuple[int, int, int, str]]:
        """What may be a name with its sign, in order: the start of the name, of its sign, and of what comes after.

        Each part that a name may have is searched for separately.  The caller moves `_at` on behind what it has
        handled.
        """
        lowered, named = self._lowered, self._named_within
        self._at = max(self._at, at)
        heads: list[tuple[int, int, re.Match[str] | None]] = [(at, index, None) for index in range(len(named))]
        while heads:
            start, index, match = heads[0]
            if match is not None and match["sign"] is not None and start >= self._at:
                yield start, match.start("sign"), match.end(), match["mark"]
            from_ = self._at if match is None or match["sign"] is not None else max(self._at, match.end())
            match = named[index].search(lowered, from_, end) if from_ < last else None
            if match is None or match.start() >= last:
                heappop(heads)
            else:
                heapreplace(heads, (match.start(), index, match))

    def _begin_of_name(self, at: int) -> int:
        before = _IN_FRONT.match(self._text[max(0, at - MAX_NAME_CHARS) : at][::-1])
        return at - (before.end() if before is not None else 0)

    def _begin_of_words(self, at: int) -> int:
        """The start of a name in two words ("api key"), if *at* is the start of the second one."""
        blanks = 0
        while blanks < 2 and at - blanks > 0 and self._text[at - blanks - 1] in " .":
            blanks += 1
        return self._begin_of_name(at - blanks) if blanks else at


def in_order(
    patterns: Iterable[re.Pattern[str]],
    known: Assignments,
    text: str,
    lowered: str,
    first: int,
    last: int,
    end: int,
) -> Iterator[Span]:
    """Values that follow their names without a sign: as options, and in pairs."""
    for pattern in patterns:
        at, ends = first, _Ends(text)
        while (match := pattern.search(lowered, at, end)) is not None and match.start() < last:
            at = match.end()
            name = text[match.start("name") : match.end("name")]
            if known.is_secret(name):
                span = _closed_value(text, at, ends.after(at)) or _open_value(text, at, ends.after(at), name, "'")
                yield span
                at = max(at, span[1])
            else:
                yield at, at


class _Ends:
    """Where the part of a text that contains a position ends; asked in order, it reads each character once."""

    __slots__ = ("_end", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = -1

    def after(self, at: int) -> int:
        if at > self._end:
            self._end = _until(self._text, SEPARATOR, at, len(self._text))
        return self._end


def addresses(text: str, first: int, last: int, end: int) -> Iterator[Span]:
    """Passwords before the @ of an address; in a web address, everything before the @."""
    for match in _near_signs(text, first, last, end):
        at = match.start()
        if at >= last:
            return
        user, password = match["user"], match["password"] or ""
        if (user or len(password) > 1) and text[max(0, at - 5) : at].lower().endswith(_WEB):
            yield match.start("user"), match.end() - 1
        elif len(password) > 1:
            yield match.start("password") + 1, match.end() - 1
        elif len(user) >= MIN_LONE_CHARS:
            yield match.span("user")
        else:
            yield at, at


def _near_signs(text: str, first: int, last: int, end: int) -> Iterator[re.Match[str]]:
    """What may be an address.  If there are few @, only the text before them is searched: addresses may be many."""
    if text.count("@", first, end) > MANY_SIGNS:
        yield from _ADDRESS.finditer(text, first, end)
        return
    at = first
    while at < last and (sign_at := text.find("@", at, end)) >= 0:
        for begin in _BEGIN_OF_ADDRESS.finditer(text, max(at, sign_at - REACH_CHARS), sign_at):
            match = _ADDRESS.match(text, begin.start(), end) if begin.start() >= at else None
            if match is not None:
                at = match.end()
                yield match
        at = max(at, sign_at + 1)


def bearers(text: str, lowered: str, first: int, last: int, end: int) -> Iterator[Span]:
    """What follows the name of an authorization scheme."""
    for scheme, pattern in _SCHEMES.items():
        if lowered.find(scheme, first, end) < 0:
            continue
        for match in pattern.finditer(lowered, first, end):
            start, stop = match.span("value")
            if match.start() >= last:
                break
            if stop == end:  # not the end of the value, but of the range that is searched
                rest = _REST_OF_VALUE.match(text, stop)
                stop = stop if rest is None else rest.end()
            is_word = scheme != "bearer" and _PLAIN_WORD.fullmatch(text, start, stop) is not None
            yield (start, start) if is_word else (start, stop)


# ── where a value begins and ends ────────────────────────────────────────────────────────────────────────────────


def _closed_value(text: str, at: int, end: int) -> Span | None:
    """The value at *at* if a quote or a bracket closes it, or if it reveals nothing."""
    typed = _TYPE.match(text, at, end)
    if typed is not None:
        at = typed.end()
        if typed["default"] is None:
            return at, at
    if at >= end:
        return at, at
    first = text[at]
    opening = _OPENING.match(text, at, end) if first in _MAY_OPEN else None
    if opening is not None:
        match = _closing(len(opening["slashes"]), opening["quote"]).search(text, opening.end(), end)
        return opening.end(), end if match is None else match.start()
    if first in "[{(":
        return at, _bracket(text, at, end)
    block = _BLOCK.match(text, at, end) if first in "|>" else None
    return None if block is None else (block.end(), _end_at(_BLOCK_END, text, block.end(), end))


def _open_value(text: str, at: int, end: int, name: str, in_front: str) -> Span:
    """The value at *at* that ends with its line or its word.  *in_front* is the character before its name."""
    typed = _TYPE.match(text, at, end)
    if typed is not None:
        at = typed.end()
    if reaches_to_line_end(name):
        return _stripped(text, at, _end_of_line(text, at, end, in_front), ")]}")
    scheme = _SCHEME.match(text, at, end)
    value_end = 0 if scheme is None else _end_at(_BARE_END, text, scheme.end(), end)
    if scheme is None or value_end == scheme.end():
        value_end = _end_at(_BARE_END, text, at, end)
    if text[at:value_end].rstrip(")]}>.").lower() in _NOTHING:
        return at, at
    return _stripped(text, at, value_end, ")]}>")


def _end_of_line(text: str, at: int, end: int, in_front: str) -> int:
    pattern = _QUOTED_LINE_END.get(in_front)
    if pattern is None:
        return _end_at(_LINE_END, text, at, end)
    for match in islice(pattern.finditer(text, at, end), MAX_TOKENS):
        if match["inner"] is None:
            return match.start()
    return end


def _end_at(pattern: re.Pattern[str], text: str, at: int, end: int) -> int:
    match = pattern.search(text, at, end)
    return end if match is None else match.start()


def _stripped(text: str, start: int, end: int, brackets: str) -> Span:
    return start, start + len(text[start:end].rstrip(brackets))


def _until(text: str, mark: str, at: int, end: int) -> int:
    index = text.find(mark, at, end)
    return end if index < 0 else index


@lru_cache(maxsize=256)
def _closing(slashes: int, quote: str) -> re.Pattern[str]:
    r"""What closes a value that *quote* opened behind so many *slashes*.

    A quote behind more slashes belongs to the value, which is quoted within a quotation.  So `"\\"` is not taken for
    the end: whether it is one depends on how often it was quoted, and a value must not end too early.
    """
    if len(quote) > 1:
        return re.compile(re.escape(quote))
    lead = "\\\\" * slashes
    return re.compile(rf"{lead}{quote}(?<!\\{lead}{quote})")


def _bracket(text: str, at: int, end: int) -> int:
    """The position behind the bracket that closes the one at *at*."""
    depth = 0
    for _ in range(MAX_TOKENS):
        match = _BRACKET.search(text, at, end)
        if match is None:
            break
        at = match.end()
        if match["quote"] is not None:
            closed = _closing(len(match["slashes"]), match["quote"]).search(text, at, end)
            if closed is None:
                break
            at = closed.end()
        elif match["open"] is not None:
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return at
    return end
