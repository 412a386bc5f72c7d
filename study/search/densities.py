"""TPE's densities: what optuna's mixture of products draws and gives, by scipy's vectorised functions.

Optuna calls Python for each number, which was two thirds of a proposal. What is drawn agrees within rounding (1e-9).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.samplers._tpe.probability_distributions import (
    _BatchedCategoricalDistributions,
    _BatchedDiscreteTruncLogNormDistributions,
    _BatchedDiscreteTruncNormDistributions,
    _BatchedDistributions,
    _BatchedTruncLogNormDistributions,
    _BatchedTruncNormDistributions,
    _MixtureOfProductDistribution,
)
from scipy.special import ndtr, ndtri

Array: TypeAlias = NDArray[np.float64]
_Numerical: TypeAlias = (
    _BatchedTruncNormDistributions
    | _BatchedTruncLogNormDistributions
    | _BatchedDiscreteTruncNormDistributions
    | _BatchedDiscreteTruncLogNormDistributions
)
_Continuous: TypeAlias = _BatchedTruncNormDistributions | _BatchedTruncLogNormDistributions
_Discrete: TypeAlias = _BatchedDiscreteTruncNormDistributions | _BatchedDiscreteTruncLogNormDistributions
_LOG_ROOT_OF_TWO_PI = 0.5 * np.log(2 * np.pi)


def draw(mixture: _MixtureOfProductDistribution, rng: np.random.RandomState, n: int) -> Array:
    """Points of a mixture, [n, parameters], from the random numbers that optuna takes, in its order."""
    active = rng.choice(len(mixture.weights), p=mixture.weights, size=n)
    points = np.empty((n, len(mixture.distributions)))
    numerical: dict[int, _Numerical] = {}
    for index, kernels in enumerate(mixture.distributions):
        if isinstance(kernels, _BatchedCategoricalDistributions):
            shares = np.cumsum(kernels.weights[active], axis=1)
            shares[:, -1] = 1.0  # whatever rounding made of it
            points[:, index] = (shares < rng.rand(n)[:, None]).sum(axis=1)
        else:
            numerical[index] = kernels
    quantiles = rng.uniform(size=(len(numerical), n))
    for (index, kernels), quantile in zip(numerical.items(), quantiles, strict=True):
        points[:, index] = _quantile(kernels, active, quantile)
    return points


def _quantile(kernels: _Numerical, active: NDArray[np.int_], quantile: Array) -> Array:
    """One parameter's values: a quantile of a kernel each."""
    mu, sigma = kernels.mu[active], kernels.sigma[active]
    low, high = ndtr((kernels.adapted_low - mu) / sigma), ndtr((kernels.adapted_high - mu) / sigma)
    x: Array = ndtri(low + quantile * (high - low)) * sigma + mu
    if kernels.is_log:
        x = np.exp(x)
    if kernels.step != 0.0:
        x = np.clip(kernels.low + np.round((x - kernels.low) / kernels.step) * kernels.step, kernels.low, kernels.high)
    return x


def log_density(mixture: _MixtureOfProductDistribution, x: Array) -> Array:
    """The log of a mixture's density at points [N, parameters]: [N]."""
    total = np.log(mixture.weights)[None, :]  # [N, kernels]
    for column, kernels in zip(x.T, mixture.distributions, strict=True):
        total = total + _log_kernels(kernels, column)
    highest = total.max(axis=1)  # scipy's logsumexp takes longer to look at its arguments
    density: Array = highest + np.log(np.exp(total - highest[:, None]).sum(axis=1))
    return density


def _log_kernels(kernels: _BatchedDistributions, x: Array) -> Array:
    """[N], one parameter's values, to [N, kernels]."""
    if isinstance(kernels, _BatchedCategoricalDistributions):
        logs: Array = np.log(kernels.weights).T[x.astype(int)]
        return logs
    if isinstance(kernels, _BatchedTruncNormDistributions | _BatchedTruncLogNormDistributions):
        return _continuous(kernels, x)
    return _discrete(kernels, x)


def _continuous(kernels: _Continuous, x: Array) -> Array:
    if kernels.is_log:
        x = np.log(x)
    scaled = (x[:, None] - kernels.mu) / kernels.sigma
    logs: Array = -0.5 * scaled**2 - (
        _LOG_ROOT_OF_TWO_PI + np.log(kernels.sigma) + _log_inside(kernels, kernels.mu, kernels.sigma)
    )
    return logs


def _discrete(kernels: _Discrete, x: Array) -> Array:
    """A number's share of a kernel: from half a step below it to half a step above."""
    values, of_value = np.unique(x, return_inverse=True)
    # Whole numbers are few, and so are the kernels on them.
    pairs, of_pair = np.unique(kernels.mu + 1j * kernels.sigma, return_inverse=True)
    mu, sigma = pairs.real, pairs.imag
    ends = values - kernels.step / 2, values + kernels.step / 2
    low, high = np.log(ends) if kernels.is_log else ends
    mass = _log_mass((low[:, None] - mu) / sigma, (high[:, None] - mu) / sigma) - _log_inside(kernels, mu, sigma)
    logs: Array = mass[np.ix_(of_value, of_pair)]
    return logs


def _log_inside(kernels: _Continuous | _Discrete, mu: Array, sigma: Array) -> Array:
    return _log_mass((kernels.adapted_low - mu) / sigma, (kernels.adapted_high - mu) / sigma)


def _log_mass(low: Array, high: Array) -> Array:
    """The log of what a standard normal variable has between two numbers; in the left tail, where it is exact."""
    is_right = low > 0
    below, above = np.where(is_right, -high, low), np.where(is_right, -low, high)
    with np.errstate(divide="ignore"):  # a kernel that is 40 sigma away has none
        logs: Array = np.log(ndtr(above) - ndtr(below))
    return logs
