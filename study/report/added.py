"""What the search added: a family's best found configuration against the best one that it was given, and against the
first one that it drew, each trained again with fresh seeds.

Validation chose them. They are read on the test split once that was opened, as its images have chosen neither, and on
the validation images before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from study.records.finalists import Candidate
from study.records.predictions import read_validation
from study.records.trial import SOURCES, Origin, TrialRecord
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import capital, listing, percent, point_interval, points
from study.statistics.intervals import Interval
from study.statistics.over_seeds import compare_finalists
from study.statistics.result import Result

Against = Literal["given", "first drawn"]
Images = Literal["test", "validation"]
_SPLIT = {"test": "test split", "validation": "validation images"}
_OTHER = {"given": "the best one given", "first drawn": "the first one that its search drew"}


@dataclass(frozen=True, slots=True)
class Added(Result):
    """Of a family: mean accuracies of the best found and of what it is held `against`, on `images`, each the mean of
    at least `seeds` runs, and found minus other with its interval; None for one that was not trained again."""

    family: str
    against: Against
    images: Images
    seeds: int
    found: float | None
    other: float | None
    difference: float | None
    interval95: Interval | None
    sentence: str


@dataclass(frozen=True, slots=True)
class _Again:
    """A trial that was trained again in this search of the study: `of_search` names it where there are several."""

    trial: TrialRecord
    candidate: Candidate
    search: StudyRecords
    of_search: str

    @property
    def title(self) -> str:
        source = SOURCES.get(self.trial.role)
        return f"#{self.trial.number}{self.of_search}" + ("" if source is None else f", {source}")

    @property
    def on_validation(self) -> float:
        return self.candidate.mean_accuracy

    @property
    def held_out(self) -> str:
        """The digest of the validation images of its search."""
        return self.search.settings.dataset.split_sha256

    def correct(self, images: Images) -> NDArray[np.bool_] | None:
        """[S, N]; None where a run's logits are not there."""
        read = [self._right(run, images) for run in self.candidate.runs]
        there = [right for right in read if right is not None]
        return np.stack(there) if there and len(there) == len(read) else None

    def _right(self, run: str, images: Images) -> NDArray[np.bool_] | None:
        if images == "validation":
            read = read_validation(self.search.files.run(run))
            return None if read is None else read[0].argmax(axis=1) == read[1]
        logits = (self.search.candidate_logits | self.search.test_logits).get(run)
        return None if logits is None else logits.argmax(axis=1) == self.search.test_labels


def numbers(study: StudyRecords, before: Report) -> tuple[Added, ...]:
    """By family; nothing of a study that has trained nothing again."""
    families = study.families if study.finalists.families else []
    return tuple(row for family in families for row in _of_family(study, family))


def _of_family(study: StudyRecords, family: str) -> Iterator[Added]:
    again = list(_trained_again(study, family))
    found, given = _best(again, "found"), _best(again, "given")
    if study.given_trials(family):
        if found is None or given is None:
            yield _unknown(family, found, given)
        else:
            yield _compared(study, family, "given", found, given)
    first = next((one for one in again if one.trial == _first_drawn(study, family)), None)
    if found is not None and first is not None:
        same = found.trial == first.trial and found.search is first.search
        yield _nothing_better(family, found) if same else _compared(study, family, "first drawn", found, first)


def _first_drawn(study: StudyRecords, family: str) -> TrialRecord | None:
    """By the study's own search, of those that were trained to a rung."""
    drawn = [trial for trial in study.records.of(family).counted.found if trial.rungs]
    return min(drawn, key=lambda trial: trial.number, default=None)


def _compared(study: StudyRecords, family: str, against: Against, found: _Again, other: _Again) -> Added:
    """On the test split if both were read there."""
    means = found.on_validation, other.on_validation
    for images in _read_by_both(found, other):
        a, b = found.correct(images), other.correct(images)
        if a is not None and b is not None and a.shape[1] == b.shape[1]:
            compared = compare_finalists(a, b, study.groups if images == "test" else None)
            if images == "test":
                means = compared.accuracy_a, compared.accuracy_b
            interval = point_interval(compared.interval95)
            told = f"{points(compared.difference, signed=True)} (95 % interval {interval})"
            sentence = f"{_told(family, against, images, found, other, means)}: {told}."
            compared_as = (*means, compared.difference, compared.interval95)
            return Added(family, against, images, min(len(a), len(b)), *compared_as, sentence)
    apart = "" if found.held_out == other.held_out else ", each of those that its own search held out"
    sentence = f"{_told(family, against, 'validation', found, other, means)}{apart}."
    return Added(family, against, "validation", _seeds(found, other), *means, None, None, sentence)


