"""Who may ask the review server for what: the pictures it shows must not leave the machine by a back door.

Stands before every answer. Against other sites open in the same browser: the host asked for must be this one (their
name may lead here), what changes something must come from this very page, and no other page may embed an answer.
Against other machines: a token, wherever the server can be reached from one.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass
from functools import cache
from typing import NoReturn
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
TOKEN = "token"
MONTH_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Guard:
    """What is asked of a request."""

    host: str
    """What the server is bound to."""
    port: int
    token: str
    """Empty: none is asked for."""

    @property
    def cookie(self) -> str:
        """The cookie's name; cookies do not know ports, and two servers may run."""
        return f"fer-build-{self.port}"

    @property
    def url(self) -> str:
        """Where the page is, with the token where one is needed."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/" + (f"?{urlencode({TOKEN: self.token})}" if self.token else "")

    def knows_host(self, said: str) -> bool:
        """Tell whether a Host header names this server: its address, or this machine by another one of its own."""
        name, port = _parted(said)
        if port != self.port:
            return False
        if name in {self.host.casefold(), "localhost"} or (is_loopback(name) and is_loopback(self.host)):
            return True
        return is_any(self.host) and (_is_address(name) or name in _own_names())

    def knows_token(self, said: str | None) -> bool:
        """Tell whether a token is the right one, in a time that does not tell how much of it is."""
        return not self.token or hmac.compare_digest((said or "").encode(), self.token.encode())


def chosen_token(host: str, asked: str) -> str:
    """Return the token to ask for: the user's own, a new one where other machines can reach the server, or none."""
    return asked or ("" if is_loopback(host) else secrets.token_urlsafe(24))


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    return host.casefold() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_any(host: str) -> bool:
    """Tell whether an address stands for all of the machine's."""
    return not host or (_is_address(host) and ipaddress.ip_address(host).is_unspecified)


def guarding(guard: Guard) -> Middleware:
    """Return the middleware that refuses what the guard does not know, and marks every answer as for this page only."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        _refuse_foreign(request, guard)
        given = request.query.get(TOKEN)
        if guard.token and given is not None and request.path == "/":
            return _with_cookie(request, guard, given)
        if not guard.knows_token(request.cookies.get(guard.cookie)):
            _forbid("a token is needed: open the address that fer-build review printed")
        return await handler(request)

    return check


async def mark(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers of every answer, of errors too."""
    response.headers.update(HEADERS)


def _refuse_foreign(request: web.Request, guard: Guard) -> None:
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or not guard.knows_host(hosts[0]):
        _forbid("this server has another name")
    if request.method in ("GET", "HEAD"):
        return
    if request.headers.get("Origin") != f"http://{hosts[0]}":
        _forbid("only the page of this server may change anything")
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="application/json is wanted")


def _with_cookie(request: web.Request, guard: Guard, given: str) -> web.StreamResponse:
    """Take a token for the cookie that stands for it from now on, and out of the address."""
    if not guard.knows_token(given):
        _forbid("the token is not this server's")
    rest = [(name, value) for name, value in request.query.items() if name != TOKEN]
    response = web.Response(status=303, headers={"Location": f"/?{urlencode(rest)}" if rest else "/"})
    response.set_cookie(guard.cookie, guard.token, max_age=MONTH_S, httponly=True, samesite="Strict", path="/")
    return response


def _forbid(why: str) -> NoReturn:
    raise web.HTTPForbidden(text=why)


def _parted(said: str) -> tuple[str, int]:
    """Return name and port of a Host header; -1 of one that is none."""
    name, colon, port = said.rpartition(":")
    if not colon or said.endswith("]"):
        name, port = said, "80"
    return name.strip("[]").casefold(), int(port) if port.isascii() and port.isdigit() else -1


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@cache
def _own_names() -> set[str]:
    return {socket.gethostname().casefold(), socket.getfqdn().casefold()}
