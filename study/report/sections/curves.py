"""Training and validation loss of the finalists' runs as they learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from study.records.run import Run
from study.report.charts import Chart, Figure, family_style, layout, line, log_axis
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import integer, listing, plain
from study.statistics.result import Result

Values = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class LearningCurve(Result):
    """One run's losses in nats, None where none was taken: a final run on train + validation has no
    validation images left."""

    run: str
    role: str
    examples: tuple[float, ...]
    train_loss: Values
    validation_loss: Values

    @property
    def last_losses(self) -> tuple[float, float] | None:
        """In training and on validation, where both were last taken together."""
        pairs = zip(self.train_loss, self.validation_loss, strict=True)
        known = [(train, validation) for train, validation in pairs if train is not None and validation is not None]
        return known[-1] if known else None


@dataclass(frozen=True, slots=True)
class Curves(Result):
    """Of each family that has runs, its finalist's seeds first."""

    families: Mapping[str, tuple[LearningCurve, ...]]


def numbers(study: StudyRecords, before: Report) -> Curves:
    found = {family: _of_family(study, family) for family in study.families}
    return Curves({family: curves for family, curves in found.items() if curves})


def _of_family(study: StudyRecords, family: str) -> tuple[LearningCurve, ...]:
    """Of the finalist's final runs, and of the other candidate runs of the same configuration."""
    finals = [run.name for run in study.final_runs(family)]
    chosen = study.finalists.of(family).chosen
    names = dict.fromkeys([*finals, *(chosen.runs if chosen else ())])
    runs = [study.runs[name] for name in names if name in study.runs]
    return tuple(_curve(run, "final" if run.name in finals else run.record.role) for run in runs if run.history)


def _curve(run: Run, role: str) -> LearningCurve:
    return LearningCurve(
        run.name,
        role,
        tuple(float(row.examples) for row in run.history),
        tuple(row.train_loss for row in run.history),
        tuple(row.validation_loss for row in run.history),
    )


def finding(found: Curves, before: Report) -> str:
    if not found.families:
        return "No run has been trained to its end yet."
    known = {name: _validation_losses(curves) for name, curves in found.families.items()}
    told = [f"{name} {sum(losses) / len(losses):.3g}" for name, losses in known.items() if losses]
    if not told:
        return "No run has been read on validation images while it trained."
    return f"Loss on validation at the end of training: {listing(told)}; less is better."


def _validation_losses(curves: tuple[LearningCurve, ...]) -> list[float]:
    """The last one of each run that was read on validation."""
    known = [[loss for loss in curve.validation_loss if loss is not None] for curve in curves]
    return [losses[-1] for losses in known if losses]


def charts(found: Curves) -> list[Chart]:
    if not found.families:
        return []
    data = [
        trace for name, curves in found.families.items() for curve in curves for trace in _lines(found, name, curve)
    ]
    rows = [
        (curve.run, integer(examples), plain(train), plain(validation))
        for curves in found.families.values()
        for curve in curves
        for examples, train, validation in zip(curve.examples, curve.train_loss, curve.validation_loss, strict=True)
    ]
    axis = layout("examples seen", "loss, nats", 400)
    drawn = [y for trace in data for y in trace["y"] if y is not None and y > 0]
    if drawn:
        axis["yaxis"] |= log_axis(min(drawn), max(drawn))
    label = "Loss of the finalists' runs as they learned: lower is better. One that rises again on validation overfits."
    columns = ("run", "examples", "training loss", "validation loss")
    return [Chart("learning", label, {"data": data, "layout": axis}, columns, rows, tells_finding=True)]


def _lines(found: Curves, family: str, curve: LearningCurve) -> list[Figure]:
    style = family_style(list(found.families), family)
    trained = style._replace(dash="solid" if curve.role == "final" else "dash")
    drawn = (
        ("training", curve.train_loss, trained),
        ("validation", curve.validation_loss, style._replace(dash="dot")),
    )
    first = curve is found.families[family][0]
    return [
        {
            **line(family, curve.examples, losses, shape, size=5, width=1.5),
            "legendgroup": family,
            "showlegend": first and name == "training",
            "hovertemplate": f"{curve.run}, {name}: %{{y:.3g}}<extra></extra>",
        }
        for name, losses, shape in drawn
        if any(loss is not None for loss in losses)
    ]
