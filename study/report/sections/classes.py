"""Each finalist for itself; precision, recall and confusions of it, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from study.report import finalist
from study.report.charts import Chart, heatmap, heatmap_layout, note
from study.report.finalist import FinalistPage
from study.report.reading import Array, StudyRecords
from study.report.section import Report
from study.report.wording import capital, count, percent, times
from study.statistics.result import Result
from study.statistics.scores import PerClass, confusion_matrix, most_confused, per_class

LABELLED = 20  # classes up to which the cells of a confusion chart have room for their counts


@dataclass(frozen=True, slots=True)
class FamilyClasses(Result):
    """Of seed 0 of a finalist, one named network: confusion counts (row true, column answer), their shares of the row,
    and scores with Wilson intervals. `confused` are the most confused pairs (true, answer, times) over all `seeds`."""

    title: str
    seeds: int
    confusion: tuple[tuple[int, ...], ...]
    row_shares: tuple[tuple[float, ...], ...]
    scores: PerClass
    confused: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Classes(Result):
    """`families` are those that were read on the test split, `pages` those that have a finalist."""

    classes: tuple[str, ...]
    families: Mapping[str, FamilyClasses]
    pages: Mapping[str, FinalistPage]


def numbers(study: StudyRecords, before: Report) -> Classes:
    families = {}
    for family in study.correct:
        assert study.test_labels is not None  # it has predictions, so there were labels
        families[family] = of_family(study.title(family), study.test_labels, study.final_logits(family))
    return Classes(tuple(study.settings.dataset.classes), families, finalist.numbers(study, before))


def of_family(title: str, labels: Array, logits: list[Array]) -> FamilyClasses:
    """Of labels [N] and each seed's logits [N, C]."""
    n_classes = logits[0].shape[1]
    confusions = [confusion_matrix(labels, seed.argmax(axis=1), n_classes) for seed in logits]
    first = confusions[0]
    shares = first / np.maximum(first.sum(axis=1, keepdims=True), 1)
    confused = tuple(most_confused(np.sum(confusions, axis=0), 8))
    counts, row_shares = (tuple(tuple(row) for row in table.tolist()) for table in (first, shares))
    return FamilyClasses(title, len(logits), counts, row_shares, per_class(first), confused)


def finding(found: Classes, before: Report) -> str:
    if not found.families:
        return "No predictions on the test split yet."
    told = [_most(entry, found.classes) for entry in found.families.values() if entry.confused]
    return f"{capital('; '.join(told))}." if told else "No finalist makes a single error on the test split."


def _most(entry: FamilyClasses, names: tuple[str, ...]) -> str:
    true, seen, number = entry.confused[0]
    often = f"{times(number)} over {count(entry.seeds, 'seed')}"
    return f"{entry.title} most often reads {names[true]} as {names[seen]} ({often})"


def charts(found: Classes) -> list[Chart]:
    confusions = [
        _confusion(entry, found.classes, place, family) for place, (family, entry) in enumerate(found.families.items())
    ]
    return [*confusions, *finalist.charts(found.pages)]


def _confusion(entry: FamilyClasses, names: tuple[str, ...], place: int, family: str) -> Chart:
    """Counts as text, colour by the share of the row with the diagonal left out, so that errors are seen."""
    off = [[None if i == j else share for j, share in enumerate(row)] for i, row in enumerate(entry.row_shares)]
    hover = [
        [f"{n} images, {percent(share)} of the row" for n, share in zip(row, shares, strict=True)]
        for row, shares in zip(entry.confusion, entry.row_shares, strict=True)
    ]
    notes = [
        note(names[j], names[i], f"{n:,}", size=11)
        for i, row in enumerate(entry.confusion)
        for j, n in enumerate(row)
        if n and len(names) <= LABELLED
    ]
    scale = [[0, "rgba(128,96,168,0)"], [1, "rgba(128,96,168,0.9)"]]
    trace = heatmap(off, names, names, hover, colorscale=scale, hoverinfo="x+y+text")
    rows = [
        (name, *(f"{n:,}" for n in row), percent(entry.row_shares[i][i]))
        for i, (name, row) in enumerate(zip(names, entry.confusion, strict=True))
    ]
    label = (
        f"How often {entry.title}, seed 0, read test images of a class (a row) as another (a column); the darker, the "
        "larger the share of its row"
    )
    figure = {"data": [trace], "layout": heatmap_layout("answer", "true class", 430, notes)}
    return Chart(
        f"confusion-{place}", label, figure, ("true \\ answer", *names, "recall"), rows, group=f"confusion of {family}"
    )
