"""What is called like a secret is neither kept nor shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftboss.core.redact import MASK, Redaction, redaction

mask = redaction(())


@pytest.mark.parametrize(
    "name",
    ["password", "db_password", "X-Auth-Token", "clientSecret", "API_KEY", "apiKey", "Authorization", "SECRET", "PWD1"],
)
def test_names_are_compared_word_by_word(name):
    assert mask.is_secret(name)


@pytest.mark.parametrize("name", ["tokenizer", "max_tokens", "secretary", "pass", "key", "author", "monkey", ""])
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


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("login failed: password=hunter2, user=ada", "login failed: password=[redacted], user=ada"),
        ('{"token": "abc def", "n": 1}', '{"token": "[redacted]", "n": 1}'),
        ("Authorization: Bearer abcdefghijk", "Authorization: [redacted]"),
        ("sent Bearer abcdefghijk to it", "sent Bearer [redacted] to it"),
        ("postgresql://ada:hunter2@db/shop", "postgresql://ada:[redacted]@db/shop"),
        ("GET /x?api_key=abc&page=2", "GET /x?api_key=[redacted]&page=2"),
        ("it takes (to: str, password: str = …)", "it takes (to: str, password: str = …)"),
        ("max_tokens=100, tokenizer: fast", "max_tokens=100, tokenizer: fast"),
        ("nothing to see", "nothing to see"),
    ],
)
def test_texts_are_masked_where_they_name_a_secret(text, masked):
    assert mask.text(text) == masked


def test_a_secret_of_the_payload_is_masked_wherever_a_text_repeats_it():
    knowing = mask.knowing(b'{"to": "ada", "login": {"password": "hunter2!", "pin_token": "1"}}')

    assert knowing.text("cannot log in as ada with hunter2! (1)") == "cannot log in as ada with [redacted] (1)"
    assert knowing.json(b'["hunter2!"]') == b'["[redacted]"]'


def test_a_payload_that_is_no_json_gives_nothing_away_and_breaks_nothing():
    assert mask.knowing(b"\xff password").text("as it is") == "as it is"
    assert mask.json(b"password \xff") == b"password \xff"


@given(st.text(st.sampled_from("aA-_. :=\"'\\password/@"), max_size=300))
def test_no_text_is_too_strange(text):
    mask.text(text)


@pytest.mark.parametrize(
    "text", ["a-" * 20_000, "password" * 5_000, '"password":"' + "\\" * 20_000, "://" + "a" * 20_000]
)
def test_a_hostile_text_takes_no_longer_than_a_long_one(text):
    mask.text(text)  # a pattern that backtracks would not come back
