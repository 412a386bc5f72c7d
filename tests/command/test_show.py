"""study show: a network's configuration and the lines that load it, which are run here."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest
import torch

from study.command.cli import main
from study.inference.predictor import Predictor
from study.records.paths import StudyFiles
from study.records.run import read_run
from study.training.config import training_config


def show(files: StudyFiles, *words: str) -> int:
    return main(["show", *words, "--name", files.name, "--results", str(files.root.parent)])


def run_code(code: str, pixels: np.ndarray) -> np.ndarray:
    """The logits that the printed lines give for pictures uint8 [N, 28, 28]."""
    names: dict[str, Any] = {"pixels": torch.from_numpy(pixels)[:, None]}
    lines = [line for line in code.splitlines() if not line.startswith("#")]
    assert len(lines) == 10
    lines = ["images = pixels" if line.startswith("images = ") else line for line in lines]
    exec("\n".join(lines), names)
    return np.asarray(names["logits"])


def test_the_lines_of_torch_give_the_shipped_network_s_logits(
    shipped_study: StudyFiles, digits: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(shipped_study, "best", "--as", "torch") == 0
    logits = run_code(capsys.readouterr().out, digits[0][:20].copy())
    assert logits == pytest.approx(Predictor.load(shipped_study.model).logits(digits[0][:20]), abs=1e-5)


def test_the_toml_is_a_whole_configuration(shipped_study: StudyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(shipped_study, "best", "--as", "toml") == 0
    said = capsys.readouterr().out
    assert said.startswith("# mlp #3 of study 'small'")
    found = tomllib.loads(said)
    assert found == dict(Predictor.load(shipped_study.model).description.config)
    training_config(found)


def test_a_family_s_finalist_is_shown_by_the_family_s_name(
    shipped_study: StudyFiles, digits: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(shipped_study, "cnn") == 0
    toml, code = capsys.readouterr().out.split("\n\n")
    assert tomllib.loads(toml) == dict(read_run(shipped_study.run("cnn-final-seed0")).config)
    assert run_code(code, digits[0][:2].copy()).shape == (2, 10)


def test_another_word_is_refused_with_those_that_are_there(
    shipped_study: StudyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(shipped_study, "mixer") == 2
    assert "'mixer' is no family of this study: expected best, or one of: cnn, mlp" in capsys.readouterr().err


def test_a_study_without_a_winner_says_so(shipped_study: StudyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    shipped_study.model.rename(shipped_study.root / "aside")
    assert show(shipped_study, "best") == 1
    assert "no winner yet; continue it with `study run" in capsys.readouterr().err
