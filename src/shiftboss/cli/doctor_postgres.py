"""What the facts of a PostgreSQL server mean for a fleet; each finding comes with its remedy.

Rules of this file
- It judges facts and asks no server (stores/postgres/diagnostics.py has asked).
- A problem stops work or loses it; what may stay as it is forever is a warning that says what it costs.
"""

from __future__ import annotations

from collections.abc import Iterator

from shiftboss.cli import formatting, times
from shiftboss.cli.doctor import Diagnosis, Level
from shiftboss.cli.formatting import in_bytes
from shiftboss.stores.postgres.diagnostics import ServerFacts, Who
from shiftboss.stores.postgres.link import OLDEST

MAINTAINED = 140_000  # postgresql.org/support/versioning: 13 ended in November 2025
CLOCKS_AGREE_S = 1.0  # schedules follow the database's clock; people compare times with their own
A_MOMENT_S = 1.0  # a cycle holds its lock for milliseconds
LOCK_S = 4.0  # how long a cycle waits for its lock before it gives up (stores/postgres/connection.py: SETTINGS)
LONG_S = 300.0
IDLE_S = 60.0
MANY_DEAD = 10_000
LARGE_META_BYTES = 16 * 1024 * 1024  # for one row
FAR_BEHIND_S = 30.0
MUCH_WAL_BYTES = 1024 * 1024 * 1024
A_NODE = 3  # connections: for its cycle, its notifier, its keeper
HOT = ("meta", "run", "worker", "node", "breaker")
NEEDS = "SELECT, INSERT, UPDATE, DELETE"
LOCAL = ("localhost", "127.0.0.1", "::1", "")


def server(facts: ServerFacts) -> Iterator[Diagnosis]:
    """All findings, from the connection to the tables."""
    yield from _version(facts)
    yield from _way(facts)
    yield from _clock(facts)
    yield from _writes(facts)
    yield from _rights(facts)
    yield from _sight(facts)
    yield from _connections(facts)
    yield from _locks(facts)
    yield from _transactions(facts)
    yield from _vacuum(facts)
    yield from _standbys(facts)


def _version(facts: ServerFacts) -> Iterator[Diagnosis]:
    server = facts.server
    text = f"PostgreSQL {server.version}, as {server.role}"
    if server.version_num < OLDEST:
        yield Diagnosis(Level.PROBLEM, "server", f"{text}: too old", "upgrade the server to 14 or newer")
    elif server.version_num < MAINTAINED:
        yield Diagnosis(
            Level.WARNING,
            "server",
            f"{text}: works, but is no longer maintained",
            "upgrade the server to 14 or newer",
        )
    else:
        yield Diagnosis(Level.GOOD, "server", text)


def _way(facts: ServerFacts) -> Iterator[Diagnosis]:
    is_local = facts.host.startswith(("/", "@")) or facts.host in LOCAL
    if not facts.is_encrypted and not is_local:
        yield Diagnosis(
            Level.WARNING,
            "connection",
            f"the connection to {facts.host} is not encrypted: payloads, errors and log lines can be read in transit",
            "add sslmode=verify-full&sslrootcert=… to the address",
        )
    elif facts.is_encrypted and not facts.checks_name and not is_local:
        yield Diagnosis(
            Level.WARNING,
            "connection",
            f"encrypted, but the identity of {facts.host} is not verified",
            "add sslmode=verify-full&sslrootcert=… to the address",
        )
    else:
        yield Diagnosis(
            Level.GOOD, "connection", "encrypted" if facts.is_encrypted else "on this machine, not encrypted"
        )
    if facts.pooler == "statement":
        yield Diagnosis(
            Level.PROBLEM,
            "pooler",
            "a pooler in statement mode is in between: it does not support transactions",
            "set pool_mode = transaction, or connect to the server directly",
        )
    elif facts.pooler:
        yield Diagnosis(
            Level.GOOD,
            "pooler",
            f"a pooler in {facts.pooler} mode is in between: nodes poll every 0.2 s instead of being notified",
        )


def _clock(facts: ServerFacts) -> Iterator[Diagnosis]:
    by, unsure = abs(facts.ahead_s), times.span(facts.unsure_s)
    way = "ahead of" if facts.ahead_s > 0 else "behind"
    if by - facts.unsure_s > CLOCKS_AGREE_S:
        yield Diagnosis(
            Level.WARNING,
            "clock",
            f"the database's clock is {times.span(by)} {way} this machine's (± {unsure}); schedules and leases follow "
            "the database's",
            "run an NTP service on both",
        )
    else:
        yield Diagnosis(Level.GOOD, "clock", f"the clocks of this machine and the database agree (± {unsure})")


