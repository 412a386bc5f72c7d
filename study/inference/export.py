"""The winner as one ONNX file, normalisation inside, let out only if onnxruntime agrees with torch."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from study.errors import StudyError
from study.inference.bundle import Bundle
from study.records.files import replacing

MAX_GAP = 1e-4  # largest difference of a logit between torch and onnxruntime
OPSET = 20
INPUT, OUTPUT = "images", "logits"
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Parity:
    """How torch and onnxruntime compare on `images` pictures: answers that differ, and the largest gap of a logit."""

    images: int
    changed: int
    gap: float

    @property
    def holds(self) -> bool:
        return self.changed == 0 and self.gap <= MAX_GAP


def export_onnx(bundle: Bundle, path: Path, validation_images: NDArray[np.uint8]) -> Parity:
    """Write `path` (input "images" uint8 [B, 1, 28, 28], output "logits" float32 [B, C], any B) and return its parity.

    `validation_images` uint8 [N, 28, 28]. StudyError if answers differ, a logit differs by more than MAX_GAP, or the
    extra `onnx` is not installed: then `path` is left as it was.
    """
    _check_installed()
    network = bundle.description.reader(bundle.model).eval()
    with replacing(path) as part:
        _write(network, part)
        parity = compare(network, part, validation_images)
        if not parity.holds:
            raise StudyError(
                f"{path}: onnxruntime and torch differ on {parity.changed} of {parity.images} images, logits by up to "
                f"{parity.gap:.1e}; expected 0 and at most {MAX_GAP:.0e}: {_left(path)}"
            )
    return parity


def _left(path: Path) -> str:
    return "the older file was left in place" if path.exists() else "no file was written"


def _check_installed() -> None:
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ImportError:
            raise StudyError(f"the export needs {name}: pip install 'digit-study[onnx]'") from None


def _write(network: nn.Module, path: Path) -> None:
    example = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    with _quiet():
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter reports its progress on stdout, which belongs to results."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def compare(network: nn.Module, path: Path, images: NDArray[np.uint8], batch: int = 250) -> Parity:
    """Run both on images uint8 [N, 28, 28], in batches of `batch` and a last one that is smaller."""
    session = _session(path)
    changed, gap = 0, 0.0
    for start in range(0, len(images), batch):
        pixels = images[start : start + batch, None].copy()
        with torch.inference_mode():
            expected = network(torch.from_numpy(pixels)).numpy()
        found = session.run([OUTPUT], {INPUT: pixels})[0]
        changed += int((expected.argmax(axis=1) != found.argmax(axis=1)).sum())
        gap = max(gap, float(np.abs(expected - found).max()))
    return Parity(len(images), changed, gap if np.isfinite(gap) else float("inf"))


def _session(path: Path) -> Any:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