def _read_by_both(found: _Again, other: _Again) -> Iterator[Images]:
    """Two searches may have held out other validation images."""
    yield "test"
    if found.held_out == other.held_out:
        yield "validation"


def _seeds(*trained: _Again | None) -> int:
    return min((len(one.candidate.runs) for one in trained if one is not None), default=0)


def _told(
    family: str, against: Against, images: Images, found: _Again, other: _Again, means: tuple[float, float]
) -> str:
    return (
        f"{family}: the best configuration that was found ({found.title}) reads {percent(means[0])} of the "
        f"{_SPLIT[images]}, {_OTHER[against]} ({other.title}) {percent(means[1])}"
    )


def _nothing_better(family: str, found: _Again) -> Added:
    value = found.on_validation
    text = f"{family}: the best configuration that was found is the first one that its search drew ({found.title})."
    return Added(family, "first drawn", "validation", _seeds(found), value, value, None, None, text)


def _unknown(family: str, found: _Again | None, given: _Again | None) -> Added:
    """Which of the two was not trained again."""
    a, b = (None if one is None else one.on_validation for one in (found, given))
    return Added(family, "given", "validation", _seeds(found, given), a, b, None, None, _missing(family, found, given))


def _missing(family: str, found: _Again | None, given: _Again | None) -> str:
    known = found or given
    if known is None:
        return f"{family}: nothing was trained again, so what the search added is unknown."
    what = "no configuration that was given" if given is None else "no configuration that the search found"
    return (
        f"{family}: {what} was trained again, so what the search added is unknown; the other ({known.title}) reads "
        f"{percent(known.on_validation)} of the validation images."
    )


def _best(again: list[_Again], origin: Origin) -> _Again | None:
    """Over all searches of the study, by validation."""
    those = (one for one in again if one.trial.origin == origin)
    return min(those, key=lambda one: one.candidate.rank, default=None)


def _trained_again(study: StudyRecords, family: str) -> Iterator[_Again]:
    for one in study.searches.values():
        trials = {trial.number: trial for trial in one.records.of(family)}
        for candidate in one.finalists.of(family).candidates:
            if candidate.trial in trials:
                yield _Again(trials[candidate.trial], candidate, one, study.of_search(one))


# --- what the reader must know of it ---------------------------------------------------------------------------------


def in_brief(rows: tuple[Added, ...]) -> str | None:
    """Whether what was found is better than what was given, as far as the intervals tell; None where both are not
    known."""
    known = [(row.family, row.interval95) for row in rows if row.against == "given" and row.interval95 is not None]
    better = [family for family, (low, _) in known if low > 0]
    worse = [family for family, (_, high) in known if high < 0]
    level = [family for family, _ in known if family not in (*better, *worse)]
    outcomes = (
        ("the search found a better one than was given", better),
        ("the search found none as good as was given", worse),
        ("found and given differ by no more than chance", level),
    )
    told = [f"for {listing(families)} {outcome}" for outcome, families in outcomes if families]
    return f"{capital('; '.join(told))}." if told else None


def note(rows: tuple[Added, ...], n_groups: int | None) -> str | None:
    """Which images were read, who chose, and what the intervals cover; None where there is none. `n_groups` of the test
    images, where they have any."""
    known = [row for row in rows if row.difference is not None]
    if not known:
        return None
    on_test = all(row.images == "test" for row in known)
    chosen = "each is the best of its kind among those that were trained again"
    if on_test:
        text = f"Validation chose both sides before the test split was opened: {chosen}."
    else:
        text = f"Validation chose both sides on these very images: {chosen}, which favours the side that had more."
    one_run = min(row.seeds for row in known) < 2
    text += " Each is one run, so an interval covers other images, not other seeds." if one_run else ""
    return text + (f" It is clustered by {n_groups} groups of images." if on_test and n_groups else "")
