"""What a budget has for the last stage of the shipped network, on digits by other hands."""

from __future__ import annotations

# Seconds, from which on there is one, what it may take of a budget, and how long at most. A CNN of 100,000 parameters
# needs some 10 s of each of two cores for all its examples.
LEAST_BUDGET = 180.0
_SHARE = 0.055
_MOST_SECONDS = 40.0
_OF_TRAINING = 0.8  # of its seconds; the rest is for starting and for judging it
# A step of it takes so many times as long as one of the run before, for its teacher, and for what it draws so many
# seconds an example more.
_SLOWER = 1.35
_DRAWING_SECONDS = 4e-5
# Found on validation images, see "Corrupted digits" in benchmarks/README.md.
_EXAMPLES = 51_200
_FEWEST_EXAMPLES = 25_600
_OF_RUN = 0.6  # of the examples of the run before, at most


def last_stage_seconds(budget: float | None) -> float:
    """Of wall-clock; 0 where there is no last stage, and without a budget, which limits nothing."""
    return 0.0 if budget is None or budget < LEAST_BUDGET else min(_MOST_SECONDS, _SHARE * budget)


def last_stage_examples(budget: float | None, of_run: int, speed: float, rounds: int) -> int:
    """How many examples it trains after a run of so many, which saw `speed` of them a second, where its trainings take
    so many `rounds`; 0 where they would be too few."""
    most = min(_EXAMPLES, _OF_RUN * of_run)
    if budget is not None:
        seconds = _OF_TRAINING * last_stage_seconds(budget) / rounds
        most = min(most, seconds / (_SLOWER / speed + _DRAWING_SECONDS))
    return int(most) if most >= _FEWEST_EXAMPLES else 0
