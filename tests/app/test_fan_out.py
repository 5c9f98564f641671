"""`trigger_many` on both faces: one commit or none, on a real loop and real stores."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from shiftboss import (
    AuditFilter,
    ConfigurationError,
    DuplicateKey,
    HistoryFilter,
    NotStarted,
    Orchestrator,
    SecretValue,
    TriggerItem,
    TriggersRefused,
    UnknownWorker,
    WorkerDisabled,
    WrongPayload,
)
from shiftboss.app import fan_out
from shiftboss.app.actor import acting_as
from shiftboss.errors import StoreRejected


@pytest.fixture(params=["memory", "sqlite"])
def boss(request, tmp_path):
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'boss.db'}"
    return declared(Orchestrator(url, shutdown_timeout=5))


def declared(boss: Orchestrator) -> Orchestrator:
    @boss.worker()
    async def send_mail(to: str, copies: int = 1) -> str:
        return f"{to} x{copies}"

    @boss.worker(concurrency=1, priority="low")
    async def index(number: int) -> int:
        return number

    return boss


def mails(number: int) -> list[dict[str, str]]:
    return [{"to": f"user {each}"} for each in range(number)]


async def test_many_are_triggered_and_each_runs_with_its_own_payload(boss):
    """O6: the handles have the order of the payloads."""
    async with boss:
        handles = await boss.trigger_many("send-mail", mails(300))

        results = await asyncio.gather(*(handle.result(timeout=20) for handle in handles))
    assert results == [f"user {number} x1" for number in range(300)]
    assert [handle.id for handle in handles] == sorted(handle.id for handle in handles)


async def test_they_cost_one_commit(boss):
    """O6: of a client, so that nothing else commits."""
    async with boss.client(create=True):
        await boss.trigger("send-mail", {"to": "first"})
        before = await number(boss)
        await boss.trigger_many("send-mail", mails(2_500))

        assert await number(boss) == before + 1


async def number(boss: Orchestrator) -> int:
    """Of the last commit."""

    def asked(views):
        with views._session.read() as reader:
            return reader.past().number

    return await boss.ask(asked)


async def test_several_workers_and_their_own_options_go_into_one_call(boss):
    """O6: each item has the options of a trigger."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    async with boss.client(create=True):
        before = await number(boss)
        handles = await boss.trigger_many(
            [
                TriggerItem("send-mail", {"to": "ada"}, key="a"),
                TriggerItem("index", {"number": 7}, delay="1h", priority="high"),
                TriggerItem("index", {"number": 8}, at=soon),
            ]
        )
        runs = [await handle.info() for handle in handles]

        assert await number(boss) == before + 1
    assert [(run.worker, run.key, run.payload) for run in runs] == [
        ("send-mail", "a", b'{"to":"ada"}'),
        ("index", None, b'{"number":7}'),
        ("index", None, b'{"number":8}'),
    ]
    assert (runs[1].due_at - runs[1].created_at, runs[1].priority.name) == (timedelta(hours=1), "HIGH")
    assert (runs[2].due_at, runs[2].priority.name) == (soon, "LOW")


async def test_a_key_that_was_seen_gives_its_run_and_none_is_no_key(boss):
    """O5, O6"""
    async with boss.client(create=True):
        first = await boss.trigger("send-mail", {"to": "user 0"}, key="k0")
        handles = await boss.trigger_many("send-mail", mails(3), keys=["k0", None, "k2"])
        again = await boss.trigger_many("send-mail", mails(3), keys=["k0", None, "k2"])

    assert handles[0].id == first.id
    assert [handles[2].id] == [again[2].id]
    assert handles[1].id != again[1].id


