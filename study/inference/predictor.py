"""From pictures to answers: prepared one by one, read by the network in batches, in stable order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from study.errors import ImageError, UsageError
from study.inference.abstain import DEFAULT_THRESHOLD, Evidence, is_foreign, prediction_set, probabilities
from study.inference.bundle import Description, load_bundle
from study.inference.ink import Invert
from study.inference.opening import STDIN, Source, open_gray
from study.inference.preprocess import BLANK, NOT_A_DIGIT, SEVERAL_DIGITS, Prepared, prepare
from study.inference.second_reader import SecondReader

BATCH = 32
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Prediction:
    """One answer. `status` is 'ok', 'abstain' or 'error'; `digit` the class index, filled unless `status` is 'error';
    `label` its class name; `probability` calibrated, 0 … 1; `top_k` the answer and the likeliest others as
    {digit, probability}; `set` the answer and what else is needed to hold the truth with the chosen coverage, by class
    index, and `set_labels` the same by class name; `flags` what was odd about the picture; `reason` why there is no
    plain answer; `pixels` what the network saw, uint8 [28, 28]."""

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
        }


def _encodable(text: str) -> str:
    """A file name need not be text; what is not becomes an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class _Pending:
    """A picture on its way: what the network shall see of it, or why it sees nothing."""

    path: str
    prepared: Prepared | None
    reason: str | None = None
    part: str | None = None


@dataclass(frozen=True)
class _Judged:
    """The network's answer, the classes' calibrated probabilities [C], and whether the picture is like no digit."""

    digit: int
    p: NDArray[np.float64]
    foreign: bool


