"""What the search added: a family's best found configuration against the best one that it was given, each trained again
with fresh seeds and read on the validation images, which chose both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from study.records.finalists import Candidate
from study.records.paths import StudyFiles
from study.records.predictions import read_validation
from study.records.trial import SOURCES, Origin, TrialRecord
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import percent, point_interval, points
from study.statistics.intervals import Interval
from study.statistics.over_seeds import compare_finalists
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class Added(Result):
    """Of a family that was given something: mean accuracies of the two on validation, found minus given with its
    interval over the images; None for one that was not trained again."""

    family: str
    found: float | None
    given: float | None
    difference: float | None
    interval95: Interval | None
    sentence: str


@dataclass(frozen=True, slots=True)
class _Again:
    """A trial that was trained again, in the search of these files: `of_search` names it where there are several."""

    trial: TrialRecord
    candidate: Candidate
    files: StudyFiles
    of_search: str

    @property
    def title(self) -> str:
        source = SOURCES.get(self.trial.role)
        return f"#{self.trial.number}{self.of_search}" + ("" if source is None else f", {source}")

    def correct(self) -> NDArray[np.bool_] | None:
        """[S, N] on validation; None where a run's logits are not there."""
        read = [read_validation(self.files.run(name)) for name in self.candidate.runs]
        there = [logits.argmax(axis=1) == labels for logits, labels in (one for one in read if one is not None)]
        return np.stack(there) if there and len(there) == len(read) else None


def numbers(study: StudyRecords, before: Report) -> tuple[Added, ...]:
    """By family; nothing of one that was given nothing, or of a study that has trained nothing again."""
    if not study.finalists.families:
        return ()
    return tuple(_of_family(study, family) for family in study.families if study.given_trials(family))


def _of_family(study: StudyRecords, family: str) -> Added:
    found, given = _best(study, family, "found"), _best(study, family, "given")
    a = None if found is None else found.candidate.mean_accuracy
    b = None if given is None else given.candidate.mean_accuracy
    if found is None or given is None:
        return Added(family, a, b, None, None, _missing(study, family, found, given))
    right_a, right_b = found.correct(), given.correct()
    if right_a is None or right_b is None or right_a.shape[1] != right_b.shape[1]:
        return Added(family, a, b, None, None, f"{_told(family, found, given)}.")
    compared = compare_finalists(right_a, right_b)
    interval = point_interval(compared.interval95)
    text = f"{_told(family, found, given)}: {points(compared.difference, signed=True)} (95 % interval {interval})."
    return Added(family, a, b, compared.difference, compared.interval95, text)


def _told(family: str, found: _Again, given: _Again) -> str:
    return (
        f"{family}: the best configuration that was found ({found.title}) reads "
        f"{percent(found.candidate.mean_accuracy)} of the validation images, the best one given ({given.title}) "
        f"{percent(given.candidate.mean_accuracy)}"
    )


def _missing(study: StudyRecords, family: str, found: _Again | None, given: _Again | None) -> str:
    """Which of the two was not trained again."""
    if found is None and given is None:
        return f"{family}: nothing was trained again, so what the search added is unknown."
    known = found or given
    assert known is not None
    what = "no configuration that was given" if given is None else "no configuration that the search found"
    return (
        f"{family}: {what} was trained again, so what the search added is unknown; the other ({known.title}) reads "
        f"{percent(known.candidate.mean_accuracy)} of the validation images."
    )


def _best(study: StudyRecords, family: str, origin: Origin) -> _Again | None:
    """Over all searches of the study."""
    return min(_trained_again(study, family, origin), key=lambda one: one.candidate.rank, default=None)


def _trained_again(study: StudyRecords, family: str, origin: Origin) -> Iterator[_Again]:
    for one in study.searches.values():
        trials = {trial.number: trial for trial in one.records.of(family) if trial.origin == origin}
        for candidate in one.finalists.of(family).candidates:
            if candidate.trial in trials:
                yield _Again(trials[candidate.trial], candidate, one.files, study.of_search(one))
