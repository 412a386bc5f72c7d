"""The audit for real: pruned trials of a few steps, run to the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tiny_mlp import CONFIG
from trials import trial, write_trials

from study.execution.executors import InProcessExecutor
from study.execution.jobs import Job, OnRung, Outcome
from study.execution.worker import Work
from study.records.files import read_json
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import TrialRecord
from study.retraining.audit import Audit, draw
from study.statistics.intervals import clopper_pearson, upper_bound

RUNGS = (100, 300, 900)


def pruned(number: int, **more: Any) -> TrialRecord:
    return trial(number, 0.1, examples=100, state="PRUNED", config=CONFIG, seed=50 + number, **more)


STOPPED = pruned(20, ending="budget")
TRIALS = [
    trial(0, 0.3, config=CONFIG, seed=50),
    *(pruned(number, rung_scale=1 + number % 2) for number in range(1, 9)),
    STOPPED,
]
Auditor = Callable[[int], dict[str, Any]]


@pytest.fixture
def trained() -> list[Job]:
    return []


@pytest.fixture
def audit(
    files: StudyFiles, make_settings: Callable[..., StudySettings], training: Work, trained: list[Job]
) -> Auditor:
    settings = make_settings({"mlp": 'family = "mlp"'}, rungs=RUNGS)
    family = settings.families["mlp"]
    part = family.model_copy(update={"ladder": family.ladder.model_copy(update={"images": 60})})
    settings = settings.model_copy(update={"families": {"mlp": part}})

    def noted(job: Job, on_rung: OnRung) -> Outcome:
        trained.append(job)
        return training(job, on_rung)

    def run(n: int) -> dict[str, Any]:
        with InProcessExecutor(1, noted) as executor:
            return Audit(files, settings, n).run(executor)

    write_trials(files.trials_jsonl, TRIALS)
    return run


def test_only_trials_that_the_pruner_ended_are_drawn_and_a_larger_draw_holds_a_smaller_one() -> None:
    few, many = ([one.number for one in draw(TRIALS, n, study_seed=3)] for n in (3, 100))
    assert many[:3] == few
    assert sorted(many) == list(range(1, 9))
    assert [one.number for one in draw(TRIALS, 3, study_seed=4)] != few


def test_drawn_trials_run_to_the_top_rung_with_their_own_seed(
    audit: Auditor, trained: list[Job], files: StudyFiles
) -> None:
    found = audit(3)
    assert read_json(files.audit) == found
    assert {job.seed for job in trained} == {50 + row["number"] for row in found["rows"]}
    for job in trained:
        assert job.images == 60
        assert job.schedule.marks[-1] * CONFIG["batch_size"] == RUNGS[-1] * (1 + job.seed % 2)
    assert (found["pruned"], found["drawn"], found["judged"]) == (8, 3, 3)
    for row in found["rows"]:
        assert row["beats"] == (row["value"] > 0.3 == row["best"])
    assert found["beaten"] == sum(row["beats"] for row in found["rows"])
    assert found["bound95"] == pytest.approx(upper_bound(found["beaten"], 3))


def test_a_larger_audit_keeps_what_is_known(audit: Auditor, trained: list[Job]) -> None:
    first = audit(2)
    trained.clear()
    second = audit(5)
    assert len(trained) == 3
    assert second["rows"][:2] == first["rows"]


def test_the_bound_of_none_in_n_is_the_textbooks() -> None:
    assert upper_bound(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert upper_bound(2, 20) == pytest.approx(clopper_pearson(2, 20, 0.90)[1])
    assert upper_bound(0, 0) == 1.0
    assert upper_bound(5, 5) == 1.0


def test_a_trial_that_fails_at_the_end_is_no_evidence(
    files: StudyFiles, make_settings: Callable[..., StudySettings]
) -> None:
    def fail(job: Job, on_rung: OnRung) -> Outcome:
        raise ValueError("broken")

    write_trials(files.trials_jsonl, TRIALS)
    with InProcessExecutor(1, fail) as executor:
        found = Audit(files, make_settings({"mlp": 'family = "mlp"'}, rungs=RUNGS), 2).run(executor)
    assert (found["drawn"], found["judged"], found["bound95"]) == (2, 0, 1.0)
    assert {row["failed"] for row in found["rows"]} == {"ValueError: broken"}
