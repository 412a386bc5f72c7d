from __future__ import annotations

from typing import Any

from ended import trial

from study.records.trial import Trials
from study.report.halfway import Halfway, numbers


class Searches:
    """A study of these searches: per family, its trials, of 10 worker-seconds each."""

    def __init__(self, *searches: dict[str, list[float | None]]) -> None:
        self.families = list(searches[0])
        self.searches = {
            number: OneSearch(
                {family: Trials(trial(k, v) for k, v in enumerate(values)) for family, values in one.items()}
            )
            for number, one in enumerate(searches, 1)
        }


class OneSearch:
    def __init__(self, trials: dict[str, Trials]) -> None:
        self.family_trials = trials.__getitem__


class Before:
    equalised = "seconds"

    def __getitem__(self, _: object) -> Any:
        return self


def halfway(*searches: dict[str, list[float | None]]) -> Halfway | None:
    return numbers(Searches(*searches), Before())  # type: ignore[arg-type]


def test_the_order_at_half_of_the_seconds_is_told_beside_that_at_the_end() -> None:
    found = halfway({"cnn": [0.90, 0.92, 0.99, 0.95], "mlp": [0.93, 0.91, 0.94, 0.96]})
    assert found is not None
    assert (found.half, found.end) == ((("mlp", 0.93), ("cnn", 0.92)), (("cnn", 0.99), ("mlp", 0.96)))
    assert found.sentence == (
        "When half of the search was spent, the best scores on validation were mlp 93.00 % and cnn 92.00 %, and at its "
        "end cnn 99.00 % and mlp 96.00 %: another order."
    )


def test_of_several_searches_it_is_their_mean() -> None:
    found = halfway({"cnn": [0.96, 0.98], "mlp": [0.9, 0.9]}, {"cnn": [0.94, 0.94], "mlp": [0.92, 0.95]})
    assert found is not None
    assert "validation, in the mean of 2 searches, were cnn 95.00 % and mlp 91.00 %" in found.sentence
    assert found.sentence.endswith("the same order.")


def test_what_was_not_there_by_then_is_named_and_one_family_has_no_order() -> None:
    found = halfway({"cnn": [None, None, 0.96, 0.97], "mlp": [0.9, 0.9, 0.9, 0.9]})
    assert found is not None
    assert "no trial of cnn was trained to the end, so the order of then is unknown" in found.sentence
    assert halfway({"cnn": [0.9, 0.9]}) is None
    assert halfway({"cnn": [0.9], "mlp": [None]}) is None
