"""Serves the dashboard's files; if they were not built, a short page that says so.

Rules of this file
- The dashboard's build writes `static/` beside this file: index.html, and assets/ with a digest in each name.  Assets
  never change, and browsers keep them for a year.
- These files contain nothing about workers.  Every user with a role gets them.  On a server with tokens everybody does:
  there the page asks for the token.
"""

from __future__ import annotations

import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from shiftboss.app.roles import Role
from shiftboss.web.access import Authenticator
from shiftboss.web.problems import Problem

STATIC = Path(__file__).with_name("static")
FOR_EVER = "public, max-age=31536000, immutable"
NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>shiftboss</title>
<h1>shiftboss</h1>
<p>The dashboard's files are not built into this installation. The API is at
<a href="api/v1/status">api/v1</a>, described by <a href="api/v1/openapi.json">api/v1/openapi.json</a>.</p>
</html>
"""


class DashboardFiles:
    def __init__(self, authenticator: Authenticator, folder: Path = STATIC) -> None:
        self._authenticator = authenticator
        self._folder = folder

    async def index(self, request: Request) -> Response:
        await self._check(request)
        page = self._folder / "index.html"
        if not page.is_file():
            return HTMLResponse(NOT_BUILT)
        return FileResponse(page, headers={"cache-control": "no-cache"})

    async def asset(self, request: Request) -> Response:
        """A file in static/; a path that leads out of it counts as missing."""
        await self._check(request)
        path = str(request.path_params["path"])
        file = os.path.normpath(self._folder / "assets" / path) if "\0" not in path else ""
        inside = f"{self._folder / 'assets'}{os.sep}"
        if not file.startswith(inside) or not os.path.isfile(file):
            raise Problem(404, "no-such-file", "There is no such file.")
        return FileResponse(file, headers={"cache-control": FOR_EVER})

    async def _check(self, request: Request) -> None:
        """Raises Problem."""
        if self._authenticator.asks_for_token:
            return
        access = await self._authenticator.access(request)
        if access is None or access.role < Role.VIEWER:
            raise Problem(403, "no-access", "You have no access.")
