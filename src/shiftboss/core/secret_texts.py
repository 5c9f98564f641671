"""Where does a text give a secret away?  What follows a secret's name, passwords in addresses, what follows `Bearer`.

Rules of this file
- A name is followed by its value after `=`, `:` or `>`, as an option of a command (`--password X`), or as its neighbour
  in a pair; quotes, escaped as deep as they may be, brackets and blocks are followed to their end.
- What has no end reaches to the end of the text: too much is masked rather than too little.
- The value of a header that has blanks (`Authorization`, `Cookie`) reaches to the end of its line.
- Each pattern takes time that grows with the text and not faster: what it repeats is bounded or possessive, and a text
  in which more than MAX_FOUND secrets are named is masked from there on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from shiftboss.core.secret_names import MAX_NAME_CHARS, Names, reaches_to_line_end

MAX_FOUND = 5_000  # secrets of one kind in a text: what has more is no text
MAX_TOKENS = 10_000  # quotes and brackets within one value
SEPARATOR = "\ud800"  # between texts that are looked at together; half of a pair of surrogates is in no JSON
REACH_CHARS = 1024  # no pattern looks further than this for where a value begins
MIN_LONE_CHARS = 20  # of what stands alone before the @ of an address: shorter ones are users

Span = tuple[int, int]

_QUOTE = r"(?:\\{0,15}[\"']|%2[27]|&quot;|&#(?:3[49]|x27);)"
_BLANKS = r"(?:\s|\\{1,8}[nrt]){0,4}+"  # also as `repr` writes them
_ASSIGNS = rf"{_QUOTE}?+\]?{_BLANKS}(?P<mark>[:=]{{1,2}}>?|%3[ad]|>){_BLANKS}"
_TYPE = re.compile(
    r"""(?:[\w.]{0,40}\.)?(?:str|bytes|int|float|bool|None|Any|object|SecretStr|Optional|Annotated|Union|Literal)\b"""
    r"""(?:\[[^\]=\n]{0,80}\])?(?:\s?\|\s?[\w.\[\]]{1,40}){0,3}(?P<default>\s{0,2}=\s{0,2}(?!=))?(?=[\s,;)\]}"'|]|$|(?<=\s)|(?<==))"""
)
_NOTHING = frozenset(("none", "true", "false", "null", "...", "…", "str", "bytes", "int"))

_OPENING = re.compile(
    r"""[bru]{0,2}(?P<slashes>\\{0,15}+)(?P<quote>\"{3}|'{3}|"|'|%2[27]|&quot;|&#(?:3[49]|x27);)""", re.I
)
_NAMES_ANOTHER = re.compile(rf"{_QUOTE}\s{{0,3}}+[:=]")
_MAY_OPEN = frozenset("bruBRU\\\"'%&")
_BRACKET = re.compile(r"""(?P<slashes>\\{0,15}+)(?P<quote>["'])|(?P<open>[\[({])|[\])}]""")
_BLOCK = re.compile(r"[|>][+-]?\d?[ \t]*\n[ \t]+([^\n]*+(?:\n(?:[ \t]+[^\n]*+|(?=\n)))*+)")
_BARE = re.compile(
    r"""(?:(?:bearer|basic|digest|negotiate|token)\s{1,3})?"""
    r"""(?:[^\s"',;&<]|[,;&](?!\s|$|[\w.-]{1,40}\s{0,2}[=:])|["'<](?=\w))++""",
    re.I,
)
_LINE = re.compile(r"(?:(?!\\[rn])[^\r\n])*+")
_QUOTED_LINE = {
    '"': re.compile(r'(?:(?!\\[rn])(?:="[^"\r\n]*+"|[^"\r\n]))*+'),
    "'": re.compile(r"(?:(?!\\[rn])(?:='[^'\r\n]*+'|[^'\r\n]))*+"),
}
_IN_FRONT = re.compile(rf"[\w-]{{0,{MAX_NAME_CHARS}}}+")

