"""What is computed over several independent searches; Welch's t and the data sets stand in test_stats.py."""

from __future__ import annotations

from typing import Any

import pytest

from study.errors import ResultsError
from study.records.finalists import choose_over_searches
from study.statistics.comparison import verdict
from study.statistics.searches import compare_searches, spread


def test_the_spread_of_five_searches_by_hand() -> None:
    """Deviations -2, -1, 0, 1, 2 (thousandths): variance 10/4, standard error sqrt(2.5/5), t(4, 97.5 %) = 2.7764."""
    found = spread([0.988, 0.989, 0.990, 0.991, 0.992])
    assert (found.n, found.mean, found.low, found.high) == (5, pytest.approx(0.990), 0.988, 0.992)
    assert found.sd == pytest.approx(2.5**0.5 / 1000)
    half = 2.7764451 * 0.5**0.5 / 1000
    assert found.interval95 == pytest.approx((0.990 - half, 0.990 + half))


def test_one_search_has_no_spread() -> None:
    found = spread([0.99])
    assert (found.mean, found.sd, found.interval95) == (0.99, None, None)


def test_too_few_searches_are_counted_by_family() -> None:
    found = verdict(compare_searches([0.9, 0.91], [0.8, 0.81], 1000), 0.001)
    assert found.reason == "2 independent searches per family, fewer than the 5 that a verdict needs"


def _search(**accuracies: float | None) -> dict[str, Any]:
    """finalists.json of a search: by family the finalist's validation mean, None where no final run ended well."""
    return {
        "families": {
            family: {
                "finalist": 3,
                "final_runs": [] if accuracy is None else [f"{family}-final-seed1"],
                "candidates": [
                    {"trial": 3, "mean_accuracy": accuracy or 0.0, "mean_nll": 0.1},
                    {"trial": 4, "mean_accuracy": 1.0, "mean_nll": 0.0},
                ],
            }
            for family, accuracy in accuracies.items()
        }
    }


def test_the_winner_has_the_highest_mean_and_ships_its_best_search() -> None:
    """cnn: 0.94 on the mean, mlp 0.93 although it has the best single search."""
    chosen = choose_over_searches(
        [_search(cnn=0.93, mlp=0.96), _search(cnn=0.95, mlp=0.90), _search(cnn=0.94, mlp=0.93)]
    )
    assert (chosen.winner, chosen.search, chosen.run) == ("cnn", 1, "cnn-final-seed1")


def test_of_equal_searches_the_first_is_shipped() -> None:
    assert choose_over_searches([_search(cnn=0.9), _search(cnn=0.9)]).search == 0


def test_a_family_that_failed_in_a_search_stands_behind() -> None:
    chosen = choose_over_searches([_search(cnn=0.99, mlp=0.9), _search(cnn=None, mlp=0.91)])
    assert (chosen.winner, chosen.search) == ("mlp", 1)


def test_no_finalist_at_all_is_an_error() -> None:
    with pytest.raises(ResultsError, match="no family has a final run"):
        choose_over_searches([_search(cnn=None)])
