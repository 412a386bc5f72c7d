"""A study's networks in forms to take away: the configuration as TOML, and the lines of torch that load it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from study.errors import UsageError
from study.inference.bundle import WEIGHTS, load_bundle
from study.models import model_keys
from study.records.finalists import Finalists, read_finalists
from study.records.paths import StudyFiles
from study.records.run import as_toml, read_run
from study.records.settings import load_settings, plain

BEST = "best"
Form = Literal["toml", "torch"]
_CODE = """import torch
from safetensors.torch import load_file
from study.training.config import build_model
model = build_model({config}, n_classes={n_classes})
model.load_state_dict(load_file({weights!r}))
model.eval()
images = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)  # [B, 1, 28, 28], ink bright on black
with torch.inference_mode():
    logits = model((images / 255 - {mean}) / {std})  # [B, {n_classes}]
print(logits.softmax(1))
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One network: what it is called, its configuration, its weights' file, and how its pixels are scaled."""

    title: str
    config: Mapping[str, Any]
    weights: Path
    n_classes: int
    mean: float
    std: float

    def as_toml(self) -> str:
        return as_toml(self.config["family"], self.config)

    def as_torch(self) -> str:
        """Ten statements that load the network with this package; `study export` writes a file that needs none."""
        of_model = model_keys(self.config["family"]) | {"family"}
        config = {key: value for key, value in plain(dict(self.config)).items() if key in of_model}
        return _CODE.format(
            config=config, n_classes=self.n_classes, weights=str(self.weights), mean=self.mean, std=self.std
        )


def find(files: StudyFiles, word: str) -> Shown:
    """The shipped network for "best", or the finalist of the family that the word names. ModelFileError or ResultsError
    where it is not there yet, UsageError for another word."""
    return _shipped(files.model) if word == BEST else _finalist(files, word)


def _shipped(model: Path) -> Shown:
    known = load_bundle(model).description
    config = {"family": known.family, **known.config}
    return Shown(known.title, config, model / WEIGHTS, known.n_classes, known.mean, known.std)


def _finalist(files: StudyFiles, family: str) -> Shown:
    families = load_settings(files.settings).families
    found = read_finalists(files.finalists) if files.finalists.is_file() else Finalists()
    if family not in found.standing:
        there = ", ".join(found.standing) or "no finalist yet"
        kind = "has no finalist" if family in families else "is no family of this study"
        raise UsageError(f"{family!r} {kind}: expected {BEST}, or one of: {there}")
    result = found.of(family)
    run = files.run(result.final_runs[0])
    read = read_run(run)
    config = {"family": family, **read.config}
    record = read.record
    return Shown(f"{family} #{result.finalist}", config, run.weights, record.n_classes, record.mean, record.std)


def pieces(shown: Shown, study: str, form: Form | None) -> Iterator[str]:
    """What is printed: one form alone, ready for a file, or both with a line about each."""
    if form in (None, "toml"):
        yield f"# {shown.title} of study '{study}': its configuration\n" + shown.as_toml()
    if form is None:
        yield "\n"
    if form in (None, "torch"):
        yield "# what loads it with torch and this package; `study export` writes ONNX, which needs neither\n"
        yield shown.as_torch()