def _writes(facts: ServerFacts) -> Iterator[Diagnosis]:
    server = facts.server
    if server.is_standby:
        yield Diagnosis(
            Level.PROBLEM,
            "role of the server",
            "a standby: it accepts no writes",
            "name the primary, or all hosts (host1,host2), of which the writable one is used",
        )
        return
    if server.is_read_only:
        yield Diagnosis(
            Level.PROBLEM,
            "role of the server",
            "default_transaction_read_only is on: the store cannot be opened (processes that have it open can still "
            "write)",
            "find out who set it (some providers do when the disk is almost full), then: ALTER ROLE, ALTER DATABASE or "
            "ALTER SYSTEM … RESET default_transaction_read_only",
        )
    lost = {
        "fsync is off: after a crash of the server's machine the whole database may be damaged": not server.has_fsync,
        "full_page_writes is off: a page half written at a power cut damages its table": not server.has_full_pages,
        "synchronous_commit is off: a crash of the server loses the commits of its last moments, with accepted "
        "triggers and recorded successes (those functions run again)": server.synchronous_commit == "off",
    }
    for text, is_lost in lost.items():
        if is_lost:
            name = text.partition(" ")[0]
            yield Diagnosis(Level.WARNING, "durability", text, f"set {name} to on")
    if not any(lost.values()):
        mode = server.synchronous_commit
        yield Diagnosis(Level.GOOD, "durability", f"commits wait for the disk (synchronous_commit = {mode})")


def _rights(facts: ServerFacts) -> Iterator[Diagnosis]:
    role, schema = facts.server.role, facts.schema
    if facts.may_enter is None:
        return
    if not facts.may_enter:
        yield Diagnosis(
            Level.PROBLEM,
            "privileges",
            f"{role} has no access to schema {schema}",
            f'as its owner: GRANT USAGE ON SCHEMA {schema} TO "{role}"',
        )
    lacking = [right for right in facts.rights if right.lacks]
    if lacking:
        first = lacking[0]
        yield Diagnosis(
            Level.PROBLEM,
            "privileges",
            f"{role} lacks {first.lacks} on {schema}.{first.table}"
            + (f" and more on {formatting.plural(len(lacking) - 1, 'other table')}" if len(lacking) > 1 else ""),
            f'as {first.owner}: GRANT {NEEDS} ON ALL TABLES IN SCHEMA {schema} TO "{role}"; '
            f'GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} TO "{role}"',
        )
    elif facts.may_enter and facts.rights:
        owner = facts.rights[0].owner
        whose = (
            "and owns them" if all(right.is_ours for right in facts.rights) else f"and {owner} owns them: it migrates"
        )
        yield Diagnosis(Level.GOOD, "privileges", f"{role} may use all tables of schema {schema}, {whose}")


def _sight(facts: ServerFacts) -> Iterator[Diagnosis]:
    """What this role may not see."""
    role = facts.server.role
    if not facts.knows_cluster:
        yield Diagnosis(
            Level.WARNING,
            "privileges",
            f"{role} cannot query which cluster this is: a store restored on another cluster may not be recognised as "
            "restored",
            f'as a superuser: GRANT EXECUTE ON FUNCTION pg_control_system() TO "{role}"',
        )
    if facts.room is not None and facts.room.hidden:
        yield Diagnosis(
            Level.WARNING,
            "privileges",
            f"{formatting.plural(facts.room.hidden, 'session')} of other roles cannot be inspected: their locks and "
            "start times are unknown",
            f'GRANT pg_read_all_stats TO "{role}"',
        )


def _connections(facts: ServerFacts) -> Iterator[Diagnosis]:
    room = facts.room
    if room is None:
        return
    left = [room.most - room.used, room.left_to_role, room.left_to_database]
    free = max(0, min(number for number in left if number is not None))
    need = A_NODE * facts.nodes
    fleet = f"{formatting.plural(facts.nodes, 'node')} {'needs' if facts.nodes == 1 else 'need'} {need}"
    text = (
        f"{room.used} of {room.most} connections in use, {room.ours} by shiftboss, {free} left; {fleet}, and one more "
        "for each thread that reads"
    )
    if free < max(need, A_NODE):
        yield Diagnosis(
            Level.WARNING,
            "connections",
            f"{text}; not enough for an overlapping deploy",
            "raise max_connections, use PgBouncer in transaction mode, or close unused connections",
        )
    else:
        yield Diagnosis(Level.GOOD, "connections", text)


