"""The ranges that parameters were drawn from, as trials record them, and where values lie in them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from study.records.settings import Limit
from study.records.trial import Scalar, TrialRecord
from study.statistics.result import Result

EDGE = 0.05  # a value in the outer twentieth of its range counts as being at the edge


@dataclass(frozen=True, slots=True)
class Distribution(Result):
    """Optuna's name of its kind, and its attributes as Optuna writes them."""

    name: str
    attributes: Mapping[str, Any]

    @property
    def choices(self) -> tuple[Any, ...]:
        """Of a categorical parameter."""
        return tuple(self.attributes["choices"]) if self.name == "CategoricalDistribution" else ()

    @property
    def range(self) -> tuple[float, float] | None:
        """The ends of a numeric one."""
        return (self.attributes["low"], self.attributes["high"]) if "low" in self.attributes else None

    @property
    def is_whole(self) -> bool:
        return self.name == "IntDistribution"

    def position(self, value: float) -> float:
        """Its place in the range, 0 at the low end, 1 at the high end, on the scale it is sampled on."""
        low, high = self.attributes["low"], self.attributes["high"]
        if self.attributes.get("log"):
            value, low, high = math.log(value), math.log(low), math.log(high)
        return float((value - low) / (high - low))


def distributions(trials: Iterable[TrialRecord]) -> dict[str, Distribution]:
    """By parameter; the last trial's wins."""
    texts: dict[str, str] = {}
    for trial in trials:
        texts.update(trial.distributions)
    return {name: _parsed(text) for name, text in texts.items()}


def _parsed(text: str) -> Distribution:
    found = json.loads(text)
    return Distribution(found["name"], found["attributes"])


@dataclass(frozen=True, slots=True)
class Edge(Result):
    """A parameter that lies at an end of its range, and how far it could go at all."""

    parameter: str
    value: Scalar
    low: float
    high: float
    end: Literal["low", "high"]
    limit: Limit = field(default=Limit(), metadata={"key": None})

    def to_dict(self) -> dict[str, Any]:
        return Result.to_dict(self) | {"limit": self.limit.model_dump()}


def edges(parameters: Mapping[str, Scalar], known: Mapping[str, Distribution]) -> list[Edge]:
    """Those of one trial's parameters, without their limits; of a whole number that can be one of two, either end says
    nothing."""
    found = [_edge(name, value, known[name]) for name, value in parameters.items() if name in known]
    return [edge for edge in found if edge is not None]


def _edge(name: str, value: Scalar, distribution: Distribution) -> Edge | None:
    ends = distribution.range
    if ends is None or isinstance(value, bool | str) or value is None or ends[1] <= ends[0]:
        return None
    if distribution.is_whole and ends[1] - ends[0] <= 1:
        return None
    at, near = distribution.position(float(value)), 0 if distribution.is_whole else EDGE
    if at <= near:
        return Edge(name, value, *ends, "low")
    return Edge(name, value, *ends, "high") if at >= 1 - near else None
