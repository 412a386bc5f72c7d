"""What a run's config.toml says about it."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from typing import Any

from study.errors import ResultsError
from study.records.files import read_text
from study.records.paths import RunFiles


@dataclass(frozen=True)
class RunMeta:
    """What a run's config.toml says about it; `mean` and `std` are of pixels in [0, 1]."""

    name: str
    family: str
    trial: int
    role: str
    seed_index: int
    n_classes: int
    mean: float
    std: float
    config: dict[str, Any]


def read_meta(run: RunFiles) -> RunMeta:
    """ResultsError names the file and what it lacks."""
    try:
        content = tomllib.loads(read_text(run.config))
        fields = {field.name for field in dataclasses.fields(RunMeta)} - {"name", "config"}
        return RunMeta(
            name=run.root.name, config=content["config"], **{key: content["run"][key] for key in sorted(fields)}
        )
    except FileNotFoundError:
        raise ResultsError(f"{run.config} is missing; rerun `study retrain`") from None
    except (KeyError, tomllib.TOMLDecodeError) as error:
        raise ResultsError(f"{run.config} is damaged ({error}); move the run away and rerun `study retrain`") from None
