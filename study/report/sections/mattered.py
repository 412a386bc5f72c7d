"""Which parameters mattered in each search, where the best trial lies in its ranges, and what each choice reached."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from study.records.settings import N_STARTUP_TRIALS, FamilySettings
from study.records.trial import Scalar, State, TrialRecord, Trials
from study.report import ablation, bounds, history
from study.report.ablation import FamilyAblation
from study.report.best import TrialSummary, summary
from study.report.charts import GREY, Chart, family_style, layout, percents
from study.report.distributions import Distribution, Edge, distributions, edges
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections.fair import tuning_curve
from study.report.wording import capital, integer, listing, percent, plain
from study.statistics.importance import PERMUTATIONS
from study.statistics.result import Result

DRAWN = 1000  # trials drawn per figure and family
BARS = 15
OPTUNA_TITLES = {
    "history": "How the search of {} went on: its completed trials, and the best so far. The worst tenth may lie below",
    "slice": "Validation accuracy of {} against each parameter, a dot per {}; pale dots are early trials. The "
    "high dots say where to search on. The worst tenth may lie below",
}
HEIGHTS = {"history": 340, "slice": 340}


@dataclass(frozen=True, slots=True)
class ChoiceRow(Result):
    """A value of a categorical parameter among the sampled trials. `random_median` is at the first rung of the random
    draws: all of them reached it, so that no selection is in it."""

    parameter: str
    value: str
    trials: int
    completed: int
    best: float | None
    random_draws: int
    random_median: float | None


@dataclass(frozen=True, slots=True)
class DrawnTrial(Result):
    """What figures need of a trial; `rung_accuracy` is its accuracy at the rung that importance is computed at."""

    number: int
    state: State
    value: float | None
    parameters: Mapping[str, Scalar]
    examples: int
    held_seconds: float = field(metadata={"key": "seconds"})
    rung_accuracy: float | None

    @property
    def point(self) -> history.Point:
        return history.Point(self.state, self.value, self.parameters)


@dataclass(frozen=True, slots=True)
class FamilyMattered(Result):
    """`importances` are PED-ANOVA's shares at `importance_examples`, the highest rung that enough sampled trials
    (`needed`) reached, most important first; None where there is no such rung; `clear` are the parameters that were
    more important than chance makes any. Edges are of the best sampled trial."""

    completed_sampled: int
    needed: int
    importances: Mapping[str, float] | None
    clear: tuple[str, ...]
    importance_trials: int
    importance_examples: int | None
    best_sampled: TrialSummary | None
    edges: tuple[Edge, ...]
    choices: tuple[ChoiceRow, ...]
    distributions: Mapping[str, Distribution]
    trials: tuple[DrawnTrial, ...]
    total: int
    sampled: int
    ablation: FamilyAblation | None

    @property
    def most(self) -> str | None:
        """The parameter that mattered most, where any did more than chance."""
        return self.clear[0] if self.clear else None


@dataclass(frozen=True, slots=True)
class Mattered(Result):
    families: Mapping[str, FamilyMattered]


def numbers(study: StudyRecords, before: Report) -> Mattered:
    return Mattered({family: _of_family(study, family) for family in study.families})


def _of_family(study: StudyRecords, family: str) -> FamilyMattered:
    trials, settings = study.family_trials(family), study.settings.families[family]
    sampled = trials.found
    known, best = distributions(trials), sampled.best
    rung, reached = _highest_rung(sampled, settings.ladder.examples)
    ranked = history.importances(reached, known) if reached else None
    return FamilyMattered(
        completed_sampled=len(sampled.completed),
        needed=history.IMPORTANCE_FROM,
        importances=ranked.shares if ranked else None,
        clear=ranked.clear if ranked else (),
        importance_trials=len(reached),
        importance_examples=rung,
        best_sampled=summary(best),
        edges=tuple(_edges(settings, family, best, known)) if best else (),
        choices=tuple(choices(sampled, known, N_STARTUP_TRIALS if study.settings.sampler == "tpe" else None)),
        distributions=known,
        trials=tuple(_drawn(trial, rung) for trial in drawn_trials(sampled)),
        total=len(trials),
        sampled=len(sampled),
        ablation=ablation.of_family(study, family),
    )


def _highest_rung(sampled: Trials, rungs: Sequence[int]) -> tuple[int | None, list[history.Point]]:
    """The highest rung that enough trials reached, with their accuracies there; None and nothing if there is none.

    A search that prunes well completes few trials: what it learned of the parameters, it learned further down."""
    for examples in reversed(rungs):
        reached = [(trial, _accuracy_at(trial, examples)) for trial in sampled]
        points = [history.Point("COMPLETE", value, trial.parameters) for trial, value in reached if value is not None]
        if len(points) >= history.IMPORTANCE_FROM:
            return examples, points
    return None, []


def _accuracy_at(trial: TrialRecord, examples: int | None) -> float | None:
    """At the rung of so many examples; None if the trial got no such."""
    found = next((rung.accuracy for rung in trial.rungs if rung.examples == examples), None)
    return found if found is not None and math.isfinite(found) else None


def _edges(settings: FamilySettings, family: str, best: TrialRecord, known: Mapping[str, Distribution]) -> list[Edge]:
    found = edges(best.parameters, known)
    limits = bounds.limits_of(family, settings) if found else {}
    return [replace(edge, limit=bounds.limit_of(edge.parameter, limits)) for edge in found]


def choices(sampled: Trials, known: Mapping[str, Distribution], random_draws: int | None) -> list[ChoiceRow]:
    """Per categorical parameter and value. `random_draws` is how many first trials were drawn at random, None for
    all."""
    first = sorted(sampled, key=lambda trial: trial.number)[:random_draws]
    drawn = {trial.number for trial in first}
    return [
        _choice(
            name, value, Trials(t for t in sampled if name in t.parameters and _same(t.parameters[name], value)), drawn
        )
        for name, distribution in known.items()
        for value in distribution.choices
    ]


def _same(seen: object, choice: object) -> bool:
    return type(seen) is type(choice) and seen == choice


def _choice(name: str, value: object, having: Trials, drawn: set[int]) -> ChoiceRow:
    values = [trial.last.accuracy for trial in having.completed]
    first = [trial.rungs[0].accuracy for trial in having if trial.number in drawn and trial.rungs]
    shown = value if isinstance(value, str) else json.dumps(value)
    median = statistics.median(first) if first else None
    return ChoiceRow(name, shown, len(having), len(values), max(values, default=None), len(first), median)


def drawn_trials(trials: Trials, limit: int = DRAWN) -> Sequence[TrialRecord]:
    """At most `limit` trials, evenly spread, always with those that set a new best (so that a best-so-far line over
    them stays true)."""
    if len(trials) <= limit:
        return trials
    record = {step.number for step in tuning_curve(trials).steps}
    room = max(limit - len(record), 1)
    step = len(trials) / room
    kept = record | {trials[int(i * step)].number for i in range(room)}
    return [trial for trial in trials if trial.number in kept][:limit]


def _drawn(trial: TrialRecord, rung: int | None) -> DrawnTrial:
    about = (trial.number, trial.state, trial.value, trial.parameters, trial.examples, trial.held_seconds)
    return DrawnTrial(*about, _accuracy_at(trial, rung))


def finding(found: Mattered, before: Report) -> str:
    told: dict[str, list[str]] = {}
    for name, entry in found.families.items():
        told.setdefault(_told(entry), []).append(name)
    return f"{capital('; '.join(f'for {listing(names)}, {said}' for said, names in told.items()))}."


def _told(entry: FamilyMattered) -> str:
    if entry.importances is None:
        return f"fewer than {entry.needed} sampled trials reached any one rung, too few to say what mattered"
    if not entry.importances:
        return "all trials score the same, so nothing can be ranked"
    after = f"at the rung of {integer(entry.importance_examples)} examples"
    if entry.most is None:
        return f"no parameter told the best trials {after} apart more than chance does"
    further = f", then {listing(entry.clear[1:])}" if entry.clear[1:] else ""
    return f"{entry.most} mattered most {after}{further}"


def charts(found: Mattered) -> list[Chart]:
    """Of each family under its name."""
    return [
        chart
        for place, (family, entry) in enumerate(found.families.items())
        for chart in (
            *_importance(entry, family, place, family_style(list(found.families), family).colour),
            *_optuna(entry, family, place, family_style(list(found.families), family).colour),
            *ablation.charts(entry.ablation, place, f"ablation of {family}"),
        )
    ]


def _importance(entry: FamilyMattered, family: str, place: int, colour: str) -> list[Chart]:
    if not entry.importances or not entry.clear:
        return []
    names = list(entry.importances)[:BARS]
    values = percents([entry.importances[name] for name in names])
    colours = [colour if name in entry.clear else GREY for name in names]
    trace = {"type": "bar", "orientation": "h", "x": values, "y": names, "marker": {"color": colours}}
    axis = layout("share of importance, %", "", 130 + 26 * len(names))
    axis["yaxis"] |= {"type": "category", "autorange": "reversed", "automargin": True}
    rows = [
        (name, percent(share, 1), "yes" if name in entry.clear else "no") for name, share in entry.importances.items()
    ]
    basis = f"{integer(entry.importance_examples)} examples, {entry.importance_trials} sampled trials"
    label = (
        f"How much each parameter of {family} tells the best trials apart (PED-ANOVA), by the accuracy after {basis}. "
        f"Grey: no more than chance makes of some parameter in {PERMUTATIONS} shuffles of the accuracies"
    )
    figure = {"data": [trace], "layout": axis}
    return [
        Chart(f"importance-{place}", label, figure, ("parameter", "importance", "more than chance"), rows, group=family)
    ]


def _optuna(entry: FamilyMattered, family: str, place: int, colour: str) -> list[Chart]:
    rung, points = entry.importance_examples, [trial.point for trial in entry.trials]
    at_rung = [
        history.Point("COMPLETE", t.rung_accuracy, t.parameters) for t in entry.trials if t.rung_accuracy is not None
    ]
    each = "completed trial" if rung is None else f"trial, its value at the rung of {integer(rung)} examples"
    reached = points if rung is None else at_rung
    drawn = history.figures(points, reached, entry.distributions, list(entry.importances or []), colour)
    columns, rows = _trial_table(entry)
    charts = []
    for kind, figure in drawn.items():
        figure["layout"]["height"] = HEIGHTS[kind]
        title = OPTUNA_TITLES[kind].format(family, each)
        # The trials' table is the data of both figures; it stands under the first.
        shown, group = (rows, family) if kind == "history" else ([], f"slices of {family}")
        charts.append(Chart(f"{kind}-{place}", title, figure, columns, shown, group=group))
    return charts


def _trial_table(entry: FamilyMattered) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    names = list(entry.distributions)
    rows = [
        (f"#{trial.number}", trial.state, percent(trial.value), *(plain(trial.parameters.get(name)) for name in names))
        for trial in entry.trials
    ]
    return ("trial", "state", "validation", *names), rows
