"""Replays of a tiny invented pool: by hand, and against the pruners themselves in an Optuna study."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import optuna
import pytest
import replay
from ladder import spearman, top_kept
from scipy.stats import spearmanr

from study.search.pruners import AshaPruner

Steps = list[tuple[float, float]]
UNTIL = 15.1  # epochs that the 80 trials of a comparison surely take


def stream_of(*configs: int) -> Iterator[np.ndarray]:
    return (np.array([config]) for config in itertools.chain(configs, itertools.repeat(configs[-1])))


def steps_of(track: replay.Track) -> Steps:
    """(epochs, accuracy) where the one replay's yield changes."""
    epochs, mean = track.points
    changed = np.flatnonzero(np.diff(mean, prepend=replay.CHANCE).round(9))
    return [(round(float(epochs[at]), 6), round(float(mean[at]), 6)) for at in changed]


def way(values: list[list[float]], epochs: list[float]) -> replay.Way:
    value = np.array(values)
    return replay.Way(value, np.repeat(np.array(epochs)[:, None], value.shape[1], axis=1))


# Rungs of 0.1, 0.2 and 0.7 epochs of four configurations; the third is the best, the fourth fails at once.
VALUES = [[0.5, 0.6, 0.7, np.nan], [0.6, 0.5, 0.8, np.nan], [0.90, 0.70, 0.95, np.nan]]
FINAL = np.array([0.89, 0.71, 0.94, replay.CHANCE])


def test_halving_by_hand() -> None:
    track = replay.halving(way(VALUES, [0.1, 0.2, 0.7]), FINAL, stream_of(0, 1, 3, 2), 1, 0, 3, until=4.0)
    # 0 runs to the top (1.0 epochs); what it was worth at its rungs is known from 0.1 on. 1 is the best at its first
    # rung and stops at the second (1.3); 3 fails (1.4); 2 is the best everywhere and arrives at 2.4.
    assert steps_of(track) == [(0.1, 0.89), (2.4, 0.94)]


def test_random_search_is_halving_with_one_rung() -> None:
    track = replay.halving(way(VALUES, [0.1, 0.2, 0.7]), FINAL, stream_of(1, 3, 0, 2), 1, 2, 3, until=4.0)
    assert steps_of(track) == [(0.7, 0.71), (2.1, 0.89), (2.8, 0.94)]


def test_the_mean_over_replays_of_random_search() -> None:
    rng = np.random.default_rng(0)
    drawn = (rng.integers(2, size=4000) for _ in itertools.count())
    track = replay.halving(way([[0.8, 0.9]], [1.0]), np.array([0.7, 0.9]), drawn, 4000, 0, 3, until=5.0)
    epochs, mean = track.points
    for n in (1, 2, 3):
        assert mean[np.searchsorted(epochs, n - 1e-6)] == pytest.approx(0.9 - 0.2 / 2**n, abs=0.005)


