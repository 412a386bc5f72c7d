"""From pictures to answers: prepared one by one, read by the network in batches, in stable order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from study.data.opening import Source, held, open_gray
from study.errors import ImageError, UsageError
from study.inference.abstain import DEFAULT_THRESHOLD, Evidence, prediction_set, probabilities, strangeness
from study.inference.answer import Prediction, save_pixels, why_not
from study.inference.bundle import Description, load_bundle
from study.inference.cutting import Readings
from study.inference.ink import Invert
from study.inference.preprocess import (
    BLANK,
    CUT_UNCERTAIN,
    NOT_A_DIGIT,
    READ_AS_ROW,
    ROW,
    Look,
    Prepared,
    each_of,
    look_at,
    one_of,
)
from study.inference.second_reader import SecondReader

BATCH = 32
MAX_SIDE = 1600  # longest side at which a sheet of small digits is looked at again
SMALL = 40  # work pixels: digits of a sheet that are lower are looked at again in more detail
SURE = 0.9  # probability of the answers that make a picture clearly a row of digits
MOST = 0.8  # share of its digits that have it
LIKELY = 0.3  # and of its parts before those that touch are cut
FEW = 12  # digits that may all touch one another
TALL = 0.75  # of their height together: that of each of a few digits that touch
MANY = 100  # digits: a page of more is read only where it is asked for
ROOM = 120  # digits as wide as high that its parts may have room for: some are wider
UNKNOWN = (20.0, 3.0)  # distance and strangeness of a piece where there is no second reader: cuts are not ventured
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class _Pending:
    """A picture on its way: what the network shall see of it, or why it sees nothing."""

    path: str
    prepared: Prepared | None
    reason: str | None = None
    part: str | None = None


@dataclass(frozen=True)
class _Judged:
    """The network's answer, the classes' calibrated probabilities [C], how strange the picture is: above 1 it is like
    no digit; and how far from the answer's class the second reader sees it, None without one."""

    digit: int
    p: NDArray[np.float64]
    strange: float
    distance: float | None

    @property
    def probability(self) -> float:
        return float(self.p[self.digit])


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
        self.description = description
        self.reader = description.reader(model).eval().to(self.device)
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
        segment: bool | None = None,
        save_input: str | Path | None = None,
        coverage: float | None = None,
    ) -> Iterator[Prediction]:
        """Answers one after another, in constant memory: paths, '-' for one picture's bytes on stdin, PIL images, or
        arrays [H, W], [H, W, 3 or 4] of uint8 (0 … 255), other integers, bool or floats (by their range).

        top_k       classes to list, 1 … C
        threshold   abstain under this calibrated probability; None: the model's own
        invert      'yes' dark ink, 'no' bright ink, 'auto' looks
        segment     several digits in a picture: an answer each, row by row from left to right, instead of abstaining;
                    digits that touch are cut apart. None: where the picture clearly is a row of digits,
                    of 100 at most, or of two or more that touch
        save_input  folder for what the network saw, as PNG
        coverage    of the prediction set, above 0 and below 1; None: 0.999. Conformal on validation: for pictures like
                    the validation images the set contains the true digit at least so often; where the answer alone
                    does, it is the set, and beyond 0.9995 all classes are
        """
        _check_options(top_k, threshold, invert, coverage)
        limit = self.threshold if threshold is None else threshold
        pending = self._pending(inputs, invert, segment)
        number = 0
        while batch := list(islice(pending, BATCH)):
            for answer in self._answers(batch, top_k, limit, coverage):
                if save_input is not None and answer.pixels is not None:
                    save_pixels(Path(save_input), number, answer)
                number += 1
                yield answer

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits [N, C] of network inputs uint8 [N, 28, 28], ink bright."""
        return self._logits(pixels, self.reader)

    def _logits(self, pixels: NDArray[np.uint8], read: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        images = torch.from_numpy(np.array(pixels)).to(self.device).unsqueeze(1)
        with torch.inference_mode():
            logits = read(images.float())
        return np.asarray(logits.float().cpu().numpy())

    def evidence(self, pixels: NDArray[np.uint8], read: Callable[[Tensor], Tensor] | None = None) -> Evidence:
        """What both readers see in network inputs uint8 [N, 28, 28]."""
        # The second reader stays on the CPU: its work is a fraction of the picture's preparation.
        second = self.second_reader
        likelihoods = None if second is None else second(torch.from_numpy(pixels)).numpy()
        return Evidence(pixels, self._logits(pixels, read or self.reader), likelihoods)

    def _pending(self, inputs: Iterable[Source], invert: Invert, segment: bool | None) -> Iterator[_Pending]:
        for index, source in enumerate(inputs):
            name = str(source) if isinstance(source, str | Path) else f"input {index}"
            try:
                prepared = self._prepared(held(source), invert, segment)
            except ImageError as error:
                yield _Pending(name, None, str(error))
                continue
            for part, one in enumerate(prepared, 1):
                yield _Pending(name, one, part=f"part {part} of {len(prepared)}" if len(prepared) > 1 else None)

    def _prepared(self, source: Source, invert: Invert, segment: bool | None) -> list[Prepared]:
        look = look_at(open_gray(source), invert)
        if segment:
            return each_of(_in_detail(look, source, invert), self.read_pieces)
        if segment is False or not (look.is_even or look.is_wide) or _are_many(look):
            return [one_of(look)]
        each = self._row_of(look) if look.is_wide else self._even_row_of(_in_detail(look, source, invert))
        return [replace(one, flags=(*one.flags, READ_AS_ROW)) for one in each] or [one_of(look)]

    def _even_row_of(self, look: Look) -> list[Prepared]:
        """The digits of a picture that clearly is a row; none of another."""
        each = each_of(look, self.read_pieces) if self._may_be_digits(look) else []
        return each if len(each) >= ROW and self._sure(each) >= MOST else []

    def _row_of(self, look: Look) -> list[Prepared]:
        """The digits of a lone part that clearly are several which touch: it is read as no digit, each of its pieces
        without doubt as one, they are nearly as high as the part, and no other cuts are likely."""
        if look.room > FEW or self._sure([one_of(look)]):
            return []
        each = each_of(look, self.read_pieces)
        _, top, _, bottom = look.in_picture(look.parts[0].box)
        clear = all(CUT_UNCERTAIN not in one.flags and one.box[3] - one.box[1] >= TALL * (bottom - top) for one in each)
        return each if len(each) > 1 and clear and self._sure(each) == 1 else []

    def read_pieces(self, pixels: NDArray[np.uint8]) -> Readings:
        """How network inputs [N, 28, 28] are read, as `cut_touching` wants to know it."""
        # Once: most of the pieces that are tried are no digits, so that nearly all would be read again.
        judged = [one for batch in _batches(pixels) for one in self._judged(batch, self.reader.once)]
        names = np.array([int(name) if name in DIGITS else -1 for name in self.classes])
        odd = np.array([UNKNOWN if one.distance is None else (one.distance, one.strange) for one in judged])
        doubt = np.array([1 - one.probability for one in judged])
        return Readings(names[[one.digit for one in judged]], doubt, odd[:, 0], odd[:, 1])

    def _may_be_digits(self, look: Look) -> bool:
        """Before digits that touch are cut, which takes long: few digits, or some are read without doubt uncut."""
        return look.room <= FEW or (not _are_many(look) and self._sure(each_of(look)) >= LIKELY)

    def _sure(self, each: Sequence[Prepared]) -> float:
        """The share that is read without doubt: nearly all of a row of digits, few of words and drawings."""
        judged = [one for batch in _batches([one.pixels for one in each]) for one in self._judged(batch)]
        sure = [one.strange <= 1 and one.probability >= SURE for one in judged]
        return float(np.mean(sure))

    def _answers(
        self, batch: Sequence[_Pending], top_k: int, threshold: float, coverage: float | None
    ) -> Iterator[Prediction]:
        judged = iter(self._judged([item.prepared.pixels for item in batch if item.prepared is not None]))
        for item in batch:
            if item.prepared is None:
                yield Prediction(item.path, "error", reason=item.reason)
            else:
                yield self._answer(item, item.prepared, next(judged), top_k, threshold, coverage)

    def _judged(
        self, pixels: Sequence[NDArray[np.uint8]], read: Callable[[Tensor], Tensor] | None = None
    ) -> list[_Judged]:
        if not pixels:
            return []
        fitted, evidence = self.description.abstention, self.evidence(np.stack(pixels), read)
        p = probabilities(evidence, fitted, self.description.temperature)
        strange = strangeness(evidence, fitted)
        return [
            _Judged(int(answer), row, float(odd), distance)
            for answer, row, odd, distance in zip(evidence.answers, p, strange, _distances(evidence), strict=True)
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
        p, digit, probability = judged.p, judged.digit, judged.probability
        order = [digit, *(int(c) for c in np.argsort(-p, kind="stable") if c != digit)]
        flags = list(prepared.flags)
        if judged.strange > 1 and not {NOT_A_DIGIT, BLANK} & set(flags):
            flags.append(NOT_A_DIGIT)
        chosen = [digit, *(c for c in prediction_set(p, self.description.abstention, coverage) if c != digit)]
        names = tuple(self.classes[c] for c in chosen)
        reason = why_not(flags, prepared, probability, threshold, names)
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
            box=prepared.box,
            row=prepared.row,
        )


def _in_detail(look: Look, source: Source, invert: Invert) -> Look:
    """The same picture at more pixels where its digits are small and it has more to show."""
    usual = float(np.median([part.height for part in look.parts])) if look.parts else SMALL
    if usual >= SMALL or look.opened.scale <= 1.2:
        return look
    side = min(MAX_SIDE, round(max(look.opened.gray.shape) * min(look.opened.scale, 1.2 * SMALL / usual)))
    return look_at(open_gray(source, side), invert)


def _distances(evidence: Evidence) -> list[float] | list[None]:
    """How far, of Mahalanobis' kind, each of N pictures lies from the class that the network answers."""
    if evidence.likelihoods is None:
        return [None] * len(evidence.images)
    own = evidence.likelihoods[np.arange(len(evidence.images)), evidence.answers]
    return [float(distance) for distance in np.sqrt(np.maximum(-own, 0))]


def _are_many(look: Look) -> bool:
    return len(look.parts) > MANY or look.room > ROOM


def _batches(pixels: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Iterator[list[NDArray[np.uint8]]]:
    yield from (list(pixels[start : start + 4 * BATCH]) for start in range(0, len(pixels), 4 * BATCH))


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