async def test_any_refusal_stores_nothing_and_all_are_named(boss):
    """O6: what does not fit here, and what only the store knows, in one error."""
    async with boss.client(create=True):
        await boss.trigger("send-mail", {"to": "ada"}, key="k")
        await boss.disable("index")
        before = await number(boss)
        with pytest.raises(TriggersRefused) as error:
            await boss.trigger_many(
                [
                    TriggerItem("send-mail", {"to": "fine"}),
                    TriggerItem("send-mail", {"to": 7}),
                    TriggerItem("send-mail", {"to": "eve"}, key="k"),
                    TriggerItem("index", {"number": 1}),
                    TriggerItem("send-mial", {}),
                    TriggerItem("send-mail", {"to": "ada"}, delay="soon"),
                ]
            )
        runs = await boss.runs(HistoryFilter(worker="send-mail"))

        assert await number(boss) == before
    assert [each.place for each in error.value.refused] == [1, 2, 3, 4, 5]
    assert [type(each.error) for each in error.value.refused] == [
        WrongPayload,
        DuplicateKey,
        WorkerDisabled,
        UnknownWorker,
        ConfigurationError,
    ]
    assert [each.worker for each in error.value.refused][3] == "send-mial"
    assert len(runs) == 1


async def test_refusals_keep_no_frames_alive(boss):
    """O6: there may be 50,000 of them, and each frame has a payload."""
    async with boss.client(create=True):
        try:
            raise RuntimeError("of the caller's own")
        except RuntimeError as own:
            outer = own
            with pytest.raises(TriggersRefused) as error:
                await boss.trigger_many([TriggerItem("send-mail", {"to": object()}), TriggerItem("nobody")])

    assert outer.__traceback__ is not None
    for each in error.value.refused:
        causes = [each.error, each.error.__cause__, each.error.__context__]
        assert [cause.__traceback__ for cause in causes if cause is not None] == [None] * len(
            list(filter(None, causes))
        )
    assert error.value.refused[0].error.__cause__ is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda boss: boss.trigger_many("send-mail", {"to": "ada"}), "give its payloads as a list"),
        (lambda boss: boss.trigger_many("send-mail", "ada"), "give its payloads as a list"),
        (lambda boss: boss.trigger_many("send-mail", 7), "give its payloads as a list"),
        (lambda boss: boss.trigger_many("send-mail"), "or a list of TriggerItem"),
        (lambda boss: boss.trigger_many(TriggerItem("send-mail")), "or a list of TriggerItem"),
        (lambda boss: boss.trigger_many([{"to": "ada"}]), "is not a TriggerItem"),
        (lambda boss: boss.trigger_many("send-mail", mails(2), keys=["a"]), "numbers of keys and payloads differ"),
        (lambda boss: boss.trigger_many("send-mail", mails(1), keys=["a", "b"]), "numbers of keys and payloads differ"),
        (lambda boss: boss.trigger_many("send-mail", mails(1), keys="a"), "give keys= as a list"),
        (lambda boss: boss.trigger_many("send-mail", mails(1), key="a"), "give keys="),
        (lambda boss: boss.trigger_many("send-mail", mails(1), delay="soon"), "delay="),
        (lambda boss: boss.trigger_many("send-mail", mails(1), delya=1), "there is no option 'delya'"),
        (lambda boss: boss.trigger_many([TriggerItem("index")], keys=["a"]), "keys= cannot be given beside items"),
        (lambda boss: boss.trigger_many([TriggerItem("index")], delay=1), "delay= cannot be given beside items"),
        (lambda boss: boss.trigger_many("send-mail", ({} for _ in count())), "at most 50,000 triggers at once"),
    ],
)
async def test_a_call_that_cannot_be_meant_says_what_to_give(boss, given, said):
    """O6: an endless list is refused as well."""
    async with boss.client(create=True):
        with pytest.raises(ConfigurationError, match=said):
            await given(boss)


async def test_a_wrong_key_is_a_refusal_of_its_place(boss):
    async with boss.client(create=True):
        with pytest.raises(TriggersRefused, match=r"at 1: .*key=7") as error:
            await boss.trigger_many("send-mail", mails(2), keys=["a", 7])

    assert isinstance(error.value.refused[0].error, ConfigurationError)


async def test_the_bytes_of_a_call_are_bounded(boss, monkeypatch):
    """O6"""
    monkeypatch.setattr(fan_out, "MAX_BYTES", 100)
    async with boss.client(create=True):
        with pytest.raises(ConfigurationError, match="may have 100 bytes together"):
            await boss.trigger_many("send-mail", mails(20))


