"""Whether the budget was enough: what twice of it is expected to add to the winner, as far as the study can tell."""

from __future__ import annotations

from dataclasses import dataclass, field

from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import pairwise
from study.report.wording import percent, point_interval, points
from study.statistics.estimators import Doubling, Read, doubling
from study.statistics.intervals import wilson
from study.statistics.result import OPTIONAL, Result


@dataclass(frozen=True, slots=True)
class Enough(Result):
    """Of one configuration, from its accuracy `before` to that after a longer training: of what ships, from its
    candidate run to the last stage's longer run, or, where these do not tell, of the winner, from its trial in the
    search to the runs that followed; of several searches then of the first one's finalist of the family that won over
    all. `doubling` is None where no two lengths tell, as after trials that learned from fewer images."""

    title: str
    before: float
    after: float
    doubling: Doubling | None
    longer_run: bool | None = field(default=None, metadata=OPTIONAL)

    @property
    def sentence(self) -> str:
        found = self.doubling
        if found is None:
            return (
                "Was the budget enough? Unknown: no network was trained on the same images at two lengths that differ "
                "enough to tell."
            )
        times = found.after / found.before
        hands = ", three in ten of them as other pens and hands would leave them" if self.longer_run else ""
        lead = (
            f"Was the budget enough? Trained for {times:.1f} times as many examples{hands}, the configuration of "
            f"{self.title} went from {percent(self.before)} to {percent(self.after)} on validation"
        )
        if found.gain <= 0 and self.longer_run:
            return f"{lead}, which one run may do by chance: what twice the budget would add is unknown."
        if found.gain <= 0:
            return f"{lead}: twice the budget is not expected to add anything; what more trials would find is unknown."
        return (
            f"{lead}. If its error goes on to fall "
            f"at this rate, twice the budget adds {points(found.gain, signed=True)} (95 % interval "
            f"{point_interval(found.interval95)}), less if it flattens; what more trials would find is unknown."
        )


def numbers(study: StudyRecords, before: Report) -> Enough | None:
    """None before a network is trained again."""
    _, chosen = study.shipped
    longer = _longer_run(study)
    if longer is not None and longer.doubling is not None:
        return longer
    found = before[pairwise].optimism.get(chosen.winner) if chosen and chosen.winner else None
    if chosen is None or found is None:
        return longer
    n = study.settings.dataset.n_validation
    search = _read(found.search, n, found.search_examples)
    fresh = _read(found.fresh_validation, n, found.fresh_examples)
    told = doubling(search, fresh) if found.search_images is None else None
    return Enough(study.title(chosen.winner) + study.of_search(study), search.accuracy, fresh.accuracy, told)


def _longer_run(study: StudyRecords) -> Enough | None:
    """From the candidate run to the longer one, both read on the validation images, if the study has it."""
    source, ships = study.shipping
    stage = None if ships is None else ships.stage
    if stage is None or not stage.anew or stage.judged is None or stage.candidate not in source.runs:
        return None
    seen = stage.judged
    before = _read(seen.before, seen.images, source.runs[stage.candidate].record.examples)
    after = _read(seen.after, seen.images, stage.examples)
    title = f"{stage.family} #{stage.trial}{study.of_search(source)}"
    return Enough(title, before.accuracy, after.accuracy, doubling(before, after), longer_run=True)


def _read(accuracy: float, n: int, examples: int) -> Read:
    return Read(accuracy, wilson(accuracy * n, n), examples)
