"""The review page's server: one page, one script, one style sheet, and the rows as JSON.

Stands before the desk. Nothing is kept here but the desk; a kill at any time loses no decision that was answered for.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, ValidationError

from ferbuild.builders.errors import FerError
from ferbuild.builders.reviewing.choosing import Query, query_of
from ferbuild.builders.reviewing.desk import Desk
from ferbuild.builders.reviewing.guard import Guard, guarding, mark
from ferbuild.builders.reviewing.log import Verb
from ferbuild.builders.templated import environment

LARGEST = 64 * 1024
"""Bytes of what may be sent here."""
STATIC: Mapping[str, str] = {"review.js": "text/javascript", "review.css": "text/css", "icon.svg": "image/svg+xml"}
NO_PICTURE = "missing.svg"
PASSIVE = socket.AI_PASSIVE
DESK = web.AppKey("desk", Desk)


class Decided(BaseModel):
    """What the page sends of a decision."""

    model_config = ConfigDict(extra="forbid", strict=True)

    row: int
    decision: Verb
    label: str | None = None
    note: str | None = None
    settles: bool = False
    query: dict[str, list[str]] = {}
    """What the list is filtered by: the next row is one of it."""


def app_of(desk: Desk, guard: Guard) -> web.Application:
    """Return the application of a desk."""
    app = web.Application(middlewares=[_as_json, guarding(guard)], client_max_size=LARGEST)
    app[DESK] = desk
    app.on_response_prepare.append(mark)
    app.add_routes(
        [
            web.get("/", _page),
            web.get("/static/{name}", _static),
            web.get("/api/about", _about),
            web.get("/api/rows", _rows),
            web.get("/api/row/{row}", _row),
            web.get("/api/summary", _summary),
            web.get("/picture/{row}/{at}", _picture),
            web.post("/api/decide", _decide),
            web.post("/api/undo", _undo),
        ]
    )
    return app


async def serve(desk: Desk, guard: Guard, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve on a socket until Ctrl-C or SIGTERM; `ready` is called once the page can be opened."""
    stopped = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stopped.set)
    runner = web.AppRunner(app_of(desk, guard), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        ready()
        await stopped.wait()
    finally:
        await runner.cleanup()


def bound(host: str, port: int) -> socket.socket:
    """Return a socket on an address, 0 for any free port; FerError where it cannot be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=PASSIVE
        )[0]
        made = socket.socket(family, kind, proto)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as err:
        hint = "name another --port, or none for a free one" if port else "name an address of this machine with --host"
        raise FerError(f"{host}:{port}", f"cannot be served on: {err.strerror or err}", hint) from None
    return made


@web.middleware
async def _as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say of every refusal why, as JSON: what the page shows then."""
    try:
        return await handler(request)
    except web.HTTPException as err:
        return _json({"error": err.text or err.reason}, err.status)
    except IndexError:
        return _json({"error": "there is no such row"}, 404)
    except (ValueError, ValidationError) as err:
        return _json({"error": _first(err)}, 400)
    except FerError as err:
        return _json({"error": f"{err.problem}: {err.hint}"}, 500)


def _first(err: Exception) -> str:
    return str(err.errors()[0]["msg"]) if isinstance(err, ValidationError) else str(err)


def _json(found: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(found), status=status, content_type="application/json")


async def _page(request: web.Request) -> web.Response:
    return web.Response(text=_text("review.html"), content_type="text/html")


async def _static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in STATIC:
        raise web.HTTPNotFound(text="there is no such file")
    return web.Response(text=_text(name), content_type=STATIC[name])


@cache
def _text(name: str) -> str:
    """Return a file of the page; the style sheet after the look that all pages share."""
    own = (files(__package__) / "static" / name).read_text(encoding="utf-8")
    return environment(__name__).get_template("style.css").render() + own if name.endswith(".css") else own


async def _about(request: web.Request) -> web.Response:
    return _json(request.app[DESK].about())


async def _rows(request: web.Request) -> web.Response:
    query, row = _query(request), request.query.get("row")
    page = int(request.query.get("page") or 0)
    if page < 0:
        raise ValueError("pages begin at 0")
    number = int(row) if row else None
    found = await asyncio.to_thread(request.app[DESK].page, query, page=page, row=number)
    return _json(found)


async def _row(request: web.Request) -> web.Response:
    return _json(await asyncio.to_thread(request.app[DESK].detail, _number(request, "row")))


async def _picture(request: web.Request) -> web.Response:
    found = await asyncio.to_thread(request.app[DESK].picture, _number(request, "row"), _number(request, "at"))
    if found is None:
        return web.Response(text=_text(NO_PICTURE), content_type="image/svg+xml")
    return web.Response(body=found.data, content_type=f"image/{found.kind}")


async def _summary(request: web.Request) -> web.Response:
    found = await asyncio.to_thread(request.app[DESK].summary)
    return _json(found.as_json())


async def _decide(request: web.Request) -> web.Response:
    said = Decided.model_validate_json(await request.read())
    desk, query = request.app[DESK], query_of(said.query)
    await asyncio.to_thread(
        desk.decide, said.row, said.decision, label=said.label, note=said.note, settles=said.settles
    )
    return _json({"next": await asyncio.to_thread(desk.next_of, query, said.row)})


async def _undo(request: web.Request) -> web.Response:
    await request.read()
    row = await asyncio.to_thread(request.app[DESK].undo)
    if row is None:
        raise web.HTTPConflict(text="there is nothing of yours to take back")
    return _json({"row": row})


def _query(request: web.Request) -> Query:
    return query_of({name: request.query.getall(name) for name in request.query})


def _number(request: web.Request, name: str) -> int:
    said = request.match_info[name]
    if not (said.isascii() and said.isdigit() and len(said) < 10):
        raise IndexError(said)
    return int(said)
