"""The logits of a file of predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from study.errors import ResultsError


def read_logits(path: Path) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    """(labels [N], run -> logits [N, C]) of predictions.npz or candidates.npz."""
    try:
        with np.load(path) as arrays:
            return arrays["labels"], {name: arrays[name] for name in arrays.files if name != "labels"}
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing; run `study evaluate` first") from None
    except (ValueError, KeyError, OSError) as error:
        raise ResultsError(f"{path} is damaged ({error}); restore it from a copy of the study") from None
