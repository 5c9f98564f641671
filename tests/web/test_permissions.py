"""What the page may offer: the answer to "may I?" is what the action itself would meet, and asking does nothing."""

from __future__ import annotations

import asyncio
import threading
import zlib

import pytest

from shiftboss.app.roles import Role
from shiftboss.ports.faces import AuditFilter
from shiftboss.web import authorize
from shiftboss.web.access import Mounted
from shiftboss.web.application import Application
from shiftboss.web.table import OPERATIONS, PREFIX

from .conftest import PATIENCE_S, SAME_ORIGIN, a_shop
from .test_who_may import client_of

MAY, SESSION = f"{PREFIX}/session/may", f"{PREFIX}/session"
ACTIONS = {each.id: each for each in OPERATIONS if each.changes}
WITHOUT_A_WORKER = [
    "cancel_many",
    "discard_many",
    "drain",
    "export_many",
    "prefer",
    "replay_many",
    "resolve_many",
    "set_aside",
    "trigger_many",
]
HOSTILE = [
    "<script>alert(1)</script>", "a&worker=b", "__proto__", "%00", "../../etc", "' OR 1=1 --", "a,b", "\u202eevil",
    "x\ny", "\x1b]0;x\x07", "😀" * 128, " ",
]  # fmt: skip


@pytest.fixture
async def boss():
    async with (boss := a_shop("memory:")):
        yield boss


def limited(boss, may, role="admin", name="ada"):
    """A client of a host that refuses what *may* does."""
    return client_of(Application(boss, Mounted(lambda request: (role, name, may))), headers=SAME_ORIGIN)


async def answers(client, **asked) -> dict[str | None, list[str]]:
    found = await client.get(MAY, params=asked)
    assert found.status_code == 200, found.text
    return {each["worker"]: sorted(each["actions"]) for each in found.json()["permitted"]}


@pytest.mark.parametrize("seed", range(4))
async def test_what_it_answers_is_what_the_action_meets_for_every_action_of_the_table(boss, seed):
    """With a host that refuses half of all pairs, and another half with each seed."""

    def may(action, worker):
        return zlib.crc32(f"{seed} {action} {worker}".encode()) % 2 == 0

    runs = {worker: (await boss.trigger(worker, payload, delay=3600)).id for worker, payload in PAYLOADS.items()}
    offered, met = {}, {}
    async with limited(boss, may) as client:
        for action in ACTIONS.values():
            for worker in ("send", "pick", None):
                if not action.can_be_about(worker):
                    continue
                told = await answers(client, action=action.id, **({} if worker is None else {"worker": worker}))
                offered[action.id, worker] = action.id in told[worker]
                path = PREFIX + action.path.format(worker=worker, run=runs.get(worker), node="x")
                response = await client.post(path, json=body_of(action, worker))
                met[action.id, worker] = "not-permitted" not in response.text

    assert offered == met
    assert set(offered.values()) == {True, False}


PAYLOADS = {"send": {"to": "ada"}, "pick": {}}


def body_of(action, worker):
    """Of bulk: a filter that nothing fits, for it is asked for before each of what fits."""
    if action.id == "prefer":
        return {"worker": worker}
    if action.body is None or "filter" not in action.body.__struct_fields__:
        return {}
    bound = ("due_before", "2000-01-01T00:00:00Z") if action.id == "cancel_many" else ("since", "2999-01-01T00:00:00Z")
    return {"filter": {"worker": worker, bound[0]: bound[1]}}


async def test_the_host_is_asked_what_the_action_would_ask_and_nothing_that_the_role_forbids(boss):
    asked = []

    def may(action, worker):
        asked.append((action, worker))
        return True

    async with limited(boss, may, role="operator") as client:
        one = await answers(
            client, worker=["send", "pick", "send"], action=["trigger", "discard", "drain", "cancel_many"]
        )
        none = await answers(client, action=["trigger", "drain", "cancel_many"])
        everything = await answers(client, worker="send")

    assert one == {"send": ["cancel_many", "trigger"], "pick": ["cancel_many", "trigger"]}
    assert none == {None: ["cancel_many"]}
    assert everything["send"] == sorted(
        id_ for id_, each in ACTIONS.items() if each.role <= Role.OPERATOR and each.can_be_about("send")
    )
    assert asked[:5] == [
        ("trigger", "send"), ("cancel_many", "send"), ("trigger", "pick"), ("cancel_many", "pick"),
        ("cancel_many", None),
    ]  # fmt: skip
    assert not {"discard", "forget", "drain", "set_aside", "discard_many"} & {action for action, _ in asked}


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_without_may_it_is_the_role_alone_and_the_session_says_so(boss, role):
    app = Application(boss, Mounted(lambda request: (role, "ada")))
    async with client_of(app, headers=SAME_ORIGIN) as client:
        is_limited = (await client.get(SESSION)).json()["limited"]
        mine = await answers(client)
        of_worker = await answers(client, worker="pick")
    async with limited(boss, lambda *_: False, role=role) as client:
        of_the_other = (await client.get(SESSION)).json()["limited"]

    allowed = {id_ for id_, each in ACTIONS.items() if each.role <= Role[role.upper()]}
    assert (is_limited, of_the_other) == (False, True)
    assert set(mine[None]) == allowed & set(WITHOUT_A_WORKER)
    assert set(of_worker["pick"]) == allowed - {"drain", "set_aside", "trigger_many"}


