"""One answer about one digit of a picture, and in words why it is left open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from study.inference.grouping import Box
from study.inference.preprocess import BLANK, CUT_UNCERTAIN, NOT_A_DIGIT, SEVERAL_DIGITS, Prepared

LISTED = 10  # boxes that a reason names


@dataclass(frozen=True)
class Prediction:
    """One answer. `status` is 'ok', 'abstain' or 'error'; `digit` the class index, filled unless `status` is 'error';
    `label` its class name; `probability` calibrated, 0 … 1; `top_k` the answer and the likeliest others as {digit,
    probability}; `set` the answer and what else it takes to contain the true digit with the chosen coverage, by class
    index, and `set_labels` the same by class name; `flags` what was odd about the picture; `reason` why there is no
    plain answer; `box` of the digit (left, top, right, bottom) in the picture's pixels and its `row`, from 1; `pixels`
    what the network saw, uint8 [28, 28]."""

    path: str
    status: str
    digit: int | None = None
    label: str | None = None
    probability: float | None = None
    top_k: tuple[dict[str, Any], ...] = ()
    set: tuple[int, ...] = ()
    flags: tuple[str, ...] = ()
    reason: str | None = None
    pixels: NDArray[np.uint8] | None = None
    set_labels: tuple[str, ...] = ()
    box: Box | None = None
    row: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The contract's keys, ready for strict JSON."""
        return {
            "path": _encodable(self.path),
            "status": self.status,
            "digit": self.digit,
            "label": self.label,
            "probability": self.probability,
            "top_k": [dict(entry) for entry in self.top_k],
            "set": list(self.set),
            "flags": list(self.flags),
            "reason": None if self.reason is None else _encodable(self.reason),
            "box": None if self.box is None else list(self.box),
            "row": self.row,
        }


def _encodable(text: str) -> str:
    """A file name need not be text; what is not becomes an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def why_not(
    flags: Sequence[str], prepared: Prepared, probability: float, threshold: float, labels: Sequence[str]
) -> str | None:
    """Why the answer is left open, or None where it is not."""
    if BLANK in flags:
        return "the picture is blank"
    if SEVERAL_DIGITS in flags:
        boxes = _listed(prepared.boxes)
        return f"{len(prepared.boxes)} digits, at (left top right bottom) {boxes}; --segment reads them one by one"
    if NOT_A_DIGIT in flags:
        return "unlike any digit it was trained on"
    if CUT_UNCERTAIN in flags:
        return f"digits that touch: where {labels[0]} begins and ends is unsure"
    if probability < threshold:
        either = " or ".join(labels[:3]) if len(labels) > 1 else f"probably {labels[0]}"
        return f"unsure: {either}; probability {probability:.3f} is under {threshold:.3f}"
    return None


def _listed(boxes: Sequence[Box]) -> str:
    listed = ", ".join(" ".join(map(str, box)) for box in boxes[:LISTED])
    return listed if len(boxes) <= LISTED else f"{listed} and {len(boxes) - LISTED} more"


def save_pixels(folder: Path, number: int, answer: Prediction) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    assert answer.pixels is not None
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(answer.path).stem)[:80]
    Image.fromarray(answer.pixels).save(folder / f"{number:05d}-{stem}.png")


def as_text(pixels: NDArray[np.uint8]) -> str:
    """What the network saw, [28, 28], in characters."""
    shades = np.array(list(" .:-=+*#%@"))
    return "\n".join("".join(row).rstrip() for row in shades[(pixels.astype(np.int64) * 9 + 127) // 255])
