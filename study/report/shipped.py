"""The shipped network as it reads for its users: beside itself where it reads each test image once, and beside what
validation chose where it has a last stage."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from study.records.last_stage import Judged
from study.report.reading import StudyRecords
from study.report.wording import percent, point_interval, points
from study.statistics.intervals import Interval, MeanInterval, mean_interval, share
from study.statistics.result import OPTIONAL, Result


@dataclass(frozen=True, slots=True)
class Shipped(Result):
    """One named network: its accuracy with Wilson's interval, that of the same network when it reads each image `once`,
    and the passes through it per image. What it answers with a probability under `below` it reads again, with shifts,
    which makes the `difference`; both are None where it does not. FLOPs and latency are those of one pass times the
    passes, None where they are not known."""

    run: str
    accuracy: float
    interval95: Interval
    once: float
    passes: float
    below: float | None = field(default=None, metadata=OPTIONAL)
    difference: MeanInterval | None = field(default=None, metadata=OPTIONAL)
    flops: float | None = field(default=None, metadata=OPTIONAL)
    latency_p50_ms: float | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class Stage(Result):
    """The last stage of the run `of`, a longer run `anew` or, in older studies, more of the same: why it was `skipped`,
    or how validation images `judged` it and whether it `ships`, which it does if clean ones lose at most `most_loss`.
    Of one that ships, the test accuracy `before` and `after` it, each image read once, and their difference."""

    of: str
    ships: bool
    examples: int
    anew: bool
    most_loss: float
    skipped: str | None = field(default=None, metadata=OPTIONAL)
    judged: Judged | None = field(default=None, metadata=OPTIONAL)
    before: float | None = field(default=None, metadata=OPTIONAL)
    after: float | None = field(default=None, metadata=OPTIONAL)
    difference: MeanInterval | None = field(default=None, metadata=OPTIONAL)

    @property
    def sentences(self) -> str:
        """What became of it, in words."""
        if self.judged is None:
            return f"The shipped network has no last stage on pictures by other hands: {self.skipped}."
        if not self.ships:
            return f"A last stage on pictures by other hands was tried on {self.of} and is not shipped. {self._judged}"
        text = f"The shipped network is {self.name}: {self._made}. {self._judged}"
        if self.difference is None:
            return text
        changed = f"{points(self.difference.mean, signed=True)} (95 % interval "
        changed += f"{point_interval(self.difference.interval95)})"
        return (
            f"{text} On the test split, each image read once, the stage makes {changed}: {percent(self.before)} "
            "before. The finalists, and the verdict, are without it."
        )

    @property
    def name(self) -> str:
        """Of the network that it makes, in words."""
        return f"a longer run of {self.of}" if self.anew else f"{self.of} after a last stage"

    @property
    def _made(self) -> str:
        seen = f"trained anew on {self.examples:,} images" if self.anew else f"it saw {self.examples:,} images more"
        return f"{seen}, three in ten as other pens and hands would leave them"

    @property
    def _judged(self) -> str:
        seen = self.judged
        assert seen is not None  # asked before
        most = points(self.most_loss)
        if self.anew:
            most = f"what chance alone makes in one of twenty studies, here {most},"
        return (
            f"The rule was there before the test split was opened: it ships if clean validation images lose at most "
            f"{most} and corrupted ones gain. Of {seen.images:,} clean ones the same configuration "
            f"read {percent(seen.before)} before and {percent(seen.after)} after ({seen.mended} answers mended, "
            f"{seen.spoiled} spoiled; chance alone makes about ±{points(seen.chance)}), of {seen.corrupted:,} "
            f"corrupted ones {percent(seen.corrupted_before, 1)} and {percent(seen.corrupted_after, 1)}."
        )


def shipped(study: StudyRecords, latency_ms: float | None) -> Shipped | None:
    """`latency_ms` is of one image and one pass. None where the study ships a finalist that reads once, and before the
    test split was opened."""
    reading = study.openings[-1].reading if study.openings else None
    read = None if reading is None else study.shipped_reading
    source, ships = study.shipping
    if ships is None or (read is None and not ships.is_staged):
        return None
    logits = (source.candidate_logits | source.test_logits).get(ships.run)
    if logits is None or study.test_labels is None:
        return None
    once = logits.argmax(axis=1) == study.test_labels
    right = once if read is None else read.logits.argmax(axis=1) == study.test_labels
    passes = 1.0 if read is None else float(read.passes.mean())
    metrics = source.runs[ships.run].metrics if ships.run in source.runs else None
    return Shipped(
        run=ships.run if source is study else f"{source.files.root.name}/{ships.run}",
        accuracy=float(right.mean()),
        interval95=share(right, study.groups),
        once=float(once.mean()),
        passes=passes,
        below=None if read is None or reading is None else reading["below"],
        difference=None if read is None else mean_interval(right.astype(float) - once, groups=study.groups),
        flops=None if metrics is None else passes * metrics.flops,
        latency_p50_ms=None if latency_ms is None or source is not study else passes * latency_ms,
    )


def stage(study: StudyRecords) -> Stage | None:
    """None where what validation chose was given no last stage, and none was planned."""
    source, ships = study.shipping
    if ships is None or ships.stage is None or (ships.stage.judged is None and ships.stage.skipped is None):
        return None
    told = ships.stage
    of = told.of if source is study else f"{source.files.root.name}/{told.of}"
    known, labels = source.candidate_logits | source.test_logits, study.test_labels
    found = Stage(of, told.ships, told.examples, told.anew, told.most_loss, told.skipped, told.judged)
    if not told.ships or labels is None or not {told.of, told.run} <= known.keys():
        return found
    before, after = (known[run].argmax(axis=1) == labels for run in (told.of, told.run))
    return replace(
        found,
        before=float(before.mean()),
        after=float(after.mean()),
        difference=mean_interval(after.astype(float) - before, groups=study.groups),
    )
