"""Whether a finalist's probabilities say how often it is right, and what abstaining where they are low would save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from study.report.charts import GREY, Chart, Figure, error_bars, family_style, layout, line, percents
from study.report.reading import Array, StudyRecords
from study.report.section import Report
from study.report.wording import count, interval, percent
from study.statistics.result import Result
from study.statistics.scores import Calibration, ReliabilityBin, calibration, confidence_and_correct, risk_coverage

CURVE_POINTS = 200
TABLE_POINTS = 20


@dataclass(frozen=True, slots=True)
class RiskPoint(Result):
    """The share of wrong answers (`risk`) when only the surest share of them (`coverage`) is given."""

    coverage: float
    risk: float


@dataclass(frozen=True, slots=True)
class FamilyCalibration(Result):
    """Of seed 0 of a finalist, without and with the temperature carried over from validation, where there is one; and
    the calibration error of every seed, as its probabilities are given, with how many of them `beyond` the noise floor
    of their own."""

    title: str
    temperature: float | None
    plain: Calibration
    scaled: Calibration | None
    risk_area: float
    risk_coverage: tuple[RiskPoint, ...]
    risk_at_full: float
    error_free_coverage: float
    errors: tuple[float, ...]
    beyond: int

    @property
    def shipped(self) -> Calibration:
        """Of the probabilities as they are given."""
        return self.scaled or self.plain


@dataclass(frozen=True, slots=True)
class Calibrations(Result):
    """By family; `threshold` is the probability under which the shipped model abstains, None without a model."""

    families: Mapping[str, FamilyCalibration]
    threshold: float | None


def numbers(study: StudyRecords, before: Report) -> Calibrations:
    families = {}
    for family in study.correct:
        assert study.test_labels is not None  # it has predictions, so there were labels
        seeds, temperature = study.final_logits(family), study.temperatures.get(family)
        families[family] = of_finalist(study.title(family), seeds, study.test_labels, temperature)
    return Calibrations(families, study.model.get("threshold"))


def of_finalist(title: str, seeds: Sequence[Array], labels: Array, temperature: float | None) -> FamilyCalibration:
    """Of the logits [N, C] of each seed and labels [N]."""
    logits, given = seeds[0], [calibration(seed, labels, temperature or 1.0) for seed in seeds]
    curve = risk_coverage(*confidence_and_correct(logits, labels, temperature or 1.0))
    kept = np.unique(np.linspace(0, len(curve.coverage) - 1, CURVE_POINTS).round().astype(int))
    return FamilyCalibration(
        title=title,
        temperature=temperature,
        plain=calibration(logits, labels),
        scaled=given[0] if temperature else None,
        risk_area=curve.area,
        risk_coverage=tuple(RiskPoint(curve.coverage[i], curve.risk[i]) for i in kept),
        risk_at_full=curve.risk[-1],
        error_free_coverage=max((c for c, r in zip(curve.coverage, curve.risk, strict=True) if r == 0), default=0),
        errors=tuple(seed.ece for seed in given),
        beyond=sum(seed.ece > seed.noise_floor.quantile95 for seed in given),
    )


def finding(found: Calibrations, before: Report) -> str:
    if not found.families:
        return "No predictions on the test split yet."
    told = [_told(entry) for entry in found.families.values()]
    return f"How far stated probabilities lie from the share that is right (0 is perfect): {'; '.join(told)}."


def _told(entry: FamilyCalibration) -> str:
    """The error of each seed against what chance alone would make of a perfect network."""
    low, high, seeds = min(entry.errors), max(entry.errors), len(entry.errors)
    shown = f"{low:.4f}" if seeds == 1 else f"{low:.4f} to {high:.4f} over {count(seeds, 'seed')}"
    if seeds == 1:
        judged = "more than chance explains" if entry.beyond else "no more than chance explains"
    elif entry.beyond in (0, seeds):
        judged = f"{'all' if entry.beyond else 'none'} more than chance explains"
    else:
        judged = f"{entry.beyond} of them more than chance explains"
    return f"{entry.title} {shown}, {judged}"


def charts(found: Calibrations) -> list[Chart]:
    return [_reliability(found), _risk(found)] if found.families else []


def _reliability(found: Calibrations) -> Chart:
    names = list(found.families)
    bins = {name: entry.shipped.reliability for name, entry in found.families.items()}
    lines = [_reliability_line(name, bins[name], names) for name in names]
    least = min(min(trace["x"] + trace["y"]) for trace in lines)
    axis = layout("mean stated probability, %", "share right, %")
    axis["xaxis"]["range"] = axis["yaxis"]["range"] = [max(0, least - 3), 100.5]
    rows = [
        (name, str(b.count), percent(b.confidence), percent(b.accuracy), interval(b.interval95))
        for name in names
        for b in bins[name]
    ]
    figure = {"data": [_perfect(), *lines], "layout": axis}
    columns = ("family", "images", "mean probability", "share right", "95 % interval")
    label = "How often answers are right that were given with a probability: below the dotted line they are too sure."
    return Chart("reliability", f"{label} Seed 0.", figure, columns, rows, tells_finding=True)


def _perfect() -> Figure:
    ends = {"x": [0, 100], "y": [0, 100], "line": {"color": GREY, "dash": "dot"}}
    return {"type": "scatter", "mode": "lines", "name": "perfect", "hoverinfo": "skip", **ends}


def _reliability_line(name: str, bins: tuple[ReliabilityBin, ...], names: list[str]) -> Figure:
    right = [b.accuracy for b in bins]
    stated = percents([b.confidence for b in bins])
    drawn = line(name, stated, percents(right), family_style(names, name), size=7)
    return {**drawn, "error_y": error_bars(right, [b.interval95 for b in bins])}


def _risk(found: Calibrations) -> Chart:
    names, curves = list(found.families), {name: entry.risk_coverage for name, entry in found.families.items()}
    data = [
        line(name, percents([p.coverage for p in c]), percents([p.risk for p in c]), family_style(names, name))
        for name, c in curves.items()
    ]
    rows = [
        (name, percent(p.coverage), percent(p.risk, 3))
        for name, curve in curves.items()
        for p in curve[:: max(1, len(curve) // TABLE_POINTS)]
    ]
    axis = layout("answered, %", "wrong among the answered, %")
    free = 100 * min(entry.error_free_coverage for entry in found.families.values())
    axis["xaxis"]["range"] = [max(0.0, free - 0.2 * (100 - free)), 100 + 0.02 * (100 - free)]  # before it all is 0
    figure = {"data": data, "layout": axis}
    label = "Wrong answers when only the surest are given, from where the first one appears: lower is better."
    return Chart("risk", label, figure, ("family", "answered", "wrong among the answered"), rows)
