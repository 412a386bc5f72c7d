from __future__ import annotations

from study.report.sections.curves import LearningCurve


def test_the_last_losses_are_those_that_were_taken_together() -> None:
    curve = LearningCurve("a", "candidate", (1.0, 2.0, 3.0), (0.5, 0.4, 0.3), (0.6, 0.5, None))
    assert curve.last_losses == (0.4, 0.5)
    assert LearningCurve("a", "final", (1.0,), (0.5,), (None,)).last_losses is None
