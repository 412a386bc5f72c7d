from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic import Wanted, write_study

from study.report.page import make, numbers_of
from study.report.section import Report
from study.report.sections import hardest


def test_the_hardest_images_come_by_falling_loss_with_every_seeds_answer(case_made: Callable[[str], Report]) -> None:
    images = case_made("clear win")[hardest].images
    losses = [image.loss for image in images]
    assert losses == sorted(losses, reverse=True)
    assert all(len(answers) == 3 for answers in images[0].answers.values())


@pytest.mark.parametrize(
    ("dataset", "data_dir", "flagged"), [("mnist", None, 1), ("other", None, None), ("mnist", "/home/me/mnist", None)]
)
def test_mnist_s_disputed_labels_are_marked_for_mnist_alone(
    dataset: str, data_dir: str | None, flagged: int | None, tmp_path: Path
) -> None:
    """Somebody's own folder may have the name, and its image 947 is another one."""
    files = write_study(tmp_path / "study", Wanted(dataset=dataset, data_dir=data_dir))
    np.savez(files.test / "images.npz", indices=np.array([947, 3]), images=np.zeros((2, 28, 28), np.uint8))
    report = make(files)
    found = report[hardest]
    assert found.known_errors == flagged
    assert sum(image.label_error for image in found.images) == (flagged or 0)
    limits = numbers_of(report)["limits"]["items"]
    assert any(item["flag"] == "label noise" for item in limits) == (flagged is not None)
