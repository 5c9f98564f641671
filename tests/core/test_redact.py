"""What is called like a secret is neither kept nor shown."""

from __future__ import annotations

import html
import json
import re
import sys
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftboss.core import redact, secret_json, secret_names, secret_shapes, secret_texts
from shiftboss.core.redact import MASK, Redaction, pattern_text, redaction
from shiftboss.core.secret_names import MAX_KNOWN, Names

mask = redaction(())


@pytest.mark.parametrize(
    "name",
    [
        *("password", "db_password", "X-Auth-Token", "clientSecret", "API_KEY", "apiKey", "Authorization", "SECRET"),
        *("PWD1", "PGPASSWORD", "dbpassword", "accesstoken", "DB_PASS", "smtpPass", "ENCRYPTION_KEY", "api_keys"),
        *("APIKey", "refresh_tokens", "passwordHash", "mysql_pwd", "privatekey", "csrf_token", "PHPSESSID", "auth"),
        *("proxy_auth", "Set-Cookie", "connect.sid", "aws_secret_access_key", "account_key", "credentials", "x-jwt"),
    ],
)
def test_names_count_however_they_are_written(name):
    assert mask.is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("tokenizer", "max_tokens", "secretary", "pass", "key", "author", "monkey", "", "bypass", "compass"),
        *("primary_key", "public_key", "oauth", "passwordless", "keyboard", "api_keystore", "tokens", "a" * 100_000),
    ],
)
def test_names_that_only_look_alike_are_none(name):
    assert not mask.is_secret(name)


def test_names_that_a_user_adds_count_likewise():
    added = Redaction(["card number", "iban"])

    assert added.is_secret("cardNumber")
    assert added.is_secret("customer_iban")
    assert not added.is_secret("card")
    assert added.is_secret("password")


def test_json_is_masked_at_any_depth_and_stays_json():
    data = {
        "user": "ada",
        "db": [{"password": "x", "port": 5432}],
        "token": {"a": 1},
        "secret": None,
        "has_token": True,
    }

    masked = json.loads(mask.json(json.dumps(data).encode()))

    assert masked == {
        "user": "ada",
        "db": [{"password": MASK, "port": 5432}],
        "token": MASK,
        "secret": None,
        "has_token": True,
    }


def test_json_without_secrets_is_the_same_bytes():
    data = b'{ "b": 1.0, "a": 100000000000000000001 }'

    assert mask.json(data) is data


def test_the_name_beside_a_value_and_the_first_of_a_pair_count_as_names():
    data = {"set": {"name": "DB_PASSWORD", "value": "x"}, "headers": [["Authorization", "Basic x"], ["Host", "y"]]}

    assert json.loads(mask.json(json.dumps(data).encode())) == {
        "set": {"name": "DB_PASSWORD", "value": MASK},
        "headers": [["Authorization", MASK], ["Host", "y"]],
    }


