"""What a reader sees first: who won in plain words, everybody on one scale, what the winner is and what it misreads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from study.report.charts import GREY, Chart, Figure, family_style, layout, log_axis
from study.report.judged import Judged, of_sides
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import hardest, leaderboard, pairwise, searches
from study.report.sections.hardest import HardImage
from study.report.sections.leaderboard import Finalist, Leaderboard, Other
from study.report.wording import capital, compact, count, interval, percent
from study.statistics.intervals import Interval
from study.statistics.result import PAGE_ONLY, Result

SHOWN_DIGITS = 6
LEAST_ERROR = 1e-4  # where none is wrong: a logarithmic axis has no 0
KINDS: Mapping[str, str] = {"finalist": "square", "family": "square", "ensemble": "diamond", "baseline": "x-thin-open"}
KINDS_OF_NETWORK: Mapping[str, str] = {
    "cnn": "the convolutional network",
    "mlp": "the fully connected network",
    "mixer": "the mixer network",
}

Kind = Literal["finalist", "family", "ensemble", "baseline"]


@dataclass(frozen=True, slots=True)
class Standing(Result):
    """One row of the plot: an accuracy on the test split with its interval, if one is known."""

    label: str
    kind: Kind
    family: str | None
    accuracy: float
    interval95: Interval | None


@dataclass(frozen=True, slots=True)
class Misread(Result):
    """A test image, by its place in images.npz, that the shipped seed of the winner reads wrong."""

    place: int
    index: int
    label: str
    read_as: str


@dataclass(frozen=True, slots=True)
class FirstScreen(Result):
    """`plain` is the outcome in everyday words, None where there is none."""

    plain: str | None
    rows: tuple[Standing, ...]
    architecture: str | None
    misread: tuple[Misread, ...]
    families: tuple[str, ...] = field(metadata=PAGE_ONLY)


def numbers(study: StudyRecords, before: Report) -> FirstScreen:
    _, chosen = study.shipped
    winner = None if chosen is None else chosen.winner
    mine = next((row for row in before[leaderboard].tested if row.family == winner), None)
    compared = _families(study, before)
    return FirstScreen(
        plain=_plain(before, winner),
        rows=(*compared, *_others(before[leaderboard])) if compared else (),
        architecture=_architecture(study, winner) if winner and mine else None,
        misread=tuple(_misread(before, mine.family)) if mine else (),
        families=tuple(study.families),
    )


# -- the outcome ------------------------------------------------------------------------------------------------------


def _plain(report: Report, winner: str | None) -> str | None:
    several = report[searches]
    pairs: Sequence[Judged] = several.pairs if several else report[pairwise].pairs
    rivals = [row.family for row in report[leaderboard].tested if row.family != winner]
    other = several.runner_up if several else rivals[0] if rivals else None
    seen = of_sides(tuple(pairs), winner, other) if winner else None
    return None if seen is None else in_everyday_words(seen.pair)


def in_everyday_words(pair: Judged) -> str:
    """The one with the higher mean first; no word of a test."""
    compared, label = pair.comparison, pair.verdict.label
    both = ((compared.accuracy_a, _introduced(pair.title_a)), (compared.accuracy_b, _introduced(pair.title_b)))
    (high, ahead), (low, behind) = sorted(both, key=lambda side: -side[0])
    shares = f"{percent(high)} against {percent(low)}"
    if label == "equal within 0.2 points":
        return f"{capital(ahead)} and {behind} read these images equally well, to within 0.2 points: {shares}."
    if label == "too close to call":
        return f"{capital(ahead)} and {behind} are too close to call: they read {shares} of the test images right."
    if label == "no verdict":
        return (
            f"{capital(ahead)} read {percent(high)} of the test images right, {behind} {percent(low)}; "
            "too few repetitions to say whether that is luck."
        )
    little = ", but too little better to matter" if label != "better" else ""
    lead = f"{capital(ahead)} reads these images better than {behind}{little}"
    return f"{lead}: {shares} of the test images right, more than chance explains."


def _short(title: str) -> str:
    return title.removeprefix("finalist ").removeprefix("family ")


def _introduced(title: str) -> str:
    """With what kind of network it is, where the program knows."""
    short = _short(title)
    kind = KINDS_OF_NETWORK.get(short.split(" ")[0])
    return f"{kind} {short}" if kind else short


# -- everybody on one scale -------------------------------------------------------------------------------------------


def _families(study: StudyRecords, report: Report) -> list[Standing]:
    """Each family's mean over its searches, or, of one search, its finalist's over its seeds."""
    several = report[searches]
    if several is None:
        return [_finalist(study, row) for row in report[leaderboard].tested]
    known = {family: found.test for family, found in several.families.items() if found.test}
    rows = [
        Standing(f"{family}, {count(found.n, 'search', 'searches')}", "family", family, found.mean, found.interval95)
        for family, found in known.items()
    ]
    return sorted(rows, key=lambda row: -row.accuracy)


def _finalist(study: StudyRecords, row: Finalist) -> Standing:
    assert row.test is not None  # only of those that were tested
    origins = {trial.number: trial.origin for trial in study.records.of(row.family)}
    origin = origins.get(row.trial)
    label = _short(row.title) + (f", {origin}" if origin else "")
    return Standing(label, "finalist", row.family, row.test.accuracy.mean, row.test.accuracy.interval95)


def _others(found: Leaderboard) -> list[Standing]:
    """Ensembles before baselines."""
    return [_other(row) for row in sorted(found.others, key=lambda row: (row.kind == "baseline", -row.accuracy))]


def _other(row: Other) -> Standing:
    name = row.name if row.kind == "baseline" or row.name.startswith("all") else f"{row.name} seeds"
    return Standing(
        f"{name}, together" if row.kind == "ensemble" else name, row.kind, None, row.accuracy, row.interval95
    )


def charts(found: FirstScreen) -> list[Chart]:
    if not found.rows:
        return []
    label = (
        "Share of the test images read wrong, with 95 % intervals: further left is better. Squares: the networks that "
        "are compared. Diamonds: several networks answering together. Crosses: simple methods, for scale."
    )
    rows = [(row.label, row.kind, percent(row.accuracy), interval(row.interval95)) for row in found.rows]
    columns = ("who", "kind", "test accuracy", "95 % interval")
    return [Chart("standings", label, _figure(found), columns, rows)]


def _figure(found: FirstScreen) -> Figure:
    names = [f"{row.label}  {percent(row.accuracy)}" for row in found.rows]
    data = [_trace(found, row, name) for row, name in zip(found.rows, names, strict=True)]
    ends = [end for trace in data for end in (trace["x"][0] - trace["error_x"]["arrayminus"][0], _high(trace))]
    axis = layout("test images read wrong, %", "", 96 + 30 * len(names), showlegend=False)
    axis["yaxis"] |= {"type": "category", "categoryorder": "array", "categoryarray": names[::-1], "automargin": True}
    # An interval that reaches down to no error at all would have the axis to itself.
    axis["xaxis"] |= log_axis(max(min(ends), min(trace["x"][0] for trace in data) / 5), max(ends))
    return {"data": data, "layout": axis}


def _high(trace: Figure) -> float:
    return float(trace["x"][0] + trace["error_x"]["array"][0])


def _trace(found: FirstScreen, row: Standing, name: str) -> Figure:
    wrong = 100 * max(1 - row.accuracy, LEAST_ERROR)
    low, high = (1 - end for end in reversed(row.interval95)) if row.interval95 else (wrong / 100, wrong / 100)
    least = 100 * max(low, LEAST_ERROR / 2)
    colour = family_style(found.families, row.family).colour if row.family else GREY
    bars: dict[str, Any] = {"type": "data", "symmetric": False, "array": [100 * high - wrong], "thickness": 2}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [wrong],
        "y": [name],
        "error_x": {**bars, "arrayminus": [max(0.0, wrong - least)], "color": colour},
        "marker": {"symbol": KINDS[row.kind], "size": 11, "color": colour, "line": {"width": 2, "color": colour}},
        "hovertemplate": f"{percent(row.accuracy)} right, {interval(row.interval95)}<extra></extra>",
    }


# -- the winner -------------------------------------------------------------------------------------------------------


def _architecture(study: StudyRecords, family: str) -> str:
    """Of the family's finalist, of several searches the one that did best on validation."""
    known = [(result.chosen, one) for one in study.searches.values() if (result := one.finalists.of(family)).chosen]
    _, source = min(known, key=lambda pair: pair[0].rank)
    finalist = source.finalists.of(family).finalist
    trial = next((one for one in source.records.of(family) if one.number == finalist), None)
    told = [layers(trial.config), f"{compact(trial.n_parameters)} parameters"] if trial else []
    origin = {"given": ", given to the study", "found": ", found by the search"}[trial.origin] if trial else ""
    title = _short(source.title(family)) + study.of_search(source)
    return f"{title}{origin}: {', '.join(one for one in told if one)}."


