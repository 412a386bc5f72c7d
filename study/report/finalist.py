"""Each finalist for itself: its configuration, its layers, how it learned, what it misreads, and where."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from study.records.run import Layer, as_toml
from study.report.charts import Chart, family_style, layout, line, percents
from study.report.first_screen import layers as in_words
from study.report.reading import Array, StudyRecords
from study.report.section import Report
from study.report.sections.hardest import LABEL_ERRORS
from study.report.wording import integer, percent
from study.statistics.intervals import Interval
from study.statistics.over_seeds import family_accuracy
from study.statistics.result import PAGE_ONLY, Result
from study.statistics.scores import log_softmax

SHOWN = 18  # misread images
WORST = 5  # groups of test images
LARGEST = 28  # pixels that a layer's output is drawn with at most


@dataclass(frozen=True, slots=True)
class Block(Result):
    """Layers that are drawn as one: a layer with weights and what works on its output, whose shape this is."""

    does: str
    shape: tuple[int, ...]
    parameters: int

    @property
    def output(self) -> str:
        return " × ".join(map(str, self.shape))

    @property
    def drawn(self) -> tuple[int, int]:
        """Width and height of its picture in pixels: channels or units to the right on a scale of doublings, maps as
        high as they are."""
        high = self.shape[1] if len(self.shape) > 1 else 6
        return 8 + round(10 * float(np.log2(max(1, self.shape[0])))), max(3, min(LARGEST, high))


@dataclass(frozen=True, slots=True)
class Course(Result):
    """Accuracies on validation after so many examples: of a run under a fresh seed, or of the trial in the search."""

    name: str
    examples: tuple[int, ...]
    accuracies: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Misread(Result):
    """A test image by its place in images.npz and its index in the split, with what each seed of each finalist read."""

    place: int
    index: int
    label: str
    answers: Mapping[str, tuple[str, ...]]
    disputed: bool


@dataclass(frozen=True, slots=True)
class Group(Result):
    """Part of the test images: how many, errors per seed, and the accuracy with its interval if that is known."""

    name: str
    images: int
    errors: float
    accuracy: float
    interval95: Interval | None


@dataclass(frozen=True, slots=True)
class FinalistPage(Result):
    """`misread` are the worst of the `n_misread` images that its first seed reads wrong, of which pictures are kept."""

    title: str
    told: str | None
    config: str | None
    blocks: tuple[Block, ...]
    courses: tuple[Course, ...]
    n_misread: int
    misread: tuple[Misread, ...]
    groups: tuple[Group, ...]
    anchor: str = field(metadata=PAGE_ONLY)
    families: tuple[str, ...] = field(metadata=PAGE_ONLY)  # of the study, for its colour
    about_groups: str = field(metadata=PAGE_ONLY)


def numbers(study: StudyRecords, before: Report) -> dict[str, FinalistPage]:
    known = [family for family in study.families if study.finalists.of(family).chosen]
    return {family: _page(study, family, f"finalist-{place}") for place, family in enumerate(known)}


def _page(study: StudyRecords, family: str, anchor: str) -> FinalistPage:
    chosen = study.finalists.of(family).chosen
    names = [run.name for run in study.final_runs(family)] + list(chosen.runs if chosen else ())
    runs = [study.runs[name] for name in dict.fromkeys(names) if name in study.runs]
    config = runs[0].config if runs else None
    layers = next((run.metrics.layers for run in runs if run.metrics and run.metrics.layers), ())
    indices = _misread_indices(study, family)
    return FinalistPage(
        title=study.title(family),
        told=None if config is None else in_words(config),
        config=None if config is None else as_toml(family, config),
        blocks=tuple(blocks(layers)),
        courses=tuple(_courses(study, family)),
        n_misread=len(indices),
        misread=tuple(_misread(study, indices)),
        groups=tuple(_groups(study, family)) if family in study.correct else (),
        anchor=anchor,
        families=tuple(study.families),
        about_groups=_about_groups(study),
    )


# -- its layers -------------------------------------------------------------------------------------------------------


def blocks(layers: Sequence[Layer]) -> Iterator[Block]:
    """A layer with a weight for each input opens one; flattening goes with what reads it."""
    found: list[list[Layer]] = []
    for layer in layers:
        weighs = layer.kind == "linear" or "convolution" in layer.kind
        follows = bool(found) and [one.kind for one in found[-1]] == ["flatten"]
        if not found or layer.kind == "flatten" or (weighs and not follows):
            found.append([])
        found[-1].append(layer)
    for one in found:
        yield Block(", ".join(layer.kind for layer in one), one[-1].shape, sum(layer.parameters for layer in one))


# -- how it learned ---------------------------------------------------------------------------------------------------


def _courses(study: StudyRecords, family: str) -> Iterator[Course]:
    result = study.finalists.of(family)
    trial = next((one for one in study.records.of(family) if one.number == result.finalist), None)
    if trial is not None and trial.rungs:
        rungs = list(zip(trial.seen, (rung.accuracy for rung in trial.rungs), strict=True))
        images = study.settings.families[family].ladder.images
        part = "" if images is None else f", on {images:,} images"
        yield Course(f"its trial, {trial.origin}{part}", *_columns(rungs))
    runs = [study.runs[name] for name in (result.chosen.runs if result.chosen else ()) if name in study.runs]
    for run in runs:
        seen = [(row.examples, row.validation_accuracy) for row in run.history if row.validation_accuracy is not None]
        if seen:
            yield Course(f"trained again, seed {run.record.seed_index}", *_columns(seen))


def _columns(pairs: Sequence[tuple[int, float]]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    return tuple(examples for examples, _ in pairs), tuple(accuracy for _, accuracy in pairs)


def charts(found: Mapping[str, FinalistPage]) -> list[Chart]:
    return [_curve(family, page, place) for place, (family, page) in enumerate(found.items()) if page.courses]


def _curve(family: str, page: FinalistPage, place: int) -> Chart:
    style = family_style(page.families, family)
    data = [
        line(name, course.examples, percents(course.accuracies), shape, size=6)
        for course in page.courses
        for name, shape in [
            (course.name, style if course.name == page.courses[-1].name else style._replace(dash="dot"))
        ]
    ]
    axis = layout("examples seen", "validation accuracy, %", 320, showlegend=1 < len(data) <= 5)
    rows = [
        (course.name, integer(examples), percent(accuracy))
        for course in page.courses
        for examples, accuracy in zip(course.examples, course.accuracies, strict=True)
    ]
    label = f"Validation accuracy of {page.title} as it trained: does it still rise at the end?"
    columns = ("run", "examples", "validation accuracy")
    return Chart(f"course-{place}", label, {"data": data, "layout": axis}, columns, rows, group=f"course of {family}")


# -- what it misreads -------------------------------------------------------------------------------------------------


def _misread_indices(study: StudyRecords, family: str) -> list[int]:
    """Test images that its first seed reads wrong, the highest mean loss over its seeds first."""
    labels, seeds = study.test_labels, study.final_logits(family)
    if labels is None or not seeds:
        return []
    rows = np.arange(len(labels))
    loss = -np.mean([log_softmax(one)[rows, labels] for one in seeds], axis=0)
    wrong = np.flatnonzero(seeds[0].argmax(axis=1) != labels)
    return [int(index) for index in wrong[np.argsort(-loss[wrong], kind="stable")]]


def _misread(study: StudyRecords, indices: Sequence[int]) -> list[Misread]:
    kept, labels = study.hardest.get("indices"), study.test_labels
    if kept is None or labels is None:
        return []
    places, names = {int(index): place for place, index in enumerate(kept)}, study.settings.dataset.classes
    known = LABEL_ERRORS if study.settings.dataset.is_bundled_mnist else frozenset()
    logits = {family: found for family in study.families if (found := study.final_logits(family))}
    shown = [index for index in indices if index in places][:SHOWN]
    return [
        Misread(places[index], index, names[int(labels[index])], _answers(logits, index, names), index in known)
        for index in shown
    ]


def _answers(logits: Mapping[str, list[Array]], index: int, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {family: tuple(names[int(seed[index].argmax())] for seed in seeds) for family, seeds in logits.items()}


# -- where ------------------------------------------------------------------------------------------------------------


def _groups(study: StudyRecords, family: str) -> Iterator[Group]:
    """The halves of the test images; then, where it is known whose they are, the groups with the most errors."""
    correct, groups = study.correct[family], study.groups
    middle = correct.shape[1] // 2
    for name, half in (("first half", slice(None, middle)), ("second half", slice(middle, None))):
        found = family_accuracy(correct[:, half], None if groups is None else groups.select(half))
        yield _group(name, correct[:, half], found.interval95)
    if study.test_groups is not None:
        yield from _worst(correct, study.test_groups)


def _about_groups(study: StudyRecords) -> str:
    bundled = study.settings.dataset.is_bundled_mnist
    halves = "of MNIST's test images differ in their writers and in difficulty" if bundled else "of the test images"
    worst = "" if study.test_groups is None else "; below them the groups with the most errors"
    return f"Errors by group: the halves {halves}{worst}"


def _group(name: str, correct: Array, interval: Interval | None) -> Group:
    n_images = correct.shape[1]
    return Group(name, n_images, statistics.fmean(n_images - correct.sum(axis=1)), float(correct.mean()), interval)


def _worst(correct: Array, group_of: Array) -> list[Group]:
    rows = [_group(f"group {name}", correct[:, group_of == name], None) for name in np.unique(group_of)]
    return sorted(rows, key=lambda row: -row.errors)[:WORST]
