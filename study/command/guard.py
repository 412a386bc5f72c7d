"""The guard of the pages on loopback: they have no login, so nobody else's page and no other host may use them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from study.errors import UsageError

Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = [("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def hosts_of(host: str) -> frozenset[str]:
    """The names under which a server at `host` answers."""
    return _LOOPBACK | {host}


def guard(
    app: Application,
    hosts: frozenset[str],
    may_write: Callable[[], bool],
    *,
    harmless: Collection[str] = (),
    what: str = "dashboard",
) -> Application:
    """Refuse requests for another host, from a foreign page, and, unless `may_write()`, every request that could change
    something: all but GET, HEAD, OPTIONS, and what is sent to the `harmless` paths. `what` is the page's word."""

    def guarded(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        reason = _foreign(environ, hosts, what)
        changes = environ["REQUEST_METHOD"] not in _READING and environ["PATH_INFO"] not in harmless
        if reason is None and changes and not may_write():
            reason = "read-only: start it with --write while no search holds the study"
        if reason is not None:
            body = f"403: {reason}\n".encode()
            start_response(
                "403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *_HEADERS]
            )
            return [body]
        # Its static files are looked up by this header, which some clients do not send.
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, *_HEADERS], exc_info)

        return app(environ, start)

    return guarded


def _foreign(environ: Mapping[str, Any], hosts: frozenset[str], what: str) -> str | None:
    if _host(environ.get("HTTP_HOST", "")) not in hosts:
        return f"this {what} answers under its own address only"
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and urlsplit(origin).netloc != environ["HTTP_HOST"]:
        return f"a page from elsewhere may not use this {what}"
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        return f"a page from elsewhere may not use this {what}"
    return None


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64  # a browser opens several connections at once


class _Quiet(WSGIRequestHandler):
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait for the first one's receipt

    def log_message(self, *_: Any) -> None:
        """A line for each request would bury the address."""


def make_server_at(app: Application, host: str, port: int) -> WSGIServer:
    """A server bound to the address, a thread for each request. UsageError if it cannot be used."""
    try:
        return make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise UsageError(f"http://{host}:{port} cannot be served ({error.strerror}); choose another --port") from None


def serve_application(app: Application, host: str, port: int) -> None:
    """Serve until interrupted. UsageError if the address cannot be used."""
    with make_server_at(app, host, port) as server:
        server.serve_forever()
