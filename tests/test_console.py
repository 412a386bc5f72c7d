"""Which study the flags of a verb mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from study.console import existing_files, files_of
from study.errors import ResultsError, UsageError
from study.flags import build_parser
from study.request import Request
from study.results import StudyFiles, write_text

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
    for words in (("--data-dir", "my digits"), ("--data-dir", "reference")):
        with pytest.raises(UsageError, match="choose another with --name"):
            files("status", *words)
        assert files("status", *words, "--name", "mine").name == "mine"
    assert files("status", "--name", "reference").name == "reference"  # the committed sample may be read


def test_the_studies_that_there_are_are_named(tmp_path: Path) -> None:
    write_text(tmp_path / "here" / "study.toml", "")
    args = build_parser().parse_args(["status", "--results", str(tmp_path), "--name", "nope"])
    with pytest.raises(ResultsError, match=f"nope holds no study; .* another with --name: {tmp_path} has here"):
        existing_files(args)
