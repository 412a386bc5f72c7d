import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from study.inference.second_reader import AXES, FEATURES, SecondReader, fit_second_reader, stroke_directions


@pytest.fixture(scope="module")
def fitted(digits):
    images, labels = (torch.from_numpy(a.copy()) for a in digits)
    return fit_second_reader(images[:800], labels[:800].long(), 10)


def test_it_reads_most_digits_that_it_was_not_fitted_on(fitted, digits):
    answers = fitted(torch.from_numpy(digits[0][800:].copy())).argmax(1).numpy()
    assert (answers == digits[1][800:]).mean() > 0.9


def test_a_digit_is_likelier_than_noise_in_every_class(fitted, digits):
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (50, 28, 28)).astype(np.uint8))
    clean = fitted(torch.from_numpy(digits[0][800:].copy())).max(1).values
    assert fitted(noise).max() < clean.quantile(0.01)


def test_an_edge_speaks_for_its_own_direction():
    image = torch.zeros(1, 28, 28, dtype=torch.uint8)
    image[:, :, 14:] = 255  # brighter to the right: the gradient points to the right
    middle = stroke_directions(image).view(8, 7, 7)[:, 3, 3]
    assert middle[0] > 0.3
    assert middle[1:].sum() < 0.01


def test_nothing_is_felt_on_a_plain_picture():
    plain = torch.full((2, 28, 28), 0, dtype=torch.uint8)
    assert not stroke_directions(plain).any()


def test_the_likelihood_is_that_of_a_gaussian_with_equal_variances_beside_its_main_axes():
    """Against scipy's density, with the covariance written out."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (120, 28, 28)).astype(np.uint8))
    labels = torch.arange(120) % 2
    reader = fit_second_reader(images, labels, 2)
    features = stroke_directions(images).double().numpy()
    expected = []
    for c in range(2):
        rows = features[labels.numpy() == c]
        values, axes = np.linalg.eigh(np.cov(rows.T, bias=True))
        kept = np.maximum(values[-AXES:], float(reader.rest))
        full = (
            float(reader.rest) * np.eye(FEATURES) + (axes[:, -AXES:] * (kept - float(reader.rest))) @ axes[:, -AXES:].T
        )
        expected.append(multivariate_normal(rows.mean(0), full).logpdf(features))
    expected = np.stack(expected, axis=1)
    found = reader(images).double().numpy()
    assert found[:, 0] - found[:, 1] == pytest.approx(expected[:, 0] - expected[:, 1], abs=0.02)


def test_a_class_without_images_and_one_with_a_single_image_do_not_break_the_fit(digits):
    images, labels = torch.from_numpy(digits[0][:200].copy()), torch.from_numpy(digits[1][:200].copy()).long()
    keep = labels != 3
    keep[torch.nonzero(labels == 5)[1:]] = False
    likelihoods = fit_second_reader(images[keep], labels[keep], 10)(images[:20])
    assert torch.isfinite(likelihoods).all()


def test_a_further_form_of_a_class_is_that_class_too(digits):
    images, labels = (torch.from_numpy(part.copy()) for part in digits)
    other = images[:100].flip(2)  # a form that none of the classes has
    wide = fit_second_reader(images[:800], labels[:800].long(), 10, {1: other})
    plain = fit_second_reader(images[:800], labels[:800].long(), 10)
    assert wide(other).shape == (100, 10)
    assert (wide(other).argmax(1) == 1).float().mean() > 0.9
    kept = [c for c in range(10) if c != 1]
    assert torch.allclose(wide(other)[:, kept], plain(other)[:, kept], rtol=1e-4)


def test_its_state_comes_back(fitted, digits):
    copy = SecondReader(10)
    copy.load_state_dict(fitted.state_dict())
    images = torch.from_numpy(digits[0][:5].copy())
    assert torch.equal(copy(images), fitted(images))