def test_texts_and_keys_within_json_are_looked_at_too():
    data = {"note": "password=hunter2", "redis://u:hunter2@h": 1, "inner": '{"pin": 1, "token": "a b"}'}

    assert json.loads(mask.json(json.dumps(data).encode())) == {
        "note": f"password={MASK}",
        f"redis://u:{MASK}@h": 1,
        "inner": f'{{"pin": 1, "token": "{MASK}"}}',
    }


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("login failed: password=hunter2, user=ada", "login failed: password=[redacted], user=ada"),
        ('{"token": "abc def", "n": 1}', '{"token": "[redacted]", "n": 1}'),
        ("GET /x?api_key=abc&page=2", "GET /x?api_key=[redacted]&page=2"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=[redacted] psql"),
        ("password := hunter2", "password := [redacted]"),
        ("'password' => 'hunter2'", "'password' => '[redacted]'"),
        ("password=hun,ter2, user=ada", "password=[redacted], user=ada"),
        ("os.environ['DB_PASSWORD'] = 'hunter2'", "os.environ['DB_PASSWORD'] = '[redacted]'"),
        ("<password>hunter2</password>", "<password>[redacted]</password>"),
        (r"<secret>hunter2</secret>\n b'token': b'hunter2'", r"<secret>[redacted]</secret>\n b'token': b'[redacted]'"),
        ("secrets: 'token': 'hunter2'", "secrets: '[redacted]': '[redacted]'"),
        ("%22password%22%3A%22hunter2%22%7D", "%22password%22%3A%22[redacted]%22%7D"),
        ("&quot;password&quot;: &quot;hunter2&quot;", "&quot;password&quot;: &quot;[redacted]&quot;"),
        # bytes, lists, mappings
        ("{b'password': b'hunter2'}", "{b'password': b'[redacted]'}"),
        ("{'password': ['hunter2', 'x]'], 'to': 1}", "{'password': [redacted], 'to': 1}"),
        ('{"token": {"a": "}", "b": ["x"]}, "n": 1}', '{"token": [redacted], "n": 1}'),
        ("[('authorization', 'Bearer x'), ('host', 'y')]", "[('authorization', '[redacted]'), ('host', 'y')]"),
        # several lines, and no end
        ('password="one\ntwo" after', 'password="[redacted]" after'),
        ("password='no end\nand more", "password='[redacted]"),
        ("token=[1, 2", "token=[redacted]"),
        ("private_key: |\n  one\n\n  two\nnext: 1", "private_key: |\n  [redacted]\nnext: 1"),
        ("a -----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY----- b", "a [redacted] b"),
        ("a -----BEGIN PRIVATE KEY-----\nx", "a [redacted]"),
        # headers to their end
        ("Authorization: Bearer abcdefghijk", "Authorization: [redacted]"),
        ('Authorization: Digest username="a", response="b"\nHost: x', "Authorization: [redacted]\nHost: x"),
        ("Proxy-Authorization: AWS4-HMAC-SHA256 Credential=a, Signature=b", "Proxy-Authorization: [redacted]"),
        ("Cookie: a=1; session=b; c=d\r\nHost: x", "Cookie: [redacted]\r\nHost: x"),
        ("b'Cookie: a=1; b=2\\r\\nHost: x'", "b'Cookie: [redacted]\\r\\nHost: x'"),
        ("""curl -H 'Authorization: Digest u="a", r="b"' http://x""", "curl -H 'Authorization: [redacted]' http://x"),
        ("sent Bearer abcdefghijk to it", "sent Bearer [redacted] to it"),
        ("sent Basic YWRhOnBhc3M= to it", "sent Basic [redacted] to it"),
        # JSON in JSON in JSON
        (r'"{\"token\": \"a\\\"b\", \"n\": 1}"', r'"{\"token\": \"[redacted]\", \"n\": 1}"'),
        (r"{\\\"token\\\": \\\"abc\\\", 1}", r"{\\\"token\\\": \\\"[redacted]\\\", 1}"),
        # commands
        ("mysql --password hunter2 -u ada", "mysql --password [redacted] -u ada"),
        ("mysql --password=hunter2 -u ada", "mysql --password=[redacted] -u ada"),
        ("['mysql', '--password', 'hunter2', '-u']", "['mysql', '--password', '[redacted]', '-u']"),
        # addresses
        ("postgresql://ada:hunter2@db/shop", "postgresql://ada:[redacted]@db/shop"),
        ("redis://:hunter2@db", "redis://:[redacted]@db"),
        ("amqp://ada:hun/ter#2@db", "amqp://ada:[redacted]@db"),
        ("amqp://ada:hun@ter2@db", "amqp://ada:[redacted]@db"),
        ("https://abcdef0123@host/x", "https://[redacted]@host/x"),
        ("git+https://abcdef0123:x-oauth-basic@host/x", "git+https://[redacted]@host/x"),
        # keys by their shape
        ("key AKIAIOSFODNN7EXAMPLE in use", "key [redacted] in use"),
        ("key A3TXIOSFODNN7EXAMPLE in use", "key [redacted] in use"),
        ("by glrt-t1_0123456789abcdefghij now", "by [redacted] now"),
        ("by gloas-0123456789abcdefghij now", "by [redacted] now"),
        ("by sq0csp-0123456789abcdefghijABCDEFGHIJ012345678901234 now", "by [redacted] now"),
        (f"ghp_{'a1B2' * 9}!", "[redacted]!"),
        ("xoxb-1234567890-abcdefghij", "[redacted]"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[redacted]"),
        ("https://hooks.slack.com/services/T0000/B0000/XXXXXXXX", "https://hooks.slack.com/[redacted]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "[redacted]"),
        # forms and signatures
        ("it takes (to: str, password: str = …)", "it takes (to: str, password: str = …)"),
        ("it takes (password: str | None = 'hunter2')", "it takes (password: str | None = '[redacted]')"),
    ],
)
def test_texts_are_masked_where_they_give_a_secret_away(text, masked):
    assert mask.text(text) == masked
    assert mask.text(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=100, tokenizer: fast",
        "nothing to see",
        "postgresql://ada@db.example:6432/jobs?schema=a",
        "https://unpkg.com/react@18 and git@github.com:x/y and http://host:8080/a@b",
        "a basic understanding, a bearer of news",
        "password: None, token=null, secret: ''",
        "key: 1, author: x, the token is gone",
    ],
)
def test_texts_that_give_nothing_away_stay_as_they_are(text):
    assert mask.text(text) == text


