"""What a training is told beside its configuration: when to report, and which images validate it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

_MOST_STRIDE = 9  # 1,111 of 10,000 validation images: a standard error of 0.7 points at 95 %, enough to prune by


@dataclass(frozen=True)
class HeldOut:
    """Another validation part than that of the data that a worker has: a bit for each of its images, and the pixel mean
    and std of the others in [0, 1]."""

    bits: bytes
    mean: float
    std: float


@dataclass(frozen=True)
class Schedule:
    """Cycles of the learning rate and the marks at which the run reports, all in optimizer steps from the start.
    At the i-th mark every `strides[i]`-th validation image is read, all of them where `strides` is empty."""

    cycles: tuple[int, ...]
    marks: tuple[int, ...]
    strides: tuple[int, ...] = ()

    @classmethod
    def rungs(cls, examples: tuple[int, ...], batch_size: int, *, least_read: bool = False) -> Schedule:
        """One annealed cycle for each stretch between rungs; the run reports at the end of each (warm restarts).

        A lower rung reads fewer validation images, in proportion, or `least_read` each as few as there may be: reading
        all of them after a twentieth of an epoch would cost more than the training that it judges.
        """
        # At least a step between rungs, however large the batch: every rung reports.
        ends = list(accumulate(examples, lambda end, seen: max(end + 1, round(seen / batch_size)), initial=0))[1:]
        most = [_MOST_STRIDE if least_read and seen < examples[-1] else examples[-1] // seen for seen in examples]
        strides = tuple(min(_MOST_STRIDE, stride) for stride in most)
        return cls(tuple(b - a for a, b in zip([0, *ends], ends, strict=False)), tuple(ends), strides)

    @classmethod
    def whole(cls, steps: int, report_every: int) -> Schedule:
        """One cycle over the whole run, with a report about every `report_every` steps and at the end."""
        n_reports = max(1, round(steps / report_every))
        return cls((steps,), tuple(round(steps * (i + 1) / n_reports) for i in range(n_reports)))
