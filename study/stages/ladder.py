"""How far trials go in a search: their rungs, and how many images they learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from study.records.settings import Ladder

# How many trials to the top rung an allowance would pay for, at the speed of the first warm start and if none were
# pruned. Without warm starts 24 and 48 in place of 12 brought an MLP search of a minute 0.3 points (3 of 4 seeds)
# and 0.8 (all 4; benchmarks/live.py); more than 24 would rank by shorter runs what is then trained for long.
_FULL_TRIALS = 24
_LEAST_FULL_TRIALS = 12
_SHORT_EPOCHS = 0.5  # epochs; at half of that one of three CNN searches lost 0.3 points, the others nothing
_EPOCHS = (0.125, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_LONGEST_STRETCH = 0.25  # of the search's wall-clock: from a trial's rung to the next one
_FEWEST_EXAMPLES = 500
_SPACING = 3  # how many times a rung is as long as the one below
_MOST_RUNGS = 4
# Of an epoch: of a typical configuration, where rungs take the same seconds for all. A first rung that is shorter lets
# go what learns slowly and ends well: with one at a ninth of an epoch MLP searches lost 0.3 points to those with one at
# a third (benchmarks/README.md, "Neighbours of the best"), and CNNs, with one at an 18th, 0.13 to what was given.
# Where only two rungs fit the first may be shorter.
_SMALLEST_RUNG = 0.2
_SMALLEST_OF_TWO = 0.1
_SMALLEST_TIMELESS_RUNG = 0.07  # where final runs are as short as three trials
# Of the trials at a rung about one in so many goes on. In replays of recorded trials 5 needed 3/4 of the epochs of 3
# for the MLP and as many for the CNN; 8 was no better, 12 worse.
_REDUCTION_FACTOR = 5
# Of the training images, those that trials learn from. On all of them a trial of a default study sees each once or
# twice, so that nothing is overfitted yet, and what it shows says little of a run that sees each seven times: the rank
# correlation of MLPs' top rungs with such a run is 0.75, and 0.94 where trials see three tenths of the images as often
# as it sees all (benchmarks/README.md, "What a short trial says of a long run").
_LEAST_IMAGES = 0.2
_FEWEST_IMAGES = 5000
_DEFAULT_EPOCHS = 2.0  # top rung without a budget: nothing may depend on this machine's speed


def full_trial_seconds(allowance: float) -> float:
    """What a trial to the top rung is planned to take of a family's allowance."""
    return allowance / _FULL_TRIALS


def choose_ladder(
    n_train: int, examples_per_second: float | None, allowance: float | None, wall: float | None = None
) -> Ladder:
    """A ladder whose top rung costs a 24th of the allowance at the measured speed, in rounded epochs; up to half an
    epoch it may cost a twelfth. However many workers share a slow machine, no trial needs much of the search's `wall`
    seconds to its next rung: at their end those in flight are trained so far."""
    epochs = _DEFAULT_EPOCHS
    if examples_per_second is not None and allowance is not None:
        affordable = examples_per_second * allowance / n_train
        wanted = max(affordable / _FULL_TRIALS, min(_SHORT_EPOCHS, affordable / _LEAST_FULL_TRIALS))
        epochs = max((e for e in _EPOCHS if e <= wanted), default=_EPOCHS[0])
        if wall is not None:
            epochs = min(epochs, max(_FEWEST_EXAMPLES / n_train, _longest(wall * examples_per_second / n_train)))
    shares = [_SPACING ** -(_MOST_RUNGS - 1 - rung) for rung in range(_MOST_RUNGS)]
    smallest = _SMALLEST_RUNG if allowance is not None else _SMALLEST_TIMELESS_RUNG
    two = len(shares) - 2 if allowance is not None and shares[-2] * epochs >= _SMALLEST_OF_TWO else len(shares) - 1
    kept = [share for place, share in enumerate(shares) if share * epochs >= smallest or place >= two]
    examples = [round(share * epochs * n_train) for share in kept]
    return Ladder(examples=tuple(examples), reduction_factor=_REDUCTION_FACTOR)


def made_alike(new: Mapping[str, Ladder], others: Sequence[Ladder], *, in_seconds: bool) -> dict[str, Ladder]:
    """The ladders of new families beside those that are there, in equal seconds where that can be, and all trials on as
    many images: of trials of two kinds one family would have the better."""
    alike = in_seconds and all(other.equal == "seconds" for other in others)
    known = [ladder.images for ladder in others or new.values()]
    fewest = min((n for n in known if n is not None), default=None)
    images = None if others and None in known else fewest
    kind = {"equal": "seconds" if alike else "examples", "images": images}
    return {family: ladder.model_copy(update=kind) for family, ladder in new.items()}


def images_of_trials(n_train: int, times: float) -> int | None:
    """From how many images a search's trials learn whose final runs are so many `times` as long: each is seen as often
    as in these, as far as the fewest allow. None for all of them."""
    share = max(_LEAST_IMAGES, round(1 / times, 1))
    n_images = max(_FEWEST_IMAGES, round(share * n_train))
    return n_images if share < 1 and n_images < n_train else None


def _longest(epochs: float) -> float:
    """Epochs of a trial, if a worker trains `epochs` during the search: all of it is one stretch where it is too short
    for a lower rung, else two thirds are."""
    stretch = _LONGEST_STRETCH * epochs
    return stretch if stretch < _SPACING * _SMALLEST_OF_TWO else stretch * _SPACING / (_SPACING - 1)
