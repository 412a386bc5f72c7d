"""Small pictures as PNG data URIs, so that the page is one file and shows them without JavaScript."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from study.report.reading import StudyRecords
from study.report.section import Report
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class Pictures(Result):
    """Data URIs: one strip of samples per class, the blurred six, each hard image by its place in images.npz."""

    samples: tuple[str, ...]
    strip: tuple[str, ...]
    hardest: tuple[str, ...]


def numbers(study: StudyRecords, before: Report) -> Pictures:
    samples = study.samples.get("images")
    return Pictures(
        samples=tuple(sample_rows(samples)) if samples is not None and samples.ndim == 4 else (),
        strip=tuple(data_uri(image, scale=2) for image in study.strip.get("images", [])),
        hardest=tuple(data_uri(image, scale=2) for image in study.hardest.get("images", [])),
    )


def data_uri(pixels: NDArray[np.uint8], scale: int = 1) -> str:
    """Grey levels [H, W] as a data URI, each pixel repeated `scale` times."""
    enlarged = np.repeat(np.repeat(pixels, scale, axis=0), scale, axis=1)
    stream = io.BytesIO()
    Image.fromarray(enlarged.astype(np.uint8)).save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def sample_rows(images: NDArray[np.uint8]) -> list[str]:
    """Samples [C, K, H, W] as one strip per class, K pictures side by side; none without pictures."""
    return [data_uri(np.concatenate(list(row), axis=1)) for row in images] if images.shape[1] else []
