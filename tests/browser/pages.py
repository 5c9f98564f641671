"""The pages of the dashboard, for whichever world and browser."""

from __future__ import annotations

from .world import World

PAGES = {
    "overview": "",
    "workers": "#/workers",
    "worker": "#/workers/{worker}",
    "runs": "#/runs",
    "run": "#/runs/{dead}",
    "running": "#/runs/{running}",
    "graph": "#/graph",
    "graph around": "#/graph?around={around}&direction=downstream",
    "timeline": "#/timeline",
    "timeline as a table": "#/timeline?window=15m&as=table",
    "dead letters": "#/dead",
    "fleet": "#/fleet",
    "activity": "#/activity",
    "nowhere": "#/no-such-page",
}


def places(world: World) -> dict[str, str]:
    """Where each page is in *world*."""
    dead = world.boss.sync.dead_letters()[0].run
    return {
        name: path.format(dead=dead, running=world.importing, worker=world.worker, around=world.around)
        for name, path in PAGES.items()
    }
