from __future__ import annotations

import fewer_steps
import numpy as np
import pytest
import torch

from study.training import muon, optim
from study.training.loop import TrainingData


def test_a_recipe_is_read_with_numbers_as_numbers() -> None:
    assert fewer_steps.parsed("default") == {}
    assert fewer_steps.parsed("optimizer=muon learning_rate=0.02 batch_size=64 first=adamw") == {
        "optimizer": "muon",
        "learning_rate": 0.02,
        "batch_size": 64,
        "first": "adamw",
    }


def test_parts_are_no_keys_of_a_configuration() -> None:
    config = fewer_steps.configuration("cnn", 0, "optimizer=muon head=adamw polynomials=express-3")
    assert config == fewer_steps.warm_configs("cnn")[0] | {"optimizer": "muon", "images": "all"}


def test_parts_hold_within_the_block_alone() -> None:
    before = muon._POLYNOMIALS, optim._hidden
    weights = [torch.nn.Parameter(torch.zeros(*shape)) for shape in ((8, 4), (300, 400), (8, 8), (10, 8))]
    with fewer_steps.parts("first=muon polynomials=express-4"):
        assert len(muon._POLYNOMIALS) == 4
    with fewer_steps.parts("first=muon"):
        assert optim._hidden(weights) == weights[:3]
    with fewer_steps.parts("widest=256"):
        assert optim._hidden(weights) == weights[2:3]
    with fewer_steps.parts("head=adamw"):
        assert optim._hidden(weights) == weights[1:2]
    assert (muon._POLYNOMIALS, optim._hidden) == before


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_labels_made_wrong_are_wrong_and_of_the_training_part(training_data: TrainingData, share: float) -> None:
    noisy = fewer_steps.with_wrong_labels(training_data, share, seed=1)
    changed = noisy.labels != training_data.labels
    assert changed[training_data.train].sum() == round(share * len(training_data.train))
    assert not changed[training_data.validation].any()
    assert 0 <= noisy.labels.min() <= noisy.labels.max() < training_data.n_classes
    again = fewer_steps.with_wrong_labels(training_data, share, seed=1)
    other = fewer_steps.with_wrong_labels(training_data, share, seed=2)
    assert torch.equal(noisy.labels, again.labels)
    assert not torch.equal(noisy.labels, other.labels)


def test_coverage_by_hand() -> None:
    confidence = np.linspace(1, 0.5, 3000)
    correct = np.ones(3000, bool)
    assert fewer_steps.coverage(confidence, correct) == 1.0
    correct[[1500, 1800, 2999]] = False  # one in 1,501; two in 1,801; from 2,000 on two are one in a thousand
    assert fewer_steps.coverage(confidence, correct) == 1.0
    correct[2500] = False
    assert fewer_steps.coverage(confidence, correct) == 2500 / 3000
    assert fewer_steps.coverage(confidence, np.zeros(3000, bool)) == 0.0
