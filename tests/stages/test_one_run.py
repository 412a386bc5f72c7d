"""study train: one configuration, with the records that every run has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from study.command.cli import main
from study.records.paths import StudyFiles
from study.records.run import is_done, read_run
from study.training.loop import TrainingData

CONFIG = """\
family = "mlp"
depth = 1
width = [16]
activation = "relu"
normalisation = "none"
dropout = 0.0
optimizer = "adamw"
learning_rate = 0.01
batch_size = 32
"""


@pytest.fixture
def train(tmp_path: Path, write_idx: Callable[[Path], Path]) -> Callable[..., int]:
    """The command on a small data set, with a configuration file of the given text."""
    digits = write_idx(tmp_path / "digits")

    def run(text: str, *words: str) -> int:
        (tmp_path / "mine.toml").write_text(text)
        flags = ["--data-dir", str(digits), "--name", "one", "--results", str(tmp_path / "results")]
        return main(["train", str(tmp_path / "mine.toml"), *flags, *words])

    return run


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    return StudyFiles(tmp_path / "results" / "one")


def test_it_is_trained_validated_and_recorded_once(
    train: Callable[..., int], files: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(CONFIG, "--seed", "3", "--epochs", "2") == 0
    said = capsys.readouterr()
    run = files.trained("mine-seed3")
    read = read_run(run)
    assert read.metrics is not None
    assert read.metrics.accuracy is not None
    assert f"mine, seed 3: {100 * read.metrics.accuracy:.2f} % on validation after 1,344 examples" in said.out
    assert "trained before" not in said.out
    assert (read.record.role, read.record.trial, read.record.seed, read.record.threads) == ("trained", -1, 3, 1)
    assert {path.name for path in run.root.iterdir()} == {
        "DONE",
        "config.toml",
        "history.csv",
        "metrics.json",
        "model.safetensors",
        "validation.npz",
    }
    assert not files.exists()

    assert train(CONFIG, "--seed", "3", "--epochs", "2") == 0
    assert "(trained before)" in capsys.readouterr().out
    assert train(CONFIG.replace("16", "20"), "--seed", "3", "--epochs", "2", "--quiet") == 0
    assert capsys.readouterr().err == ""
    assert len(list((files.root / "trained" / "old").iterdir())) == 1


def test_a_run_s_own_file_is_taken_too_and_the_same_seed_gives_the_same(
    train: Callable[..., int], files: StudyFiles, tmp_path: Path
) -> None:
    assert train(CONFIG, "--epochs", "1") == 0
    first = read_run(files.trained("mine-seed0"))
    files.trained("mine-seed0").root.rename(tmp_path / "aside")
    assert train((tmp_path / "aside" / "config.toml").read_text(), "--epochs", "1") == 0
    again = read_run(files.trained("mine-seed0"))
    assert dict(again.config) == dict(first.config)
    assert [(row.train_loss, row.validation_accuracy) for row in again.history] == [
        (row.train_loss, row.validation_accuracy) for row in first.history
    ]
    assert not is_done(files.trained("mine-seed0"), "another")


def test_it_is_trained_as_long_as_the_study_s_finalist_and_compared_with_it(
    train: Callable[..., int], tmp_path: Path, tiny_spaces: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spaces = [word for path in tiny_spaces.values() for word in ("--space", str(path))]
    flags = ["--data-dir", str(tmp_path / "digits"), "--name", "one", "--results", str(tmp_path / "results")]
    words = ["run", *flags, *spaces, "--families", "mlp,cnn", "--workers", "1", "--n-trials", "2", "--no-evaluate"]
    assert main([*words, "--quiet"]) == 0
    capsys.readouterr()
    assert train(CONFIG) == 0
    said = capsys.readouterr().out
    (mine, finalist, _) = said.splitlines()
    assert "finalist mlp #" in finalist
    assert abs(_examples(mine) - _examples(finalist)) <= 32
    assert main([*words, "--quiet"]) == main(["doctor", *flags[2:]]) == 0  # it is no part of what was found


def _examples(line: str) -> int:
    return int(line.partition(" after ")[2].partition(" examples")[0].replace(",", ""))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("family = ", "is not TOML"),
        (CONFIG.replace('"mlp"', '"nothing"'), "family 'nothing' is unknown"),
        (CONFIG + "kernel_size = 3\n", "unknown key 'kernel_size': a configuration has fixed values"),
        (CONFIG.replace("[16]", "{ low = 8, high = 16 }"), "key 'width'"),
        (CONFIG.replace("batch_size = 32\n", ""), "missing key 'batch_size'"),
    ],
)
def test_what_is_no_configuration_is_refused_before_anything_is_written(
    train: Callable[..., int], files: StudyFiles, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(text) == 1
    assert said in capsys.readouterr().err
    assert not files.root.exists()


def test_the_gpu_that_was_asked_for_has_the_data(
    train: Callable[..., int], files: StudyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the machine that has it: here the data stays where it is."""
    asked, moved = torch.device("cuda:1"), []
    monkeypatch.setattr("study.stages.one_run.choose_device", lambda _: asked)
    monkeypatch.setattr("study.stages.one_run.choose_precision", lambda _: "fp32")
    monkeypatch.setattr(TrainingData, "to", lambda data, device: moved.append(device) or data)
    assert train(CONFIG, "--epochs", "1", "--quiet") == 0
    assert (moved, read_run(files.trained("mine-seed0")).record.device) == ([asked], "cuda:1")
