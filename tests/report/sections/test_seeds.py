from __future__ import annotations

import numpy as np
import pytest

from study.report.sections.seeds import spread


def test_the_spread_is_of_the_seeds_means() -> None:
    found = spread("finalist a #1", np.array([[True, True, False, True], [True, False, False, True]]))
    assert (found.accuracies, found.mean, found.low, found.high) == ((0.75, 0.5), 0.625, 0.5, 0.75)
    assert found.sd == pytest.approx(np.std([0.75, 0.5], ddof=1))


def test_the_spread_of_one_seed_is_unknown() -> None:
    assert spread("finalist a #1", np.array([[True, False]])).sd is None
