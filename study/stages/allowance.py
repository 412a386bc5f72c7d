"""What a family's trials may take of a search: those that it draws, and those that are given to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from study.records.trial import Trials, read_trials
from study.space.grammar import parse_space
from study.stages.ladder import full_trial_seconds
from study.stages.one_search import OneSearch
from study.stages.plan import steady_speed

# What is given may take so many times what is planned for it, since a configuration may be slower than the first warm
# start; but it must leave the search most of its time, however little that is.
_GIVEN_MARGIN = 2.0
_MOST_GIVEN = 0.3  # planned, of a family's whole allowance


@dataclass(frozen=True, slots=True)
class Allowances:
    """Worker-seconds of each family, the same for all, those before this command included; None is without limit.
    `given` is what its given trials may take where they are kept apart."""

    found: float | None
    given: float | None = None


def allowances(one: OneSearch, trials: Trials) -> Allowances:
    """Where what is given is kept apart, the search gets what is expected to be left by it; of several searches each
    gets the same, as if each had trained its part of what is given."""
    session = one.session
    # A repeat has no start-up of its own to pay for, and no more to spend than the search before it.
    most = None if one.first is None else one.first.session.ledger.allowance
    here = _charged(one, trials)
    level = _level(one, here, lent_seconds(one, trials))
    if level is None:
        return Allowances(None)
    if session.settings.given is None:
        return Allowances(level if most is None else min(level, most))
    spent, ahead = _given(one, here, level)
    found = level - spent - ahead
    return Allowances(found if most is None else min(found, most), spent + _GIVEN_MARGIN * ahead)


def lent_seconds(one: OneSearch, trials: Trials) -> float:
    """Wall-clock that the searches after the first leave to it for what is given, so that all have as much for what
    they find: of what is given each bears its part."""
    here = _charged(one, trials)
    level = _level(one, here, 0.0)
    if level is None or one.first is not None or one.session.settings.given is None:
        return 0.0
    others = 1 - 1 / one.goal.n_searches
    return others * sum(_given(one, here, level)) * len(one.goal.families) / one.session.n_workers


def _charged(one: OneSearch, trials: Trials) -> Trials:
    """Imported trials took their seconds in another study, but in studies that count what is given as the search's."""
    return Trials(trial for trial in trials if one.session.settings.given is None or trial.role != "imported")


def _level(one: OneSearch, here: Trials, lent: float) -> float | None:
    """Worker-seconds of each family, what is given included."""
    spent = {family: here.of(family).held_seconds for family in one.goal.families}
    return one.plan.lending(lent).allowance(spent, one.session.n_workers)


def _given(one: OneSearch, here: Trials, level: float) -> tuple[float, float]:
    """Worker-seconds that the given trials of a family took, at most, and what is ahead of them."""
    spent = max(here.of(family).given.held_seconds for family in one.goal.families)
    most_owed = max(n_owed(one, here).values(), default=0)
    return spent, min(most_owed * _full_trial_seconds(one, level), _MOST_GIVEN * (level - spent))


def n_owed(one: OneSearch, trials: Trials) -> Mapping[str, int]:
    """How many given configurations of each family are still to be trained."""
    settings = one.session.settings
    if settings.repeat_of is not None:
        return {}
    stored = [parse_space(family.space, family.space_file) for family in settings.families.values()]
    spaces = {space.family: space for space in [*stored, *one.session.new_spaces]}
    n_warm = min([settings.warm_starts, *(len(space.warm_starts) for space in spaces.values())])
    files = Counter(one.family for one in settings.given_files)
    done = Counter((trial.family, trial.role) for trial in trials.counted)
    return {
        family: max(0, n_warm - done[family, "warm_start"]) + max(0, files[family] - done[family, "given_file"])
        for family in spaces
    }


def _full_trial_seconds(one: OneSearch, level: float) -> float:
    """Of one that reaches the top rung; as planned until all families have a ladder."""
    ladders, speeds = one.session.settings.families, speeds_of(one)
    if not ladders or ladders.keys() - speeds.keys():
        return full_trial_seconds(level)
    measured = one.session.ledger.speeds  # of the typical configuration, whose seconds rungs of equal seconds take

    def speed(name: str) -> float:
        return measured.get(name, speeds[name]) if ladders[name].ladder.equal == "seconds" else speeds[name]

    return max(family.ladder.examples[-1] / speed(name) for name, family in ladders.items())


def speeds_of(one: OneSearch) -> dict[str, float]:
    """Examples a second of each family: as measured for its ladder, or the median of its trials."""
    found: dict[str, list[float]] = {}
    for trial in read_trials(one.session.files.trials_jsonl).completed:
        found.setdefault(trial.family, []).append(steady_speed(trial))
    return one.session.ledger.speeds | {family: median(speeds) for family, speeds in found.items()}