class Predictor:
    """A trained network that reads pictures of digits.

    >>> predictor = Predictor.load("results/mnist/model")  # doctest: +SKIP
    >>> predictor.predict(["photo.png"])[0].digit  # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        description: Description,
        second_reader: SecondReader | None = None,
        device: str = "cpu",
    ) -> None:
        self.device = _device(device)
        self.model = model.eval().to(self.device)
        self.description = description
        self.second_reader = second_reader

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Predictor:
        """Read a `model/` folder, or the one in a study's folder; ModelFileError if it cannot be trusted."""
        root = Path(path)
        nested = not (root / "model.json").exists() and (root / "model" / "model.json").exists()
        bundle = load_bundle(root / "model" if nested else root)
        return cls(bundle.model, bundle.description, bundle.second_reader, device)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.description.classes

    @property
    def threshold(self) -> float:
        """Calibrated probability under which it abstains unless told otherwise."""
        fitted = self.description.threshold
        return float(self.description.abstention.get("threshold", DEFAULT_THRESHOLD)) if fitted is None else fitted

    def predict(self, inputs: Iterable[Source], **options: Any) -> list[Prediction]:
        """One answer per input, in order; options as for `stream`."""
        return list(self.stream(inputs, **options))

    def stream(
        self,
        inputs: Iterable[Source],
        *,
        top_k: int = 3,
        threshold: float | None = None,
        invert: Invert = "auto",
        segment: bool = False,
        save_input: str | Path | None = None,
        coverage: float | None = None,
    ) -> Iterator[Prediction]:
        """Answers one after another, in constant memory: paths, '-' for one picture's bytes on stdin, PIL images, or
        arrays [H, W], [H, W, 3 or 4] of uint8 (0 … 255), other integers, bool or floats (by their range).

        top_k       classes to list, 1 … C
        threshold   abstain under this calibrated probability; None: the model's own
        invert      'yes' dark ink, 'no' bright ink, 'auto' looks
        segment     several digits in a picture: an answer each, from left to right, instead of abstaining
        save_input  folder for what the network saw, as PNG
        coverage    of the prediction set, above 0 and below 1; None: 0.999. Conformal on validation: for pictures like
                    the validation images the set holds the truth at least so often; beyond 0.9995 it is all classes
        """
        _check_options(top_k, threshold, invert, coverage)
        limit = self.threshold if threshold is None else threshold
        pending = self._pending(inputs, invert, segment)
        number = 0
        while batch := list(islice(pending, BATCH)):
            for answer in self._answers(batch, top_k, limit, coverage):
                if save_input is not None and answer.pixels is not None:
                    _save_pixels(Path(save_input), number, answer)
                number += 1
                yield answer

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits [N, C] of network inputs uint8 [N, 28, 28], ink bright."""
        images = torch.from_numpy(np.array(pixels)).to(self.device).unsqueeze(1).float()
        with torch.inference_mode():
            logits = self.model((images / 255 - self.description.mean) / self.description.std)
        return np.asarray(logits.float().cpu().numpy())

    def _evidence(self, pixels: NDArray[np.uint8]) -> Evidence:
        # The second reader stays on the CPU: its work is a fraction of the picture's preparation.
        second = self.second_reader
        likelihoods = None if second is None else second(torch.from_numpy(pixels)).numpy()
        return Evidence(pixels, self.logits(pixels), likelihoods)

    def _pending(self, inputs: Iterable[Source], invert: Invert, segment: bool) -> Iterator[_Pending]:
        for index, source in enumerate(inputs):
            name = str(source) if isinstance(source, str | Path) else f"input {index}"
            try:
                prepared = prepare(open_gray(source), invert, segment)
            except ImageError as error:
                yield _Pending(name, None, str(error))
                continue
            for part, one in enumerate(prepared, 1):
                yield _Pending(name, one, part=f"part {part} of {len(prepared)}" if len(prepared) > 1 else None)

    def _answers(
        self, batch: Sequence[_Pending], top_k: int, threshold: float, coverage: float | None
    ) -> Iterator[Prediction]:
        judged = iter(self._judged([item.prepared.pixels for item in batch if item.prepared is not None]))
        for item in batch:
            if item.prepared is None:
                yield Prediction(item.path, "error", reason=item.reason)
            else:
                yield self._answer(item, item.prepared, next(judged), top_k, threshold, coverage)

    def _judged(self, pixels: Sequence[NDArray[np.uint8]]) -> list[_Judged]:
        if not pixels:
            return []
        fitted, evidence = self.description.abstention, self._evidence(np.stack(pixels))
        p = probabilities(evidence, fitted, self.description.temperature)
        return [
            _Judged(int(answer), row, bool(foreign))
            for answer, row, foreign in zip(evidence.answers, p, is_foreign(evidence, fitted), strict=True)
        ]

    def _answer(
        self,
        item: _Pending,
        prepared: Prepared,
        judged: _Judged,
        top_k: int,
        threshold: float,
        coverage: float | None,
    ) -> Prediction:
        p, digit, probability = judged.p, judged.digit, float(judged.p[judged.digit])
        order = [digit, *(int(c) for c in np.argsort(-p, kind="stable") if c != digit)]
        flags = list(prepared.flags)
        if judged.foreign and not {NOT_A_DIGIT, BLANK} & set(flags):
            flags.append(NOT_A_DIGIT)
        chosen = [digit, *(c for c in prediction_set(p, self.description.abstention, coverage) if c != digit)]
        names = tuple(self.classes[c] for c in chosen)
        reason = _why_not(flags, prepared, probability, threshold, names)
        if item.part is not None:
            flags.append(item.part)
        return Prediction(
            path=item.path,
            status="ok" if reason is None else "abstain",
            digit=digit,
            label=self.classes[digit],
            probability=probability,
            top_k=tuple({"digit": c, "probability": float(p[c])} for c in order[:top_k]),
            set=tuple(chosen),
            flags=tuple(flags),
            reason=reason,
            pixels=prepared.pixels,
            set_labels=names,
        )


def _why_not(
    flags: Sequence[str], prepared: Prepared, probability: float, threshold: float, labels: Sequence[str]
) -> str | None:
    """Why the answer is left open, or None where it is not."""
    if BLANK in flags:
        return "the picture is blank"
    if SEVERAL_DIGITS in flags:
        boxes = ", ".join(" ".join(map(str, box)) for box in prepared.boxes)
        return f"{len(prepared.boxes)} digits, at (left top right bottom) {boxes}; --segment reads them one by one"
    if NOT_A_DIGIT in flags:
        return "unlike any digit it was trained on"
    if probability < threshold:
        either = " or ".join(labels[:3]) if len(labels) > 1 else f"probably {labels[0]}"
        return f"unsure: {either}; probability {probability:.3f} is under {threshold:.3f}"
    return None


def _check_options(top_k: int, threshold: float | None, invert: str, coverage: float | None) -> None:
    if top_k < 1:
        raise UsageError(f"top_k is {top_k}; expected at least 1")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"threshold is {threshold}; expected a probability, 0 to 1")
    if invert not in ("auto", "yes", "no"):
        raise UsageError(f"invert is {invert!r}; expected auto, yes or no")
    if coverage is not None and not 0 < coverage < 1:
        raise UsageError(f"coverage is {coverage}; expected a share above 0 and below 1, such as 0.95")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        cause = str(error).splitlines()[0]
        raise UsageError(f"device {name!r} is not there ({cause}); use --device cpu") from None
    return device


def _save_pixels(folder: Path, number: int, answer: Prediction) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    assert answer.pixels is not None
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(answer.path).stem)[:80]
    Image.fromarray(answer.pixels).save(folder / f"{number:05d}-{stem}.png")


def as_text(pixels: NDArray[np.uint8]) -> str:
    """What the network saw, [28, 28], in characters."""
    shades = np.array(list(" .:-=+*#%@"))
    return "\n".join("".join(row).rstrip() for row in shades[(pixels.astype(np.int64) * 9 + 127) // 255])


def collect_inputs(arguments: Iterable[str], recursive: bool = False) -> Iterator[Path]:
    """Files named by FILE, DIR, GLOB or '-', in stable order. A folder gives its pictures by name; a file that is not
    there, or a folder without pictures, is handed on, so that it becomes a row of its own."""
    for argument in arguments:
        path = Path(argument)
        if argument == STDIN:
            yield path
        elif path.is_dir():
            yield from _pictures_in(path, recursive) or [path]
        elif not path.exists() and any(sign in argument for sign in "*?["):
            yield from _matches(path) or [path]
        else:
            yield path


def _matches(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor)
    return sorted(path for path in root.glob(str(pattern.relative_to(pattern.anchor))) if path.is_file())


def _pictures_in(folder: Path, recursive: bool) -> list[Path]:
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())
