from __future__ import annotations

from dataclasses import replace

import numpy as np

from study.report.judged import of_sides, turned, verdict
from study.report.sections.pairwise import FinalistPair
from study.statistics.comparison import Verdict, compare_pairs
from study.statistics.estimators import p_a_better
from study.statistics.over_seeds import compare_networks


def judged(**right: float) -> FinalistPair:
    """Two finalists with three seeds each, right on so large shares of 4,000 images."""
    draw = np.random.default_rng(0)
    correct = {name: draw.random((3, 4000)) < share for name, share in right.items()}
    (pair,) = compare_pairs(correct)
    a, b = correct[pair.a], correct[pair.b]
    ahead = p_a_better(a.mean(axis=1).tolist(), b.mean(axis=1).tolist())
    about = (pair.a, pair.b, pair.planned, pair.comparison, pair.holm_p, pair.verdict)
    return FinalistPair(*about, compare_networks(a[0], b[0], None), ahead, f"finalist {pair.a}", f"finalist {pair.b}")


def test_a_pair_turned_shows_the_other_sign_and_names_who_is_ahead() -> None:
    pair = judged(a=0.95, b=0.99)
    seen = turned(pair, "b")
    assert seen.difference == -pair.comparison.difference > 0
    assert seen.interval95 == (-pair.comparison.interval95[1], -pair.comparison.interval95[0])
    assert (seen.ahead, seen.titles) == ("b", ("finalist b", "finalist a"))
    assert seen.to_dict()["comparison"]["difference"] < 0 < seen.to_dict()["difference"]


def test_the_better_side_is_told_first_whoever_looks() -> None:
    pair = judged(a=0.95, b=0.99)
    assert verdict(pair, "a") == verdict(pair, "b")
    assert verdict(pair, "a").startswith("Finalist b is better than finalist a by ")
    assert verdict(pair, "a").endswith("; one search each).")


def test_what_is_open_is_told_from_the_side_that_looks() -> None:
    pair = replace(judged(a=0.95, b=0.99), verdict=Verdict("too close to call", None, "a reason"))
    assert verdict(pair, "a").startswith("Finalist a and finalist b are too close to call on the test split: -")
    assert verdict(pair, "b").startswith("Finalist b and finalist a are too close to call on the test split: +")


def test_a_pair_is_found_by_its_sides() -> None:
    pair = judged(a=0.95, b=0.99)
    found = of_sides((pair,), "b", "a")
    assert found is not None
    assert (found.pair, found.first) == (pair, "b")
    assert of_sides((pair,), "b", "c") is None
