"""How the finalists read corrupted test images, and what a six becomes as it blurs; measured by `study examine`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.records.examined import Answers, Corrupted, Level, Robustness, is_finalist
from study.report.charts import (
    Chart,
    Figure,
    error_bars,
    family_style,
    heatmap,
    heatmap_layout,
    layout,
    line,
    note,
    percents,
)
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import NONE, interval, listing, percent, plain
from study.statistics.result import Result

GROUPS = ("clean", "blur", "MNIST-C style")
BLURRED = ("clean", "gaussian blur")
FALLEN = 3  # classes named that fall first
ANSWERS_NAMED = 4  # of the answers to a blurred 6: a legend of five is read
SHADES = ("#2f6f8f", "#a3bf60", "#b08bbf", "#d9a441", "#9aa0a6")  # of answers, no family's colours
PATTERNS = ("", "/", "x", "-", "")


@dataclass(frozen=True, slots=True)
class Corruptions(Result):
    measured: Robustness | None

    def fallen(self, family: str) -> str:
        """The classes that fall first, in words."""
        assert self.measured is not None
        known = [entry for entry in self.measured.first_to_fall[family] if entry.sigma is not None][:FALLEN]
        return ", ".join(f"{self.measured.classes[entry.label]} at {entry.sigma:.2f}" for entry in known) or NONE

    def six_becomes(self, family: str) -> str:
        """The most frequent answer to a six at the strongest blur."""
        assert self.measured is not None
        answers = self.measured.sixes.families.get(family) if self.measured.sixes else None
        if not answers:
            return NONE
        last, total = answers[-1], sum(answers[-1].counts)
        top = last.counts.index(max(last.counts))
        share = percent(last.counts[top] / total, 0) if total else NONE
        return f"{self.measured.classes[top]} ({share} at {plain(last.sigma)})"

    @property
    def means(self) -> list[tuple[str, list[float | None]]]:
        """Of each network by group of corruptions its accuracy, in which every kind weighs the same; clean first."""
        assert self.measured is not None
        return [(name, [self._mean(name, group) for group in GROUPS]) for name in self.measured.half_accuracy_sigma]

    def _mean(self, name: str, group: str) -> float | None:
        assert self.measured is not None
        by_kind: dict[str, list[float]] = {}
        for row in self.measured.levels:
            if row.group == group:
                by_kind.setdefault(row.kind, []).append(row.families[name].accuracy)
        return statistics.fmean(map(statistics.fmean, by_kind.values())) if by_kind else None

    @property
    def has_shipped(self) -> bool:
        """Whether the shipped network was read beside the finalists."""
        assert self.measured is not None
        return not all(map(is_finalist, self.measured.runs))

    @property
    def skipped(self) -> list[str]:
        """Corruptions for which no time was left."""
        assert self.measured is not None
        return [f"{entry.kind} {plain(entry.level)}" for entry in self.measured.skipped]


def numbers(study: StudyRecords, before: Report) -> Corruptions:
    return Corruptions(study.examined.robustness)


def finding(found: Corruptions, before: Report) -> str:
    measured = found.measured
    if measured is None:
        return "Not measured: this study has no robustness.json; `study examine` adds it."
    halved = [
        f"of {_told(name)} at {sigma:.2f} px" if sigma is not None else f"of {_told(name)} nowhere within the ladder"
        for name, sigma in measured.half_accuracy_sigma.items()
    ]
    text = f"Gaussian blur halves the accuracy {listing(halved)}"
    if not measured.order:
        return f"{text}."
    changed = [f"{row.a} and {row.b} ({row.group})" for row in measured.order if row.order_changes]
    order = f"the order changes for {listing(changed)}" if changed else "the order of the finalists does not change"
    return f"{text}; under corruption {order}."


def _told(reader: str) -> str:
    return reader if is_finalist(reader) else "the shipped network"


def charts(found: Corruptions) -> list[Chart]:
    if found.measured is None:
        return []
    maps = [_map(found.measured, family, place) for place, family in enumerate(found.measured.half_accuracy_sigma)]
    return [*_blur(found.measured), *maps, *_sixes(found.measured)]


def _blur(measured: Robustness) -> list[Chart]:
    levels = [row for row in measured.levels if row.kind in BLURRED]
    if len(levels) < 2:
        return []
    families = list(measured.half_accuracy_sigma)
    data = [_blur_line(levels, family, families) for family in families]
    rows = [
        (family, plain(row.level), *_read(row.families[family]), *_stated(row.families[family]))
        for family in families
        for row in levels
    ]
    figure = {"data": data, "layout": layout("Gaussian blur, sigma in px", "test accuracy, %")}
    columns = ("family", "sigma", "accuracy", "95 % interval", "ECE", "its noise floor")
    return [
        Chart(
            "blur",
            "Accuracy under Gaussian blur: the line that falls later stands more of it.",
            figure,
            columns,
            rows,
            tells_finding=True,
        )
    ]


def _blur_line(levels: Sequence[Level], family: str, families: list[str]) -> Figure:
    read = [row.families[family] for row in levels]
    right = [one.accuracy for one in read]
    drawn = line(family, [row.level for row in levels], percents(right), family_style(families, family), size=8)
    return {**drawn, "error_y": error_bars(right, [one.interval95 for one in read])}


def _read(one: Corrupted) -> tuple[str, str]:
    return percent(one.accuracy), interval(one.interval95)


def _stated(one: Corrupted) -> tuple[str, str]:
    return f"{one.ece:.4f}", f"{one.ece_noise_floor:.4f}"


def _map(measured: Robustness, family: str, place: int) -> Chart:
    """Kinds as rows, levels from mild to strong as columns; each cell says its level and accuracy."""
    rows = [row for row in measured.levels if row.kind != "clean"]
    by_kind = {kind: [row for row in rows if row.kind == kind] for kind in dict.fromkeys(row.kind for row in rows)}
    width = max((len(found) for found in by_kind.values()), default=0)
    steps = [f"level {step}" for step in range(1, width + 1)]
    values = {kind: percents([row.families[family].accuracy for row in found]) for kind, found in by_kind.items()}
    cells = [[*row, *[None] * (width - len(row))] for row in values.values()]
    hover = [[f"{row.unit} {plain(row.level)}" for row in found] for found in by_kind.values()]
    trace = heatmap(cells, steps, list(by_kind), hover, zmin=0, zmax=100, colorscale="Cividis")
    notes = [
        note(steps[j], kind, f"{value:.1f}", size=10.5, color="#000" if value > 55 else "#fff")
        for kind, row in values.items()
        for j, value in enumerate(row)
    ]
    axis = heatmap_layout("", "", 120 + 25 * len(by_kind), notes)
    axis["yaxis"]["automargin"], axis["xaxis"]["side"] = True, "top"
    table = [(row.kind, row.unit, plain(row.level), *_read(row.families[family])) for row in rows]
    label = f"Accuracy of {family} in percent under every corruption, from mild to strong: dark is lost"
    columns = ("corruption", "unit", "level", "accuracy", "95 % interval")
    return Chart(f"corruptions-{place}", label, {"data": [trace], "layout": axis}, columns, table, group="corruptions")


def _sixes(measured: Robustness) -> list[Chart]:
    """Shares of the answers to all sixes at each blur, stacked, one panel per family."""
    if not measured.sixes or not measured.sixes.families:
        return []
    families, data = list(measured.half_accuracy_sigma), []
    groups = _named_answers(measured.classes, [one for found in measured.sixes.families.values() for one in found])
    axis: Figure = {"height": 360, "barmode": "stack", "yaxis": {"title": {"text": "answers to a 6, %"}}}
    width, rows = 1 / len(families), []
    for place, family in enumerate(families):
        tail = "" if place == 0 else str(place + 1)
        domain = [place * width + 0.02 * (place > 0), (place + 1) * width - 0.02]
        axis[f"xaxis{tail}"] = {"title": {"text": f"{family}: blur, px"}, "type": "category", "domain": domain}
        found = measured.sixes.families.get(family, ())
        data += _stacks(groups, found, f"x{tail}", first=place == 0)
        rows += [(family, plain(one.sigma), *(str(count) for count in one.counts)) for one in found]
    label = "What each finalist answers to the test split's sixes as they blur"
    return [Chart("sixes", label, {"data": data, "layout": axis}, ("family", "sigma", *measured.classes), rows)]


def _named_answers(classes: Sequence[str], found: Sequence[Answers]) -> dict[str, list[int]]:
    """The most frequent answers by name, in the order of the classes, and all others together."""
    totals = [sum(one.counts[answer] for one in found) for answer in range(len(classes))]
    named = sorted(sorted(range(len(classes)), key=lambda answer: -totals[answer])[:ANSWERS_NAMED])
    others = [answer for answer in range(len(classes)) if answer not in named]
    return {**{classes[answer]: [answer] for answer in named}, "any other": others}


def _stacks(groups: Mapping[str, Sequence[int]], found: Sequence[Answers], axis: str, *, first: bool) -> list[Figure]:
    """A bar trace for each group of answers."""
    return [
        {
            "type": "bar",
            "name": name,
            "x": [plain(one.sigma) for one in found],
            "y": [100 * sum(one.counts[answer] for answer in answers) / max(sum(one.counts), 1) for one in found],
            "xaxis": axis,
            "marker": {"color": SHADES[place], "pattern": {"shape": PATTERNS[place]}},
            "legendgroup": name,
            "showlegend": first,
        }
        for place, (name, answers) in enumerate(groups.items())
    ]
