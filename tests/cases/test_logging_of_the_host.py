"""The host's logging stays as the host wants it, and what it is for is said: failures, and what bodies log."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import pytest
from programs import run_program

from shiftboss import Context, Orchestrator, RetryPolicy

SOURCES = Path(__file__).resolve().parents[2] / "src"

APP = """
import asyncio, logging, logging.config, sys
from shiftboss import Context, Orchestrator

def say(*words):  # in one piece: the engine's thread logs there as well
    sys.stdout.write(" ".join(map(str, words)) + "\\n")

boss = Orchestrator("sqlite:///jobs.db")

@boss.worker(max_retries=0)
def speaks(ctx: Context) -> None:
    ctx.log.debug("debug by the context")
    ctx.log.info("info by the context")
    logging.getLogger("app.module").info("info by another")
    logging.getLogger("app.module").warning("warning by another")

@boss.worker(max_retries=0)
def fails() -> None:
    raise ValueError("boom")

CONFIG = {
    "version": 1,
    "formatters": {"f": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"h": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "f"}},
    "root": {"handlers": ["h"], "level": "INFO"},
}

def before(): ...
def after(): ...

async def main():
    before()
    async with boss:
        after()
        run = await speaks.trigger()
        await run.wait(timeout=30)
        say("KEPT", [line.text for line in await boss.lines(run.id)])
        await (await fails.trigger()).wait(timeout=30)
        say("ROOT", [type(each).__name__ for each in logging.getLogger().handlers])

# here

if __name__ == "__main__":
    asyncio.run(main())
"""


def kept_of(out: str) -> list[str]:
    (line,) = [line for line in out.splitlines() if line.startswith("KEPT")]
    return ast.literal_eval(line.removeprefix("KEPT "))


def test_without_any_configuration_pythons_last_resort_prints_warnings_and_nothing_else(tmp_path):
    """A6"""
    done = run_program(tmp_path, APP)

    assert "ROOT []" in done.stdout
    assert "fails run 2 is dead (error: ValueError: boom); kept as a dead letter\n    Traceback" in done.stderr
    assert "warning by another" in done.stderr
    assert "info by the context" not in done.stderr
    assert kept_of(done.stdout) == ["info by the context", "warning by another"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["basicConfig(level='INFO', force=False)", "config.dictConfig(CONFIG)"])
def test_a_configuration_counts_whether_it_comes_before_the_start_or_after(tmp_path, when, how):
    """A6: `dictConfig` disables the loggers that exist, by its default: not ours, and the run keeps what it is told."""
    done = run_program(tmp_path, APP.replace("# here", f"def {when}(): logging.{how}"))

    assert "ROOT ['StreamHandler']" in done.stdout
    assert "ERROR" in done.stdout + done.stderr
    assert "fails run 2 is dead (error: ValueError: boom)" in done.stdout + done.stderr
    assert "info by the context" in kept_of(done.stdout)
    assert "debug by the context" not in kept_of(done.stdout)


def test_the_command_says_failures_of_an_app_whose_configuration_disables_existing_loggers(tmp_path):
    app = APP.replace("def fails", "def unused").replace(
        "max_retries=0)\ndef unused", "every='1h', max_retries=0)\ndef fails"
    )

    done = run_program(
        tmp_path,
        app.replace("# here", "logging.config.dictConfig(CONFIG)"),
        *("-m", "shiftboss", "run", "app.py", "--burst"),
    )

    assert "ERROR shiftboss.run fails run 1 is dead" in done.stdout


def test_a_logger_of_ours_that_somebody_disables_by_its_name_is_silent(caplog):
    logger = logging.getLogger("shiftboss.run")
    logger.disabled = True
    try:
        assert not logger.isEnabledFor(logging.ERROR)
    finally:
        logger.disabled = False
    assert logger.isEnabledFor(logging.ERROR)


# ── lines of bodies ──────────────────────────────────────────────────────────────────────────────────────────────


async def lines_of(boss: Orchestrator) -> list[str]:
    """Of one run of its worker `speaks`."""
    run = await boss.trigger("speaks")
    await run.wait(timeout=30)
    return [line.text for line in await boss.lines(run.id)]


def speaking(path: Path) -> Orchestrator:
    boss = Orchestrator(f"sqlite:///{path}")

    @boss.worker
    def speaks(ctx: Context) -> None:
        ctx.log.warning("by the context")
        logging.getLogger("elsewhere").warning("by %s", "another")

    return boss


async def test_two_orchestrators_in_a_process_keep_each_its_own_lines_once(tmp_path):
    """A6"""
    factory = logging.getLogRecordFactory()
    one, two = speaking(tmp_path / "one.db"), speaking(tmp_path / "two.db")

    async with one:
        async with two:
            assert await lines_of(one) == await lines_of(two) == ["by the context", "by another"]
        assert await lines_of(one) == ["by the context", "by another"]

    assert logging.getLogRecordFactory() is factory


async def test_a_record_factory_of_the_hosts_stays_in_use_whenever_it_is_set(tmp_path):
    plain = logging.getLogRecordFactory()
    made: list[str] = []

    def chained(former):
        def factory(*args, **kwargs):
            record = former(*args, **kwargs)
            made.append(record.msg)
            return record

        return factory

    boss = speaking(tmp_path / "jobs.db")
    try:
        logging.setLogRecordFactory(chained(plain))
        async with boss:
            logging.setLogRecordFactory(chained(logging.getLogRecordFactory()))
            assert await lines_of(boss) == ["by the context", "by another"]
        async with boss:
            assert await lines_of(boss) == ["by the context", "by another"]
        made.clear()
        logging.getLogger("elsewhere").warning("after it all")
    finally:
        logging.setLogRecordFactory(plain)

    assert made == ["after it all", "after it all"]


async def test_a_line_whose_arguments_do_not_fit_is_kept_as_it_is_and_ends_no_body(tmp_path):
    boss = Orchestrator(f"sqlite:///{tmp_path}/jobs.db")
    shown, logging.raiseExceptions = logging.raiseExceptions, False

    class Breaks:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    @boss.worker
    def speaks(ctx: Context) -> None:
        ctx.log.warning("%d pages", "many")
        logging.getLogger("elsewhere").warning("%s", Breaks())
        ctx.log.warning(Breaks())

    try:
        async with boss:
            assert await lines_of(boss) == ["'%d pages'", "'%s'", "Breaks"]
    finally:
        logging.raiseExceptions = shown


async def test_a_record_of_the_contexts_logger_names_the_line_of_the_body(tmp_path, caplog):
    boss = speaking(tmp_path / "jobs.db")

    async with boss:
        await lines_of(boss)

    (record,) = [each for each in caplog.records if each.name == "shiftboss.worker.speaks"]
    assert (record.filename, record.funcName) == (Path(__file__).name, "speaks")


CHILD = """
import asyncio, logging, logging.config, sys
from shiftboss import Context, Orchestrator

