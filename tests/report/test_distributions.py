from __future__ import annotations

from typing import Any

import pytest
from ended import trial
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json

from study.report.distributions import distributions, edges

RANGES = {
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "depth": IntDistribution(1, 5),
    "pair": IntDistribution(1, 2),
    "act": CategoricalDistribution(("relu", True, None)),
    "fixed": FloatDistribution(0.5, 0.5),
}
KNOWN = distributions([trial(0, distributions={name: distribution_to_json(one) for name, one in RANGES.items()})])


@pytest.mark.parametrize(
    ("parameters", "ends"),
    [
        ({"rate": 0.09}, ["high"]),
        ({"rate": 1.1e-4}, ["low"]),
        ({"rate": 3e-3}, []),
        ({"depth": 5}, ["high"]),
        ({"depth": 4}, []),
        ({"pair": 2}, []),
        ({"act": "relu"}, []),
        ({"fixed": 0.5}, []),
        ({"unknown": 3.0}, []),
    ],
)
def test_edges_are_judged_on_the_scale_of_sampling(parameters: dict[str, Any], ends: list[str]) -> None:
    assert [edge.end for edge in edges(parameters, KNOWN)] == ends
