from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.errors import ResultsError
from study.search.storage import open_storage, open_study, transaction
from study.search.tables import insert_trials, stored_trials, update_trials

DISTRIBUTIONS = {
    "kind": CategoricalDistribution(("a", 1, 2.5, True, None)),
    "n": IntDistribution(1, 64, log=True),
    "x": FloatDistribution(1e-6, 1.0, log=True),
    "step": FloatDistribution(0.0, 1.0, step=0.1),
}
PARAMETERS = {"kind": None, "n": 13, "x": 0.1 + 0.2, "step": 0.30000000000000004}


def same(ours: list[FrozenTrial], theirs: list[FrozenTrial]) -> bool:
    """By their text, in which NaN equals NaN; keys sorted."""

    def text(trial: FrozenTrial) -> str:
        parts = {key: sorted(v.items()) if isinstance(v, dict) else v for key, v in vars(trial).items()}
        return repr(sorted(parts.items(), key=lambda part: part[0]))

    return [text(trial) for trial in ours] == [text(trial) for trial in theirs]


def example(state: TrialState, value: float) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        params=PARAMETERS,
        distributions=DISTRIBUTIONS,
        user_attrs={"config": {"width": [8, 16], "text": 'a "quoted"\nline'}, "counted": False, "flops": None},
        system_attrs={"completed_rung_0": 0.5},
        intermediate_values={100: value, 300: float("nan"), 900: 0.1},
    )


VALUES = (0.5, 0.1 + 0.2, float("inf"), float("-inf"))


@pytest.mark.parametrize("state", list(TrialState))
def test_trials_are_read_as_optuna_reads_them(storage: RDBStorage, study: optuna.Study, state: TrialState) -> None:
    other = open_study(storage, "tiny/cnn", "accuracy", "maximize")
    for value in VALUES:
        other.add_trial(create_trial(value=0.25))
        study.add_trial(example(state, value))
    read = stored_trials(storage, study._study_id)
    assert len(read) == len(VALUES)
    assert same(read, study.get_trials())
    assert same(stored_trials(storage, other._study_id), other.get_trials())


TABLES = (
    "trials",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
)


def rows(storage: RDBStorage) -> dict[str, list[dict[str, Any]]]:
    """Everything in the tables of trials, without the rows' own numbers."""
    with storage.engine.connect() as connection:
        found = {table: connection.execute(sqlalchemy.text(f"SELECT * FROM {table}")).mappings() for table in TABLES}
        own = {table: f"{table.removesuffix('s')}_id" for table in TABLES[2:]} | {"trial_params": "param_id"}
        return {
            table: sorted(({k: v for k, v in row.items() if k != own.get(table)} for row in rows), key=repr)
            for table, rows in found.items()
        }


@pytest.mark.parametrize("state", list(TrialState))
def test_trials_are_written_as_optuna_writes_them(storage: RDBStorage, tmp_path: Path, state: TrialState) -> None:
    theirs = open_storage(f"sqlite:///{tmp_path}/theirs.db")
    trials = [example(state, value) for value in VALUES]
    for kept in (storage, theirs):
        for name in ("tiny/mlp", "tiny/cnn"):
            study_id = open_study(kept, name, "accuracy", "maximize")._study_id
            if kept is theirs:
                for trial in trials:
                    kept.create_new_trial(study_id, template_trial=trial)
            else:
                for first, some in ((0, trials[:1]), (1, trials[1:]), (len(trials), [])):
                    with transaction(kept) as connection:
                        assert insert_trials(connection, study_id, some)[0] == first
    assert rows(storage) == rows(theirs)


def test_an_update_writes_what_is_new_and_what_differs(storage: RDBStorage, study: optuna.Study) -> None:
    before, now = example(TrialState.RUNNING, 0.5), example(TrialState.COMPLETE, 0.75)
    del before.intermediate_values[900]
    now.user_attrs |= {"counted": True, "seconds": 1.5}
    now.system_attrs |= {"completed_rung_1": 0.25}
    with transaction(storage) as connection:
        _, (kept, other) = insert_trials(connection, study._study_id, [before, before])
        (_, again) = update_trials(connection, [(kept, now), (other, before)])
        now.number, now._trial_id = 0, kept.trial_id
        before.number, before._trial_id = 1, other.trial_id
    assert same(study.get_trials(), [now, before])
    assert again == other


def test_a_trial_that_somebody_else_has_ended_is_told(storage: RDBStorage, study: optuna.Study) -> None:
    running = example(TrialState.RUNNING, 0.5)
    with transaction(storage) as connection:
        _, kept = insert_trials(connection, study._study_id, [running] * 4)
    for number in (0, 1):
        study.tell(number, state=TrialState.FAIL)
    told = [running, example(TrialState.COMPLETE, 0.5), running, example(TrialState.COMPLETE, 0.5)]
    with transaction(storage) as connection:
        written = update_trials(connection, list(zip(kept, told, strict=True)))
    assert [one is None for one in written] == [True, True, False, False]


def test_a_trial_of_which_only_the_start_was_stored(storage: RDBStorage, study: optuna.Study) -> None:
    study.ask()
    assert same(stored_trials(storage, study._study_id), study.get_trials())


def test_a_study_without_trials(storage: RDBStorage, study: optuna.Study) -> None:
    assert stored_trials(storage, study._study_id) == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE trial_user_attributes SET value_json = '{'",
        "UPDATE trial_params SET param_value = 7 WHERE param_name = 'kind'",
        'UPDATE trial_params SET distribution_json = \'{"name": "None", "attributes": {}}\'',
        "UPDATE trials SET state = 'LOST'",
        "UPDATE trial_intermediate_values SET intermediate_value = NULL",
        "DROP TABLE trial_values",
    ],
)
def test_a_damaged_database_is_one_error(storage: RDBStorage, study: optuna.Study, damage: str) -> None:
    study.add_trial(
        create_trial(
            value=0.5,
            params=PARAMETERS,
            distributions=DISTRIBUTIONS,
            user_attrs={"seed": 5},
            intermediate_values={100: 0.5},
        )
    )
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text(damage))
    said = "the database cannot be read: |storage .+ cannot be read or written: .*trial_values"
    with pytest.raises(ResultsError, match=said):
        stored_trials(storage, study._study_id)


def test_copies_share_what_a_trial_holds(storage: RDBStorage, study: optuna.Study) -> None:
    study.add_trial(create_trial(value=0.5, user_attrs={"config": {"width": 8}}))
    (trial,) = stored_trials(storage, study._study_id)
    copied: Any = copy.deepcopy(trial)
    assert copied == trial
    copied.number = 7
    assert trial.number == 0
    assert copied.user_attrs is trial.user_attrs
