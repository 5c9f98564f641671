"""What a payload looks like to people is found out once, and no more of it is kept than there is room for."""

from __future__ import annotations

import json
import threading

import pytest

from shiftboss.app.json_format import Json
from shiftboss.app.masked import MaskedPayloads
from shiftboss.core.redact import Redaction, redaction

mask = redaction(())


@pytest.fixture
def times(monkeypatch) -> list[bytes]:
    """Each payload that was really masked."""
    done: list[bytes] = []
    payload = Redaction.payload

    def counted(self, data, **options):
        done.append(data)
        return payload(self, data, **options)

    monkeypatch.setattr(Redaction, "payload", counted)
    return done


def a_payload(number: int, size: int = 20_000) -> bytes:
    return json.dumps({"n": number, "token": "hunter-22", "text": "x" * size}).encode()


def test_many_readers_of_one_page_mask_it_once(times):
    payloads, shown = MaskedPayloads(), []
    together = threading.Barrier(8)

    def read() -> None:
        together.wait(timeout=30)
        shown.append(payloads.masked(a_payload(1), (), mask))

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(timeout=60)

    assert len(times) == 1
    assert len(shown) == 8
    assert {json.loads(each)["token"] for each in shown} == {"[redacted]"}
    assert all(isinstance(each, Json) for each in shown)


def test_what_makes_it_another_page_masks_it_again(times):
    payloads = MaskedPayloads()
    asked = [((), mask), ([(0,)], mask), ((), redaction(("text",))), ((), redaction((), ("x{5}",)))]
    asked += [((), mask.knowing(["xxxxxxxx"])), ((), mask.knowing(["yyyyyyyy"]))]
    first = [payloads.masked(a_payload(1), places, each) for places, each in asked]

    assert len(times) == len(asked)
    assert [payloads.masked(a_payload(1), places, each) for places, each in asked] == first
    assert len(times) == len(asked)
    assert json.loads(first[1])["n"] == "[redacted]"
    assert json.loads(first[2])["text"] == "[redacted]"


@pytest.mark.parametrize("payload", [b'{ "text": "' + b"y" * 20_000 + b'" }', b"no JSON " * 1_000])
def test_one_without_secrets_is_kept_without_its_bytes(payload):
    payloads = MaskedPayloads()
    once = payloads.masked(payload, (), mask)
    again = payloads.masked(payload, (), mask)

    assert once == again == payload
    assert type(once) is type(again)
    assert payloads.kept_bytes < 1_000


def test_there_is_room_for_so_many_bytes_and_the_last_looked_at_stay(times):
    payloads = MaskedPayloads(most_bytes=100_000)
    for number in range(20):
        payloads.masked(a_payload(number), (), mask)
        payloads.masked(a_payload(0), (), mask)
        assert payloads.kept_bytes <= 100_000

    assert len(times) == 20
    payloads.masked(a_payload(1), (), mask)
    assert len(times) == 21
    payloads.masked(a_payload(2, size=200_000), (), mask)
    assert payloads.kept_bytes == 0
