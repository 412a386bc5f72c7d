import json

import numpy as np
import pytest
from scipy.stats import binomtest

from study.inference.abstain import (
    DEFAULT_COVERAGE,
    MAX_UNANSWERED,
    STRANGE,
    Evidence,
    Hands,
    choose_threshold,
    energy,
    fit_abstention,
    image_statistics,
    logit_distance,
    prediction_set,
    probabilities,
    strangeness,
)


def foreign(evidence, fitted):
    return strangeness(evidence, fitted) > 1


def logits_of(labels, n_classes=4, height=8.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((len(labels), n_classes))
    logits[np.arange(len(labels)), labels] += height
    return logits


def strokes(n, seed=0):
    """Bars of different length and place: something with ink in it."""
    rng = np.random.default_rng(seed)
    images = np.zeros((n, 28, 28), np.uint8)
    for image in images:
        top, left = rng.integers(4, 8), rng.integers(8, 16)
        image[top : top + rng.integers(12, 17), left : left + 3] = 255
    return images


def evidence_of(labels, likelihoods=None, **options):
    return Evidence(strokes(len(labels), options.get("seed", 0)), logits_of(labels, **options), likelihoods)


@pytest.fixture
def fitted():
    labels = np.arange(2000) % 4
    return fit_abstention(evidence_of(labels), labels)


def test_probabilities_of_known_logits_with_temperature():
    known = Evidence(strokes(1), np.array([[2 * np.log(3), 0.0]]))
    assert probabilities(known, {}, 2.0) == pytest.approx(np.array([[0.75, 0.25]]))


def test_a_second_reader_is_weighed_by_what_it_knows():
    """The logits tell the classes 0 1 | 2 3 apart, the likelihoods 0 2 | 1 3: only together do they know."""
    labels = np.random.default_rng(1).integers(0, 4, 4000)
    high = (labels[:, None] // 2 == np.arange(4) // 2).astype(float)
    low = (labels[:, None] % 2 == np.arange(4) % 2).astype(float)
    noise = np.random.default_rng(2).standard_normal((2, 4000, 4))
    both = Evidence(strokes(4000), 6 * high + noise[0], 900 + 60 * low + 10 * noise[1])
    pool = fit_abstention(both, labels)["pool"]
    together = probabilities(both, {"pool": pool})
    assert (together.argmax(1) == labels).mean() > 0.95
    assert together.max(1).mean() == pytest.approx((together.argmax(1) == labels).mean(), abs=0.01)


def test_a_second_reader_that_knows_nothing_weighs_nothing():
    labels = np.arange(3000) % 4
    blind = np.random.default_rng(3).standard_normal((3000, 4)) * 100
    evidence = evidence_of(labels, blind, height=3.0)
    pool = fit_abstention(evidence, labels)["pool"]
    assert pool["weight"] * 100 < 0.1 * pool["scale"]


def test_the_answer_stays_the_networks():
    evidence = Evidence(strokes(1), np.array([[1.0, 0.0]]), np.array([[0.0, 1000.0]]))
    assert evidence.answers.tolist() == [0]


def test_the_threshold_is_the_lowest_that_keeps_the_error_bound():
    confidence = np.linspace(0.5, 1.0, 20_000)
    correct = np.ones(20_000, bool)
    correct[:400] = False  # the least sure are wrong
    chosen = choose_threshold(confidence, correct)
    answered = confidence >= chosen["threshold"]
    errors = int((~correct[answered]).sum())
    upper = binomtest(errors, int(answered.sum()), alternative="less").proportion_ci(0.95).high
    assert chosen["error_bound"] == pytest.approx(upper, rel=1e-6)
    assert upper <= 0.002
    one_more = binomtest(errors + 1, int(answered.sum()) + 1, alternative="less").proportion_ci(0.95).high
    assert one_more > 0.002
    assert chosen["answered"] == pytest.approx(answered.mean())


def test_the_threshold_never_costs_more_than_its_share_of_clean_images():
    correct = np.random.default_rng(0).random(10_000) > 0.2
    chosen = choose_threshold(np.linspace(0.6, 1.0, 10_000), correct)
    assert chosen["answered"] >= 1 - MAX_UNANSWERED
    assert chosen["error_bound"] > 0.001


def test_no_answer_is_given_that_is_less_likely_than_not():
    confidence = np.linspace(0.0, 1.0, 1000)
    for correct in (np.ones(1000, bool), np.zeros(1000, bool)):
        chosen = choose_threshold(confidence, correct)
        assert chosen["threshold"] >= 0.5
        assert chosen["answered"] <= 0.5


def test_equal_confidences_are_answered_together():
    chosen = choose_threshold(np.full(100, 0.9), np.ones(100, bool))
    assert chosen["answered"] == 1.0


def test_the_threshold_holds_the_bound_of_other_hands_too():
    clean = np.linspace(0.6, 1.0, 10_000), np.ones(10_000, bool)
    others = np.linspace(0.5, 1.0, 2000)
    alone = choose_threshold(*clean)
    both = choose_threshold(*clean, (others, others > 0.61))
    assert alone["threshold"] == pytest.approx(0.6, abs=0.001)
    assert 0.6 < both["threshold"] <= 0.62
    assert both["answered"] >= 0.95


def test_hands_that_are_read_badly_cost_no_more_than_the_allowed_share():
    clean = np.linspace(0.6, 1.0, 10_000), np.ones(10_000, bool)
    assert choose_threshold(*clean, (np.linspace(0.5, 1, 100), np.zeros(100, bool)))["answered"] >= 0.95


def test_what_the_threshold_does_to_other_hands_is_kept():
    labels, others = np.arange(2000) % 4, np.arange(8) % 4
    read = evidence_of(others, seed=5)
    hands = Hands(read, np.where(np.arange(8) == 7, 0, others), np.arange(8) < 2)
    kept = fit_abstention(evidence_of(labels), labels, hands=hands)["hands"]
    assert (kept["pictures"], kept["right"]) == (8, 7 / 8)
    assert kept["answered"] <= 6 / 8


def test_the_two_readers_are_weighed_on_other_hands_too_and_stay_calibrated_on_clean_images():
    """Clean images need no second reader; of the others the network knows nothing, and it knows all."""
    labels, rng = np.random.default_rng(1).integers(0, 4, 4000), np.random.default_rng(2)
    own = np.eye(4)[labels]
    likelihoods = 30 * own + 10 * rng.standard_normal((4000, 4))
    clean = Evidence(strokes(4000), 4 * own + rng.standard_normal((4000, 4)), likelihoods)
    blind = Evidence(strokes(4000), rng.standard_normal((4000, 4)), likelihoods)
    alone = fit_abstention(clean, labels)["pool"]
    both = fit_abstention(clean, labels, hands=Hands(blind, labels, np.zeros(4000, bool)))["pool"]
    assert both["weight"] / both["scale"] > 1.5 * alone["weight"] / alone["scale"]
    p = probabilities(clean, {"pool": both})
    assert p.max(1).mean() == pytest.approx((p.argmax(1) == labels).mean(), abs=0.01)


def test_what_was_fitted_is_strict_json(fitted):
    assert json.loads(json.dumps(fitted, allow_nan=False)) == fitted


def test_clean_evidence_is_seldom_foreign_and_flat_logits_are(fitted):
    labels = np.arange(2000) % 4
    assert foreign(evidence_of(labels), fitted).mean() == pytest.approx(STRANGE)
    assert foreign(evidence_of(labels, seed=9), fitted).mean() < 0.02
    for odd in (0.0, 40.0):
        assert foreign(Evidence(strokes(1), np.full((1, 4), odd)), fitted).all()


def test_several_small_oddities_make_a_picture_foreign_that_none_would_alone(fitted):
    image = strokes(1)
    usual = Evidence(image, np.array(fitted["logit_distance"]["means"])[:1])
    # As far from the median as the hundredth image, in every look.
    limits = {name: list(quantiles) for name, quantiles in fitted["looks"].items()}
    for name, values in zip(("ink", "solid", "roughness", "pits"), image_statistics(image)[0], strict=True):
        limits[name] = [values - 2e-6, values - 1e-6, values]
    shifted = {**fitted, "looks": limits, "limit": 3.5}
    assert foreign(usual, shifted).all()
    assert not foreign(usual, {**shifted, "limit": 4.5}).any()


def test_images_that_look_foreign_are_never_counted_as_answered(digits):
    """Images wrong with full confidence, but strange: refused, so the threshold need not rise for them."""
    images, labels = digits[0].copy(), digits[1].astype(np.int64)
    strange = np.random.default_rng(4).integers(0, 256, (4, 28, 28)).astype(np.uint8)
    logits = logits_of(labels, 10, height=30.0)
    logits[:4] = np.roll(logits[:4], 1, axis=1)
    fit = fit_abstention(Evidence(np.concatenate([strange, images[4:]]), logits), labels)
    assert fit["error_bound"] == pytest.approx(1 - 0.05 ** (1 / (fit["answered"] * len(labels))), rel=1e-6)


def test_an_empty_fit_refuses_nothing():
    assert not foreign(Evidence(strokes(3), np.zeros((3, 4))), {}).any()


def test_a_class_without_validation_images_does_not_break_the_fit():
    labels = np.arange(300) % 3
    assert np.isfinite(fit_abstention(evidence_of(labels), labels)["limit"])


def test_distance_is_zero_at_a_class_mean_and_mahalanobis_elsewhere():
    fit = {"means": [[0.0, 0.0], [10.0, 0.0]], "precision": [[4.0, 0.0], [0.0, 1.0]]}
    assert logit_distance(np.array([[10.0, 0.0], [1.0, 2.0]]), fit) == pytest.approx([0.0, 8.0])


def test_energy_is_minus_log_sum_exp():
    assert energy(np.log(np.array([[1.0, 2.0, 5.0]]))) == pytest.approx([-np.log(8)])


def test_noise_and_solid_shapes_are_foreign_whatever_the_network_says(digits):
    images, labels = digits
    fit = fit_abstention(Evidence(images, logits_of(labels, 10)), labels)
    noise = np.random.default_rng(0).integers(0, 256, (50, 28, 28)).astype(np.uint8)
    solid = np.zeros((50, 28, 28), np.uint8)
    solid[:, 5:23, 5:23] = 255
    sure = logits_of(labels[:50], 10, seed=5)
    assert foreign(Evidence(images, logits_of(labels, 10, seed=6)), fit).mean() < 0.02
    assert foreign(Evidence(noise, sure), fit).all()
    assert foreign(Evidence(solid, sure), fit).all()


def test_statistics_of_a_black_image_are_finite():
    assert np.isfinite(image_statistics(np.zeros((1, 28, 28), np.uint8))).all()


def test_prediction_sets_hold_the_truth_as_often_as_they_say():
    labels = np.arange(4000) % 4
    fit = fit_abstention(evidence_of(labels, height=2.0), labels)
    fresh = probabilities(evidence_of(labels, height=2.0, seed=5), fit)
    for coverage in (0.9, 0.95, 0.99):
        held = [label in prediction_set(p, fit, coverage) for p, label in zip(fresh, labels, strict=True)]
        assert np.mean(held) == pytest.approx(coverage, abs=0.02)


def test_a_coverage_between_two_fitted_ones_takes_the_higher_and_beyond_all_takes_every_class():
    p, sets = np.array([0.7, 0.2, 0.06, 0.04]), {"sets": {"0.9": 0.5, "0.99": 0.1, "0.999": 0.05}}
    assert prediction_set(p, sets, 0.9) == [0]
    assert prediction_set(p, sets, 0.95) == [0, 1]
    assert prediction_set(p, sets) == prediction_set(p, sets, DEFAULT_COVERAGE) == [0, 1, 2]
    assert prediction_set(p, sets, 0.9999) == [0, 1, 2, 3]


def test_prediction_sets_are_ordered_never_empty_and_work_without_a_fit():
    assert prediction_set(np.array([0.01, 0.6, 0.39]), {}, 0.9) == [1, 2]
    assert prediction_set(np.array([0.3, 0.4, 0.3]), {"sets": {"0.95": 0.9}}, 0.95) == [1]


def test_a_threshold_says_what_kept_it_from_being_lower():
    clean = np.linspace(0.6, 1.0, 10_000), np.ones(10_000, bool)
    doubtful = clean[0], clean[0] > 0.605
    pushed = np.linspace(0.5, 1.0, 2000)
    bad = pushed, np.zeros(2000, bool)
    assert choose_threshold(*clean)["chosen_by"] == "floor"
    assert choose_threshold(*doubtful)["chosen_by"] == "clean"
    assert choose_threshold(*doubtful, clean)["chosen_by"] == "clean"
    assert choose_threshold(*doubtful, (pushed, pushed > 0.615))["chosen_by"] == "hands"
    assert choose_threshold(*clean, bad)["chosen_by"] == "cost"
    assert choose_threshold(clean[0], clean[0] > 0.8)["chosen_by"] == "cost"
