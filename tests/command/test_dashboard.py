"""The guard in front of optuna-dashboard, route by route, without a port."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from postgresql import Server

from study.command import dashboard
from study.command.dashboard import application
from study.errors import ResumeError
from study.records.locking import StudyLock
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, save_settings
from study.search.identity import Owner
from study.search.lock import StorageLock
from study.search.storage import open_storage, open_study, storage_url

HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
ROUTES = [
    ("GET", "/api/studies"),
    ("GET", "/api/studies/1"),
    ("GET", "/dashboard"),
    ("GET", "/report"),
    ("GET", "/model-card"),
    ("DELETE", "/api/studies/1"),
    ("POST", "/api/studies"),
    ("PUT", "/api/studies/1/note"),
    ("POST", "/api/trials/1/tell"),
]


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    files = StudyFiles(tmp_path)
    optuna.create_study(study_name="s/mlp", storage=open_storage(storage_url(files, None)))
    return files


def test_another_study_s_database_is_not_shown_as_this_one_s(
    tmp_path: Path, make_settings: Callable[..., StudySettings], open_url: Callable[[str], RDBStorage]
) -> None:
    shared = f"sqlite:///{tmp_path}/shared.db"
    owner = Owner("a1", "/elsewhere/tiny", "another machine")
    open_study(open_url(shared), "tiny/mlp", "accuracy", "maximize", owner)
    files = StudyFiles(tmp_path / "tiny")
    save_settings(make_settings(storage=shared, id="b2"), files.settings)
    with pytest.raises(ResumeError, match="is another one, last continued from /elsewhere/tiny on another machine"):
        application(files, None, HOSTS, write=False)
    save_settings(make_settings(storage=shared, id="a1"), files.settings)
    application(files, None, HOSTS, write=False)


def call(
    files: StudyFiles, method: str, path: str, *, url: str | None = None, write: bool = False, **headers: str
) -> int:
    """Status of one request through the guarded application."""
    seen: list[str] = []

    def start_response(status: str, _headers: list[tuple[str, str]], _exc: Any = None) -> None:
        seen.append(status)

    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "HTTP_HOST": "localhost:8080",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8080",
        "wsgi.url_scheme": "http",
        "wsgi.input": __import__("io").BytesIO(b"{}"),
        "wsgi.errors": __import__("sys").stderr,
        **headers,
    }
    list(application(files, url, HOSTS, write)(environ, start_response))
    return int(seen[-1].split()[0])


def names(files: StudyFiles) -> list[str]:
    return optuna.get_all_study_names(open_storage(storage_url(files, None)))


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_HOST": "evil.example"},
        {"HTTP_HOST": "evil.example:8080"},
        {"HTTP_ORIGIN": "http://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
    ],
)
def test_a_foreign_page_is_refused_on_every_route(
    files: StudyFiles, method: str, path: str, headers: dict[str, str]
) -> None:
    assert call(files, method, path, write=True, **headers) == 403
    assert names(files) == ["s/mlp"]


def test_reading_on_loopback_works(files: StudyFiles) -> None:
    assert call(files, "GET", "/api/studies") == 200
    assert call(files, "GET", "/api/studies", HTTP_ORIGIN="http://localhost:8080") == 200


def test_the_importances_of_trials_without_parameters_are_none_and_no_error(files: StudyFiles) -> None:
    study = optuna.load_study(study_name="s/mlp", storage=open_storage(storage_url(files, None)))
    for value in (0.8, 0.9):
        study.tell(study.ask(), value)
    assert call(files, "GET", "/api/studies/1/param_importances") == 200
    assert call(files, "GET", "/api/studies/2/param_importances") == 404
    for value in (0.7, 0.6):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, value)
    assert call(files, "GET", "/api/studies/1/param_importances") == 200


def test_it_is_read_only_by_default(files: StudyFiles) -> None:
    assert call(files, "DELETE", "/api/studies/1") == 403
    assert names(files) == ["s/mlp"]


def test_writing_waits_for_the_search_to_let_go_of_the_study(files: StudyFiles) -> None:
    with StudyLock(files):
        assert call(files, "DELETE", "/api/studies/1", write=True) == 403
    assert call(files, "DELETE", "/api/studies/1", write=True) == 204
    assert names(files) == []


def test_writing_waits_for_a_search_that_holds_the_study_in_a_database_server(
    files: StudyFiles,
    postgresql: Server,
    open_url: Callable[[str], RDBStorage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That search may run elsewhere, over another results folder: this folder's lock is free."""
    monkeypatch.setattr(dashboard, "open_storage", open_url)  # which closes its connections in the end
    url = postgresql.url()
    storage = open_url(url)
    optuna.create_study(study_name="s/mlp", storage=storage)
    with StorageLock(storage, files.name, print):
        assert call(files, "GET", "/api/studies", url=url, write=True) == 200
        assert call(files, "DELETE", "/api/studies/1", url=url, write=True) == 403
    assert optuna.get_all_study_names(storage) == ["s/mlp"]
    assert call(files, "DELETE", "/api/studies/1", url=url, write=True) == 204
    assert optuna.get_all_study_names(storage) == []
