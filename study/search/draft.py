"""What a sampler draws before there is a trial: the part of an Optuna trial that sampling uses, without the storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from study.search.samplers import fix_parameters
from study.search.storage import quiet_experimental
from study.space.parameters import Config, Scalar, SearchSpace
from study.space.sampling import sample

# The same objects for all trials: what is made of them, and sent to other processes, is then made once.
_float = lru_cache(FloatDistribution)
_int = lru_cache(IntDistribution)


@lru_cache
def _categorical(choices: tuple[Scalar, ...], _: tuple[type, ...]) -> CategoricalDistribution:
    """The types tell False and True from 0 and 1."""
    return CategoricalDistribution(choices)


@dataclass(frozen=True)
class Drawn:
    """What was drawn for the trial of this `draw`, by Optuna's names, and the configuration that it makes."""

    draw: int
    parameters: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    config: Config


def drawn(draw: int, space: SearchSpace, study: optuna.Study, sampler: BaseSampler, given: Mapping[str, Any]) -> Drawn:
    """What is given and, for the rest of a space, what the sampler draws as the study's next trial."""
    with quiet_experimental():
        draft = Draft(study, fix_parameters(sampler, dict(given)) if given else sampler)
    config = sample(space, draft)
    return Drawn(draw, draft.parameters, draft.distributions, config)


class Draft:
    """Suggests what `optuna.Trial` would suggest as the study's next trial: jointly what the sampler draws jointly, the
    rest one by one. A trial of Optuna stores each parameter by itself, and copies all that it holds each time."""

    def __init__(self, study: optuna.Study, sampler: BaseSampler) -> None:
        self.parameters: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self._study = study
        self._sampler = sampler
        self._trial = FrozenTrial(
            number=len(study.get_trials(deepcopy=False)),
            trial_id=-1,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=None,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    @cached_property
    def _joint(self) -> Mapping[str, Any]:
        """What is drawn jointly: when the first parameter is asked for, as Optuna does it, of the trials as they are
        then."""
        self._study._thread_local.cached_all_trials = None  # as `Study.ask` does
        space = self._sampler.infer_relative_search_space(self._study, self._trial)
        return self._sampler.sample_relative(self._study, self._trial, space)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._suggest(name, _float(low, high, log, step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._suggest(name, _int(low, high, log, step)))

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Any:
        return self._suggest(name, _categorical(tuple(choices), tuple(map(type, choices))))

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        number = distribution.to_internal_repr(self._drawn(name, distribution))
        self.parameters[name] = value = distribution.to_external_repr(number)
        self.distributions[name] = distribution
        return value

    def _drawn(self, name: str, distribution: BaseDistribution) -> Any:
        if isinstance(distribution, CategoricalDistribution) and distribution.single():
            return distribution.choices[0]
        if isinstance(distribution, FloatDistribution | IntDistribution) and distribution.single():
            return distribution.low
        if name in self._joint and distribution._contains(distribution.to_internal_repr(self._joint[name])):
            return self._joint[name]
        return self._sampler.sample_independent(self._study, self._trial, name, distribution)
