"""A search's surrogate: beside scikit-learn's process and differences, and what it proposes of a known landscape."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from trials import rungs, trial

from study.records.trial import TrialRecord
from study.search import surrogate
from study.search.draft import drawn
from study.search.surrogate import MOST_TRIALS, Surrogate
from study.space.grammar import parse_space
from study.space.parameters import Scalar, SearchSpace

SPACE = """
family = "mlp"
depth = { low = 1, high = 4 }
dropout = { low = 0.0, high = 0.5 }
batch_size = { choices = [64, 128, 256] }
optimizer = { choices = ["sgd", "adam"] }
momentum = { low = 0.8, high = 0.98, when = { optimizer = "sgd" } }
learning_rate = { low = 1e-4, high = 1.0, log = true }
"""
STEPS = (100, 300, 900)


@pytest.fixture
def space() -> SearchSpace:
    return parse_space(SPACE, "space.toml")


def error(parameters: Mapping[str, Any]) -> float:
    """At the top rung 2 % at best: Adam, 0.01, no dropout."""
    apart = 0.4 * math.log10(parameters["learning_rate"] / 0.01) ** 2 + 2 * parameters["dropout"]
    return float(0.02 * math.exp(apart + (parameters["optimizer"] == "sgd")))


def ended(number: int, parameters: Mapping[str, Scalar], n_rungs: int, **more: Any) -> TrialRecord:
    """A trial that came to so many rungs, at each of which errors are two thirds of those at the one before."""
    at = [1 - min(0.9, error(parameters) * 1.5 ** (len(STEPS) - 1 - place)) for place in range(n_rungs)]
    state = "COMPLETE" if n_rungs == len(STEPS) else "PRUNED"
    known = {"parameters": parameters, "rungs": rungs(*zip(STEPS, at, strict=False)) if at else (), "state": state}
    return dataclasses.replace(trial(number), **known | more)


def random_draws(space: SearchSpace, n: int, seed: int = 0) -> list[Mapping[str, Scalar]]:
    study = optuna.create_study()
    return [
        drawn(k, space, study, optuna.samplers.RandomSampler(seed=1000 * seed + k), {}).parameters for k in range(n)
    ]


def searched(space: SearchSpace, n: int) -> list[TrialRecord]:
    """Of random trials half are pruned at the first rung and a quarter at the second."""
    return [ended(k, one, (3, 1, 2, 1)[k % 4]) for k, one in enumerate(random_draws(space, n))]


def proposals(space: SearchSpace, records: Sequence[TrialRecord], n: int = 8) -> list[dict[str, Scalar]]:
    return [Surrogate(space, len(STEPS)).proposal(records, (), seed) for seed in range(n)]


def test_in_a_search_it_finds_what_random_draws_do_not(space: SearchSpace) -> None:
    records, one = searched(space, 16), Surrogate(space, len(STEPS))
    for seed in range(24):
        records.append(ended(len(records), one.proposal(records, (), seed), 3))
    at_random = [error(parameters) for parameters in random_draws(space, 200)]
    assert min(error(record.parameters) for record in records) < min(at_random)
    late = np.array([error(record.parameters) for record in records[-12:]])  # bold ones among them
    assert (late < np.quantile(at_random, 0.05)).mean() >= 0.5


def test_what_it_expects_to_be_best_is_so(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "_BOLDNESS", (0.0,))
    records = searched(space, 40)
    found = [error(one) for one in proposals(space, records)]
    assert np.median(found) < np.quantile([error(record.parameters) for record in records], 0.05)
    assert len({round(one, 6) for one in found}) > 1  # another seed, another proposal


def test_pruned_trials_tell_it_of_the_top_rung(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "_BOLDNESS", (0.0,))
    pruned = [ended(k, one, 1 if k % 8 else 3) for k, one in enumerate(random_draws(space, 40))]
    complete_alone = [record for record in pruned if record.state == "COMPLETE"]
    told, untold = (np.mean([error(one) for one in proposals(space, known)]) for known in (pruned, complete_alone))
    assert told < untold / 2


def test_it_keeps_away_from_what_failed(space: SearchSpace) -> None:
    records = searched(space, 30)
    failing = [
        dataclasses.replace(one, rungs=(), state="FAIL") if one.parameters["optimizer"] == "adam" else one
        for one in records
    ]
    assert {one["optimizer"] for one in proposals(space, records)} == {"adam"}
    assert {one["optimizer"] for one in proposals(space, failing)} == {"sgd"}


def test_it_does_not_propose_again_what_a_worker_has(space: SearchSpace) -> None:
    records, one = searched(space, 40), Surrogate(space, len(STEPS))
    first = one.proposal(records, (), 1)
    assert one.proposal(records, (), 1) == first
    other = one.proposal(records, [first], 1)
    seen = one._encoding.seen(one._encoding.rows([first, other], np.random.default_rng(0)))
    assert np.abs(seen[0] - seen[1]).sum() > 0.05


def test_without_a_trial_that_told_anything_there_is_no_proposal(space: SearchSpace) -> None:
    draws = random_draws(space, 3)
    failed = [dataclasses.replace(ended(k, one, 0), state="FAIL") for k, one in enumerate(draws)]
    interrupted = ended(3, draws[0], 2, counted=False)
    for records in ([], failed, [interrupted]):
        assert Surrogate(space, len(STEPS)).proposal(records, (), 0) == {}


def test_where_numbers_fail_there_is_no_proposal(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError

    monkeypatch.setattr(surrogate, "cho_factor", fail)
    assert Surrogate(space, len(STEPS)).proposal(searched(space, 12), (), 0) == {}


def test_of_a_space_without_ranges_there_is_no_proposal() -> None:
    fixed = parse_space(SPACE[: SPACE.index("depth")] + "depth = 2\n", "space.toml")
    assert Surrogate(fixed, len(STEPS)).proposal([ended(0, {}, 0, rungs=rungs((100, 0.9)))], (), 0) == {}


def test_trials_that_are_all_alike_or_all_perfect_do_no_harm(space: SearchSpace) -> None:
    [one] = random_draws(space, 1)
    alike = [ended(k, one, 3) for k in range(12)]
    perfect = [dataclasses.replace(record, rungs=rungs(*zip(STEPS, (1.0, 1.0, 1.0), strict=True))) for record in alike]
    for records in (alike, perfect):
        assert all(proposals(space, records, 2))


def test_whoever_goes_on_has_the_kernel_of_whoever_was_interrupted(space: SearchSpace) -> None:
    records = searched(space, 30)
    whole = Surrogate(space, len(STEPS))
    steps = [whole.proposal(records[:n], (), n) for n in range(8, 31)]
    anew = [Surrogate(space, len(STEPS)).proposal(records[:n], (), n) for n in range(8, 31, 11)]
    assert steps[::11] == anew


def test_of_many_trials_it_looks_at_the_best_and_the_newest(space: SearchSpace) -> None:
    draws = random_draws(space, MOST_TRIALS + 144)
    many = [ended(k, one, (3, 1, 2, 1, 0)[k % 5]) for k, one in enumerate(draws)]
    many = [one if one.rungs else dataclasses.replace(one, state="FAIL") for one in many]
    found = surrogate._looked_at(many)
    numbers = [one.number for one in found]
    complete = sorted((one for one in many if one.state == "COMPLETE"), key=lambda one: one.rank)
    assert len(set(numbers)) == len(numbers) == MOST_TRIALS
    assert {one.number for one in complete} <= set(numbers[: MOST_TRIALS // 2])  # they came furthest
    assert "FAIL" not in {one.state for one in found[: MOST_TRIALS // 2]}
    assert set(range(len(many) - 30, len(many))) <= set(numbers)
    assert surrogate._looked_at(many[:MOST_TRIALS]) == many[:MOST_TRIALS]
    assert Surrogate(space, len(STEPS)).proposal(many, (), 0)


def test_what_could_not_be_read_is_as_bad_as_can_be(space: SearchSpace) -> None:
    records = searched(space, 12)
    broken, bad = (
        [dataclasses.replace(records[0], rungs=rungs((100, accuracy))), *records[1:]] for accuracy in (math.nan, 0.1)
    )
    assert proposals(space, broken, 2) == proposals(space, bad, 2)


# --- its arithmetic --------------------------------------------------------------------------------------------------


def example(n_rungs: int, n: int = 25) -> tuple[surrogate._Seen, NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    pairs = [(one, rung) for one in range(n) for rung in range(1 + one % n_rungs)]
    trials, at = (np.array(each) for each in zip(*pairs, strict=True))
    columns = rng.random((n, 5))
    log_errors = np.sin(3 * columns[trials, 0]) - 0.4 * at + 0.1 * rng.standard_normal(len(trials))
    return surrogate._Seen(columns, trials, at, log_errors), np.array([0, 0, 1, 2, 2])


def test_the_derivatives_of_the_loss_are_its_differences() -> None:
    seen, groups = example(3)
    first = surrogate._Kernel.first(3, seen, 3)
    loss = surrogate._Loss(seen, groups, first)
    at = first.flat + 0.1 * np.random.default_rng(1).standard_normal(len(first.flat))
    step = 1e-5 * np.eye(len(at))
    differences = [(loss(at + one)[0] - loss(at - one)[0]) / 2e-5 for one in step]
    np.testing.assert_allclose(loss(at)[1], differences, rtol=1e-5, atol=1e-5)


def test_with_one_rung_it_expects_what_scikit_learns_process_expects() -> None:
    seen, groups = example(1)
    weights = np.array([0.3, 2.0, 1.0])
    kernel = surrogate._Kernel(weights, np.array([[0.7]]), np.array([[0.2]]), np.array([-0.3]))
    theirs = ConstantKernel(0.49) * Matern(1 / np.sqrt(weights[groups]), nu=2.5) + WhiteKernel(0.04 + surrogate._JITTER)
    process = GaussianProcessRegressor(theirs, alpha=0.0, optimizer=None).fit(seen.columns, seen.log_errors + 0.3)
    asked = np.random.default_rng(2).random((10, 5))
    mean, spread = process.predict(asked, return_std=True)
    expected, deviation = surrogate._Process(kernel, seen, groups).at_the_top(asked)
    np.testing.assert_allclose(expected, mean - 0.3, rtol=1e-6)
    np.testing.assert_allclose(deviation**2, spread**2 - 0.04 - surrogate._JITTER, atol=1e-8)
    assert surrogate._Loss(seen, groups, kernel)(kernel.flat)[0] - surrogate._Loss._prior(kernel)[0] == pytest.approx(
        -process.log_marginal_likelihood_value_ - len(seen.columns) / 2 * math.log(2 * math.pi)
    )
