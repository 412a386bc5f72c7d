"""optuna-dashboard on a study, behind a guard: it has no login, and looks at no Host or Origin."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna

from study.errors import ResultsError, UsageError
from study.records.locking import lock_holder
from study.records.paths import StudyFiles
from study.records.settings import load_settings
from study.search.identity import stored_studies
from study.search.lock import storage_holder
from study.search.opening import refuse_foreign
from study.search.storage import open_storage, own_database, storage_url

Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = [("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_IMPORTANCES = re.compile(r"/api/studies/(\d+)/param_importances")


def guard(app: Application, hosts: frozenset[str], may_write: Callable[[], bool]) -> Application:
    """The dashboard has no login: refuse requests for another host, from a foreign page, and, unless `may_write()`,
    every request that could change something."""

    def guarded(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        reason = _refusal(environ, hosts, may_write)
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


def _refusal(environ: Mapping[str, Any], hosts: frozenset[str], may_write: Callable[[], bool]) -> str | None:
    if _host(environ.get("HTTP_HOST", "")) not in hosts:
        return "this dashboard answers under its own address only"
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and urlsplit(origin).netloc != environ["HTTP_HOST"]:
        return "a page from elsewhere may not use this dashboard"
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        return "a page from elsewhere may not use this dashboard"
    if environ["REQUEST_METHOD"] not in _READING and not may_write():
        return "read-only: start it with --write while no search holds the study"
    return None


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def application(files: StudyFiles, url: str | None, hosts: frozenset[str], write: bool) -> Application:
    """The guarded WSGI application over the study's storage."""
    from optuna_dashboard import wsgi

    url = storage_url(files, url)
    if url == own_database(files) and not files.database.exists():
        raise ResultsError(f"{files.database} is missing: nothing to show yet; start the search with `study run`")
    storage = open_storage(url)
    if files.exists():
        refuse_foreign(storage, stored_studies(storage), files, load_settings(files.settings))

    def may_write() -> bool:
        return write and lock_holder(files) is None and storage_holder(storage, files.name) is None

    # Optuna's cache: a page must not read every trial anew.
    app: Application = wsgi(optuna.storages.get_storage(storage))
    return guard(without_parameters(app, storage), hosts, may_write)


def without_parameters(app: Application, storage: optuna.storages.BaseStorage) -> Application:
    """The dashboard asks for the importances of every study, and divides by zero where no trial has a parameter."""

    def answered(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        asked = _IMPORTANCES.fullmatch(environ["PATH_INFO"])
        if asked is None or not _has_no_parameter(storage, int(asked[1])):
            return app(environ, start_response)
        body = b'{"param_importances": [[]]}'
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answered


def _has_no_parameter(storage: optuna.storages.BaseStorage, study_id: int) -> bool:
    try:
        return not any(trial.params for trial in storage.get_all_trials(study_id, deepcopy=False))
    except KeyError:  # no such study
        return False


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """A line for each request would bury the address."""


def serve(files: StudyFiles, url: str | None, host: str, port: int, *, write: bool) -> None:
    """Serve until interrupted. UsageError if the address cannot be used."""
    hosts = _LOOPBACK | {host}
    app = application(files, url, hosts, write)
    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise UsageError(f"http://{host}:{port} cannot be served ({error.strerror}); choose another --port") from None
    with server:
        server.serve_forever()
