from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ended import START, trial
from optuna.distributions import CategoricalDistribution, distribution_to_json
from synthetic import RUNGS, Wanted, write_study

from study.records.files import read_jsonl
from study.records.trial import Trials
from study.report.distributions import distributions
from study.report.page import make
from study.report.section import Report
from study.report.sections import mattered
from study.report.sections.mattered import choices, drawn_trials

ACT = {"act": distribution_to_json(CategoricalDistribution(("relu", True, None)))}


def test_choices_count_by_value_and_take_the_median_of_the_random_draws() -> None:
    trials = Trials(
        [
            trial(0, 0.9, parameters={"act": "relu"}),
            trial(1, parameters={"act": "relu"}, distributions=ACT),
            trial(2, 0.95, parameters={"act": "relu"}),
            trial(4, 0.8, parameters={"act": True}),
        ]
    )
    rows = {row.value: row for row in choices(trials, distributions(trials), random_draws=2)}
    relu = rows["relu"]
    assert (relu.parameter, relu.trials, relu.completed, relu.best) == ("act", 3, 2, 0.95)
    assert (relu.random_draws, relu.random_median) == (2, pytest.approx(0.505))
    assert (rows["true"].trials, rows["true"].random_median) == (1, None)
    assert rows["null"].best is None


def test_at_most_the_limit_is_drawn_and_no_record_is_lost() -> None:
    trials = Trials(trial(k, 0.9 if k == 777 else 0.5 if k > 100 else 0.5 + k / 1e5, end=START) for k in range(5000))
    drawn = drawn_trials(trials, limit=200)
    assert len(drawn) <= 200
    assert Trials(drawn).best == trials.best


def test_importance_is_of_the_highest_rung_that_fifty_sampled_trials_reached(
    case_made: Callable[[str], Report],
) -> None:
    few = case_made("clear win")[mattered].families["cnn"]
    many = case_made("examined")[mattered].families["cnn"]
    assert (few.importances, few.importance_examples) == (None, None)
    assert many.most == "learning_rate[adamw]"
    assert sum((many.importances or {}).values()) == pytest.approx(1)
    assert many.importance_examples == RUNGS[-1]
    assert many.importance_trials == many.completed_sampled >= 50


def test_where_few_trials_completed_importance_is_of_a_lower_rung(tmp_path: Path) -> None:
    files = write_study(tmp_path, Wanted(trials=60, states="PRUNED", stage="searched"))
    entry = make(files)[mattered].families["cnn"]
    assert entry.completed_sampled == 0
    assert entry.importance_examples == RUNGS[0]
    assert entry.importance_trials == entry.sampled >= 50
    assert sum((entry.importances or {}).values()) == pytest.approx(1)
    recorded = {
        record["number"]: record["rungs"][0]["accuracy"]
        for record in read_jsonl(files.trials_jsonl)
        if record["family"] == "cnn" and record["role"] == "sampled"
    }
    assert {trial.number: trial.rung_accuracy for trial in entry.trials} == recorded
