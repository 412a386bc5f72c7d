"""What a budget has for the last stage of the shipped network: one longer run, on digits by other hands too."""

from __future__ import annotations

# Seconds, from which on there is one: below, a family's one run is as long as the budget allows. What it may take of
# a budget, found on validation images (benchmarks/README.md, "Corrupted digits").
LEAST_BUDGET = 240.0
_SHARE = 0.2
_MOST_SECONDS = 1800.0  # in which a core trains a CNN of 60,000 parameters for 200 epochs
_OF_TRAINING = 0.85  # of its seconds; the rest is for starting and for judging it
_DRAWING_SECONDS = 1.5e-5  # of an example, for what other hands draw
_LONGER = 2.0  # than the run before, where no budget limits it
_LEAST_LONGER = 1.2  # with fewer examples it would be no better
# Examples of the run before: a shorter one says little about what this would bring. On a slow processor a CNN's runs of
# a default study have some 40,000 to 70,000, and what ships after a longer one reads 0.2 points more than its finalist.
_FEWEST_OF_RUN = 10_000


def last_stage_seconds(budget: float | None) -> float:
    """Of wall-clock; 0 where there is no last stage, and without a budget, which limits nothing."""
    return 0.0 if budget is None or budget < LEAST_BUDGET else min(_MOST_SECONDS, _SHARE * budget)


def last_stage_examples(budget: float | None, of_run: int, speed: float, rounds: int, most: float) -> int:
    """How many examples a run of it trains, `most` at most, after one of so many, which saw `speed` of them a second,
    where its trainings take so many `rounds`; 0 where they would be too few."""
    affordable = _LONGER * of_run
    if budget is not None:
        seconds = _OF_TRAINING * last_stage_seconds(budget) / rounds
        affordable = seconds / (1 / speed + _DRAWING_SECONDS)
    least = _LEAST_LONGER * of_run
    return 0 if of_run < _FEWEST_OF_RUN or affordable < least else int(min(affordable, max(least, most)))