_ADDRESS = re.compile(
    r"""(?P<scheme>[a-z]{0,2}https?)?:\\?/\\?/(?P<user>[^\s/?#@:"'<>\\\ud800]{0,300}+)"""
    r"""(?P<password>:[^\s/?#"'<>\\\ud800]{0,500}(?=@)|:(?!\d{1,5}(?:[/?#\s]|$))[^\s@"'<>\ud800]{0,100}+(?=@))?@""",
    re.I,
)
_BEARER = re.compile(r"\b(?:bearer|basic|negotiate)(?:\s|%20|\+){1,3}+([\w.~+/=-]{8,})", re.I)
_PLAIN_WORD = re.compile(r"[A-Za-z]?[a-z]+")


class Assignments:
    """Values that follow the names that *names* calls secret."""

    __slots__ = ("flagged", "is_secret", "named", "paired")

    def __init__(self, names: Names) -> None:
        some = names.in_texts
        name = rf"[\w-]{{0,{MAX_NAME_CHARS}}}?{some}[\w-]{{0,{MAX_NAME_CHARS}}}+"
        self.is_secret = names.is_secret
        self.named = re.compile(rf"{some}[\w-]{{0,{MAX_NAME_CHARS}}}+(?P<sign>{_ASSIGNS})")
        self.flagged = re.compile(rf"(?<![\w-])--?(?=\w)(?P<name>{name})(?:[\"'],)?\s{{1,3}}(?!-)")
        self.paired = re.compile(rf"[\[(]\s{{0,3}}+b?{_QUOTE}(?P<name>{name}){_QUOTE}\s{{0,3}},\s{{0,3}}(?=b?[\"'\\])")


class AfterSigns:
    """`name=value` and its like in one text, looked for slice by slice."""

    __slots__ = ("_at", "_count", "_ends", "_known", "_lowered", "_open_end", "_text")

    def __init__(self, known: Assignments, text: str, lowered: str) -> None:
        self._known = known
        self._text = text
        self._lowered = lowered
        self._ends = _Ends(text)
        self._at = 0  # what lies before has been looked at
        self._open_end = 0  # of the last value that no quote or bracket closes: within it others may begin and go on
        self._count = 0

    def spans(self, first: int, last: int, end: int) -> Iterator[Span]:
        """Those whose name begins within *first* and *last*; names and signs do not reach beyond *end*."""
        text, lowered = self._text, self._lowered
        if all(lowered.find(sign, first, end) < 0 for sign in ":=>%"):
            return
        at = max(first, self._at)
        while at < last and (found := self._known.named.search(lowered, at, end)) is not None and found.start() < last:
            start, sign_at, at = found.start(), found.start("sign"), found.end()
            before = _IN_FRONT.match(text[max(0, start - MAX_NAME_CHARS) : start][::-1])
            name_at = start - (before.end() if before is not None else 0)
            in_front = text[name_at - 1] if name_at else ""
            if found["mark"] == ">":  # an element of XML, or a comparison
                if in_front and in_front in "<:":
                    yield at, _until(text, "<", at, self._ends.after(at))
                continue
            if not self._known.is_secret(name := text[name_at:sign_at]):
                continue
            self._count += 1
            if self._count > MAX_FOUND:
                yield at, len(text)
                at = len(text)
                break
            value_end = self._ends.after(at)
            span = _closed_value(text, at, value_end)
            if span is not None:
                yield span
                if _NAMES_ANOTHER.match(text, span[1], value_end) is None:  # else it is looked at as a name, too
                    at = max(at, span[1])
            elif at >= self._open_end:
                span = _open_value(text, at, value_end, name, in_front)
                yield span
                self._open_end = span[1]
        self._at = at


def in_order(
    pattern: re.Pattern[str], known: Assignments, text: str, lowered: str, first: int, last: int, end: int
) -> Iterator[Span]:
    """Values that come after their names without a sign: of options, and in pairs."""
    at, ends = first, _Ends(text)
    while (found := pattern.search(lowered, at, end)) is not None and found.start() < last:
        at = found.end()
        name = text[found.start("name") : found.end("name")]
        if known.is_secret(name):
            span = _closed_value(text, at, ends.after(at)) or _open_value(text, at, ends.after(at), name, "'")
            yield span
            at = max(at, span[1])