async def test_none_is_nothing_and_without_a_start_it_says_so(boss):
    with pytest.raises(NotStarted):
        await boss.trigger_many("send-mail", mails(1))
    async with boss.client(create=True):
        before = await number(boss)

        assert await boss.trigger_many("send-mail", []) == []
        assert await number(boss) == before


def test_more_triggers_may_take_longer_to_be_answered():
    """H5: nobody waits forever, and a slow disk is no reason to doubt the commit of a large call."""
    assert [fan_out.answered_within_s(count) for count in (1, 2_000, 50_000)] == [6.0005, 7.0, 31.0]


async def test_other_tasks_of_the_loop_get_their_turn(boss, monkeypatch):
    """O6: between slices, while payloads are read."""
    monkeypatch.setattr(fan_out, "SLICE", 10)
    turns: list[int] = []

    def payloads():
        for each in range(100):
            read.append(each)
            yield {"to": str(each)}

    async def other():
        while True:
            turns.append(len(read))
            await asyncio.sleep(0)

    read: list[int] = []
    async with boss.client(create=True):
        task = asyncio.create_task(other())
        await boss.trigger_many("send-mail", payloads())
        task.cancel()

    assert set(range(10, 101, 10)) <= set(turns)


async def test_a_person_is_audited_once_with_the_number(boss):
    """A1, O6"""
    async with boss.client(create=True):
        with acting_as("ada"):
            handles = await boss.trigger_many("send-mail", mails(3))
        await boss.trigger_many("send-mail", mails(3))
        acts = await boss.audit(AuditFilter(action="trigger"))

    ids = [handle.id for handle in handles]
    assert [(act.by, act.run, act.after) for act in acts] == [("ada", ids[0], f"3 runs, {ids[0]} to {ids[2]}")]


async def test_places_of_secret_values_are_noted_as_for_one(tmp_path):
    """A12"""
    boss = declared(Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", redact=[SecretValue("correct horse")]))
    async with boss.client(create=True):
        one = await boss.trigger("send-mail", {"to": "correct horse"})
        plain, many = await boss.trigger_many("send-mail", [{"to": "ada"}, {"to": "correct horse"}])

        assert ((await many.info()).masked, (await plain.info()).masked) == ((await one.info()).masked, ())
        assert (await one.info()).masked


class Reversing:
    """A codec that can fail."""

    key_ids = ("r",)
    digest_keys = (b"0123456789abcdef",)
    fails_at = b"none"

    def encode(self, data: bytes) -> bytes:
        if self.fails_at in data:
            raise RuntimeError
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


async def test_payloads_are_encoded_and_a_codec_that_fails_stores_nothing(tmp_path):
    """E1, O6"""
    codec = Reversing()
    boss = declared(Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", codec=codec))
    async with boss.client(create=True):
        keyed = await boss.trigger("send-mail", {"to": "user 0"}, key="k")
        handles = await boss.trigger_many("send-mail", mails(2), keys=["k", None])
        codec.fails_at = b"user 1"
        with pytest.raises(StoreRejected, match="nothing was stored"):
            await boss.trigger_many("send-mail", mails(2))
        runs = await boss.runs()

    assert handles[0].id == keyed.id
    assert sorted(run.id for run in runs) == [handle.id for handle in handles]


def test_code_without_a_loop_does_the_same(tmp_path):
    """O6"""
    boss = declared(Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}"))
    boss.sync.open(create=True)
    with boss.sync as sync:
        runs = sync.trigger_many("send-mail", mails(3), keys=["a", "b", None])
        again = sync.trigger_many([TriggerItem("send-mail", {"to": "user 0"}, key="a")])
        with pytest.raises(TriggersRefused):
            sync.trigger_many("send-mail", [{"to": "ada"}, {}])
        with pytest.raises(ConfigurationError, match="trigger_many_within"):
            sync.trigger_many("send-mail", mails(1), within=object())

        assert sync.trigger_many("send-mail", []) == []
        assert len(sync.runs()) == 3
    assert [run.payload for run in runs] == [b'{"to":"user 0"}', b'{"to":"user 1"}', b'{"to":"user 2"}']
    assert again[0].id == runs[0].id
