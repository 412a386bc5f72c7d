from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from made import build, page_of
from synthetic import Wanted, write_study

from study.records.files import read_json, write_json
from study.records.paths import StudyFiles
from study.report import enough
from study.report.page import make
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
    assert fate(led, "evaluated") == f"{lead}. {again}; #5 did better (99.25 %) and became the finalist."


def test_a_score_of_a_part_of_the_images_is_told_as_such() -> None:
    led = BestTrial(3, "cnn", 0.975, "sampled", 0.99, 1, 3, 0.99, None, 15_000)
    assert fate(led, "evaluated") == (
        "Trial #3 of cnn had the best score of the search, 97.50 % on validation after learning from 15,000 images. "
        "Trained again on all images and with a fresh seed it reached 99.00 % and became its family's finalist."
    )


def test_a_trial_that_was_not_trained_again_is_called_pending_only_while_the_search_goes_on() -> None:
    led = BestTrial(3, "cnn", 0.991, "sampled", None, 0, None, None, None)
    assert fate(led, "searching").endswith("It has not been trained again yet.")
    assert fate(led, "evaluated").endswith("It has not been trained again.")
    passed_over = replace(led, finalist=5, finalist_accuracy=0.99)
    assert fate(passed_over, "evaluated").endswith(
        "Another one, #5, was trained again and became its family's finalist."
    )


def ahead_on_validation(files: StudyFiles, family: str, accuracy: float) -> None:
    """Let this search's finalist of a family have had so much with fresh seeds."""
    found = read_json(files.finalists)
    found["families"][family]["candidates"][0]["mean_accuracy"] = accuracy
    write_json(files.finalists, found)


def test_of_several_searches_the_winner_over_all_is_what_the_test_may_contradict(tmp_path: Path) -> None:
    wanted = Wanted(accuracy={"mlp": 0.98, "cnn": 0.985}, trials=6, repeats=3)
    files = write_study(tmp_path / "three", wanted)
    ahead_on_validation(files, "mlp", 0.986)  # in search 1 alone
    report = make(files)
    found = report[answer]
    assert (found.winner, found.contradicted, found.caveats) == ("mlp", False, ())
    assert answer.finding(found, report).startswith("Family cnn is better than family mlp")
    expected = report[enough]
    assert expected is not None
    assert expected.title == f"{report.study.title('cnn')} of search 1"
    for folder in files.repeats(3):
        ahead_on_validation(folder, "mlp", 0.999)
    contradicted = make(files)
    assert contradicted[answer].contradicted
    assert "Validation chose family mlp before" in answer.finding(contradicted[answer], contradicted)


def test_of_several_searches_a_trial_is_named_with_its_own(tmp_path: Path) -> None:
    files = write_study(tmp_path / "two", Wanted(apart=True, warm_starts=2, trials=4, candidates=4, repeats=2))
    report = build(files)["answer"]
    assert "of search 2, found by the search: " in report["first"]["architecture"]
    assert all(" of search " in row["sentence"] for row in report["added"])
    assert "Validation chose both sides before the test split was opened" in page_of(files)


def test_of_one_search_a_trial_is_named_alone(case_page: Callable[[str], str]) -> None:
    page = case_page("given apart")
    assert " of search " not in page.partition('id="protocol"')[0]
    assert "Images that the winner misreads:" in page
