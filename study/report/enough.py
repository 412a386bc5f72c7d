"""Whether the budget was enough: what twice of it is expected to add to the winner, as far as the study can tell."""

from __future__ import annotations

from dataclasses import dataclass

from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import pairwise
from study.report.wording import percent, point_interval, points
from study.statistics.estimators import Doubling, Read, doubling
from study.statistics.intervals import wilson
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class Enough(Result):
    """Of the winner's configuration, from its accuracy in the search to that after the longer training that followed;
    `doubling` is None where the two lengths do not tell. Of several searches, of the first one's finalist of the family
    that won over all."""

    title: str
    before: float
    after: float
    doubling: Doubling | None

    @property
    def sentence(self) -> str:
        found = self.doubling
        if found is None:
            return "Was the budget enough? Unknown: no network was trained at two lengths that differ enough to tell."
        times = found.after / found.before
        lead = (
            f"Was the budget enough? Trained for {times:.1f} times as many examples, the configuration of {self.title} "
            f"went from {percent(self.before)} to {percent(self.after)} on validation"
        )
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
    winner = None if chosen is None else chosen.winner
    found = before[pairwise].optimism.get(winner) if winner else None
    if winner is None or found is None:
        return None
    n = study.settings.dataset.n_validation
    search, fresh = (
        Read(accuracy, wilson(accuracy * n, n), examples)
        for accuracy, examples in (
            (found.search, found.search_examples),
            (found.fresh_validation, found.fresh_examples),
        )
    )
    title = study.title(winner) + study.of_search(study)
    return Enough(title, search.accuracy, fresh.accuracy, doubling(search, fresh))
