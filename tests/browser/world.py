"""A small world with one of everything an operator meets: what runs, fails, waits, is blocked, disabled or dead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shiftboss import Breaker, Context, Fatal, Idle, Orchestrator
from shiftboss.core.policy import RetryPolicy
from shiftboss.web.server import ListenAddress, Server

PATIENCE_S = 30.0
ANY_PORT = ListenAddress("127.0.0.1", 0)


class SmtpDown(Exception):
    """The mail server does not answer."""


@dataclass
class World:
    boss: Orchestrator
    gate: threading.Event  # what `import-catalog` waits for
    importing: int = 0  # the run of it
    worker: str = "send-mail"  # whose page is looked at
    around: str = "fetch-orders"  # around whom the graph is
    store: str = ""
    server: Server | None = None
    address: ListenAddress = ANY_PORT

    @property
    def url(self) -> str:
        return self.address.url

    def trigger(self, worker: str, payload: dict[str, object] | None = None, **options: object) -> int:
        return self.boss.sync.trigger(worker, payload or {}, **options).id

    def ended(self, worker: str, payload: dict[str, object] | None = None) -> int:
        run = self.trigger(worker, payload)
        self.boss.sync.wait_for(run, timeout=PATIENCE_S)
        return run

    def serve(self) -> None:
        """At the port of before, if there was one."""
        self.server = Server(self.boss, self.address)
        self.address = self.server.address
        self.server.start()

    @property
    def token(self) -> str:
        """What this server has made for itself."""
        assert self.server is not None
        assert self.server.token_file is not None
        return self.server.token_file.read_text().strip()

    @property
    def link(self) -> str:
        """To the page, by a code that logs in."""
        assert self.server is not None
        return self.server.login_link()

    def stop_serving(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None


def orchestrator(store: str, gate: threading.Event, started: threading.Event) -> Orchestrator:
    boss = Orchestrator(store, shutdown_timeout=5, resources={"warehouse": 2}, max_concurrency=8)

    @boss.worker(every="1m", start="now", tags=["shop"])
    def fetch_orders() -> int:
        """Fetch the newest orders."""
        return 42

    @boss.worker(after=[fetch_orders])
    def send_receipts() -> None:
        """Tell customers what they have bought."""

    @boss.worker(cron="30 2 * * *", timezone="Europe/Berlin", depends_on=[fetch_orders])
    def export_ledger() -> None: ...

    @boss.worker(timeout="10m", max_retries=0, uses={"warehouse": 1}, blocks=["tidy-warehouse"])
    def import_catalog(ctx: Context) -> None:
        """Runs until the test lets it go, or somebody cancels it."""
        ctx.progress(3, 10, "page 3")
        ctx.log.info("reading page %s of %s", 3, 10)
        started.set()
        while not gate.wait(0.02) and not ctx.cancelled:
            pass

    @boss.worker
    def tidy_warehouse() -> None: ...

    @boss.worker(
        max_retries=0,
        max_consecutive_failures=None,
        breaker=Breaker("mail-server", failures=3, cooldown="10m"),
    )
    async def send_mail(to: str, subject: str = "Hello", copies: int = 1, urgent: bool = False) -> dict[str, object]:
        """Send one mail."""
        if to.endswith("@down.example"):
            raise SmtpDown(f"no route to {to}")
        return {"to": to, "subject": subject, "copies": copies, "urgent": urgent}

    @boss.worker(retry=RetryPolicy(max_retries=3, first_s=3600, cap_s=7200), max_consecutive_failures=None)
    def sync_prices(shop: str = "north") -> None:
        raise ConnectionError(f"{shop} closed the connection")

    @boss.worker(max_consecutive_failures=None)
    def charge_card(order: int) -> str:
        """Charge a card; an order with an odd number cannot be paid."""
        if order % 2:
            raise Fatal(f"order {order}: the card was declined")
        return f"paid {order}"

    @boss.worker(continuous=True, pause="30s")
    async def price_feed() -> Idle:
        return Idle("30s")

    @boss.worker(every="1h", start="next")
    def old_report() -> None: ...

    @boss.worker(concurrency=8, max_consecutive_failures=None)
    async def count(number: int) -> int:
        return number

    return boss


@contextmanager
def living(file: Path) -> Iterator[World]:
    """Started, with a past; not yet served."""
    gate, started = threading.Event(), threading.Event()
    store = f"sqlite:///{file}"
    boss = orchestrator(store, gate, started)
    boss.sync.start()
    world = World(boss, gate, store=store)
    try:
        _live_through(world)
        assert started.wait(PATIENCE_S)
        yield world
    finally:
        gate.set()
        world.stop_serving()
        boss.sync.stop()


def _live_through(world: World) -> None:
    """What has happened before somebody looks."""
    world.ended("fetch-orders")
    world.ended("send-mail", {"to": "ada@up.example"})
    for order in (1, 2, 3, 4, 5):
        world.ended("charge-card", {"order": order})
    for name in ("one", "two", "three"):
        world.ended("send-mail", {"to": f"{name}@down.example"})  # the third opens the breaker
    world.trigger("send-mail", {"to": "late@down.example"})  # held by it
    world.trigger("sync-prices")
    world.importing = world.trigger("import-catalog")
    world.trigger("tidy-warehouse")  # held by the import
    world.boss.sync.disable("old-report", reason="nobody reads it")
