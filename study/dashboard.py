"""optuna-dashboard on one study, behind a guard; and the note and the figure that it shows."""

from __future__ import annotations

import contextlib
import importlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import plotly.graph_objects as go

from study.config import load_settings
from study.errors import ResultsError, StorageAwayError, UsageError
from study.interrupts import shielded
from study.locking import lock_holder
from study.results import StudyFiles
from study.search.driver import Search
from study.search.family import FamilySearch
from study.search.identity import stored_studies
from study.search.lock import storage_holder
from study.search.opening import refuse_foreign
from study.search.storage import open_storage, own_database, quiet_experimental, storage_url, transaction

Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = [("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_IMPORTANCES = re.compile(r"/api/studies/(\d+)/param_importances")
_PUBLISH_EVERY = 15.0  # seconds, or more: publishing takes a hundredth of the time at most
_PUBLISH_SHARE = 0.01
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito


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


class Publisher:
    """Keeps the note and the best-so-far figure of each family's Optuna study fresh while a search runs."""

    def __init__(self, files: StudyFiles) -> None:
        self._files = files
        self._due = 0.0
        # It takes more than a second, for which workers would wait at their first rung.
        self._loading = threading.Thread(target=importlib.import_module, args=("optuna_dashboard",))

    def search(self, search: Search) -> None:
        """Publish if it is time to, not at the first call: only then, when workers have something to do, is loaded what
        this needs."""
        if self._loading.ident is None:
            self._loading.start()
            return
        began = time.monotonic()
        if began >= self._due and not self._loading.is_alive():
            self.publish(search, "searching")
            ended = time.monotonic()
            self._due = began + max(_PUBLISH_EVERY, (ended - began) / _PUBLISH_SHARE)

    def publish(self, search: Search, state: str) -> None:
        from optuna_dashboard import save_note, save_plotly_graph_object

        figure = best_so_far(list(search.families.values()))
        # Without a server the search has other cares than its note.
        away = contextlib.suppress(StorageAwayError)
        with away, quiet_experimental(), shielded(), transaction(search.storage):
            for family in search.families.values():
                save_note(family.stored, self._note(search, family, state))
                save_plotly_graph_object(family.stored, figure, graph_object_id="best_so_far")

    def _note(self, search: Search, family: FamilySearch, state: str) -> str:
        best, allowance = family.best, search.limits.allowance
        ladder = ", ".join(f"{examples:,}" for examples in family.settings.ladder.examples)
        lines = [
            f"# Family {family.name} of study {self._files.name}: {state}",
            f"- trials: {family.counted} counted"
            + (f", best #{best['number']} with {100 * best['value']:.2f} % on validation" if best else ""),
            f"- spent: {family.spent:.0f} worker-seconds" + (f" of {allowance:.0f}" if allowance else ""),
            f"- rungs, in examples seen: {ladder}; a trial that did not reach the last one was pruned",
            "- value: accuracy on the validation split; never a performance of the finalist",
            f"- retraining of the best: study `{self._files.name}/retrain`",
            f"- numbers: `{self._files.trials_csv}`; report, when done: `{self._files.report_html}`",
        ]
        return "\n".join(lines) + "\n"


def best_so_far(families: list[FamilySearch]) -> go.Figure:
    """Best validation accuracy of each family against the worker-seconds that it has spent."""
    figure = go.Figure()
    for index, family in enumerate(families):
        xs, ys, spent, best = [], [], 0.0, None
        for record in sorted(family.records, key=lambda record: record["end"] or ""):
            spent += record["seconds"]
            if record["state"] == "COMPLETE" and (best is None or record["value"] > best):
                best = record["value"]
                xs.append(round(spent, 1))
                ys.append(round(100 * best, 3))
        if best is not None:  # the last step lasts until now
            xs.append(round(spent, 1))
            ys.append(ys[-1])
        line = {"shape": "hv", "color": _COLOURS[index % len(_COLOURS)], "dash": ("solid", "dash", "dot")[index % 3]}
        figure.add_trace(go.Scatter(x=xs, y=ys, name=family.name, mode="lines", line=line))
    figure.update_layout(
        title="Best so far, by family", xaxis_title="worker-seconds of the search", yaxis_title="validation accuracy, %"
    )
    return figure


def note_on_retraining(storage: optuna.storages.BaseStorage, files: StudyFiles, found: Mapping[str, Any]) -> None:
    """The note of `<name>/retrain`: who was trained again and what came of it."""
    from optuna_dashboard import save_note

    lines = [
        f"# Retraining of study {files.name}",
        "Value: a candidate's accuracy on validation, trained again under a fresh seed. The final runs were trained on "
        "the validation images, too, and have no value: they are listed as pruned, though they ran to their end.",
    ]
    for family, row in found["families"].items():
        lines.append(f"- {family}: finalist #{row['finalist']}, final runs {', '.join(row['final_runs']) or 'none'}")
        lines += [
            f"  - candidate #{candidate['trial']}: {100 * candidate['search_accuracy']:.2f} % in the search, "
            f"{100 * candidate['mean_accuracy']:.2f} % under fresh seeds (validation)"
            for candidate in row["candidates"]
        ]
    lines += [f"- winner by validation: {found['winner']}", f"- report: `{files.report_html}`"]
    study = optuna.load_study(study_name=f"{files.name}/retrain", storage=storage)
    with quiet_experimental():
        save_note(study, "\n".join(lines) + "\n")
