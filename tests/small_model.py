"""A small model folder, of a network that has seen a thousand real training digits."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

import study
from study.inference.bundle import write_bundle
from study.inference.card import model_card
from study.inference.second_reader import fit_second_reader
from study.training.config import build_model

MNIST = Path(study.__file__).parent / "data" / "mnist"
CONFIG = {
    "family": "mlp",
    "depth": 1,
    "width": [16],
    "activation": "relu",
    "normalisation": "batch",
    "dropout": 0.0,
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "batch_size": 64,
}


def read_training(role: str, offset: int, count: int) -> np.ndarray:
    with gzip.open(MNIST / f"train-{role}-ubyte.gz") as stream:
        stream.read(offset)
        return np.frombuffer(stream.read(count), np.uint8)


@pytest.fixture(scope="session")
def digits():
    """The first 1,000 training images uint8 [N, 28, 28] and their labels."""
    return read_training("images-idx3", 16, 784_000).reshape(-1, 28, 28), read_training("labels-idx1", 8, 1000)


def description(**changes):
    meta = {
        "family": "mlp",
        "config": CONFIG,
        "n_classes": 10,
        "classes": [str(i) for i in range(10)],
        "mean": 0.13,
        "std": 0.31,
        "temperature": 1.0,
        "threshold": 0.0,
        "dataset": {"name": "mnist", "sha256": {}},
        "study": "trial",
        "run": "mlp-final-seed0",
    }
    return {**meta, **changes}


@pytest.fixture(scope="session")
def trained(digits):
    """State of an MLP that has seen 1,000 digits a few times: enough to tell most of them apart."""
    images, labels = digits
    torch.manual_seed(0)
    model = build_model(CONFIG, 10)
    x = (torch.from_numpy(images.copy()).unsqueeze(1).float() / 255 - 0.13) / 0.31
    y = torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.eval().state_dict()


@pytest.fixture(scope="session")
def second_reader(digits):
    images, labels = (torch.from_numpy(part.copy()) for part in digits)
    return fit_second_reader(images[:800], labels[:800].long(), 10)


@pytest.fixture
def make_bundle(tmp_path, trained):
    """Write a model folder with changes to its description and return its path."""

    def make(state=None, second_reader=None, **changes):
        folder = tmp_path / "model"
        meta = description(**changes)
        write_bundle(folder, trained if state is None else state, meta, model_card(meta, None), second_reader)
        return folder

    return make
