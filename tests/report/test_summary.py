"""What a run says in the end, as the reports of synthetic studies have it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import Wanted
from synthetic import write_study

from study.command.cli import main
from study.command.summary import summary_lines
from study.errors import ResultsError
from study.records.paths import StudyFiles
from study.records.summary import read_summary

Reports = Callable[[str], dict[str, Any]]


@pytest.fixture
def summed_up(case_report: Reports, tmp_path: Path) -> Callable[[str], StudyFiles]:
    """Name of a case -> a folder in `my results` that has nothing but its report's numbers."""

    def files(name: str) -> StudyFiles:
        found = StudyFiles(tmp_path / "my results" / name.replace(" ", "-"))
        found.root.mkdir(parents=True)
        found.report_json.write_text(json.dumps(case_report(name)))
        return found

    return files


def test_commands_are_of_the_study_where_it_is_and_of_a_model_that_is_there(
    summed_up: Callable[[str], StudyFiles],
) -> None:
    files = summed_up("examined")
    there = f"--results '{files.root.parent}'"
    *_, last = summary_lines(files, files.root.parent)
    assert last.startswith(f"next: The model is ready: study predict photo.png --name examined {there}. The searches ")
    assert f"study run --name examined {there} --space FILE --no-evaluate" in last
    searching = summed_up("searching")
    found = read_summary(searching)
    assert found is not None
    assert found.use is None
    assert f"study run --name searching-next {there} --from searching --space FILE" in found.advice
    assert summary_lines(searching, files.root.parent)[-1] == f"next: {found.advice}"
    sealed = summed_up("validation only")
    assert (found := read_summary(sealed)) is not None
    assert f"`study evaluate --name validation-only {there}` opens it" in found.verdict
    assert (
        f"once with study evaluate --name validation-only {there} when" in summary_lines(sealed, files.root.parent)[-1]
    )
    assert f"study run --name empty {there} --budget" in summary_lines(summed_up("empty"), files.root.parent)[-1]


def test_the_winner_of_several_searches_is_told_by_their_mean(
    summed_up: Callable[[str], StudyFiles], case_report: Reports
) -> None:
    files = summed_up("five sealed")
    mean = case_report("five sealed")["searches"]["families"]["cnn"]["validation"]["mean"]
    said = f"winner by validation: cnn, {100 * mean:.2f} % there with fresh seeds, mean of 5 searches"
    assert summary_lines(files, files.root.parent)[0] == said


def test_a_test_split_that_was_read_in_vain_is_not_called_sealed(summed_up: Callable[[str], StudyFiles]) -> None:
    files = summed_up("non-finite")
    first, verdict, *_ = summary_lines(files, files.root.parent)
    assert first == "winner by validation: cnn #11, 99.40 % there with fresh seeds"
    assert verdict == "The winner cnn has no usable predictions on the test split, so there is no verdict."


@pytest.mark.parametrize("text", ['{"answer":', "{}", "[]", '{"answer": {"winner": "cnn"}, "findings": {}}'])
def test_a_damaged_report_is_named_with_what_writes_it_and_hides_no_state(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_study(tmp_path / "damaged", Wanted(trials=2))
    files.report_json.write_text(text)
    with pytest.raises(ResultsError, match=r"report.json is (not JSON|no report's) .*; (move|write) it "):
        read_summary(files)
    assert main(["status", "--name", "damaged", "--results", str(tmp_path), "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["winner"] is None
    assert captured.err.startswith(f"note: {files.report_json} is ")