class _Ends:
    """Where the part of a text ends that a position is in; asked in order, it looks at each character once."""

    __slots__ = ("_end", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = -1

    def after(self, at: int) -> int:
        if at > self._end:
            self._end = _until(self._text, SEPARATOR, at, len(self._text))
        return self._end


def addresses(text: str, first: int, last: int, end: int) -> Iterator[Span]:
    """Passwords before the @ of an address; of one of the web all that stands there."""
    if text.find("@", first, end) < 0 or text.find("/", first, end) < 0:
        return
    for found in _ADDRESS.finditer(text, first, end):
        if found.start() >= last:
            return
        user, password = found["user"], found["password"] or ""
        if found["scheme"] and (user or len(password) > 1):
            yield found.start("user"), found.end() - 1
        elif len(password) > 1:
            yield found.start("password") + 1, found.end() - 1
        elif len(user) >= MIN_LONE_CHARS:
            yield found.span("user")


def bearers(text: str, lowered: str, first: int, last: int, end: int) -> Iterator[Span]:
    """What follows the name of a scheme of authorization."""
    if all(lowered.find(each, first, end) < 0 for each in ("bearer", "basic", "negotiate")):
        return
    for found in _BEARER.finditer(text, first, end):
        if found.start() >= last:
            return
        if found[0][:6].lower() == "bearer" or not _PLAIN_WORD.fullmatch(found[1]):
            yield found.span(1)


# ── where a value begins and ends ────────────────────────────────────────────────────────────────────────────────


def _closed_value(text: str, at: int, end: int) -> Span | None:
    """The value that begins at *at*, if a quote or a bracket closes it, or if it tells nothing."""
    typed = _TYPE.match(text, at, end)
    if typed is not None:
        at = typed.end()
        if typed["default"] is None:
            return at, at
    first = text[at : min(at + 1, end)]
    opening = _OPENING.match(text, at, end) if first in _MAY_OPEN else None
    if opening is not None:
        found = _closing(len(opening["slashes"]), opening["quote"]).search(text, opening.end(), end)
        return opening.end(), end if found is None else found.start()
    if first and first in "[{(":
        return at, _bracket(text, at, end)
    block = _BLOCK.match(text, at, end) if first and first in "|>" else None
    return None if block is None else block.span(1)


def _open_value(text: str, at: int, end: int, name: str, in_front: str) -> Span:
    """The value that begins at *at* and ends with its line or its word.  *in_front*: what stands before its name."""
    typed = _TYPE.match(text, at, end)
    if typed is not None:
        at = typed.end()
    if reaches_to_line_end(name):
        line = _QUOTED_LINE.get(in_front, _LINE).match(text, at, end)
        return _stripped(text, at, at if line is None else line.end(), ")]}")
    bare = _BARE.match(text, at, end)
    if bare is None or bare[0].rstrip(")]}>.").lower() in _NOTHING:
        return at, at
    return _stripped(text, at, bare.end(), ")]}>")


def _stripped(text: str, start: int, end: int, brackets: str) -> Span:
    while end > start and text[end - 1] in brackets:
        end -= 1
    return start, end


def _until(text: str, mark: str, at: int, end: int) -> int:
    found = text.find(mark, at, end)
    return end if found < 0 else found


@lru_cache(maxsize=256)
def _closing(slashes: int, quote: str) -> re.Pattern[str]:
    r"""What closes a value that *quote* opened behind so many *slashes*.

    With more of them it belongs to the value, which is quoted in what is quoted.  That takes `"\\"` for no end: whether
    it is one depends on what has been quoted how often, and a value must not end too early.
    """
    if len(quote) > 1:
        return re.compile(re.escape(quote))
    lead = "\\\\" * slashes
    return re.compile(rf"{lead}{quote}(?<!\\{lead}{quote})")


def _bracket(text: str, at: int, end: int) -> int:
    """Behind the bracket that closes the one at *at*."""
    depth = 0
    for _ in range(MAX_TOKENS):
        found = _BRACKET.search(text, at, end)
        if found is None:
            break
        at = found.end()
        if found["quote"] is not None:
            closed = _closing(len(found["slashes"]), found["quote"]).search(text, at, end)
            if closed is None:
                break
            at = closed.end()
        elif found["open"] is not None:
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return at
    return end
