"""`shiftboss probe`: does this one node live?  For a supervisor that restarts a process that does not (G1, C2).

Rules of this file
- It is about one process, never about "some node": another node that is well says nothing about this one.
- It fails only for what a new process would mend.  While the store cannot be asked, or takes no writes, a lease proves
  nothing, and the process itself is examined.
"""

from __future__ import annotations

import socket
from pathlib import Path

import click

from shiftboss.app.status import NodeStatus
from shiftboss.app.views import Views
from shiftboss.cli import dump, messages, store_access
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.core.fleet import LEASE_S, SILENT_S
from shiftboss.core.value import Value
from shiftboss.errors import ConfigurationError, OperatorError

STOPPED = {"T": "stopped (SIGSTOP)", "t": "stopped by a debugger", "Z": "dead but not reaped", "X": "dead"}


class ProbeResult(Value, frozen=True, omit_defaults=False):
    """Whether the node lives, as far as is known, and how that is known."""

    alive: bool
    text: str


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss probe --pid 1                 in a container, where it is the first process",
        "shiftboss probe --pid $(cat jobs.pid) || systemctl restart jobs",
        "shiftboss probe --node web-1:4711       from another machine",
    ),
)
@click.option("--pid", type=click.IntRange(min=1), help="The node with this process id on this machine.")
@click.option("--node", help="The node with this name or id.")
@json_option
@store_option
def probe(pid: int | None, node: str | None, as_json: bool, store: str | None, app: str | None) -> int:
    """Check that a node is alive, for a liveness probe.

    A node is alive while its process runs and renews its lease: a stopped process fails the check after at most 15 s.
    While the store cannot be reached, only a process that has ended or is stopped fails, because a restart would not
    bring the store back.  Exits with 0 when the node is alive, else with 3.
    """
    if (pid is None) == (node is None):
        raise ConfigurationError("name the node: --pid 1, or --node NAME; `shiftboss nodes` lists them")
    answer = _of_process(pid)
    if answer is None:
        answer = _of_store(pid, node, store, app)
    if as_json:
        dump.one(answer)
    else:
        messages.note(answer.text)
    return Exit.DONE if answer.alive else Exit.FALSE


def _of_process(pid: int | None) -> ProbeResult | None:
    """What the system says against the process; None if it says nothing against it."""
    if pid is None or not Path("/proc/self/stat").exists():
        return None
    try:
        # the name in parentheses may hold anything, the state is the first letter behind it (proc_pid_stat(5))
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ProbeResult(False, f"there is no process {pid} on this machine")
    return ProbeResult(False, f"process {pid} is {STOPPED[state]}") if state in STOPPED else None


def _of_store(pid: int | None, name: str | None, store: str | None, app: str | None) -> ProbeResult:
    try:
        with store_access.reading(store, app) as views:
            node = _find(views.nodes(), pid, name)
            if node is None:
                whose = f"process {pid} on {socket.gethostname()}" if name is None else name
                return ProbeResult(
                    False, f"there is no node of {whose}: it has not started, has left, or was declared lost"
                )
            return _judged(views, node)
    except OperatorError as error:
        return ProbeResult(True, f"presumed alive: the store cannot be read: {error}")


def _find(nodes: tuple[NodeStatus, ...], pid: int | None, name: str | None) -> NodeStatus | None:
    """The newest node with that pid: a process that was started again may have the same number as before."""
    if name is not None:
        matching = [node for node in nodes if name in (node.id, node.name)]
    else:
        matching = [node for node in nodes if node.pid == pid and node.host == socket.gethostname()]
    return max(matching, key=lambda node: node.started_at, default=None)


def _judged(views: Views, node: NodeStatus) -> ProbeResult:
    renewed_s = LEASE_S - node.lease_left_s
    if node.live and renewed_s < SILENT_S:
        return ProbeResult(True, f"node {node.name} is live; it renewed its lease {max(0.0, renewed_s):.0f} s ago")
    if views.is_dead(node.id):
        return ProbeResult(False, f"node {node.name}: its process has ended")
    if node.frozen:  # within its limit nobody may begin its runs again; ending it makes others do so
        text = f"node {node.name} has been silent for {renewed_s:.0f} s but its process is alive: it keeps its runs"
        return ProbeResult(True, text)
    try:
        views.try_write()
    except OperatorError as error:
        text = f"node {node.name} cannot renew its lease because the store accepts no writes: {error}"
        return ProbeResult(True, text)
    return ProbeResult(
        False, f"node {node.name} does not renew its lease although the store accepts writes: it is frozen"
    )
