"""Invented finished trials, so that a study of thousands can be measured without searching for hours.

Each has drawn parameters, a value at each rung, the attributes that the driver sets and its line in trials.jsonl, all
made by the program's own `record_of`. What is invented is the accuracy: better trials are better at every rung.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from study.records.settings import Ladder
from study.records.trial import Form, append_trials
from study.search.agreement import record_of
from study.space.parameters import SearchSpace
from study.space.sampling import sample

BEST_INVENTED = 0.992  # no invented trial is more accurate
_EXAMPLES_PER_SECOND = 20_000
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class _Draw:
    """Answers suggestions with random values, and keeps them with their distributions."""

    def __init__(self, rng: np.random.Generator, known: dict[str, BaseDistribution]) -> None:
        self._rng = rng
        self._known = known
        self.parameters: dict[str, Any] = {}

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {name: self._known[name] for name in self.parameters}

    def _keep(self, name: str, value: Any, distribution: BaseDistribution) -> Any:
        self._known.setdefault(name, distribution)
        self.parameters[name] = value
        return value

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        value = math.exp(self._rng.uniform(math.log(low), math.log(high))) if log else self._rng.uniform(low, high)
        if step is not None:
            value = low + step * math.floor((value - low) / step)
        value = min(high, max(low, float(value)))
        return float(self._keep(name, value, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if log:
            value = min(high, int(math.exp(self._rng.uniform(math.log(low), math.log(high + 1)))))
        else:
            value = low + step * int(self._rng.integers((high - low) // step + 1))
        return int(self._keep(name, value, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        value = choices[int(self._rng.integers(len(choices)))]
        return self._keep(name, value, CategoricalDistribution(tuple(choices)))


def invent(space: SearchSpace, ladder: Ladder, numbers: range, seed: int, *, halved: bool) -> Iterator[FrozenTrial]:
    """Finished trials with these numbers. `halved`: at each rung the better third goes on, the rest is pruned there;
    otherwise every trial reports at every rung and is complete."""
    rng = np.random.default_rng(seed)
    known: dict[str, BaseDistribution] = {}
    clock = _BEGAN
    for number in numbers:
        draw = _Draw(rng, known)
        config = sample(space, draw)
        rank = 1.0 - rng.random()  # in (0, 1]: the share of trials that are better
        n_rungs = len(ladder.examples)
        if halved:
            n_rungs = min(n_rungs, 1 + math.floor(-math.log(rank) / math.log(ladder.reduction_factor)))
        rungs = [_rung(ladder, examples, rank, rng) for examples in ladder.examples[:n_rungs]]
        complete = n_rungs == len(ladder.examples)
        seconds = rungs[-1]["training_seconds"]
        clock += timedelta(seconds=seconds / 2)  # two workers
        attributes = {
            "role": "sampled",
            "draw": number,
            "seed": int(rng.integers(2**32)),
            "attempt": 1,
            "config": config,
            "held_seconds": round(1.03 * seconds, 3),
            "worker": number % 2,
            "rungs": rungs,
            "n_parameters": int(rng.integers(20_000, 500_000)),
            "flops": int(rng.integers(1_000_000, 20_000_000)),
            "training_seconds": seconds,
        }
        if not complete:
            attributes["reason"] = f"pruned at {rungs[-1]['examples']} examples"
        yield FrozenTrial(
            number=number,
            trial_id=number + 1,
            state=TrialState.COMPLETE if complete else TrialState.PRUNED,
            value=rungs[-1]["accuracy"] if complete else None,
            datetime_start=_local(clock - timedelta(seconds=seconds)),
            datetime_complete=_local(clock),
            params=draw.parameters,
            distributions=draw.distributions,
            user_attrs=attributes,
            system_attrs={},
            intermediate_values={rung["examples"]: rung["accuracy"] for rung in rungs},
        )


def _rung(ladder: Ladder, examples: int, rank: float, rng: np.random.Generator) -> dict[str, Any]:
    error = (1 - BEST_INVENTED + 0.1 * rank) * (ladder.examples[-1] / examples) ** 0.4 * math.exp(0.1 * rng.random())
    error = min(0.9, error)
    return {
        "examples": examples,
        "accuracy": round(1 - error, 4),
        "nll_scaled": 3.2 * error,
        "temperature": float(rng.uniform(0.7, 1.0)),
        "training_seconds": round(examples / _EXAMPLES_PER_SECOND, 3),
    }


def _local(moment: datetime) -> datetime:
    """As Optuna has it in a trial: local and naive."""
    return moment.astimezone().replace(tzinfo=None)


def append_records(path: Path, trials: Iterable[FrozenTrial], family: str, form: Form) -> None:
    """The trials' lines at the end of trials.jsonl, without waiting for the disk at each."""
    with mock.patch("os.fsync", return_value=None):
        append_trials(path, [record_of(trial, family) for trial in trials], form)


def store(url: str, study_name: str, trials: Sequence[FrozenTrial]) -> None:
    """Insert trials into an Optuna study that has none yet, a table at a time: `Study.add_trials` commits each."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        named = sqlalchemy.select(models.StudyModel.study_id).where(models.StudyModel.study_name == study_name)
        study_id = connection.execute(named).scalar_one()
        last = connection.execute(sqlalchemy.select(sqlalchemy.func.max(models.TrialModel.trial_id))).scalar_one() or 0
        for model, rows in _tables(trials, study_id, last + 1).items():
            if rows:
                connection.execute(sqlalchemy.insert(model.__table__), rows)
    engine.dispose()


def _tables(trials: Sequence[FrozenTrial], study_id: int, first_id: int) -> dict[Any, list[dict[str, Any]]]:
    rows: dict[Any, list[dict[str, Any]]] = {
        model: []
        for model in (
            models.TrialModel,
            models.TrialParamModel,
            models.TrialValueModel,
            models.TrialIntermediateValueModel,
            models.TrialUserAttributeModel,
        )
    }
    text = {name: optuna.distributions.distribution_to_json(d) for t in trials for name, d in t.distributions.items()}
    for trial_id, trial in enumerate(trials, first_id):
        rows[models.TrialModel].append(
            {
                "trial_id": trial_id,
                "number": trial.number,
                "study_id": study_id,
                "state": trial.state,
                "datetime_start": _stored(trial.datetime_start),
                "datetime_complete": _stored(trial.datetime_complete),
            }
        )
        rows[models.TrialParamModel] += [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": text[name],
            }
            for name, value in trial.params.items()
        ]
        if trial.state == TrialState.COMPLETE:
            value, kind = models.TrialValueModel.value_to_stored_repr(float(trial.value or 0.0))
            rows[models.TrialValueModel].append(
                {"trial_id": trial_id, "objective": 0, "value": value, "value_type": kind}
            )
        finite = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
        rows[models.TrialIntermediateValueModel] += [
            {"trial_id": trial_id, "step": step, "intermediate_value": value, "intermediate_value_type": finite}
            for step, value in trial.intermediate_values.items()
        ]
        rows[models.TrialUserAttributeModel] += [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for key, value in trial.user_attrs.items()
        ]
    return rows


def _stored(moment: datetime | None) -> datetime | None:
    """As Optuna's tables have it: UTC and naive."""
    return moment and moment.astimezone(UTC).replace(tzinfo=None)
