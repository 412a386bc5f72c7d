"""What the dashboard answers about a study, with notes, through all that stands before it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from optuna.storages import RDBStorage
from optuna_dashboard import get_note, save_note
from shown_study import write_shown

from study.command.dashboard import application
from study.command.guard import hosts_of
from study.records.paths import StudyFiles
from study.search.storage import open_study

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(files: StudyFiles, storage: RDBStorage, fast_disk: None) -> Ask:
    write_shown(files, storage, ["mlp", "cnn"], live=False)
    app = application(files, None, hosts_of("localhost"), write=False)

    def asked(path: str, *, app: Any = app) -> tuple[int, Any]:
        seen: list[tuple[str, list[tuple[str, str]]]] = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": "localhost:1", "SERVER_NAME": "localhost"}
        environ |= {"SERVER_PORT": "1", "wsgi.url_scheme": "http"}
        streams = {"wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr}
        body = b"".join(app({**environ, **streams}, lambda status, headers, _=None: seen.append((status, headers))))
        status, headers = seen[-1]
        assert dict(headers).get("Content-Length", str(len(body))) == str(len(body))
        return int(status.split()[0]), json.loads(body)

    return asked


def study_of(ask: Ask, name: str) -> Any:
    studies = ask("/api/studies")[1]["study_summaries"]
    number = next(one["study_id"] for one in studies if one["study_name"] == name)
    return ask(f"/api/studies/{number}")[1]


def test_every_trial_of_the_study_s_parts_has_a_note(ask: Ask) -> None:
    for part in ("mlp", "cnn", "retrain", "final"):
        found = study_of(ask, f"tiny/{part}")
        shown = [*found["trials"], *found["best_trials"]]
        assert len(shown) > 2
        assert all(one["note"]["body"].endswith("[The model card](/model-card)\n") for one in shown)
        assert found["note"]["body"].startswith("**No verdict between them.**\n\n[The report](/report)")
    assert "failed: out of memory" in study_of(ask, "tiny/mlp")["trials"][3]["note"]["body"]
    assert "# Candidates of study tiny" in study_of(ask, "tiny/retrain")["note"]["body"]


def test_what_only_programs_read_is_not_shown(ask: Ask) -> None:
    found = study_of(ask, "tiny/mlp")
    keys = {attr["key"] for one in found["trials"] for attr in one["user_attrs"]}
    assert "held_seconds" in keys
    assert not keys & {"config", "rungs"}
    assert {one["key"] for one in found["union_user_attrs"]} == keys


def test_a_note_that_somebody_wrote_stays(ask: Ask, storage: RDBStorage) -> None:
    study = open_study(storage, "tiny/mlp", "accuracy", "maximize")
    trial = study.ask()
    save_note(trial, "mine")
    assert study_of(ask, "tiny/mlp")["trials"][-1]["note"] == {"version": 1, "body": "mine"}


def test_nothing_is_said_of_another_study_in_the_database(ask: Ask, storage: RDBStorage) -> None:
    other = open_study(storage, "other/mlp", "accuracy", "maximize")
    other.tell(other.ask(), 0.5)
    found = study_of(ask, "other/mlp")
    assert (found["note"]["body"], found["trials"][0]["note"]["body"]) == ("", "")


def test_while_notes_can_be_edited_the_study_s_is_the_stored_one(
    ask: Ask, files: StudyFiles, storage: RDBStorage
) -> None:
    app = application(files, None, hosts_of("localhost"), write=True)
    number = open_study(storage, "tiny/retrain", "accuracy", "maximize")
    assert ask(f"/api/studies/{number._study_id}", app=app)[1]["note"]["body"] == get_note(number)


def test_pictures_stand_in_one_order_and_a_missing_study_is_none(ask: Ask) -> None:
    artifacts = study_of(ask, "tiny/retrain")["trials"][0]["artifacts"]
    names = [one["filename"] for one in artifacts]
    assert names == sorted(names)
    assert len(names) == 5
    assert ask("/api/studies/99")[0] == 404


@pytest.mark.filterwarnings("ignore::UserWarning:optuna.importance._ped_anova.evaluator")
def test_importances_of_every_part_are_answered(ask: Ask) -> None:
    for study in ask("/api/studies")[1]["study_summaries"]:
        assert ask(f"/api/studies/{study['study_id']}/param_importances")[0] == 200
