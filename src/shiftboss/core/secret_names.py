"""Which names are names of secrets?

Rules of this file
- A name is read word by word, however it is written: `db_password`, `X-Auth-Token`, `clientSecret`, `PGPASSWORD`.
- The usual words also count within a longer word (`dbpassword`, `accesstoken`); what only looks alike does not
  (`tokenizer`, `max_tokens`, `secretary`, `monkey`).
- A `key` is secret by what it is a key to (`api_key`, `ENCRYPTION_KEY`), so that `primary_key` is none.
- Names that a user adds count as whole words.

The usual words are those of Sentry's scrubber, of Airflow's masker (but for `service_account`, which mostly names one)
and of detect-secrets' keyword detector, and more of their kind.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

MAX_NAME_CHARS = 64  # before and behind the telling word; in JSON the head and the tail of a longer key are read
MAX_KNOWN = 4096  # names whose answer is kept

_BORDER = re.compile(r"(?<=[^\W_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")
_TO_LINE_END = re.compile(r"(?:authorization|cookies?)$")

KEYS_TO = (
    "api", "app", "application", "access", "private", "priv", "secret", "encryption", "encrypt", "decryption",
    "signing", "signature", "auth", "authentication", "service", "account", "client", "consumer", "db", "database",
    "master", "shared", "symmetric", "aes", "rsa", "hmac", "ssh", "pgp", "gpg", "deploy", "license", "storage",
    "session", "jwt", "webhook", "cipher", "crypto", "fernet", "subscription",
)  # fmt: skip
TOKENS_OF = ("access", "refresh", "auth", "api", "bearer", "session", "id", "device", "csrf", "secret")
OWN_PASS = ("db", "user", "my", "root", "admin", "smtp", "ftp", "ssh", "key", "store", "mysql", "pg", "redis")

# Each as it is looked for in words that are parted by blanks; " ?" is where a word may end.
USUAL = (
    "passw(?:or)?d(?!less)", "passphrase", "passcode", "pwd", "contrase[nñ]a", "secret(?!ar|iv|ion)", "credential",
    "keyfile ?dict", "token(?![si])", "authorization", "cookie", "csrf", "xsrf", "jwt", "session ?id", "sessid",
    "connect ?sid",
    *(f"{each} ?keys?(?![a-z])" for each in KEYS_TO),
    *(f"{each} ?tokens(?![a-z])" for each in TOKENS_OF),
    *(f"{each}pass(?![a-z])" for each in OWN_PASS),
)  # fmt: skip
LAST = (r"\S pass\d*$", r"\bauth$")  # `DB_PASS` and `smtpPass`, not `pass`; `proxy_auth`, not `oauth`
LAST_IN_TEXTS = (r"pass(?<=[a-z\d_.-]pass)\d*(?![\w-])", r"auth(?![\w-])")


class Names:
    """The usual names, and the *added* ones."""

    __slots__ = ("_known", "_perhaps", "_telling", "in_texts")

    def __init__(self, added: Iterable[str] = ()) -> None:
        own = [" ?".join(map(re.escape, words.split())) for name in added if (words := _words(name))]
        self._telling = re.compile("|".join((*USUAL, *LAST, *(rf"\b{each}\d*\b" for each in own))))
        self._known: dict[str, bool] = {}
        # a pattern for lower-case texts that no secret's name escapes; whether one is a secret's, `is_secret` says
        self.in_texts = _by_first_letter(each.replace(" ?", "[ _.-]{0,2}") for each in (*USUAL, *LAST_IN_TEXTS, *own))
        self._perhaps = re.compile(self.in_texts)

    def is_secret(self, name: str) -> bool:
        """Whether what stands under *name* is a secret."""
        known = self._known.get(name)
        if known is None:
            lowered = name.lower() if len(name) <= 4 * MAX_NAME_CHARS else _ends(name).lower()
            known = bool(self._perhaps.search(lowered)) and bool(self._telling.search(_words(name)))
            if len(name) <= 2 * MAX_NAME_CHARS and len(self._known) < MAX_KNOWN:
                self._known[name] = known
        return known


@lru_cache(maxsize=MAX_KNOWN)
def reaches_to_line_end(name: str) -> bool:
    """Whether it is a header whose value has blanks, commas and semicolons in it."""
    return _TO_LINE_END.search(_words(name)) is not None


def _words(name: str) -> str:
    """ "dbPassword", "db_password" and "DB-Password" → "db password"."""
    return _BORDER.sub(" ", _ends(name)).strip().lower()


def _ends(name: str) -> str:
    """Its head and its tail, where it is longer than names are."""
    if len(name) <= 4 * MAX_NAME_CHARS:
        return name
    return f"{name[: 2 * MAX_NAME_CHARS]} {name[-2 * MAX_NAME_CHARS :]}"


def _by_first_letter(patterns: Iterable[str]) -> str:
    """One pattern, in which a position costs one comparison where no name can begin."""
    rests = defaultdict(list)
    for each in patterns:
        first = 2 if each[0] == "\\" else 1
        rests[each[:first]].append(each[first:])
    return "(?:" + "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in sorted(rests.items())) + ")"
