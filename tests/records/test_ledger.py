from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from study.errors import ResultsError
from study.records.ledger import Goal, Ledger, PlannedRuns, RetrainPlan, read_ledger, write_ledger
from study.records.settings import RetrainSettings

# As versions before form 2 wrote it: `budget_s` of a goal is of one search, that beside it of the whole study.
GOAL_1 = {"budget_s": 100.0, "n_trials": None, "families": ["cnn", "mlp"]}
FORM_1: dict[str, Any] = {
    "stages": {"search": 41.5, "retrain": 80.0},
    "commands": [{"command": "study run", "start": "2026-01-01T00:00:00+00:00", "seconds": 190.5, "versions": {}}],
    "families": {"mlp": {"spent_s": 40.0, "training_s": 38.0}},
    "device": "cpu",
    "precision": "bf16",
    "workers": 2,
    "machine": {"cpu": "A", "cores": 2},
    "goal": GOAL_1,
    "budget_s": 200.0,
    "n_trials": None,
    "repeats": 2,
    "allowance_s": 41.0,
    "utilisation": 0.9,
    "done": {"search": GOAL_1, "evaluate": {**GOAL_1, "repeats": 2}},
    "plan": {"goal": GOAL_1, "runs": {"mlp": {"trials": [3, 1], "examples": [100, 200]}}, "seconds": 70.0},
}
GOAL = Goal(budget=200.0, families=("cnn", "mlp"), n_searches=2)


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_a_budget_of_one_search_becomes_that_of_the_whole_study(tmp_path: Path) -> None:
    ledger = read_ledger(written(tmp_path / "ledger.json", FORM_1))
    assert (ledger.goal, ledger.budget, ledger.n_searches) == (GOAL, 200.0, 2)
    assert ledger.goal.share == 100.0
    assert ledger.reached == {"search": GOAL, "evaluate": GOAL}
    assert ledger.plan == RetrainPlan(
        goal=GOAL, runs={"mlp": PlannedRuns(trials=(3, 1), examples=(100, 200))}, seconds=70.0
    )


def test_what_an_older_ledger_says_is_said_under_today_s_names(tmp_path: Path) -> None:
    ledger = read_ledger(written(tmp_path / "ledger.json", FORM_1))
    assert (ledger.allowance, ledger.utilisation, ledger.used) == (41.0, 0.9, 190.5)
    assert ledger.spent["mlp"].model_dump() == {
        "held_seconds": 40.0,
        "training_seconds": 38.0,
        "searched_whole": None,
        "given_seconds": None,
    }
    assert (ledger.machine and ledger.machine.known()) == {"cpu": "A", "cores": 2}


def test_a_ledger_of_form_1_without_a_goal_has_its_limits_beside(tmp_path: Path) -> None:
    ledger = read_ledger(written(tmp_path / "ledger.json", {"budget_s": None, "n_trials": 9, "repeats": 3}))
    assert (ledger.budget, ledger.n_trials, ledger.n_searches) == (None, 9, 3)
    assert read_ledger(written(tmp_path / "ledger.json", {"stages": {}, "repeats": 3})).goal is None


@pytest.mark.parametrize("content", [FORM_1, {}, {"stages": {"search": 1.0}, "commands": [], "families": {}}])
def test_a_ledger_that_was_read_is_written_whole_and_read_as_the_same(tmp_path: Path, content: Any) -> None:
    path = written(tmp_path / "ledger.json", content)
    ledger = read_ledger(path)
    write_ledger(path, ledger)
    assert read_ledger(path) == ledger
    assert "budget_s" not in path.read_text(encoding="utf-8")


def test_what_a_later_version_adds_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.json", {**FORM_1, "mood": "good"})
    write_ledger(path, read_ledger(path))
    assert json.loads(path.read_text(encoding="utf-8"))["mood"] == "good"


def test_an_evaluation_without_a_number_of_searches_was_of_one(tmp_path: Path) -> None:
    done = {"search": {"budget_s": 100.0, "families": ["mlp"]}, "evaluate": {"budget_s": 100.0, "families": ["mlp"]}}
    ledger = read_ledger(written(tmp_path / "ledger.json", {"repeats": 3, "done": done}))
    assert (ledger.reached["search"].n_searches, ledger.reached["evaluate"].n_searches) == (3, 1)


def test_a_plan_of_the_first_versions_is_forgotten_and_the_rest_is_read(tmp_path: Path) -> None:
    plan = {"goal": {"budget_s": 100.0, "families": ["mlp"]}, "runs": {"mlp": {"trials": [1], "examples_per_run": 50}}}
    ledger = read_ledger(written(tmp_path / "ledger.json", {**FORM_1, "plan": plan}))
    assert ledger.plan is None
    assert ledger.used == 190.5


def test_what_a_later_version_says_of_a_machine_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.json", {"machine": {"cpu": "A", "memory": 3}})
    write_ledger(path, read_ledger(path))
    assert json.loads(path.read_text(encoding="utf-8"))["machine"]["memory"] == 3


def test_no_file_is_an_empty_ledger(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "ledger.json") == Ledger()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "unknown form: key '\\(top level\\)'"),
        ('{"workers": "many"}', "unknown form: key 'workers'"),
        ('{"commands": [{"second": 1}]}', "unknown form: missing key 'commands.0.command'"),
        ('{"plan": {}}', "unknown form: KeyError: 'runs'"),
        ('{"done": null}', "unknown form: AttributeError"),
        ('{"families": []}', "unknown form: AttributeError"),
        ("{", "is not JSON"),
    ],
)
def test_a_damaged_ledger_is_an_error_that_names_it(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError, match=said):
        read_ledger(path)


def reached(**goals: Goal) -> Ledger:
    return Ledger.model_validate({"reached": goals})


def test_a_search_is_done_for_its_share_and_an_evaluation_for_all_searches() -> None:
    more = GOAL.model_copy(update={"budget": 300.0, "n_searches": 3})  # as much for each search
    ledger = reached(search=GOAL, evaluate=GOAL)
    assert ledger.has_reached("search", more)
    assert not ledger.has_reached("evaluate", more)
    assert not ledger.has_reached("search", GOAL.model_copy(update={"budget": 300.0}))
    assert not ledger.has_reached("search", GOAL.model_copy(update={"families": ("cnn",)}))
    assert not ledger.has_reached("retrain", GOAL)


@pytest.mark.parametrize("n", [3, 6, 7, 11, 49])
def test_as_much_again_for_each_search_is_the_same_goal_whatever_the_last_bit_says(n: int) -> None:
    one = Goal(budget=100.0, n_searches=n)
    assert one.share is not None
    more = Goal(budget=one.share * (n + 4), n_searches=n + 4)
    assert reached(search=one).has_reached("search", more)


def test_a_plan_keeps_its_numbers_of_seeds(tmp_path: Path) -> None:
    plan = RetrainPlan(goal=GOAL, runs={}, trials="ab", retrain=RetrainSettings(candidates=2))
    write_ledger(tmp_path / "ledger.json", Ledger(plan=plan))
    assert read_ledger(tmp_path / "ledger.json").plan == plan
