"""What a model's card says of the test split: never what another network, or another reading, made of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_study import SmallStudy

from study.evaluation.test_set import RunsToTest, open_test
from study.models.reading import ShiftedReading
from study.records.files import write_npz
from study.records.finalists import Finalists, write_finalists
from study.stages import ship as shipping

SHIFTED = ShiftedReading(temperature=1.0)
Ship = Callable[..., str]


@pytest.fixture
def ship(small_study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> Ship:
    """Ships with a fixed reading and returns the card; what is fitted is told, not fitted."""
    files = small_study.files
    for run in small_study.candidates:
        write_npz(files.run(run).validation, {"logits": np.eye(10, dtype=np.float32), "labels": np.arange(10)})

    def make(found: Finalists, reading: ShiftedReading | None) -> str:
        fitted: dict[str, Any] = {"threshold": None, "abstention": {}}
        fitted["reading"] = None if reading is None else reading.model_dump()
        monkeypatch.setattr(shipping, "_fit", lambda *_, **__: (fitted, None))
        write_finalists(files.finalists, found)
        shipping.ship(files, small_study.settings, None)  # type: ignore[arg-type]  # a fit would need the data
        return files.model_card.read_text()

    return make


def opened(study: SmallStudy, reading: ShiftedReading | None) -> None:
    wanted = RunsToTest(study.files, study.found, (), reading)
    assert open_test(study.files, study.settings, "study run", wanted, "cnn", "cnn-final-seed0", [["cnn", "mlp"]])


def won_by(study: SmallStudy, family: str) -> Finalists:
    won = study.found.of(family)
    better = replace(won, candidates=tuple(replace(one, mean_accuracy=0.95) for one in won.candidates))
    return Finalists({**study.found.families, family: better})


def tells(card: str) -> bool:
    assert ("| accuracy |" in card) != ("no performance to quote" in card)
    return "| accuracy |" in card


@pytest.mark.parametrize("reading", [None, SHIFTED])
def test_a_run_of_the_same_name_that_was_trained_again_has_no_test_accuracy(
    small_study: SmallStudy, ship: Ship, reading: ShiftedReading | None
) -> None:
    assert not tells(ship(won_by(small_study, "cnn"), reading))
    opened(small_study, reading)
    assert tells(ship(won_by(small_study, "cnn"), reading))
    run, other = (small_study.files.run(f"cnn-final-seed{seed}") for seed in (0, 1))
    shutil.copy(other.weights, run.weights)
    assert not tells(ship(won_by(small_study, "cnn"), reading))


def test_what_one_family_read_with_shifts_is_not_said_of_another_one(small_study: SmallStudy, ship: Ship) -> None:
    opened(small_study, SHIFTED)
    assert tells(ship(won_by(small_study, "cnn"), SHIFTED))
    assert not tells(ship(won_by(small_study, "mlp"), SHIFTED))
    assert tells(ship(won_by(small_study, "mlp"), None))  # it was read once beside the other


def test_what_was_read_in_one_way_is_not_said_of_another_way(small_study: SmallStudy, ship: Ship) -> None:
    opened(small_study, SHIFTED)
    assert not tells(ship(won_by(small_study, "cnn"), ShiftedReading(temperature=2.0)))


@pytest.mark.parametrize(
    ("n_images", "n_workers", "n_cores", "readers"),
    [(133, 2, 2, 1), (400, 2, 2, 2), (8333, 16, 16, 8), (8333, 1, 16, 1)],
)
def test_pictures_are_read_by_as_many_processes_as_train_unless_they_are_few(
    n_images: int, n_workers: int, n_cores: int, readers: int
) -> None:
    assert shipping.n_readers(n_images, n_workers, n_cores) == readers
