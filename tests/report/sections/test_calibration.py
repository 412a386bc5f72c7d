from __future__ import annotations

import numpy as np

from study.report.sections.calibration import Calibrations, finding, of_finalist


def test_a_finalist_without_validation_logits_is_judged_as_trained() -> None:
    logits = np.random.default_rng(0).normal(size=(400, 3))
    labels = logits.argmax(axis=1)
    entry = of_finalist("finalist a #1", [logits], labels, None)
    assert (entry.scaled, entry.shipped) == (None, entry.plain)
    assert (entry.risk_at_full, entry.error_free_coverage) == (0, 1)


def test_the_risk_curve_ends_at_the_error_rate() -> None:
    logits = np.random.default_rng(0).normal(size=(400, 3))
    labels = np.where(np.arange(400) < 100, (logits.argmax(axis=1) + 1) % 3, logits.argmax(axis=1))
    entry = of_finalist("finalist a #1", [logits], labels, 2.0)
    assert entry.risk_coverage[-1].risk == entry.risk_at_full == 0.25
    assert entry.shipped == entry.scaled != entry.plain


def test_every_seed_is_held_against_a_noise_floor_of_its_own() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 4000)
    logits = rng.normal(size=(4000, 3))
    logits[np.arange(4000), labels] += 3
    true = logits * 3  # log-likelihood ratios of normals three apart: perfectly calibrated
    entry = of_finalist("finalist a #1", [true, true * 5], labels, None)
    assert entry.beyond == 1
    assert entry.errors[0] < entry.errors[1]
    assert "1 of them more than chance explains" in finding(Calibrations({"a": entry}, None), None)
