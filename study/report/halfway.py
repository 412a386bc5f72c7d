"""Which order the families had once half of the search was spent, beside that at its end: what the answer would have
been at half the allowance, as far as validation tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from study.report import budget
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import fair
from study.report.sections.fair import TuningCurve
from study.report.wording import count, listing, percent
from study.statistics.result import Result

Order = tuple[tuple[str, float], ...]  # family and value, best first


@dataclass(frozen=True, slots=True)
class Halfway(Result):
    """Best search score of each family, a mean over so many searches, at half of what each search spent and at its
    end; `missing` are families of which no trial was complete by then in some search."""

    searches: int
    half: Order
    end: Order
    missing: tuple[str, ...]

    @property
    def sentence(self) -> str:
        of = f", in the mean of {count(self.searches, 'search', 'searches')}," if self.searches > 1 else ""
        if self.missing:
            return (
                f"When half of the search was spent, no trial of {listing(self.missing)} was trained to the end"
                f"{' in some search' if self.searches > 1 else ''}, so the order of then is unknown."
            )
        same = [family for family, _ in self.half] == [family for family, _ in self.end]
        return (
            f"When half of the search was spent, the best scores on validation{of} were {_told(self.half)}, and at its "
            f"end {_told(self.end)}: {'the same' if same else 'another'} order."
        )


def numbers(study: StudyRecords, before: Report) -> Halfway | None:
    """None for one family, or before each has a completed trial in each search that has begun."""
    by_seconds = before[budget].equalised == "seconds"
    curves = {
        family: [fair.tuning_curve(one.family_trials(family)) for one in study.searches.values()]
        for family in study.families
    }
    ends = {family: _mean([curve.best for curve in those]) for family, those in curves.items()}
    end = _ordered(ends)
    if len(curves) < 2 or len(end) < len(curves):
        return None
    halves = {family: _mean([_at_half(one, by_seconds) for one in those]) for family, those in curves.items()}
    missing = tuple(family for family, value in halves.items() if value is None)
    return Halfway(len(study.searches), () if missing else _ordered(halves), end, missing)


def _at_half(curve: TuningCurve, by_seconds: bool) -> float | None:
    """The best value after half of the search's seconds, or of its trials where these were made equal."""
    spent = ((step.seconds, curve.seconds) if by_seconds else (step.trials, curve.trials) for step in curve.steps)
    early = [step.value for step, (at, all_of_it) in zip(curve.steps, spent, strict=True) if at <= all_of_it / 2]
    return early[-1] if early else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _ordered(values: Mapping[str, float | None]) -> Order:
    known = [(family, value) for family, value in values.items() if value is not None]
    return tuple(sorted(known, key=lambda one: -one[1]))


def _told(order: Order) -> str:
    return listing([f"{family} {percent(value)}" for family, value in order])