def say(*words):  # in one piece: the engine's thread logs there as well
    sys.stdout.write(" ".join(map(str, words)) + "\\n")

boss = Orchestrator("sqlite:///jobs.db")

@boss.worker(max_retries=0, executor="process")
def speaks(ctx: Context) -> None:
    ctx.log.info("info by the context")
    logging.getLogger("app.noisy").info("info by a noisy one")
    logging.getLogger("app.module").info("info by another")
    logging.getLogger("app.module").warning("warning by another")

# here

async def main():
    logging.getLogger("app.module").setLevel("INFO")
    async with boss:
        run = await speaks.trigger()
        await run.wait(timeout=40)
        say("KEPT", [line.text for line in await boss.lines(run.id)])

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_what_a_body_in_a_child_logs_is_kept_by_the_levels_of_its_node(tmp_path):
    """A6"""
    done = run_program(tmp_path, CHILD)

    assert kept_of(done.stdout) == ["info by the context", "info by another", "warning by another"]
    assert done.stderr.count("warning by another") == 1


def test_a_configuration_in_the_module_of_a_childs_body_takes_no_line_away_and_doubles_none(tmp_path):
    config = APP[APP.index("CONFIG =") : APP.index("def before")]

    done = run_program(tmp_path, CHILD.replace("# here", f"{config}\nlogging.config.dictConfig(CONFIG)"))

    assert "warning by another" in kept_of(done.stdout)
    assert "info by the context" in kept_of(done.stdout)
    assert (done.stdout + done.stderr).count("WARNING app.module warning by another") == 1


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Boom(Exception):
    pass


def of_runs(caplog) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.name == "shiftboss.run" and each.levelno >= logging.WARNING]


