"""Which names are names of secrets?

Rules of this file
- A name is split into words, however it is written: `db_password`, `X-Auth-Token`, `clientSecret`, `PGPASSWORD`.
- The usual words also count within a longer word (`dbpassword`, `accesstoken`), but not in words that merely look alike
  (`tokenizer`, `max_tokens`, `secretary`, `monkey`).
- Whether a `key` is secret depends on what it is a key to (`api_key`, `ENCRYPTION_KEY`): `primary_key` is none.
- Names that a user adds count as whole words.

The usual words are those of Sentry's scrubber, of Airflow's masker (without `service_account`, which mostly is a plain
name) and of detect-secrets' keyword detector, and more of the same kind.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

from shiftboss.core.pattern import lazy_pattern

MAX_NAME_CHARS = 64  # before and behind the secret word; of a longer JSON key only the head and the tail are examined
MAX_KNOWN = 4096  # names whose answer is cached; when there are more, the cache is emptied

_BORDER = lazy_pattern(r"(?<=[^\W_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")
_TO_LINE_END = lazy_pattern(r"(?:authorization|cookies?)$")

KEYS_TO = (
    "api", "app", "application", "access", "private", "priv", "secret", "encryption", "encrypt", "decryption",
    "signing", "signature", "auth", "authentication", "service", "account", "client", "consumer", "db", "database",
    "master", "shared", "symmetric", "aes", "rsa", "hmac", "ssh", "pgp", "gpg", "deploy", "license", "storage",
    "session", "jwt", "webhook", "cipher", "crypto", "fernet", "subscription",
)  # fmt: skip
TOKENS_OF = ("access", "refresh", "auth", "api", "bearer", "session", "id", "device", "csrf", "secret")
OWN_PASS = ("db", "user", "my", "root", "admin", "smtp", "ftp", "ssh", "key", "store", "mysql", "pg", "redis")

# Each as it is searched for in words separated by blanks; " ?" is where a word may end.
USUAL = (
    "passw(?:or)?d(?!less)", "passphrase", "passcode", "pwd", "contrase[nñ]a", "secret(?!ar|iv|ion)", "credential",
    "keyfile ?dict", "token(?![si])", "authorization", "cookie", "csrf", "xsrf", "jwt", "session ?id", "sessid",
    "connect ?sid",
    *(f"{each} ?keys?(?![a-z])" for each in KEYS_TO),
    *(f"{each} ?tokens(?![a-z])" for each in TOKENS_OF),
    *(f"{each}pass(?![a-z])" for each in OWN_PASS),
)  # fmt: skip
LAST = (r"\S pass\d*$", r"\bauth$")  # `DB_PASS` and `smtpPass`, not `pass`; `proxy_auth`, not `oauth`
BETWEEN = "[ _.-]{0,2}"  # between the words of a name in a text
MAX_OWN_ALONE = 8  # of a user's added names: each costs a search of every text, more of them are searched for together


class Names:
    """The usual names of secrets, and the *added* ones."""

    __slots__ = ("_known", "_perhaps", "_telling", "in_texts", "parts_in_texts")

    def __init__(self, added: Iterable[str] = ()) -> None:
        own = [" ?".join(map(re.escape, words.split())) for name in added if (words := _words(name))]
        self._telling = lazy_pattern("|".join((*USUAL, *LAST, *(rf"\b{each}\d*\b" for each in own))))
        self._known: dict[str, bool] = {}
        # For lower-case texts.  These match every name of a secret, and others too: `is_secret` decides. Each begins
        # with letters that must be there: searching for these takes a tenth of the time of any other pattern.
        own_in_texts = [each.replace(" ?", BETWEEN) for each in own]
        together = [_by_first_letter(own_in_texts)] if len(own) > MAX_OWN_ALONE else own_in_texts
        self.parts_in_texts = (*_USUAL_IN_TEXTS, *together)
        self.in_texts = _by_first_letter((*_USUAL_IN_TEXTS, *own_in_texts))
        self._perhaps = lazy_pattern(self.in_texts)

    def is_secret(self, name: str) -> bool:
        """Whether the value under *name* is a secret."""
        known = self._known.get(name)
        if known is None:
            known = bool(self._perhaps.search(_ends(name).lower())) and bool(self._telling.search(_words(name)))
            if len(self._known) >= MAX_KNOWN:  # one text with many names must not slow down all later ones
                self._known.clear()
            if len(name) <= 2 * MAX_NAME_CHARS:
                self._known[name] = known
        return known


@lru_cache(maxsize=MAX_KNOWN)
def reaches_to_line_end(name: str) -> bool:
    """Whether it is a header whose value contains blanks, commas and semicolons."""
    return _TO_LINE_END.search(_words(name)) is not None


def _words(name: str) -> str:
    """ "dbPassword", "db_password" and "DB-Password" → "db password"."""
    return _BORDER.sub(" ", _ends(name)).strip().lower()


def _ends(name: str) -> str:
    """The head and the tail of a key that is longer than names are."""
    if len(name) <= 4 * MAX_NAME_CHARS:
        return name
    return f"{name[: 2 * MAX_NAME_CHARS]} {name[-2 * MAX_NAME_CHARS :]}"


def _by_first_letter(patterns: Iterable[str]) -> str:
    """One pattern that needs one comparison at a position where no name can begin."""
    rests = defaultdict(list)
    for each in patterns:
        first = 2 if each[0] == "\\" else 1
        rests[each[:first]].append(each[first:])
    return "(?:" + "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in sorted(rests.items())) + ")"


def _behind(words: Sequence[str], part: str, *, between: bool) -> str:
    """A pattern that holds if *part*, just matched, ends a name that begins with one of *words*."""
    by_width = defaultdict(list)
    for each in words:
        by_width[len(each)].append(each)
    joined = [f"(?<=(?:{'|'.join(each)})@{part})" for _, each in sorted(by_width.items())]

    def with_signs(signs: str) -> str:
        return "(?:" + "|".join(joined).replace("@", signs) + ")"

    alone = with_signs("")
    if not between:
        return alone
    sign = "[ _.-]"
    one, two = with_signs(sign), with_signs(sign * 2)
    return (
        f"(?:(?<!{sign}{part}){alone}|(?<={sign}{part})(?:(?<!{sign}{sign}{part}){one}|(?<={sign}{sign}{part}){two}))"
    )


# USUAL and LAST, each beginning with the letters that a text must contain.
_USUAL_IN_TEXTS = (
    "pass(?:w(?:or)?d(?!less)|phrase|code"
    rf"|(?<=[a-z\d_.-]pass)\d*(?![\w-])|(?![a-z]){_behind(OWN_PASS, 'pass', between=False)})",
    "pwd",
    "contrase[nñ]a",
    "secret(?!ar|iv|ion)",
    "credential",
    rf"key(?:file{BETWEEN}dict|(?=s?+(?![a-z])){_behind(KEYS_TO, 'key', between=True)})",
    rf"token(?:(?![si])|s(?![a-z]){_behind(TOKENS_OF, 'tokens', between=True)})",
    r"auth(?:orization|(?![\w-]))",
    "cookie",
    "srf(?<=[cx]srf)",
    "jwt",
    rf"sess(?:id|ion{BETWEEN}id)",
    rf"connect{BETWEEN}sid",
)
