"""Which study the flags of a verb mean, and tables that lose nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from study.command.console import existing_files, files_of, print_rows
from study.command.parser import build_parser
from study.errors import ResultsError, UsageError
from study.records.files import write_text
from study.records.paths import StudyFiles
from study.stages.request import Request

READING = ("status", "doctor", "report", "dashboard", "export", "predict")


def files(verb: str, *words: str) -> StudyFiles:
    return files_of(build_parser().parse_args([verb, *(["x.png"] if verb == "predict" else []), *words]))


@pytest.mark.parametrize("verb", READING)
def test_every_verb_reads_the_study_that_a_run_with_the_same_flags_makes(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path / "digits")
    for words, asked in (
        ((), {}),
        (("--dataset", "kmnist"), {"dataset": "kmnist"}),
        (("--data-dir", "."), {"data_dir": Path()}),
        (("--data-dir", "../digits/"), {"data_dir": Path("../digits")}),
        (("--data-dir", "x", "--dataset", "usps"), {"data_dir": Path("x"), "dataset": "usps"}),
        (("--name", "n", "--data-dir", "."), {"name": "n", "data_dir": Path()}),
    ):
        assert files(verb, *words) == Request("study run", 0.0, **asked).files  # type: ignore[arg-type]


def test_a_folder_whose_name_is_no_study_s_asks_for_a_name() -> None:
    for words in (("--data-dir", "数字"), ("--data-dir", "reference")):
        with pytest.raises(UsageError, match="choose another with --name"):
            files("status", *words)
        assert files("status", *words, "--name", "mine").name == "mine"
    assert files("status", "--name", "reference").name == "reference"  # the committed sample may be read


def test_the_studies_that_there_are_are_named(tmp_path: Path) -> None:
    write_text(tmp_path / "here" / "study.toml", "")
    args = build_parser().parse_args(["status", "--results", str(tmp_path), "--name", "nope"])
    with pytest.raises(ResultsError, match=f"nope holds no study; .* another with --name: {tmp_path} has here"):
        existing_files(args)


# --- tables --------------------------------------------------------------------------------------------------------

LONG = f"results/{'deep/' * 30}report.html and more words to read"
ROWS = [{"completed": 1, "complete": 22, "completion": "[bold]x", "found": LONG}, dict.fromkeys("abcd", "last")]


def terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")


def test_a_table_in_a_pipe_has_each_row_whole_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_rows(ROWS, title="two rows")
    title, _, head, _, first, second, _ = capsys.readouterr().out.splitlines()
    assert title == "two rows"
    assert head.split()[1::2] == ["completed", "complete", "completion", "found"]
    assert LONG in first
    assert "[bold]x" in first
    assert second.count("last") == 4


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_a_table_at_a_terminal_cuts_nothing(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(columns, monkeypatch)
    print_rows([{**row, "found": "a word, then more words of the same row"} for row in ROWS[:1]])
    out = capsys.readouterr().out
    assert "…" not in out
    assert all(name in out for name in ("completed", "complete", "completion", "found"))
    assert all(word in out for word in ("22", "[bold]x", "then", "same"))


def test_a_terminal_that_is_too_narrow_for_a_table_gets_a_line_for_each_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(20, monkeypatch)
    print_rows(ROWS[:1])
    assert capsys.readouterr().out.splitlines() == [
        "completed: 1",
        "complete: 22",
        "completion: [bold]x",
        f"found: {LONG}",
        "",
    ]


def test_no_rows_are_an_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([])
    assert capsys.readouterr().out.strip() == ""