def by_optuna(way: replay.Way, final: np.ndarray, configs: list[int], pruner: optuna.pruners.BasePruner) -> Steps:
    """What a study with this pruner would yield, trial after trial."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    found: Steps = []
    best, spent, last = (-1, -1.0), 0.0, len(way.value) - 1
    halving = isinstance(pruner, AshaPruner)
    for config in configs:
        trial = study.ask()
        state = optuna.trial.TrialState.COMPLETE
        for mark, (value, cost) in enumerate(zip(way.value[:, config], way.epochs[:, config], strict=True)):
            spent += cost
            if np.isnan(value):
                state = optuna.trial.TrialState.FAIL
                break
            trial.report(value, mark + 1)
            stops = (mark < last or not halving) and trial.should_prune()
            rung = mark if halving else 0
            if (halving or (mark == last and not stops)) and (rung, value) > best:
                best = (rung, value)
                found.append((round(spent, 6), round(float(final[config]), 6)))
            if stops:
                state = optuna.trial.TrialState.PRUNED
                break
        complete = state == optuna.trial.TrialState.COMPLETE
        study.tell(trial, way.value[last, config] if complete else None, state=state)
    return [step for before, step in zip([(0.0, replay.CHANCE), *found], found, strict=False) if step[1] != before[1]]


@pytest.fixture
def invented() -> tuple[replay.Way, np.ndarray]:
    """30 configurations with noisy curves that rise, with ties, and two that fail."""
    rng = np.random.default_rng(3)
    quality = rng.uniform(0.6, 0.95, 30)
    marks = np.arange(1, 6)[:, None] / 5
    value = (quality * (0.5 + 0.5 * marks) + rng.normal(0, 0.1, (5, 30))).round(2)
    value[3:, 4] = np.nan
    value[:, 9] = np.nan
    return replay.Way(value, np.full((5, 30), 0.2)), np.nan_to_num(quality, nan=replay.CHANCE)


@pytest.mark.parametrize("factor", [2, 3])
def test_halving_is_the_program_s_rule(invented: tuple[replay.Way, np.ndarray], factor: int) -> None:
    curve, final = invented
    rungs = replay.Way(curve.value[2:], curve.epochs[2:])  # more of them would let hardly a trial reach the top
    agree(
        rungs,
        final,
        lambda: AshaPruner(factor),
        lambda stream: replay.halving(rungs, final, stream, 1, 0, factor, UNTIL),
    )


def test_median_is_optuna_s_rule(invented: tuple[replay.Way, np.ndarray]) -> None:
    agree(*invented, optuna.pruners.MedianPruner, lambda stream: replay.median(*invented, stream, 1, UNTIL))


def agree(
    way: replay.Way,
    final: np.ndarray,
    new_pruner: Callable[[], optuna.pruners.BasePruner],
    run: Callable[[Iterator[np.ndarray]], replay.Track],
) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    n_changes = 0
    for seed in range(8):
        configs = np.random.default_rng(seed).integers(30, size=80).tolist()
        expected = [step for step in by_optuna(way, final, configs, new_pruner()) if step[0] < UNTIL]
        assert steps_of(run(stream_of(*configs))) == expected
        n_changes += len(expected)
    assert n_changes > 16


def pool_of(values: list[list[float]], final: list[float]) -> replay.Pool:
    whole = way(values, [rung / replay.EPOCH for rung in replay.RUNGS])
    index = np.arange(len(final))
    return replay.Pool("mlp", index, index[:0], whole, whole, None, np.array(final))


def test_short_then_top_by_hand() -> None:
    # By the rung F/3 the second is better than the third, which is the best at full length; the fourth fails there.
    third = [0.5, 0.8, 0.7, np.nan]
    pool = pool_of([third, third, third, [0.6, 0.85, 0.95, 0.99]], [0.61, 0.86, 0.94, 0.98])
    drawn = np.array([[0, 3, 2, 1, 0, 0, 0, 0]])
    # 6 epochs: 3 for four short runs and one full one; the fourth drawn, the second configuration, is the best.
    assert replay.short_then_top(pool, 2, drawn, 6.0, None, 0) == (0.86, 1)
    # With K = 2 two epochs are left for three short runs, and 0 and 2 get the full one.
    assert replay.short_then_top(pool, 2, drawn, 6.0, 2, 0) == (0.94, 2)
    assert replay.short_then_top(pool, 2, drawn, 6.0, 3, 0) is None
    assert replay.short_then_top(pool, 2, drawn, 2.0, None, 0) is None


def test_rank_correlation_is_scipy_s() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(8, size=(5, 20)).astype(float), rng.normal(size=(5, 20))
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    assert spearman(a, b) == pytest.approx(np.array(expected))
    assert float(spearman(np.ones(4), np.arange(4.0))) == 0.0


def test_share_of_the_top_that_goes_on() -> None:
    final = np.arange(30) / 30
    assert top_kept(final, final) == 1.0
    assert top_kept(-final, final) == 0.0
    values = final.copy()
    values[29] = 0.0  # one of the best three falls out of the best ten
    assert top_kept(values, final) == pytest.approx(2 / 3)