async def test_a_failure_carries_the_exception_and_its_stack_and_a_retry_is_a_warning(tmp_path, caplog):
    """A6"""
    boss = Orchestrator(f"sqlite:///{tmp_path}/jobs.db")
    raised: list[Boom] = []

    @boss.worker(retry=RetryPolicy(max_retries=1, first_s=0.01, cap_s=0.01))
    def in_a_thread() -> None:
        raised.append(Boom("no"))
        raise raised[-1]

    @boss.worker(max_retries=0)
    async def on_the_loop() -> None:
        raise Boom("neither")

    async with boss:
        await (await in_a_thread.trigger()).wait(timeout=30)
        await (await on_the_loop.trigger()).wait(timeout=30)

    retry, dead, other = of_runs(caplog)
    assert [each.levelname for each in (retry, dead, other)] == ["WARNING", "ERROR", "ERROR"]
    assert [each.exc_info[1] for each in (retry, dead)] == raised
    assert dead.exc_info[2].tb_frame.f_code.co_name == "in_a_thread"
    assert other.exc_info[2].tb_frame.f_code.co_name == "on_the_loop"
    assert dead.msg == other.msg == "%s run %s is dead (%s%s); kept as a dead letter"


async def test_an_exception_with_a_secret_in_it_is_not_handed_on(tmp_path, caplog):
    boss = Orchestrator(f"sqlite:///{tmp_path}/jobs.db")

    @boss.worker(max_retries=0)
    def signs_in(password: str) -> None:
        raise Boom(f"{password} is wrong")

    async with boss:
        await (await signs_in.trigger("open-sesame")).wait(timeout=30)

    (dead,) = of_runs(caplog)
    assert "open-sesame" not in caplog.text
    assert type(dead.exc_info[1]).__name__ == "Boom"
    assert "is wrong" in str(dead.exc_info[1])


class Hostile(Exception):
    @property
    def __cause__(self):
        raise RuntimeError("no cause")


@pytest.mark.parametrize("error", [Hostile("h"), Boom("x" * 5_000_000)])
async def test_an_exception_that_no_handler_could_show_has_a_stand_in_within_bounds(tmp_path, caplog, error):
    boss = Orchestrator(f"sqlite:///{tmp_path}/jobs.db")

    @boss.worker(max_retries=0, executor="thread")
    def in_a_thread() -> None:
        raise error

    @boss.worker(max_retries=0)
    async def on_the_loop() -> None:
        raise error

    async with boss:
        for worker in (in_a_thread, on_the_loop):
            await (await worker.trigger()).wait(timeout=30)

    records = of_runs(caplog)
    assert [type(each.exc_info[1]).__name__ for each in records] == 2 * [type(error).__name__]
    assert all(len(logging.Formatter().format(each)) < 40_000 for each in records)


def test_what_failed_in_a_child_or_a_command_has_a_stand_in_with_its_traceback(tmp_path):
    app = """
import asyncio, logging, sys
from shiftboss import Orchestrator, command
boss = Orchestrator("sqlite:///jobs.db")

@boss.worker(max_retries=0, executor="process")
def fails() -> None:
    raise ValueError("boom")

boss.register("exits", command([sys.executable, "-c", "raise SystemExit(3)"]), max_retries=0)

class Keep(logging.Handler):
    def emit(self, record):
        if record.name == "shiftboss.run" and record.exc_info:
            error = record.exc_info[1]
            print(record.levelname, type(error).__name__, str(error), "raise ValueError" in str(error.__cause__))

async def main():
    logging.getLogger().addHandler(Keep())
    async with boss:
        await (await fails.trigger()).wait(timeout=40)
        await (await boss.trigger("exits")).wait(timeout=40)

if __name__ == "__main__":
    asyncio.run(main())
"""
    done = run_program(tmp_path, app)

    first, second = done.stdout.splitlines()
    assert first == "ERROR ValueError boom True"
    assert second.startswith("ERROR ")
    assert "3" in second


def test_every_line_of_ours_has_words_in_its_template():
    """A6: whoever groups by the template groups all that has none into one."""
    wordless = [
        f"{path.name}:{call.lineno}"
        for path in sorted(SOURCES.rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if is_log_call(call) and not has_words(call.args[0])
    ]

    assert wordless == []


def test_every_logger_of_ours_stays_awake():
    """A6: each is got by `get_logger`, or a `dictConfig` would silence it."""
    asleep = [
        f"{path.name}:{number}"
        for path in sorted(SOURCES.rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if 'logging.getLogger("shiftboss' in line and "addHandler" not in line
    ]

    assert asleep == []


LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def is_log_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and ast.unparse(node.func.value) in {"log", "logger", "runs", "workers", "nodes", "audit"}
    )


def has_words(template: ast.expr) -> bool:
    match template:
        case ast.Constant(value=str() as text):
            return bool(text.replace("%s", "").strip())
        case ast.Starred():
            return True  # made by `worded`
        case ast.Name(id=name):
            return name.isupper()  # a constant
        case _:
            return False
