from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ended import trial

from study.records.trial import Trials
from study.report.sections.fair import Step, tuning_curve


def test_the_tuning_curve_steps_where_a_sampled_trial_beats_all_before() -> None:
    curve = tuning_curve(Trials([trial(0, 0.90), trial(1), trial(2, 0.89), trial(3, 0.95)]))
    assert curve.steps == (Step(10.0, 1, 0.90, 0), Step(40.0, 4, 0.95, 3))
    assert (curve.seconds, curve.trials, curve.best) == (40.0, 4, 0.95)


def test_a_warm_start_costs_its_seconds_but_sets_no_value() -> None:
    curve = tuning_curve(Trials([trial(0, 0.99, role="warm_start"), trial(1, 0.9)]))
    assert curve.steps == (Step(20.0, 1, 0.9, 1),)


def test_the_curve_follows_the_order_in_which_trials_ended() -> None:
    early = trial(5, 0.9, end=datetime(2025, 1, 1, tzinfo=UTC))
    curve = tuning_curve(Trials([trial(1, 0.8), early]))
    assert (curve.best, len(curve.steps)) == (0.9, 1)


def test_late_gain_is_what_the_last_third_of_the_seconds_brought() -> None:
    values = [0.9, 0.91, 0.92, 0.92, 0.92, 0.92, 0.92, 0.95, 0.95]
    assert tuning_curve(Trials(trial(k, v) for k, v in enumerate(values))).late_gain == pytest.approx(0.03)


def test_late_gain_is_unknown_for_a_handful_of_trials() -> None:
    assert tuning_curve(Trials([trial(0, 0.9), trial(1, 0.95)])).late_gain is None


def test_the_expected_best_is_of_independent_draws_alone() -> None:
    trials = Trials(trial(k, 0.9) for k in range(8))
    assert tuning_curve(trials).expected_max is None
    assert tuning_curve(trials, independent=True).expected_max == pytest.approx((0.9,) * 4)
