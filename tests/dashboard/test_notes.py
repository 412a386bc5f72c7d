"""What is said of trials and of the study, from stored trials and the study's files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from runs import run_metrics, run_record
from trials import trial

from study.dashboard.notes import Notes
from study.records.files import write_json, write_npz
from study.records.paths import StudyFiles
from study.records.run import write_run
from study.records.trial import Form
from study.search.agreement import trial_of

FORMS: tuple[Form, ...] = (1, 2)


@pytest.fixture
def notes(files: StudyFiles) -> Notes:
    return Notes(files)


def searched(number: int, value: float | None = 0.9, form: Form = 2, **more: Any) -> FrozenTrial:
    return trial_of(trial(number, value, parameters={}, **more), form)


def of_run(name: str, *, role: str, value: float | None, **attrs: Any) -> FrozenTrial:
    known = {"run": name, "trial": "mlp #3", "seed": 5, "training_loss": 0.25}
    known["learns_from"] = "training images" if role == "candidate" else "training and validation images"
    return create_trial(value=value, user_attrs=known | attrs)


def write(files: StudyFiles, name: str) -> None:
    write_run(
        files.run(name),
        run_record(examples=1200),
        {"family": "mlp", "width": [8, 4], "learning_rate": 0.012345},
        [],
        run_metrics(n_parameters=61_000, training_seconds=1.5),
        validation=None,
        save_weights=Path.touch,
        digest="x",
    )


def test_a_trial_of_the_search_says_how_it_ended_and_what_it_was(notes: Notes) -> None:
    found = notes.on_trial("mlp", searched(4, 0.912, n_parameters=61_000))
    assert found.startswith("# mlp #4\n\nDrawn by the search; completed, with 91.20 % on validation after 900 ex")
    assert "A worker had it for 0.2 s, and its network has 61 k parameters." in found
    assert "Its configuration: width 4.\n\n```toml\nfamily = " in found


@pytest.mark.parametrize(
    ("state", "more", "said"),
    [
        ("PRUNED", {"reason": "pruned at 900 examples"}, "ended early by the pruner, with 90.00 % on validation"),
        ("PRUNED", {"ending": "budget"}, "ended early, since the budget of the search was spent, with"),
        ("FAIL", {"reason": "out of memory"}, "failed: out of memory, with"),
        ("FAIL", {"ending": "interrupted", "reason": "interrupted: SIGTERM"}, "and tried again: interrupted: SIGTERM"),
    ],
)
def test_the_reason_of_an_early_end_is_said(notes: Notes, state: str, more: dict[str, Any], said: str) -> None:
    assert said in notes.on_trial("mlp", searched(4, state=state, **more))


def test_both_forms_of_a_trial_are_read(notes: Notes) -> None:
    first, second = (notes.on_trial("mlp", searched(4, form=form, role="warm_start")) for form in FORMS)
    assert first == second
    assert "A warm start of the search space; completed" in first


def test_one_that_trains_says_so(notes: Notes) -> None:
    running = create_trial(state=TrialState.RUNNING, user_attrs={"config": {"family": "mlp", "width": 8}})
    assert "It is training.\n\nIts configuration: width 8." in notes.on_trial("mlp", running)


def test_a_trial_of_another_program_has_no_note(notes: Notes) -> None:
    for part, state in itertools.product(("mlp", "retrain"), (TrialState.FAIL, TrialState.RUNNING)):
        assert notes.on_trial(part, create_trial(state=state)) == ""


def test_a_candidate_has_its_accuracy_and_its_run(notes: Notes, files: StudyFiles) -> None:
    write(files, "mlp-t3-seed0")
    found = notes.on_trial("retrain", of_run("mlp-t3-seed0", role="candidate", value=0.987))
    assert "A candidate: trial mlp #3, trained again under the fresh seed 5. It ended well: 98.70 % on valid" in found
    assert "It saw 1,200 examples in 1.5 s of training, and has 61 k parameters." in found
    assert "width 8, 4, learning rate 0.01235" in found


def test_a_final_run_has_its_accuracy_on_test_images_once_they_were_opened(notes: Notes, files: StudyFiles) -> None:
    write(files, "mlp-final-seed0")
    final = of_run("mlp-final-seed0", role="final", value=0.25)
    before = notes.on_trial("final", final)
    assert "A final run of finalist mlp #3" in before
    assert "with a training loss of 0.25; it had seen the validation images" in before
    assert "test images" not in before
    labels = np.arange(10)
    logits = np.eye(10, dtype=np.float32)[[1, *range(1, 10)]]
    write_npz(files.predictions, {"labels": labels, "mlp-final-seed0": logits})
    assert "On the test images: 90.00 % are read correctly." in notes.on_trial("final", final)


def test_runs_of_older_studies_are_read(notes: Notes, files: StudyFiles) -> None:
    """Final runs stood among the candidates, as pruned, with other attributes."""
    write(files, "mlp-final-seed0")
    attrs = {"run": "mlp-final-seed0", "origin": "mlp #3", "seed": 5, "data_part": "train+validation"}
    old = create_trial(state=TrialState.PRUNED, user_attrs=attrs | {"training_loss": 0.5})
    assert "A final run of finalist mlp #3" in notes.on_trial("retrain", old)
    candidate = create_trial(value=0.9, user_attrs=attrs | {"run": "mlp-t3-seed0", "data_part": "train"})
    assert "It ended well: 90.00 % on validation." in notes.on_trial("retrain", candidate)


def test_where_the_value_was_the_training_loss_the_accuracy_is_said(notes: Notes) -> None:
    attrs = {"run": "mlp-t3-seed0", "origin": "mlp #3", "seed": 5}
    candidate = attrs | {"data_part": "train", "validation_accuracy": 0.9}
    assert "ended well: 90.00 %" in notes.on_trial("retrain", create_trial(value=0.25, user_attrs=candidate))
    final = attrs | {"data_part": "train+validation"}
    assert "training loss of 0.25" in notes.on_trial("retrain", create_trial(value=0.25, user_attrs=final))


def test_a_run_whose_folder_is_gone_still_says_how_it_ended(notes: Notes) -> None:
    assert "98.70 % on valid" in notes.on_trial("retrain", of_run("mlp-t3-seed0", role="candidate", value=0.987))


def test_a_failed_run_has_its_reason(notes: Notes) -> None:
    failed = create_trial(
        state=TrialState.FAIL, user_attrs={"run": "a-t1-seed0", "trial": "a #1", "seed": 1, "reason": "out of memory"}
    )
    assert "It failed: out of memory." in notes.on_trial("retrain", failed)


def test_the_study_says_what_came_of_it_and_links_what_is_there(notes: Notes, files: StudyFiles) -> None:
    assert notes.on_study() == "No verdict yet: it comes with the report, at the end of the study.\n"
    write_json(files.report_json, {"findings": {"answer": "cnn is better than mlp."}})
    files.report_html.touch()
    assert notes.on_study() == "**cnn is better than mlp.**\n\n[The report](/report)\n"
    assert notes.on_trial("mlp", searched(4)).endswith("\n\n[The report](/report)\n")


def test_only_the_study_s_own_parts_are_its_own(notes: Notes) -> None:
    names = ("tiny/mlp", "tiny/retrain", "tiny-repeat-2/mlp", "other/mlp", "tiny")
    assert [name for name in names if notes.is_own(name)] == ["tiny/mlp", "tiny/retrain"]


def test_a_stored_trial_and_one_in_memory_are_said_alike(notes: Notes) -> None:
    study = optuna.create_study()
    study.add_trial(searched(0))
    assert notes.on_trial("mlp", study.trials[0]) == notes.on_trial("mlp", searched(0))
