"""What the dashboard reads of a study with many trials."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from study.command import few_trials
from study.command.few_trials import FewTrials


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    """Thirty trials, the best of which are those in the middle, and one that runs."""
    study = optuna.create_study(study_name="tiny/mlp", storage=storage, direction="maximize")
    for number in range(30):
        parameters = {"params": {"x": number / 30}, "distributions": {"x": FloatDistribution(0, 1)}}
        study.add_trial(optuna.trial.create_trial(value=-abs(number - 15.2), **parameters))  # type: ignore[arg-type]
    study.ask()
    return study


def test_the_best_an_even_part_of_the_others_and_what_comes_later_are_shown(
    study: optuna.Study, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_trials, "MOST_BEST", 4)
    monkeypatch.setattr(few_trials, "MOST_OTHERS", 13)
    read = FewTrials(storage)
    shown = [trial.number for trial in read.get_all_trials(study._study_id)]
    assert shown == sorted({14, 15, 16, 17, 30} | {n for k, n in enumerate([*range(14), *range(18, 30)]) if k % 2 == 0})
    assert read.get_best_trial(study._study_id).number == 15
    assert read.remark(study._study_id).startswith("13 trials are not shown here")
    study.tell(30, 1.0)
    study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
    later = read.get_all_trials(study._study_id, deepcopy=False)
    assert [trial.number for trial in later] == [*shown, 31]
    assert (later[-2].state, later[-1].state) == (TrialState.COMPLETE, TrialState.FAIL)
    assert read.get_best_trial(study._study_id).number == 30


def test_of_few_trials_all_are_shown_as_optuna_reads_them(study: optuna.Study, storage: RDBStorage) -> None:
    read, whole = FewTrials(storage), storage.get_all_trials(study._study_id)
    assert read.get_all_trials(study._study_id) == whole
    assert read.remark(study._study_id) == ""
    with pytest.raises(KeyError):
        read.get_all_trials(99)
