from __future__ import annotations

from collections.abc import Callable

from study.report.section import Report
from study.report.sections import answer
from study.report.sections.answer import BestTrial, fate

Made = Callable[[str], Report]


def test_the_winner_is_validations_even_when_the_test_disagrees(case_made: Made) -> None:
    found = case_made("contradicted")[answer]
    assert found.winner == "mlp"
    assert found.contradicted
    assert found.pair is not None
    assert found.pair.difference < 0
    assert any("Validation chose finalist mlp" in caveat for caveat in found.caveats)


def test_before_the_test_split_is_read_nobody_wins_there(case_made: Made) -> None:
    found = case_made("validation only")[answer]
    assert (found.stage, found.winner, found.winner_row, found.pair) == ("retrained", "cnn", None, None)


def test_a_trial_that_was_trained_again_is_told_with_what_became_of_it() -> None:
    led = BestTrial(3, "cnn", 0.991, "warm_start", 0.99, 2, 5, 0.9925, None)
    lead = "Trial #3 of cnn had the best score of the search, 99.10 % on validation; it is a warm start"
    again = "Trained again with a fresh seed each time it reached 99.00 %"
    assert fate(led) == f"{lead}. {again}; #5 did better (99.25 %) and became the finalist."
