"""Which digits the benchmark of strangers' pictures begins with."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from study.data.datasets import load_train, split_of, split_sha256
from study.records.settings import save_settings


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """By its path: tests/inference has a module of the same name."""
    path = Path(__file__).parents[2] / "benchmarks" / "strangers.py"
    spec = importlib.util.spec_from_file_location("benchmark_strangers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_unseen_digits_are_those_of_the_split_that_the_study_recorded(small_study: Any, strangers: ModuleType) -> None:
    dataset = small_study.settings.dataset
    train = load_train(dataset.name, Path(dataset.data_dir))
    _, older = split_of(train, 0)
    recorded = dataset.model_copy(update={"split_sha256": split_sha256(older)})
    save_settings(small_study.settings.model_copy(update={"dataset": recorded}), small_study.files.settings)
    (Path(dataset.data_dir) / "train-groups.txt").write_text("".join(f"{i // 4}\n" for i in range(len(train.labels))))
    assert (strangers.unseen_digits(small_study.files).images == train.images[older]).all()


def test_auroc_counts_pairs_and_draws_as_half(strangers: ModuleType) -> None:
    digits, others = np.array([0.1, 0.2, 0.5]), np.array([0.5, 0.9])
    assert strangers.auroc(digits, others) == pytest.approx((3 + 2.5) / 6)
    assert strangers.auroc(others, digits) == pytest.approx(0.5 / 6)


def test_an_interval_over_sources_is_wider_than_one_over_pictures(strangers: ModuleType) -> None:
    right = np.repeat([True, True, True, False], 25)
    alone = strangers.clustered_interval(right, np.arange(100).astype(str))
    by_source = strangers.clustered_interval(right, np.repeat(list("abcd"), 25))
    assert by_source[0] < alone[0] < 0.75 < alone[1] < by_source[1]


def test_pictures_of_every_cause_can_be_drawn(strangers: ModuleType) -> None:
    causes = sys.modules["_causes"]
    digit, rng = np.zeros((28, 28), np.uint8), np.random.default_rng(0)
    digit[4:24, 13:16] = digit[4:7, 8:20] = 255
    for cause, draw, _ in causes.CAUSES.values():
        picture = draw(digit, rng)
        assert (picture.dtype, picture.ndim, cause in range(1, 7)) == (np.uint8, 2, True)
        assert np.ptp(picture) > 5
