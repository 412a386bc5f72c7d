"""Search spaces at their limits, by the command itself: every trial fails, or there are few configurations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from study.cli import main

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
