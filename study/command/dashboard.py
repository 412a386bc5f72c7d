"""optuna-dashboard on a study, behind the guard."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any

import optuna
from optuna.trial import TrialState

from study.command.annotated import with_notes
from study.command.draw.server import READ, Drawing, beside
from study.command.few_trials import FewTrials
from study.command.guard import Application, Start, guard, hosts_of, serve_application
from study.command.pages import with_pages
from study.command.plots import with_few_panels
from study.dashboard.artifacts import Artifacts
from study.dashboard.notes import Notes
from study.errors import ResultsError
from study.records.locking import lock_holder
from study.records.paths import StudyFiles
from study.records.settings import load_settings
from study.search.identity import stored_studies
from study.search.lock import storage_holder
from study.search.opening import refuse_foreign
from study.search.storage import open_storage, own_database, storage_url

_WITH_PARAMETERS = (TrialState.COMPLETE, TrialState.PRUNED)  # those in which the dashboard looks for them
_IMPORTANCES = re.compile(r"/api/studies/(\d+)/param_importances")


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

    notes = Notes(files)
    # A page must not read every trial anew. Where it may write all are there: to rename a study is to copy what it has.
    cached = FewTrials(storage, lambda name: not write and notes.is_own(name))
    app: Application = wsgi(cached, artifact_store=Artifacts(files.artifacts))
    app = with_few_panels(without_parameters(app, cached), cached)
    app = with_notes(app, cached, notes, may_write)
    whole = files.whole
    shown = beside(with_pages(app, files), Drawing(whole.name, whole.model, whole))
    return guard(shown, hosts, may_write, harmless={READ})


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
        trials = storage.get_all_trials(study_id, deepcopy=False, states=_WITH_PARAMETERS)
        return not any(trial.params for trial in trials)
    except KeyError:  # no such study
        return False


def serve(files: StudyFiles, url: str | None, host: str, port: int, *, write: bool) -> None:
    """Serve until interrupted. UsageError if the address cannot be used."""
    # Whenever a page asks for importances, Optuna says for each parameter that few trials tell little of it.
    warnings.filterwarnings("ignore", module=r"optuna\.importance")
    serve_application(application(files, url, hosts_of(host), write), host, port)