def _locks(facts: ServerFacts) -> Iterator[Diagnosis]:
    has_locks = False
    for who in facts.holders:
        for_s = who.for_s
        if (for_s is None and not who.keeps_waiting) or (for_s is not None and for_s < A_MOMENT_S):
            continue
        has_locks = True
        waits = f" and blocks {formatting.plural(who.keeps_waiting, 'session')}" if who.keeps_waiting else ""
        is_grave = who.keeps_waiting > 0 and for_s is not None and for_s >= LOCK_S
        yield Diagnosis(
            Level.PROBLEM if is_grave else Level.WARNING,
            "locks",
            f"{_name(who)} holds locks on {who.tables}{_since(who)}{waits}",
            _end(who),
        )
    for transaction in facts.prepared:
        has_locks = True
        yield Diagnosis(
            Level.WARNING,
            "locks",
            f"prepared transaction {transaction.gid!r} has been open for {times.span(transaction.for_s)}: it keeps "
            "its locks, even over restarts, and blocks vacuum",
            f"COMMIT PREPARED '{transaction.gid}' or ROLLBACK PREPARED '{transaction.gid}'",
        )
    if not has_locks:
        yield Diagnosis(Level.GOOD, "locks", "no session has held a lock on our tables for long")


def _transactions(facts: ServerFacts) -> Iterator[Diagnosis]:
    holders = {who.pid for who in facts.holders}
    has_old = False
    for who in facts.long:
        is_idle = who.state.startswith("idle in transaction")
        if who.for_s is None or who.pid in holders or who.for_s < (IDLE_S if is_idle else LONG_S):
            continue
        has_old = True
        yield Diagnosis(
            Level.WARNING,
            "transactions",
            f"{_name(who)} has been in one transaction{_since(who)}{', idle' if is_idle else ''}: rows deleted since "
            "then cannot be vacuumed, so every query of our tables gets slower",
            _end(who),
        )
    if not has_old:
        yield Diagnosis(Level.GOOD, "transactions", "none has blocked vacuum for long")


def _vacuum(facts: ServerFacts) -> Iterator[Diagnosis]:
    if not facts.tables:
        return
    if not facts.server.has_autovacuum:
        yield Diagnosis(
            Level.WARNING,
            "vacuum",
            "autovacuum is off: our tables change all day, so they only grow",
            "set autovacuum to on",
        )
    swollen = False
    for table in facts.tables:
        if table.name not in HOT:
            continue
        is_large = table.name == "meta" and table.size_bytes > LARGE_META_BYTES
        if table.dead > max(MANY_DEAD, table.live) or is_large:
            swollen = True
            ago = "never" if table.vacuumed_s is None else f"{times.rough(table.vacuumed_s)} ago"
            yield Diagnosis(
                Level.WARNING,
                "vacuum",
                f"{table.name} has {table.dead:,} dead and {table.live:,} live rows, {in_bytes(table.size_bytes)}; "
                f"last vacuumed {ago}",
                f"end what blocks vacuum, then: VACUUM (ANALYZE) {facts.schema}.{table.name}",
            )
    if not swollen:
        dead = sum(table.dead for table in facts.tables if table.name in HOT)
        yield Diagnosis(
            Level.GOOD, "vacuum", f"{formatting.plural(dead, 'dead row')} in the tables with the most writes"
        )


def _standbys(facts: ServerFacts) -> Iterator[Diagnosis]:
    for standby in facts.standbys:
        if not standby.mode:
            continue  # this role may not know
        behind = "" if standby.behind_bytes is None else f", {in_bytes(max(0, standby.behind_bytes))} behind"
        text = f"{standby.name or 'a standby'} follows ({standby.mode}{behind})"
        if standby.lag_s is not None and standby.lag_s > FAR_BEHIND_S:
            yield Diagnosis(
                Level.WARNING,
                "standby",
                f"{text}, {times.span(standby.lag_s)} late: a failover to it would lose that much",
                "check its network, its disk and its load",
            )
        else:
            loses = "; a failover loses commits that have not reached it" if standby.mode == "async" else ""
            yield Diagnosis(Level.GOOD, "standby", text + loses)
    for slot in facts.slots:
        if slot.kept_bytes > MUCH_WAL_BYTES:
            yield Diagnosis(
                Level.WARNING,
                "standby",
                f"replication slot {slot.name} is unused and keeps {in_bytes(slot.kept_bytes)} of log: the disk will "
                "fill up",
                f"start its reader, or: SELECT pg_drop_replication_slot('{slot.name}')",
            )


def _name(who: Who) -> str:
    as_ = f" as {who.role}" if who.role else ""
    return f"process {who.pid} ({who.application or 'without a name'}{as_})"


def _since(who: Who) -> str:
    return ", for an unknown time," if who.for_s is None else f" for {times.span(who.for_s)}"


def _end(who: Who) -> str:
    return f"end it where it runs, or: SELECT pg_terminate_backend({who.pid})"
