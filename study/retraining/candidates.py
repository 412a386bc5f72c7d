"""Which trials of the searches are trained again. Pure functions of their records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from study.records.trial import TrialRecord, Trials
from study.space.points import identity

_LEAST_ERROR: float = 1e-4  # an image of ten thousand: what no error is taken to be less than
_LENGTH = 6.0  # times as long as a trial a run is, about: 3 to 9 in default studies, 25 in those of three minutes


def choose_candidates(trials: Trials, n: int, *, speed_share: float) -> dict[str, Trials]:
    """Up to `n` trials of each family that has any, to be trained again, each another configuration; of two or more the
    best trial over all families is one. A configuration that was tried under several seeds stands for its best trial.

    Where trials were compared after equal examples and runs will get equal seconds, a network twice as fast sees twice
    the examples in them, and one whose errors still fall gains more by them than one that has learned what it can:
    completed trials are chosen by the error that each can expect then. `speed_share` is how much of the fall seen in
    the search is taken to go on, from 0, for runs of equal examples, to 1.
    """
    best, chosen = best_trial(trials), {}
    for family in trials.families:
        ranked = list(_by_expected_error(trials.of(family), speed_share))
        if n > 1 and best in ranked[n:]:
            ranked = [*ranked[: n - 1], best]
        if ranked:
            chosen[family] = Trials(ranked[:n])
    return chosen


def choose_given(given: Trials, *, speed_share: float) -> dict[str, Trials]:
    """Of what was given to each family every configuration from a file, best first, since its user asked how it
    compares, and then the best other one."""
    from_files = Trials(trial for trial in given if trial.role == "given_file")
    asked = {family: list(_by_expected_error(from_files.of(family), speed_share)) for family in from_files.families}
    same = {(trial.family, identity(trial.config)) for trial in from_files}
    others = Trials(trial for trial in given if (trial.family, identity(trial.config)) not in same)
    best = choose_candidates(others, 1, speed_share=speed_share)
    chosen = {family: Trials([*asked.get(family, ()), *best.get(family, ())]) for family in given.families}
    return {family: trials for family, trials in chosen.items() if trials}


def choose_beside(
    found: Mapping[str, Trials], drawn: Trials, given: Trials, *, given_share: float
) -> dict[str, Trials]:
    """What is trained again beside what was `found`, so that it can be said what the search added: the best that was
    given, and the first configuration that a family's search drew and trained to a rung, unless it was found."""
    best = choose_given(given, speed_share=given_share)
    chosen = {}
    for family in dict.fromkeys([*drawn.families, *best]):
        same = {identity(trial.config) for trial in found.get(family, ())}
        first = min((one for one in drawn.of(family) if one.rungs), key=lambda one: one.number, default=None)
        new = [] if first is None or identity(first.config) in same else [first]
        chosen[family] = Trials([*best.get(family, ()), *new])
    return chosen


def choose_of_both(trials: Trials, n: int, *, speed_share: float, given_share: float) -> dict[str, Trials]:
    """`n` candidates of each family, found or given: the best found one and what `choose_given` names are among them,
    and the best trial over all families, if need be more than `n`, so that it can be said what the search added.
    `given_share` is the speed share of what was given."""
    found = choose_candidates(trials.found, 1, speed_share=speed_share)
    given = choose_given(trials.given, speed_share=given_share)
    first, chosen = best_trial(trials), {}
    for family, best in choose_candidates(trials, n, speed_share=speed_share).items():
        needed = [*found.get(family, ()), *given.get(family, ())]
        same = {identity(trial.config) for trial in needed}
        if first is not None and first.family == family and identity(first.config) not in same:
            needed.append(first)
            same.add(identity(first.config))
        others = [trial for trial in best if identity(trial.config) not in same]
        chosen[family] = Trials([*needed, *others[: max(0, n - len(needed))]])
    return chosen


def _by_expected_error(trials: Trials, speed_share: float) -> Trials:
    """A family's configurations, each as its best trial."""
    ranked = _distinct(trials.ranked)
    if not speed_share:
        return ranked
    typical = error_slope(trials)

    def expected(trial: TrialRecord) -> float:
        slope = _slope(trial)
        steeper = 0.0 if slope is None else min(1.0, max(0.0, slope)) - typical
        speed = max(1e-3, trial.training_seconds) ** (speed_share * typical)
        return float(_error(trial.last.accuracy) * speed * _LENGTH ** (-speed_share * steeper))

    order = sorted(ranked.completed, key=expected)
    return Trials([*order, *ranked[len(order) :]])


def _distinct(ranked: Iterable[TrialRecord]) -> Trials:
    """The first trial of each configuration."""
    firsts: dict[str, TrialRecord] = {}
    for trial in ranked:
        firsts.setdefault(identity(trial.config), trial)
    return Trials(firsts.values())


def error_slope(trials: Trials) -> float:
    """b in error ~ examples^-b, from 0 to 1: the median over a family's completed trials between their last two rungs;
    0 where none has two. About the first epoch it is 0.5 to 0.6 (benchmarks/recorded/pool.csv), and later less."""
    slopes = [slope for trial in trials.completed if (slope := _slope(trial)) is not None]
    return min(1.0, max(0.0, float(np.median(slopes)))) if slopes else 0.0


def _slope(trial: TrialRecord) -> float | None:
    """b of one trial."""
    if len(trial.rungs) < 2:
        return None
    before, last = trial.rungs[-2:]
    fall = math.log(_error(before.accuracy) / _error(last.accuracy))
    return fall / math.log(last.examples / before.examples)


def _error(accuracy: float) -> float:
    return 1.0 - accuracy + _LEAST_ERROR


def best_trial(trials: Trials) -> TrialRecord | None:
    """The best trial over all families; where none was completed, the best of those that lead their family."""
    leaders = [leader for family in trials.families for leader in trials.of(family).ranked[:1]]
    return trials.best or min(leaders, key=lambda trial: trial.rank, default=None)
