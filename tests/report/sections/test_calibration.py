from __future__ import annotations

import numpy as np

from study.report.sections.calibration import of_network


def test_a_finalist_without_validation_logits_is_judged_as_trained() -> None:
    logits = np.random.default_rng(0).normal(size=(400, 3))
    labels = logits.argmax(axis=1)
    entry = of_network("finalist a #1", logits, labels, None)
    assert (entry.scaled, entry.shipped) == (None, entry.plain)
    assert (entry.risk_at_full, entry.error_free_coverage) == (0, 1)


def test_the_risk_curve_ends_at_the_error_rate() -> None:
    logits = np.random.default_rng(0).normal(size=(400, 3))
    labels = np.where(np.arange(400) < 100, (logits.argmax(axis=1) + 1) % 3, logits.argmax(axis=1))
    entry = of_network("finalist a #1", logits, labels, 2.0)
    assert entry.risk_coverage[-1].risk == entry.risk_at_full == 0.25
    assert entry.shipped == entry.scaled != entry.plain