# ── by value ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_of_the_payload_is_masked_wherever_a_text_repeats_it():
    payload = b'{"to": "ada", "login": {"password": "hunter2!", "pin_token": "1", "otp_secret": 123456}}'
    knowing = mask.knowing(mask.secrets_in(payload))

    assert knowing.text("cannot log in as ada with hunter2! (1)") == "cannot log in as ada with [redacted] (1)"
    assert knowing.json(b'["hunter2!", 123456]') == b'["[redacted]","[redacted]"]'


AWKWARD = "pä\"ss\\w'rd & <1/2>\n+?=€ %"


@pytest.mark.parametrize(
    "write",
    [
        *(str, repr, ascii, json.dumps, urllib.parse.quote, urllib.parse.quote_plus, html.escape),
        lambda value: json.dumps(value, ensure_ascii=False),
        lambda value: repr(value.encode()),
        lambda value: json.dumps(json.dumps({"x": value})),
        lambda value: json.dumps(json.dumps(json.dumps([value]))),
        lambda value: repr(json.dumps([value])),
        lambda value: json.dumps(repr([value])),
        lambda value: str(KeyError(str({"x": value}))),
        lambda value: repr(repr([value])),
        lambda value: urllib.parse.urlencode({"x": value}),
        lambda value: urllib.parse.quote(value, safe="").replace("%2F", "%2f").replace("%22", "%22").lower(),
    ],
)
@pytest.mark.parametrize("value", [AWKWARD, "it's", 'a"b"c', "grüße!", "tab\there", "x/y?z"])
def test_a_known_value_is_found_in_every_form(value, write):
    said = write(value)
    if value != value.lower() and said == said.lower():
        pytest.skip("this form has lost the value")
    shown = mask.knowing([value]).text(f"before {said} after")

    assert MASK in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert not any(piece in shown for piece in re.findall(r"\w{3,}", value))


def test_a_value_of_several_lines_is_found_line_by_line():
    knowing = mask.knowing(["first line of it\nsecond line of it"])

    assert knowing.text("got: second line of it.") == "got: [redacted]."


def test_a_value_that_was_cut_is_found_before_the_cut():
    knowing = mask.knowing(["correct horse battery"])

    assert knowing.text("it does not accept 'correct ho… (str)") == "it does not accept '[redacted]… (str)"
    assert knowing.text("correct horse ba...") == "[redacted]..."
    assert knowing.text("ends with correct horse") == "ends with [redacted]"


def test_short_values_are_words():
    knowing = mask.knowing(["1234"])

    assert knowing.text("pin 1234, order 12345") == "pin [redacted], order 12345"


def test_patterns_mask_what_they_find_or_their_group():
    own = Redaction(patterns=[r"\b\d{4} \d{4}\b", "card (\\w+)"])

    assert own.text("1234 5678 of card ada") == "[redacted] of card [redacted]"
    assert own.json(b'["1234 5678"]') == b'["[redacted]"]'


def test_a_payload_that_is_no_json_is_a_text():
    assert mask.secrets_in(b"\xff password") == []
    assert mask.json(b"password \xff") == b"password \xff"
    assert mask.json(b"password=hunter2 \xff") == "password=[redacted] \ufffd".encode()


# ── whatever a text is ───────────────────────────────────────────────────────────────────────────────────────────

CANARY = "canary-3f9a1c77"
SAID = [
    *("password={}", "{'token': '{}'}", '{"db": {"secret": "{}"}}', "Authorization: Digest a={}, b={}", "--api-key {}"),
    *("https://{}@host", "redis://u:{}@h", "token=['{}', '{}']", "Cookie: a={}; b={}", "sent Bearer {}", "DB_PASS={}"),
    *("<secret>{}</secret>", "b'password': b'{}'", "password:\n  '{}\n{}'"),
]
AROUND = st.text(st.sampled_from("aA \n,.;()[]{}x1é-"), max_size=20)


