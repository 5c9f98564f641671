"""A world in which every text that anybody may choose is hostile: payloads, results, errors, reasons, names, log lines.

Rules of this file
- What is markup has the class `planted`, and what is a script calls `planted(…)`; evaluated templates say EVALUATED.
  The policy would stop most scripts, so pages are searched for elements too (probe.js).
- Each text holds the word "planted", so that a page on which none of it stands can be told.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shiftboss import Breaker, Context, Fatal, Orchestrator

from .world import PATIENCE_S, World

HOSTILE = {
    "script": '<script class="planted">planted("script")</script>',
    "image": '"><img class="planted" src="x" onerror="planted(\'image\')">',
    "drawing": "</textarea></title></style><svg class=planted onload=planted('drawing')>",
    "frame": "<iframe class=planted srcdoc=\"<script>top.planted('frame')</script>\"></iframe>",
    "other host": '<img class=planted src="http://planted.invalid/x"><base class=planted href="//planted.invalid/">',
    "style": "</style><style class=planted>*{display:none}</style>",
    "refresh": "<meta class=planted http-equiv=refresh content=0;url=javascript:planted(1)>",
    "double quotes": '" class="planted" autofocus onfocus="planted(\'double quotes\')" x="',
    "single quotes": "' class='planted' onmouseover='planted(1)' x='",
    "address": "javascript:planted('address')",
    "address of data": "data:text/html,<script>top.planted('data')</script>",
    "link": "[planted](javascript:planted('link'))",
    "template": "planted {{1789*1789}} ${1789*1789} <%= 1789*1789 %> #{1789*1789}",
    "end of a script": "</script><!--<script>planted--></script>",
    "prototype": "__proto__ planted",
    "direction": "\u202eplanted\u2066\u200b\ufeff",
    "control": "planted\r\n\x1b[2J\x1b]0;planted\x07\x9b31m\x00\x85\u2028",
    "marks": "planted" + "\u0301\u0489" * 150,
    "long": "planted" * 250,
}
UNBROKEN = "planted" + "ñ" * 1993  # as long as a reason may be, 4 KB, and nowhere to break it
EVALUATED = str(1789 * 1789)
EVERYTHING = "\n".join(HOSTILE.values())
SHORT = "\n".join(text for text in HOSTILE.values() if len(text) < 200).replace("\0", "")  # a reason: no NUL is taken
SHORTER = HOSTILE["image"] + '" class="planted" x={{1789*1789}}' + HOSTILE["direction"]  # a name


@contextmanager
def hostile(file: Path) -> Iterator[World]:
    """Started, with a past; not yet served."""
    gate, started = threading.Event(), threading.Event()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SHIFTBOSS_USER", SHORTER)
        boss = orchestrator(file, gate, started)
        boss.sync.start()
        world = World(boss, gate, worker="evil", around="evil")
        try:
            _live_through(world)
            assert started.wait(PATIENCE_S)
            yield world
        finally:
            gate.set()
            world.stop_serving()
            boss.sync.stop()


def orchestrator(file: Path, gate: threading.Event, started: threading.Event) -> Orchestrator:
    boss = Orchestrator(f"sqlite:///{file}", shutdown_timeout=5, code_version=SHORT, resources={SHORTER: 1})
    failure = type(HOSTILE["image"], (Fatal,), {"__doc__": EVERYTHING})

    def evil(ctx: Context, text: str = EVERYTHING, fails: bool = False, more: object = None) -> dict[str, object]:
        ctx.log.warning("%s", text)
        ctx.progress(1, 2, text)
        if fails:
            raise failure(text)
        return {text: [text], "more": more}

    evil.__doc__ = EVERYTHING

    def waits(ctx: Context) -> None:
        """Runs until the test lets it go."""
        ctx.progress(1, 3, SHORT)
        for text in HOSTILE.values():
            ctx.log.error("%s", text)
        started.set()
        while not gate.wait(0.02) and not ctx.cancelled:
            pass

    boss.register("evil", evil, max_retries=0, max_consecutive_failures=None, tags=[SHORTER, HOSTILE["address"]])
    boss.register("follows", evil, after=["evil"], max_retries=0, breaker=Breaker(SHORTER, failures=1, cooldown="10m"))
    boss.register("waits", waits, uses={SHORTER: 1}, tags=[SHORTER])
    boss.register("held", waits, uses={SHORTER: 1})
    boss.register("off", evil, max_retries=0)
    boss.register("stopped", evil, max_retries=0)
    return boss


def _live_through(world: World) -> None:
    everything = {**HOSTILE, **{text: name for name, text in HOSTILE.items()}, "__proto__": {"planted": SHORT}}
    for text in HOSTILE.values():
        world.ended("evil", {"text": text, "fails": True})
    world.ended("evil", {"text": EVERYTHING, "more": everything})
    world.ended("follows", {"text": SHORT, "fails": True})  # opens the breaker
    world.trigger("follows", {"text": SHORT})  # held by it
    world.importing = world.trigger("waits", {}, key=SHORTER)
    world.trigger("held")
    later = world.trigger("evil", {"text": SHORT}, delay="1h")
    world.boss.sync.cancel(later, reason=SHORT)
    world.boss.sync.cancel(world.trigger("evil", {"text": SHORT}, delay="1h"), reason=UNBROKEN)
    for letter in world.boss.sync.dead_letters()[1:4]:
        world.boss.sync.resolve(letter.run, note=SHORT)
    world.boss.sync.resolve(world.boss.sync.dead_letters()[-1].run, note=UNBROKEN)
    world.boss.sync.disable("off", reason=SHORT)
    world.boss.sync.disable("stopped", reason=UNBROKEN)
    world.ended("evil", {"text": EVERYTHING, "fails": True, "more": everything})  # the newest: its page is looked at
