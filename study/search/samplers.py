"""Samplers by name, made anew for every ask."""

from __future__ import annotations

import optuna
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler

from study.records.settings import SamplerName
from study.search.history import History
from study.search.tpe import KeptTPE
from study.seeds import derive_seed


def make_sampler(
    name: SamplerName, study_seed: int, family: str, draw: int, history: History, window: int | None
) -> BaseSampler:
    """A sampler for one ask. It is made anew, seeded by the draw's number: a reopened study would otherwise repeat
    the draws that it made before. TPE alone needs the `history` of the family's study, and its `window`."""
    seed = derive_seed(study_seed, family, draw, "sampler")
    if name == "tpe":
        return KeptTPE(seed, history, window)
    if name in ("random", "grid"):  # a grid's points are given; what a warm start leaves open is drawn
        return RandomSampler(seed=seed)
    # The sequence keeps one scramble; its position is kept in the storage.
    scramble = derive_seed(study_seed, family, 0, "sequence")
    return QMCSampler(
        scramble=True, seed=scramble, independent_sampler=RandomSampler(seed), warn_independent_sampling=False
    )


def make_given_sampler(study_seed: int, family: str, index: int) -> BaseSampler:
    """Draws what a given configuration leaves open, whatever the search does."""
    return RandomSampler(seed=derive_seed(study_seed, family, index, "given sampler"))


def fix_parameters(sampler: BaseSampler, parameters: dict[str, object]) -> BaseSampler:
    """The same sampler with some parameters given: for warm starts, imported and repeated trials."""
    return optuna.samplers.PartialFixedSampler(parameters, sampler)