@given(st.text(st.sampled_from("aA-_. :=\"'\\password/@"), max_size=300))
def test_no_text_is_too_strange(text):
    once = mask.text(text)

    assert mask.text(once) == once


@given(st.lists(st.tuples(AROUND, st.sampled_from(SAID)), max_size=4), AROUND)
def test_no_canary_is_left_however_texts_follow_each_other(parts, end):
    text = "".join(
        f"{around} {said.replace('{}', CANARY).replace('{{', '{').replace('}}', '}')}" for around, said in parts
    )
    text += f" {end}"

    assert CANARY not in mask.text(text)
    assert CANARY.encode() not in mask.json(json.dumps({"log": text, "again": json.dumps(text)}).encode())


@given(st.text(max_size=40), st.text(min_size=6, max_size=40), st.text(max_size=40))
def test_no_known_value_is_left(before, value, after):
    text = f"{before}{value}{after}"

    assert value not in mask.knowing([value]).text(text).replace(MASK, "\0") or value in "\0"


LONG = 1 << 16


@pytest.mark.parametrize(
    "text",
    [
        *(
            "token",
            "password",
            "a",
            "a-",
            "x=",
            ":",
            "://",
            "://a:b@",
            "'",
            '\\"',
            "token:",
            "token: ",
            "token=1 ",
            "--a ",
        ),
        *(
            "('token', ",
            "-----BEGIN ",
            "eyJ",
            "bearer aaaaaaaa ",
            "…",
            "\\",
            "[",
            "{",
            "authorization: a\n",
            "&",
            "password=",
        ),
    ],
)
@pytest.mark.parametrize("begin", ["", "password='", 'token=\\\\\\"', "token=[", "cookie: ", "://"])
def test_a_hostile_text_takes_no_longer_than_a_long_one(begin, text):
    long = begin + text * (LONG // len(text))

    mask.knowing(["canary-1", "canary-2"]).text(long)  # a pattern that backtracks would not come back


def test_a_text_with_too_many_secrets_is_masked_from_there_on():
    text = "token=1 " * 10_000 + "the end"

    assert mask.text(text).startswith("token=[redacted] token=[redacted] ")
    assert mask.text(text).endswith("[redacted]")
    assert len(mask.text(text)) < 10_000 * len("token=[redacted] ")
    many = json.loads(mask.json(json.dumps([*["token=1 is here"] * 10_000, "the end"]).encode()))
    assert len(many) == 10_001
    assert many[-1] == MASK


FRUITLESS = [
    *("oauth=", "bypass=", "token>", "<token>", "://x@", "https://x", "basic aaaaaaaa ", "-oauth ", "('oauth', '"),
    *("key=", "pwdx", "apikey=", "token=str=", "token: ", "token:", "--token a ", "hooks.slack.com/services/"),
]


@pytest.mark.parametrize("part", FRUITLESS)
def test_what_a_text_has_of_a_kind_is_looked_at_so_often_and_no_more(part):
    """Each slice has something of every kind, so that none is left out; the steps taken are counted, not the time."""
    every = " -x, =@/ basic bearer key_. token "
    text = "".join(part * (16_000 // len(part)) + every for _ in range(40))
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    try:
        mask.text(text)
    finally:
        sys.setprofile(None)

    assert steps < 500_000


@pytest.mark.parametrize(
    "said",
    ["Bearer {}", "bearer%20{}", "sk-{}", "ghp_{}", "glpat-{}", "eyJhbGciOiJI.{}.{}", "eyJhbGciOiJI.eyJzdWIiOiIx.{}"],
)
def test_a_key_is_followed_to_its_end_wherever_a_slice_ends(said):
    """Of one longer than what is looked at behind a slice nothing is left, whatever the slice it begins in."""
    for at in (32 * 1024 - 1, 32 * 1024 - 700, 32 * 1024 - 40):
        text = f"{' x' * (at // 2)} {said.replace('{}', 'Abcd1234' * 400)} {'x ' * 40_000}"
        assert "Abcd1234" not in mask.text(text)


def test_too_many_of_one_key_hide_no_other():
    many = "AKIAIOSFODNN7EXAMPLE " * 5_200
    for at in range(0, len(many), 21 * 400):
        text = f"{many[:at]}ghp_{'a1B2' * 9} {many[at:]}"
        assert "ghp_" not in mask.text(text)


def test_a_document_is_walked_once_for_what_it_gives_away_and_what_repeats_it(monkeypatch):
    walks = []
    walk = secret_json.walk
    monkeypatch.setattr(secret_json, "walk", lambda *args, **options: walks.append(1) or walk(*args, **options))

    masked = mask.payload(b'{"token": "hunter-22", "note": "it is hunter-22", "n": 1}')

    assert masked == b'{"token":"[redacted]","note":"it is [redacted]","n":1}'
    assert len(walks) == 1
    data = b'{"token": 123456, "pin_token": "ab12", "note": "ab12", "n": [123456, 7]}'
    assert json.loads(mask.payload(data)) == {"token": MASK, "pin_token": MASK, "note": MASK, "n": [MASK, 7]}


def test_a_payload_that_gives_nothing_away_is_the_same_bytes():
    data = b'{ "b": 1.0, "a": 100000000000000000001 }'

    assert mask.payload(data) is data
    assert json.loads(mask.payload(b'{"a": "hunter-22", "b": "hunter-22"}', places=[(0,)])) == {"a": MASK, "b": MASK}


def test_a_long_text_is_worked_off_in_slices_that_hide_nothing():
    """What lies across the border of two slices is found, and others get their turn between them."""
    turns = []
    for shift in range(60):
        text = "x" * (32 * 1024 - shift) + f" password={CANARY} AKIAIOSFODNN7EXAMPLE https://{CANARY}@x" + " y" * 40_000
        assert CANARY not in mask.text(text, pause=lambda: turns.append(1))
        assert "AKIA" not in mask.text(text)

    assert len(turns) >= 60


@pytest.mark.parametrize(
    "text",
    [
        "pwd" * 400 + "={}",  # one word, in whose first half no name can end
        "pwd" + "x" * 700 + "_token={}",
        "token" + "x" * 130 + "pwdtoken={}",
        "pwd" * 80 + "x" * 60 + "={} and more",
        "tokens of old sessions, keys and a token : {}",
        "api keys 'a', token's, api key = {}",
        "user@host keyed ://x ftp://ada:{}@example.org",
        "https://x" * 200 + " ftp://ada:{}@example.org and u@h",
        "@" * 20 + "ftp://ada:{}@example.org" + "@" * 20,
        "['token', ['key', ['api_key', '{}'",
    ],
)
def test_what_is_passed_over_quickly_hides_no_secret(text):
    masked = mask.text(text.format("Tr0ub4dor3"))

    assert "Tr0ub4dor3" not in masked
    assert MASK in masked


def test_names_of_prose_are_passed_over():
    text = "the keys of a token, 'secret', and passwords for https://x or u@h\\npwd here" * 50

    assert mask.text(text) == text


def test_many_names_do_not_keep_the_later_ones_from_being_known():
    """The answers are kept for a bounded number of names, and for the newest of them."""
    names = Names()
    for number in range(3 * MAX_KNOWN):
        names.is_secret(f"user {number}")
        assert len(names._known) <= MAX_KNOWN
    names.is_secret("token")

    assert names._known["token"]


# ── its parts ────────────────────────────────────────────────────────────────────────────────────────────────────


def sliced(spans, *, length=100):
    """What `_in_slices` makes of a text in which one kind finds *spans*."""
    return list(redact._in_slices(lambda first, last, end: iter(spans), length, secret_json.no_pause))


def test_beyond_so_many_secrets_or_places_of_none_the_rest_of_the_text_is_one_secret(monkeypatch):
    """A12"""
    monkeypatch.setattr(redact, "MAX_FOUND", 2)
    monkeypatch.setattr(redact, "MAX_LOOKED_AT", 3)
    two, three = [(1, 5), (10, 12)], [(1, 1), (10, 10), (20, 20)]

    assert sliced(two) == two
    assert sliced([*two, (30, 31)]) == [*two, (30, 31), (0, 100)]
    assert sliced(three) == []
    assert sliced([*three, (30, 30)]) == [(0, 100)]
    assert sliced([*two, *three]) == two


@pytest.mark.parametrize(("values", "found"), [(2, [(1, 2), (3, 4)]), (3, [(1, 2), (3, 4), (0, 100)])])
def test_beyond_so_many_repetitions_of_values_the_whole_text_is_one_secret(monkeypatch, values, found):
    """A12: they come value by value, so nobody knows what was missed."""
    monkeypatch.setattr(redact, "MAX_FOUND", 2)
    spans = [(1, 2), (3, 4), (5, 6)][:values]

    assert list(redact._of_values(iter(spans), 100)) == found


SAID = "so: bearer abcdefgh-1, ghp_aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5, https://u:hunter2@h, token=hunter2."


@pytest.mark.parametrize(
    ("begins", "search"),
    [
        ("bearer", lambda *ends: secret_texts.bearers(SAID, SAID, *ends)),
        ("ghp_", lambda *ends: secret_shapes.spans(SAID, *ends)),
        ("https", lambda *ends: secret_texts.addresses(SAID, *ends)),
        (
            "token",
            lambda *ends: secret_texts.AfterSigns(
                secret_texts.Assignments(secret_names.Names()), SAID, SAID.lower()
            ).spans(*ends),
        ),
    ],
)
def test_what_begins_where_the_next_slice_does_is_of_that_slice(begins, search):
    """A12: it is found once, and it is found."""
    at = SAID.index(begins) + (len("https") if begins == "https" else 0)

    assert [span for span in search(0, at, len(SAID)) if span[0] >= at and span[0] < span[1]] == []
    assert [span for span in search(at, len(SAID), len(SAID)) if span[0] < span[1]][:1] != []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("measured: -3 degrees, wind=12, place: Oslo", 0),
        ("token", 1),
        ("contraseña", 1),
        ("authorization: x; cookie: y; csrf=z", 3),
    ],
)
def test_only_names_whose_letters_a_text_has_are_searched_for(text, parts):
    known = secret_texts.Assignments(secret_names.Names())

    assert len(known.within(text)) == parts
    assert {each.search(f"{text}=") is not None for each in known.named} == {parts > 0, False}


def test_an_added_name_is_searched_for_in_every_text_if_it_begins_without_letters():
    """A12"""
    own = redact.Redaction(["ключ", "1st word", "x"])

    assert own.text("ключ=hunter2") == f"ключ={MASK}"
    assert own.text("1st_word=hunter2") == f"1st_word={MASK}"
    assert own.text("x=hunter2") == f"x={MASK}"


@pytest.mark.parametrize("kind", ["sk", "rk", "pk"])
def test_a_key_is_masked_with_the_letter_before_what_it_is_known_by(kind):
    """A12"""
    assert mask.text(f"pay with {kind}_live_4eC39HqLyjWDarjt today") == f"pay with {MASK} today"
    assert mask.text(f"a{kind}_live_4eC39HqLyjWDarjt") == f"a{kind}_live_4eC39HqLyjWDarjt"
    assert mask.text("ak_live_4eC39HqLyjWDarjt") == "ak_live_4eC39HqLyjWDarjt"


@pytest.mark.parametrize(
    "document",
    [
        {"name": "city", "value": "x"},
        {"name": 5, "value": "x"},
        {"key": ["password"], "value": "x"},
        ["password", 5],
        ["password", ["x"]],
        ["password", "x", "y"],
        [5, "x"],
        {"password": True, "token": None},
    ],
)
def test_what_is_no_name_beside_a_value_and_no_pair_stays(document):
    data = json.dumps(document).encode()

    assert mask.json(data) is data


@pytest.mark.parametrize("document", [{"key": "token", "value": "x"}, {"value": ["x"], "name": "password"}])
def test_a_value_beside_the_name_of_a_secret_is_masked_whole(document):
    assert json.loads(mask.json(json.dumps(document).encode()))["value"] == MASK


@pytest.mark.parametrize(("lists", "pauses"), [(1332, 0), (1333, 1)])
def test_a_walk_pauses_after_four_thousand_lists_and_members_however_they_lie(lists, pauses):
    """A12: others get their turn; here each list of one counts as two, and as a member."""
    said = []
    secret_json.walk([[[1] for _ in range(lists)]], bool, pause=lambda: said.append(1))

    assert secret_json.ITEMS_AT_ONCE == 4000
    assert len(said) == pauses


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (re.compile("a"), "a"),
        (re.compile("a", re.IGNORECASE), "(?i)a"),
        (re.compile("a", re.ASCII | re.MULTILINE | re.DOTALL | re.VERBOSE), "(?amsx)a"),
    ],
)
def test_a_pattern_of_the_app_is_kept_with_its_flags(pattern, text):
    """A12"""
    assert pattern_text(pattern) == text
    assert re.compile(pattern_text(pattern)).flags == pattern.flags
