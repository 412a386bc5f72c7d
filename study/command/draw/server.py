"""The page to draw on and what it asks, as a WSGI application of its own or beside the dashboard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import jinja2

from study.command.guard import Application, Start, guard, hosts_of, make_server_at
from study.errors import ResultsError, StudyError
from study.records.ledger import read_ledger
from study.records.paths import StudyFiles

if TYPE_CHECKING:
    from study.command.draw.reader import Reader

PAGE, READ = "/draw", "/draw/read"
MAX_BYTES = 4_000_000  # of a picture that is sent: a drawing has some ten thousand
_HERE = Path(__file__).parent
_ASSETS = {"/draw/page.js": ("page.js", "text/javascript"), "/draw/page.css": ("page.css", "text/css")}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Answer = tuple[str, str, bytes]  # status line, content type, body


class Drawing:
    """Answers the page's requests with the networks of a model folder, which are loaded when they are first needed and
    again when the folder has others: a study that goes on may ship another network."""

    def __init__(self, title: str, model: Path, files: StudyFiles | None) -> None:
        self._title, self._model, self._files = title, model, files
        self._lock = Lock()  # one picture at a time: the next one waits in the page
        self._loaded: tuple[int, Reader] | None = None

    def reader(self) -> Reader:
        """StudyError where there is no model, or a damaged one."""
        described = self._model / "model.json"
        if not described.is_file():
            raise ResultsError(f"{self._model} is missing: this study has no winner yet; continue it with `study run`")
        version = described.stat().st_mtime_ns
        if self._loaded is None or self._loaded[0] != version:
            from study.command.draw.reader import Reader

            self._loaded = version, Reader(self._model, _searches(self._files))
        return self._loaded[1]

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        status, kind, body = self._answer(environ)
        headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
        headers += [("Content-Security-Policy", _POLICY), ("Cache-Control", "no-store")]
        if status.startswith("303"):
            headers.append(("Location", PAGE))
        start_response(status, headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path in ("", "/"):
            return _said("303 See Other", "the page is at /draw")
        if path == READ:
            return self._read(environ) if method == "POST" else _said("405 Method Not Allowed", "send a picture")
        if method not in ("GET", "HEAD"):
            return _said("405 Method Not Allowed", "only pictures are sent here, to /draw/read")
        if path in _ASSETS:
            name, kind = _ASSETS[path]
            return "200 OK", kind, (_HERE / name).read_bytes()
        return self._page() if path.rstrip("/") == PAGE else _said("404 Not Found", "the page is at /draw")

    def _page(self) -> Answer:
        try:
            with self._lock:
                reader = self.reader()
        except StudyError as error:
            return _said("503 Service Unavailable", str(error))
        page = _template().render(
            title=self._title,
            shipped=reader.predictor.description.title,
            classes=reader.predictor.classes,
            finalists=[one.title for one in reader.finalists],
            missing=reader.missing,
            threshold=reader.predictor.threshold,
        )
        return "200 OK", "text/html", page.encode()

    def _read(self, environ: dict[str, Any]) -> Answer:
        length = environ.get("CONTENT_LENGTH") or ""
        if not (length.isascii() and length.isdecimal()):
            return _said("411 Length Required", "say how many bytes the picture has")
        if int(length) > MAX_BYTES:
            return _said("413 Content Too Large", f"a picture may have {MAX_BYTES} bytes")
        picture = environ["wsgi.input"].read(int(length))
        try:
            with self._lock:
                readings = self.reader().read(picture, segment=environ.get("QUERY_STRING") == "segment=yes")
        except StudyError as error:
            return _said("503 Service Unavailable", str(error))
        return "200 OK", "application/json", json.dumps([asdict(one) for one in readings], allow_nan=False).encode()


def _said(status: str, text: str) -> Answer:
    return status, "text/plain", f"{text}\n".encode()


@cache
def _template() -> jinja2.Template:
    text = (_HERE / "page.html.j2").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(text)


def _searches(files: StudyFiles | None) -> list[StudyFiles]:
    """Those of a study that have finalists."""
    if files is None:
        return []
    further = read_ledger(files.ledger).further_searches(files) if files.ledger.is_file() else []
    return [search for search in (files, *further) if search.finalists.is_file()]


def beside(app: Application, drawing: Application) -> Application:
    """What begins with /draw goes to the page to draw on, all else to `app`."""

    def routed(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        chosen = drawing if path == PAGE or path.startswith(f"{PAGE}/") else app
        return chosen(environ, start_response)

    return routed


def application(drawing: Application, hosts: frozenset[str]) -> Application:
    """The guarded page alone."""
    return guard(drawing, hosts, _never, harmless={READ}, what="page")


def _never() -> bool:
    return False


def serve(drawing: Drawing, host: str, port: int, ready: Callable[[], None]) -> None:
    """Load the networks, say that the page is `ready`, and serve until interrupted. StudyError where there is no model;
    UsageError if the address cannot be used."""
    with make_server_at(application(drawing, hosts_of(host)), host, port) as server:
        drawing.reader()
        ready()
        server.serve_forever()
