"""What a study has lost, and what it merely has not come to yet."""

from __future__ import annotations

import pytest

from study.records.files import write_json
from study.records.ledger import Goal, Ledger, PlannedRuns, RetrainPlan, write_ledger
from study.records.paths import StudyFiles
from study.records.settings import RetrainSettings
from study.stages.holes import holes


@pytest.mark.parametrize(
    ("final_seeds", "runs"),
    [
        (0, ["mlp-t0-seed0", "cnn-t3-seed0"]),
        (
            2,
            ["mlp-t0-seed0", "cnn-t3-seed0", *(f"{family}-final-seed{n}" for n in (0, 1) for family in ("mlp", "cnn"))],
        ),
    ],
)
def test_a_retraining_has_lost_its_finalists_only_once_all_its_runs_are_there(
    files: StudyFiles, final_seeds: int, runs: list[str]
) -> None:
    planned = {"mlp": PlannedRuns(trials=(0,), examples=(600,)), "cnn": PlannedRuns(trials=(3,), examples=(600,))}
    few = RetrainSettings(candidates=1, candidate_seeds=1, final_seeds=final_seeds)
    write_ledger(files.ledger, Ledger(plan=RetrainPlan(goal=Goal(), runs=planned, retrain=few)))
    files.samples.touch()
    for run in runs:
        assert list(holes(files)) == []
        write_json(files.run(run).done, {"hash": run})
    (lost,) = holes(files)
    assert f"{files.finalists} is missing" in lost


def test_without_a_plan_a_final_run_tells_of_finalists_and_a_candidate_s_run_does_not(files: StudyFiles) -> None:
    write_ledger(files.ledger, Ledger())
    files.samples.touch()
    write_json(files.run("mlp-t0-seed0").done, {})
    assert list(holes(files)) == []
    write_json(files.run("mlp-final-seed0").done, {})
    (lost,) = holes(files)
    assert f"{files.finalists} is missing" in lost
