"""`study compare` as a user meets it: what is printed and written, and what is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import Wanted, write_study

from study.command.cli import main
from study.records.locking import StudyLock
from study.records.paths import StudyFiles
from study.report.comparison.entries import labels
from study.report.comparison.page import default_page

WANTED = {
    "first": Wanted(trials=6),
    "second": Wanted(trials=6, draw=1),
    "searching": Wanted(trials=6, stage="searching"),
    "empty": Wanted(stage="empty"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("work") / "results"
    for name, wanted in WANTED.items():
        write_study(root / name, wanted)
    return root


def compare(results: Path, *words: str | Path) -> int:
    return main(["compare", *map(str, words), "--results", str(results)])


def test_it_prints_the_leaderboard_the_finding_and_the_page(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(results, "first", "second") == 0
    out, err = capsys.readouterr()
    page = results / "compare-first-second.html"
    found = json.loads(page.with_suffix(".json").read_text())
    assert out.splitlines()[-2:] == [found["findings"]["answer"], f"comparison: {page}"]
    assert out.count("cnn #") >= 4
    assert err == ""


def test_json_is_the_numbers_and_the_page(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(results, "first", "second", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    page = Path(found.pop("page"))
    assert (found.pop("form"), found.pop("verb")) == (1, "compare")
    assert found == json.loads(page.with_suffix(".json").read_text())


def test_studies_are_given_by_name_or_by_folder(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "elsewhere" / "first", Wanted(trials=6, draw=2))
    monkeypatch.chdir(tmp_path / "elsewhere")
    out = tmp_path / "new folder" / "page.html"
    assert compare(results, "first", "first/", results / "second", "--out", out) == 0
    found = json.loads(out.with_suffix(".json").read_text())
    assert [entry["label"] for entry in found["studies"]] == ["results/first", "elsewhere/first", "results/second"]
    assert f"comparison: {out}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["first"], 2, "two or more names or folders, seen 1"),
        (["first", "first"], 2, "named twice"),
        (["first", "absent"], 1, "study 'absent' is missing"),
        (["first", "../nothing"], 1, "study '../nothing' is missing"),
        (["first", ""], 2, "study '' is not usable"),
        (["first", "searching"], 1, "searching is not finished: it has no finalists yet"),
        (["empty", "second"], 1, "empty is not finished"),
        (["first", "second", "--out", "page.txt"], 2, "ends in .html"),
        (["first", "second", "--out", "/dev/null/page.html"], 1, "cannot be written"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], status: int, said: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(results, *words) == status
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err


def test_the_same_study_by_name_and_by_folder_is_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(results, "first", results / "first") == 2
    assert "named twice" in capsys.readouterr().err


def test_no_study_at_all_is_wrong_usage(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(results) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_study_that_runs_is_refused(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StudyLock(StudyFiles(results / "second")):
        assert compare(results, "first", "second") == 1
    assert "in use by process" in capsys.readouterr().err


def test_predictions_of_older_weights_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_study(tmp_path / "a", Wanted(trials=6))
    again = write_study(tmp_path / "b", Wanted(trials=6, draw=1))
    again.run("mlp-final-seed1").weights.write_bytes(b"longer training")
    assert compare(tmp_path, "a", "b") == 1
    assert "mlp-final-seed1 was trained again after its test predictions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("study.toml", "format_version = 0\n", "study.toml: "),
        ("finalists.json", '{"families": {"cnn": {"finalist": 1, "candidates": [{"n": 1}]}}}', "unknown form"),
        ("test/predictions.npz", "nothing", "predictions.npz is not a readable .npz"),
        ("ledger.json", "{", "ledger.json is not JSON"),
    ],
)
def test_a_file_of_another_version_or_damaged_is_refused(
    name: str, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "a", Wanted(trials=6))
    (write_study(tmp_path / "b", Wanted(trials=6, draw=1)).root / name).write_text(text)
    assert compare(tmp_path, "a", "b") == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err
    assert not list(tmp_path.glob("compare*"))


def test_it_does_not_write_over_numbers_that_are_no_comparison(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = results / "first" / "report.json"
    report.write_text('{"format": 1}')
    assert compare(results, "first", "second", "--out", results / "first" / "report.html") == 2
    assert "holds no comparison" in capsys.readouterr().err
    assert report.read_text() == '{"format": 1}'


def test_a_comparison_is_written_over_an_older_one(results: Path) -> None:
    assert compare(results, "first", "second") == 0
    assert compare(results, "first", "second") == 0


def test_the_default_name_is_a_plain_file_name(tmp_path: Path) -> None:
    odd = [StudyFiles(tmp_path / name) for name in ("a b<c>", "é")]
    assert default_page(odd) == tmp_path / "compare-a-b-c.html"
    long = [StudyFiles(tmp_path / (letter * 64)) for letter in "abcde"]
    assert len(default_page(long).name) < 200
    assert default_page(long) != default_page([*long[:4], StudyFiles(tmp_path / ("f" * 64))])


def test_the_page_of_the_folder_one_stands_in_goes_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert default_page([StudyFiles(Path()), StudyFiles(Path("../there"))]) == tmp_path / "compare-here-there.html"


def test_labels_take_as_many_folders_as_tell_them_apart(tmp_path: Path) -> None:
    same = [StudyFiles(tmp_path / place / "study") for place in ("x", "y")]
    assert labels(same) == ["x/study", "y/study"]
    assert labels([same[0], StudyFiles(tmp_path / "other")]) == ["study", "other"]


def test_it_loads_neither_torch_nor_a_database(results: Path) -> None:
    code = (
        "import sys; from study.command.cli import main; "
        f"status = main(['compare', 'first', 'second', '--results', {str(results)!r}]); "
        "print(status, *({'torch', 'sqlalchemy', 'optuna'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["0"]
