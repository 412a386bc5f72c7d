"""The shipped network as it reads for its users, beside the same network when it reads each test image once."""

from __future__ import annotations

from dataclasses import dataclass, field

from study.report.reading import StudyRecords
from study.statistics.intervals import Interval, MeanInterval, mean_interval, share
from study.statistics.result import OPTIONAL, Result


@dataclass(frozen=True, slots=True)
class Shipped(Result):
    """One named network that reads again, with shifts, what it answers with a probability under `below`: its accuracy
    with Wilson's interval, that of the same network when each image is read `once`, their difference, and the passes
    through it per image. FLOPs and latency are those of one pass times the passes, None where they are not known."""

    run: str
    below: float
    accuracy: float
    interval95: Interval
    once: float
    difference: MeanInterval
    passes: float
    flops: float | None = field(default=None, metadata=OPTIONAL)
    latency_p50_ms: float | None = field(default=None, metadata=OPTIONAL)


def shipped(study: StudyRecords, latency_ms: float | None) -> Shipped | None:
    """`latency_ms` is of one image and one pass. None where the study ships a network that reads once, and before the
    test split was opened."""
    read, reading = study.shipped_reading, study.openings[-1].reading if study.openings else None
    source, chosen = study.shipped
    known = source.candidate_logits | source.test_logits
    if read is None or reading is None or chosen is None or chosen.run not in known:
        return None
    run = chosen.run
    once, right = (logits.argmax(axis=1) == read.labels for logits in (known[run], read.logits))
    passes, metrics = float(read.passes.mean()), source.runs[run].metrics
    return Shipped(
        run=run if source is study else f"{source.files.root.name}/{run}",
        below=reading["below"],
        accuracy=float(right.mean()),
        interval95=share(right, study.groups),
        once=float(once.mean()),
        difference=mean_interval(right.astype(float) - once, groups=study.groups),
        passes=passes,
        flops=None if metrics is None else passes * metrics.flops,
        latency_p50_ms=None if latency_ms is None or source is not study else passes * latency_ms,
    )
