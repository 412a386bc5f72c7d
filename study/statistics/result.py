"""The base of every computed result, a frozen dataclass that strict JSON can hold, and how a p-value is written."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

OPTIONAL = {"optional": True}
PAGE_ONLY = {"key": None}


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """Subclasses are frozen dataclasses; `to_dict` gives plain lists, numbers and None for what is not finite.

    A field's metadata may name another `key` for it, or None for what JSON does not hold, or say that it is left out
    where it is None: `field(metadata={"key": "class"})`, `field(default=None, metadata=OPTIONAL)`."""

    def to_dict(self) -> dict[str, Any]:
        found = {}
        for field in dataclasses.fields(self):
            key, value = field.metadata.get("key", field.name), getattr(self, field.name)
            if key is not None and not (value is None and field.metadata.get("optional")):
                found[key] = strict(value)
        return found


def strict(value: Any) -> Any:
    """`value` as strict JSON can hold it: arrays and tuples as lists, NaN and infinities as None."""
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, np.ndarray | np.generic):
        return strict(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def shown_p(p: float) -> str:
    """With its sign: '= 0.31', '= 0.052', '= 0.0031' or '< 0.0001'. 0.052 must not read as the threshold 0.05."""
    if p < 1e-4:
        return "< 0.0001"
    return f"= {p:.{4 if p < 0.01 else 3 if p < 0.1 else 2}f}"
