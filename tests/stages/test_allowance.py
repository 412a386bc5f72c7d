"""What is drawn and what is given may take of a search, by the plan of a study that has used so much of its budget."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from trials import trial, write_trials

from study.records.ledger import FamilySpent, Goal, Ledger
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import Trials, read_trials
from study.stages.allowance import Allowances, allowances, lent_seconds
from study.stages.ladder import full_trial_seconds
from study.stages.plan import SearchPlan, Used

Settings = Callable[..., StudySettings]
BUDGET = 300.0


@pytest.fixture
def one(files: StudyFiles, make_settings: Settings) -> Callable[..., Any]:
    """A search that begins, of a study with these settings; its ladders are not measured."""

    def make(budget: float | None = BUDGET, first: float | None = None, n_searches: int = 1, **fields: Any) -> Any:
        goal = Goal(budget=budget, families=("cnn", "mlp"), n_searches=n_searches)
        session = SimpleNamespace(
            settings=make_settings(**fields), files=files, ledger=Ledger(), new_spaces=[], n_workers=2
        )
        before = SimpleNamespace(session=SimpleNamespace(ledger=Ledger(allowance=first)))
        return SimpleNamespace(
            goal=goal, session=session, first=None if first is None else before, plan=SearchPlan(goal, Used(5.0))
        )

    return make


def test_in_an_older_study_all_trials_share_the_allowance(one: Callable[..., Any]) -> None:
    level = one().plan.allowance({"cnn": 0.0, "mlp": 0.0}, 2)
    assert allowances(one(), Trials()) == Allowances(level)
    assert allowances(one(first=9.0), Trials()) == Allowances(9.0)


def test_what_is_given_has_seconds_that_the_search_does_not_get(one: Callable[..., Any]) -> None:
    level = one().plan.allowance({"cnn": 0.0, "mlp": 0.0}, 2)
    allowed = allowances(one(given="apart"), Trials())
    planned = 2 * full_trial_seconds(level)
    assert allowed.found == pytest.approx(level - planned)
    assert allowed.given == pytest.approx(2 * planned)
    assert allowances(one(given="apart", warm_starts=0), Trials()) == Allowances(level, 0.0)
    assert allowances(one(given="apart", repeat_of="first"), Trials()).found == level
    assert allowances(one(given="apart", repeat_of="first", first=9.0), Trials()).found == 9.0


def test_of_several_searches_each_bears_its_part_of_what_is_given(one: Callable[..., Any]) -> None:
    search = one(given="apart", n_searches=3, rungs=(100, 900))
    search.session.ledger.speeds.update(cnn=450.0, mlp=900.0)
    level, given = search.plan.allowance({"cnn": 0.0, "mlp": 0.0}, 2), 2 * 2.0
    found = allowances(search, Trials()).found
    assert found == pytest.approx(level - given / 3)
    lent = lent_seconds(search, Trials())
    assert lent == pytest.approx(given * 2 / 3)  # seconds of two workers for two families
    repeat = one(given="apart", n_searches=3, repeat_of="first", first=found)
    assert allowances(repeat, Trials()).found == found
    assert lent_seconds(repeat, Trials()) == 0.0
    whole = search.plan.lending(lent)
    assert whole.search_wall == pytest.approx(search.plan.search_wall + lent)
    # What the others leave is for the search alone: its runs are as long as without.
    assert whole.after_whole_search().seconds_for_runs == pytest.approx(
        search.plan.after_whole_search().seconds_for_runs
    )


def test_without_a_budget_nothing_is_limited(one: Callable[..., Any]) -> None:
    assert allowances(one(budget=None, given="apart"), Trials()) == Allowances(None, None)


def test_what_was_given_before_is_paid_for_once(one: Callable[..., Any], files: StudyFiles) -> None:
    given = [trial(n, family=f, role="warm_start", held_seconds=4.0) for f in ("cnn", "mlp") for n in (0, 1)]
    imported = [trial(9, family="cnn", role="imported", held_seconds=99.0)]
    write_trials(files.trials_jsonl, given + imported)
    search = one(given="apart")
    level = search.plan.allowance({"cnn": 8.0, "mlp": 8.0}, 2)
    assert allowances(search, read_trials(files.trials_jsonl)) == Allowances(level - 8.0, 8.0)


def test_a_file_s_configuration_is_owed_whatever_warm_starts_there_were(one: Callable[..., Any]) -> None:
    more = [trial(n, family=f, role="warm_start", held_seconds=4.0) for f in ("cnn", "mlp") for n in (0, 1)]
    file = {"file": "mine.toml", "family": "cnn", "config": {}}
    search = one(given="apart", given_files=(file,), warm_starts=1)
    level = search.plan.allowance({"cnn": 8.0, "mlp": 8.0}, 2)
    assert allowances(search, Trials(more)).given == pytest.approx(8.0 + 2 * full_trial_seconds(level))


def test_what_a_full_trial_takes_is_known_with_its_ladder(one: Callable[..., Any]) -> None:
    search = one(given="apart", rungs=(100, 900))
    search.session.ledger.speeds.update(cnn=90.0, mlp=900.0)
    level = search.plan.allowance({"cnn": 0.0, "mlp": 0.0}, 2)
    assert allowances(search, Trials()).found == pytest.approx(level - 2 * 10.0)


def test_the_ledger_tells_what_was_given_apart() -> None:
    assert FamilySpent(held_seconds=1.0).given_seconds is None
    assert FamilySpent.model_validate({"held_seconds": 1.0, "given_seconds": 2.0}).given_seconds == 2.0