# ── a host that fails ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_may_raises_is_a_refusal_of_that_action_alone_and_stands_in_the_log(boss, caplog, is_async):
    def may(action, worker):
        if action == "trigger":
            raise LookupError("the host's own")
        return "yes" if action == "enable" else action == "disable"

    async def may_later(action, worker):
        return may(action, worker)

    async with limited(boss, may_later if is_async else may) as client:
        assert await answers(client, worker=["send", "pick"]) == {"send": ["disable"], "pick": ["disable"]}

    assert caplog.text.count("the host's authorize= raised LookupError;") == 1


async def test_a_may_that_hangs_is_waited_for_once_and_keeps_one_thread(boss, monkeypatch):
    monkeypatch.setattr(authorize, "AUTHORIZE_WITHIN_S", 0.05)
    go_on, asked = threading.Event(), []

    def may(action, worker):
        asked.append(action)
        if action == "enable":
            go_on.wait(PATIENCE_S)
        return True

    async with limited(boss, may) as client:
        told = await answers(client, action=["trigger", "enable", "disable"], worker=["send", "pick"])
    go_on.set()

    assert told == {"send": ["trigger"], "pick": []}
    assert asked == ["trigger", "enable"]


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_of_any_kind_reaches_the_host_as_it_is(boss, name):
    asked = []

    def may(action, worker):
        asked.append(worker)
        return worker == name

    async with limited(boss, may) as client:
        found = await client.get(MAY, params={"action": "trigger", "worker": ["pick", name]})

    assert asked == ["pick", name]
    assert [(each["worker"], each["actions"]) for each in found.json()["permitted"]] == [
        ("pick", []),
        (name, ["trigger"]),
    ]
    assert "<script" not in found.text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"action": "triger"}, "did you mean 'trigger'?"),
        ({"action": "status"}, "no action"),
        ({"action": "may"}, "no action"),
        ({"action": "x" * 51}, "length"),
        ({"worker": "x" * 129}, "length"),
        ({"worker": ""}, "length"),
        ({"worker": "x\0"}, "regex"),
        ({"worker": [f"w{n}" for n in range(51)]}, "length"),
        ({"action": [f"a{n}" for n in range(21)]}, "length"),
        ({"workers": "pick"}, "worker"),
    ],
)
async def test_what_is_too_much_or_is_none_is_refused_before_the_host_is_asked(boss, asked, said):
    def may(action, worker):
        raise AssertionError("nobody asks")

    async with limited(boss, may) as client:
        found = await client.get(MAY, params=asked)

    assert (found.status_code, said in found.json()["detail"]) == (400, True), found.text


async def test_two_users_of_one_role_who_ask_at_once_have_each_their_own_answer(boss):
    both = asyncio.Barrier(2)

    def authorize_by_header(request):
        name = request.headers["x-user"]

        async def may(action, worker):
            async with asyncio.timeout(PATIENCE_S):
                await both.wait()
            return name == "ada"

        return "operator", name, may

    app = Application(boss, Mounted(authorize_by_header))
    async with client_of(app, headers=SAME_ORIGIN) as client:
        asked = {"action": "trigger", "worker": "pick"}
        found = await asyncio.gather(
            *(client.get(MAY, params=asked, headers={"x-user": name}) for name in ("ada", "bob"))
        )

    assert [each.json()["permitted"][0]["actions"] for each in found] == [["trigger"], []]


async def test_who_may_see_nothing_may_not_ask_and_asking_is_no_act(boss):
    for role, status in ((None, 403), ("metrics", 403), ("viewer", 200)):
        async with client_of(Application(boss, Mounted(lambda request, role=role: role))) as client:
            assert (await client.get(MAY, params={"worker": "pick"})).status_code == status
    await boss.disable("report")  # stands behind the refusals in the engine's queue: they are stored when it is
    before = await boss.audit(AuditFilter())
    async with limited(boss, lambda *_: False) as client:
        assert await answers(client, worker="pick") == {"pick": []}
    await boss.enable("report")

    assert [act.action for act in await boss.audit(AuditFilter())][: -len(before)] == ["enable"]
