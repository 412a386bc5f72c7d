"""finalists.json, written and read, of older studies, too; and who wins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs import candidate, family_result

from study.errors import ResultsError
from study.records.files import read_json, write_json
from study.records.finalists import (
    READING_NOISE,
    BestTrial,
    Choice,
    FamilyResult,
    Finalists,
    choose,
    read_finalists,
    write_finalists,
)


def searched(**accuracies: float | None) -> Finalists:
    """By family the finalist's validation mean, None where no final run ended well; another candidate is better."""
    return Finalists(
        {
            family: FamilyResult(
                candidates=(candidate(4, mean_accuracy=1.0, mean_nll=0.0), candidate(3, mean_accuracy=accuracy or 0.0)),
                finalist=3,
                final_runs=() if accuracy is None else (f"{family}-final-seed1",),
            )
            for family, accuracy in accuracies.items()
        }
    )


def test_the_winner_has_the_highest_mean_and_ships_its_best_search() -> None:
    """cnn: 0.94 on the mean, mlp 0.93 although it has the best single search."""
    chosen = choose([searched(cnn=0.93, mlp=0.96), searched(cnn=0.95, mlp=0.90), searched(cnn=0.94, mlp=0.93)])
    assert (chosen.winner, chosen.search, chosen.run) == ("cnn", 1, "cnn-final-seed1")


def test_of_equal_searches_the_first_is_shipped() -> None:
    assert choose([searched(cnn=0.9), searched(cnn=0.9)]).search == 0


def test_of_equal_families_the_one_of_lower_nll_wins_and_of_equal_ones_the_first() -> None:
    one = family_result(candidate(mean_nll=0.2), final_runs=("one",))
    other = family_result(candidate(mean_nll=0.1), final_runs=("other",))
    assert choose([Finalists({"one": one, "other": other})]).winner == "other"
    assert choose([Finalists({"one": other, "other": other})]).winner == "one"


def test_a_family_that_failed_in_a_search_stands_behind() -> None:
    chosen = choose([searched(cnn=0.99, mlp=0.9), searched(cnn=None, mlp=0.91)])
    assert (chosen.winner, chosen.search) == ("mlp", 1)


def test_no_finalist_at_all_is_an_error() -> None:
    with pytest.raises(ResultsError, match="no family has a final run"):
        choose([searched(cnn=None)])
    assert searched(cnn=None).winner is None
    assert searched(cnn=0.9).winner == "cnn"


def test_a_given_candidate_is_shipped_only_if_it_is_better_than_what_was_found_by_more_than_noise() -> None:
    given = replace(candidate(0, family="cnn", mean_accuracy=0.9905), given=True)

    def chosen(found: float, searches: int = 1, others: str = "same") -> Choice:
        one = Finalists(
            {
                "mlp": family_result(candidate(3, mean_accuracy=found), final_runs=("m0",)),
                "cnn": family_result(candidate(4, family="cnn", mean_accuracy=0.97), given, final_runs=("c0",)),
            },
            validation="same",
        )
        better = family_result(candidate(3, mean_accuracy=found + 1e-9), final_runs=("m0",))
        return choose([one, *[Finalists({"mlp": better}, validation=others)] * (searches - 1)])

    assert chosen(0.98) == Choice("mlp", 0, "cnn", 0, "cnn-t0-seed0", given=True)
    assert chosen(0.98, searches=2).family == "cnn"
    assert chosen(0.9905 - READING_NOISE / 2) == Choice("mlp", 0, "mlp", 3, "m0")
    # Read on other images than the given one, the found one differs by the noise of two readings.
    behind = 0.9905 - 1.2 * READING_NOISE
    assert [chosen(behind, 2, others).given for others in ("same", "others")] == [True, False]


def test_a_given_finalist_is_no_other_candidate() -> None:
    alone = family_result(replace(candidate(0), given=True), final_runs=("m0",))
    assert alone.given is None
    assert choose([Finalists({"mlp": alone})]) == Choice("mlp", 0, "mlp", 0, "m0")


# --- the file --------------------------------------------------------------------------------------------------------


WHOLE = Finalists(
    families={
        "mlp": replace(family_result(candidate(3), candidate(5), final_runs=("m0", "m1")), seconds=2.5),
        "cnn": FamilyResult(failed={"cnn-t1-seed0": "out of memory"}),
    },
    best_trial=BestTrial("mlp", 3, 0.9),
    trials="digest",
    validation="part",
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "finalists.json"
    write_finalists(path, WHOLE)
    assert read_finalists(path) == WHOLE
    assert WHOLE.runs == ["m0", "m1", "mlp-t3-seed0", "mlp-t5-seed0"]
    assert WHOLE.standing == ["mlp"]
    assert WHOLE.of("mixer") == FamilyResult()


def test_the_file_says_for_people_who_won(tmp_path: Path) -> None:
    path = tmp_path / "finalists.json"
    write_finalists(path, WHOLE)
    found = read_json(path)
    assert list(found) == ["families", "winner", "shipped_run", "best_trial", "trials", "validation"]
    assert (found["winner"], found["shipped_run"]) == ("mlp", "m0")
    with pytest.raises(ResultsError, match="no family"):
        write_finalists(path, replace(WHOLE, families={"cnn": WHOLE.of("cnn")}))
    assert read_json(path) == found


def old_row(**changes: Any) -> dict[str, Any]:
    """As the first studies have it: every candidate was trained for as long, and failures are not told."""
    row = {
        "trial": 7,
        "search_accuracy": 0.95,
        "search_nll": 0.3,
        "runs": ["cnn-t7-seed0"],
        "accuracies": [0.96],
        "mean_accuracy": 0.96,
        "mean_nll": 0.2,
        "best_overall": True,
    }
    return {"candidates": [row], "finalist": 7, "final_runs": ["f"], "schedule": {"examples_per_run": 900}} | changes


def test_the_file_of_an_older_study_is_read(tmp_path: Path) -> None:
    path = tmp_path / "finalists.json"
    write_json(path, {"families": {"cnn": old_row()}, "winner": "cnn", "shipped_run": "f"})
    found = read_finalists(path)
    assert (found.trials, found.best_trial, found.winner) == (None, None, "cnn")
    assert found.of("cnn").chosen == candidate(
        7,
        family="cnn",
        examples=900,
        search_accuracy=0.95,
        search_nll=0.3,
        mean_accuracy=0.96,
        mean_nll=0.2,
        best_overall=True,
    )


@pytest.mark.parametrize("families", [None, [], {"cnn": {}}, {"cnn": old_row(candidates=[{}])}])
def test_a_file_of_an_unknown_form_is_named(tmp_path: Path, families: Any) -> None:
    write_json(tmp_path / "finalists.json", {"families": families})
    with pytest.raises(ResultsError, match=r"finalists\.json is of an unknown form .* rerun `study retrain`"):
        read_finalists(tmp_path / "finalists.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"finalists\.json is missing"):
        read_finalists(tmp_path / "finalists.json")