def layers(config: Mapping[str, Any]) -> str | None:
    """A network of one of the program's own families in words, None of another's."""
    norm = config.get("normalisation")
    after = f"{config.get('activation')}{f', {norm} normalisation' if norm not in (None, 'none') else ''}"
    match config:
        case {"stages": stages, "convs_per_stage": convs, "width": width, "growth": growth, "kernel_size": kernel}:
            more = "twice" if growth == 2 else f"{growth:g} times"
            grows = "" if growth == 1 else f", {more} as many from stage to stage"
            few = {1: "one", 2: "two", 3: "three", 4: "four"}.get(convs, str(convs))  # "2 3 × 3" would not be read
            each = f"{few} {kernel} × {kernel} convolution{'' if convs == 1 else 's'}"
            return f"{count(stages, 'stage')} of {each}, {width} channels at first{grows}, {after}"
        case {"depth": depth, "width": [*width]} if len(width) == depth:
            hidden = count(depth, "hidden layer")
            return f"{hidden} of {', '.join(map(str, width))} units, {after}"
    return None


def _misread(report: Report, family: str) -> list[Misread]:
    """Of the hardest images those that the first network of the winner reads wrong, in the first search."""
    found = report[hardest]

    def wrong(image: HardImage) -> bool:
        return image.answers.get(family, (image.label,))[0] != image.label

    shown = [image for image in found.images if wrong(image)][:SHOWN_DIGITS]
    names = found.classes
    return [Misread(image.place, image.index, names[image.label], names[image.answers[family][0]]) for image in shown]
