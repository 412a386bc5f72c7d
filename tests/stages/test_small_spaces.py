"""Search spaces at their limits, by the command itself: every trial fails, or there are few configurations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from study.command.cli import main
from study.records.files import read_json
from study.records.paths import StudyFiles
from study.records.trial import read_trials

Words = Callable[..., list[str]]
SPACE = """\
family = "mlp"
depth = 1
width = [8]
activation = { choices = ["relu", "tanh"] }
normalisation = "none"
dropout = 0.0
optimizer = "sgd"
learning_rate = 0.1
batch_size = 32
augmentation = "none"
"""


@pytest.fixture
def words(tmp_path: Path, write_idx: Callable[[Path], Path], fast_disk: None) -> Words:
    """The words of a command on a slice of digits and one family with a space of its own."""
    digits = write_idx(tmp_path / "digits")

    def make(verb: str, name: str, space: str, *more: str) -> list[str]:
        path = tmp_path / f"{name}.toml"
        path.write_text(space)
        flags = ["--results", tmp_path / "results", "--data-dir", digits, "--workers", "1", "--name", name]
        return [verb, *map(str, flags), "--space", str(path), "--families", "mlp", "--quiet", *more]

    return make


def test_a_study_of_which_every_trial_fails_ends_with_one_and_the_reason(
    words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    space = SPACE.replace("learning_rate = 0.1", "learning_rate = { low = 1e14, high = 1e15, log = true }")
    space = space.replace('{ choices = ["relu", "tanh"] }', '"relu"')
    assert main(words("search", "failing", space, "--n-trials", "2")) == 1
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert "family mlp has no trial that did not fail, of 2" in said
    assert "not finite" in said
    assert main(words("run", "failing", space, "--n-trials", "2", "--no-evaluate")) == 1
    assert "there is nothing to retrain; mlp failed: " in capsys.readouterr().err


def test_a_space_smaller_than_the_trials_asked_for_is_searched_whole_and_then_complete(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words("run", "two", SPACE, "--n-trials", "6", "--sampler", "grid", "--no-evaluate")
    command.remove("--quiet")
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "mlp: its space holds 2 configurations, fewer than the 6 trials asked for: it is searched whole" in said
    assert "mlp: searched whole, 2 configurations and no more" in said
    files = StudyFiles(tmp_path / "results" / "two")
    assert len(read_trials(files.trials_jsonl)) == 2
    assert {row["trial"] for row in read_json(files.finalists)["families"]["mlp"]["candidates"]} == {0, 1}
    assert main(command) == 0
    assert "this study is complete" in capsys.readouterr().err
    assert len(read_trials(files.trials_jsonl)) == 2
    assert main(["status", "--results", str(tmp_path / "results"), "--name", "two"]) == 0
    assert "mlp: searched whole: all 2 configurations were tried" in capsys.readouterr().out


def test_a_grid_over_a_continuous_range_is_refused_before_anything_is_written(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = SPACE.replace("dropout = 0.0", "dropout = { low = 0.0, high = 0.5 }")
    assert main(words("search", "endless", endless, "--sampler", "grid", "--n-trials", "1")) == 1
    said = capsys.readouterr().err
    assert (
        "endless.toml: key 'dropout': a grid cannot walk 0.0 to 0.5: expected a step, choices or a fixed value" in said
    )
    assert not (tmp_path / "results" / "endless").exists()
    followed = endless.replace("high = 0.5", "high = 0.5, step = 0.5")
    assert main(words("search", "followed", followed, "--sampler", "grid", "--n-trials", "9")) == 0
    assert len(read_trials(StudyFiles(tmp_path / "results" / "followed").trials_jsonl)) == 4
