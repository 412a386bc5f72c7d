"""finalists.json: who was trained again in a search and what came of it; and who wins, in one search or over several.

The winner and the shipped run stand in the file for people: `choose` says them again from the rows whenever they are
needed, so that what a file says and what a study ships cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from study.errors import ResultsError
from study.records.files import read_json, write_json
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trial that was trained again: for how many examples, its accuracy (a fraction) and temperature-scaled NLL in
    the search, its runs under fresh seeds with the accuracy of each on validation, and their means. `best_overall` is
    the trial that led the search over all families; `given` is one that the search did not find, in a study that keeps
    these apart: it is compared with what was found, and may be shipped, but is no finalist while there is a found one.
    """

    trial: int
    examples: int
    search_accuracy: float
    search_nll: float
    runs: tuple[str, ...]
    accuracies: tuple[float, ...]
    mean_accuracy: float
    mean_nll: float
    best_overall: bool = False
    given: bool = False

    @property
    def rank(self) -> tuple[float, float]:
        """Smaller is better: the mean of the fresh seeds, ties by NLL."""
        return -self.mean_accuracy, self.mean_nll


@dataclass(frozen=True, slots=True)
class FamilyResult:
    """A family's candidates, best first, the trial that became its finalist and that one's final runs of `examples`
    each: on train + validation, or its candidate runs where a short budget plans no others; worker-seconds of all runs,
    and why some failed, by run."""

    candidates: tuple[Candidate, ...] = ()
    finalist: int | None = None
    final_runs: tuple[str, ...] = ()
    examples: int | None = None
    seconds: float = 0.0
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def chosen(self) -> Candidate | None:
        """The finalist as a candidate."""
        return self.candidate(self.finalist)

    @property
    def given(self) -> Candidate | None:
        """The best candidate that was given, if it is another one than the finalist."""
        return next((one for one in self.candidates if one.given and one.trial != self.finalist), None)

    def candidate(self, trial: int | None) -> Candidate | None:
        return next((one for one in self.candidates if one.trial == trial), None)


@dataclass(frozen=True, slots=True)
class BestTrial:
    """The trial that led the search over all families, with its accuracy there."""

    family: str
    number: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Finalists:
    """What the retraining of one search came to, by family. `trials` is the digest of the trials that it was made from,
    `validation` that of the images' indices that validated it; older studies have none."""

    families: Mapping[str, FamilyResult] = field(default_factory=dict)
    best_trial: BestTrial | None = None
    trials: str | None = None
    validation: str | None = None

    def of(self, family: str) -> FamilyResult:
        """An empty one for a family that was not trained again."""
        return self.families.get(family, FamilyResult())

    @property
    def standing(self) -> list[str]:
        """The families of which a final run ended well."""
        return [family for family, result in self.families.items() if result.final_runs]

    @property
    def winner(self) -> str | None:
        """By validation, in this search alone; None if no family has a final run."""
        return choose([self]).winner if self.standing else None

    @property
    def final_runs(self) -> list[str]:
        """Of all families."""
        return [run for result in self.families.values() for run in result.final_runs]

    @property
    def candidate_runs(self) -> list[str]:
        """Of all families, without those that are final runs, too."""
        runs = [run for result in self.families.values() for one in result.candidates for run in one.runs]
        return [run for run in runs if run not in self.final_runs]

    @property
    def runs(self) -> list[str]:
        """Final runs, then candidate runs, of all families."""
        return [*self.final_runs, *self.candidate_runs]


# A standard error of an accuracy of 99.5 % on 10,000 images: two networks may differ by it without either being better.
READING_NOISE = 0.0007


# --- who wins --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice(Result):
    """What validation decided over the searches of a study: the winning family, and what is shipped, of which search
    (counted from 0), family, trial and run. `given` where that is no finalist, but was given to the study."""

    winner: str
    search: int
    family: str
    trial: int
    run: str
    given: bool = False


def choose(searches: Sequence[Finalists]) -> Choice:
    """The winner is the family whose finalists' fresh-seed validation means have the highest mean over the searches,
    ties by NLL; a family without a finalist in some search stands behind those that have more. Of the winner's
    finalists the best on validation is shipped, of equal ones the first; unless a candidate that was given, of any
    family, is better by more than the noise of a reading. ResultsError if there is none.

    Searches may have held out different images. A family's mean is over the same ones as another's; of its finalists
    the highest accuracy is still the best guess, though two of them differ by the noise of two readings.
    """
    finalists: dict[str, list[tuple[Candidate, int, str]]] = {}
    for search, found in enumerate(searches):
        for family in found.standing:
            result = found.of(family)
            if result.chosen is not None:
                finalists.setdefault(family, []).append((result.chosen, search, result.final_runs[0]))
    if not finalists:
        raise ResultsError("no family has a final run that ended well; rerun `study retrain`")

    def standing(family: str) -> tuple[int, float, float]:
        ranks = [one.rank for one, _, _ in finalists[family]]
        return -len(ranks), float(np.mean([rank[0] for rank in ranks])), float(np.mean([rank[1] for rank in ranks]))

    winner = min(finalists, key=standing)
    best, search, run = min(finalists[winner], key=lambda one: (one[0].rank, one[1]))
    given = min(_given(searches), key=lambda one: one[0].rank, default=None)
    if given is not None and given[0].mean_accuracy > best.mean_accuracy + _noise(searches[given[1]], searches[search]):
        return Choice(winner, given[1], given[2], given[0].trial, given[0].runs[0], given=True)
    return Choice(winner, search, winner, best.trial, run)


def _noise(given: Finalists, found: Finalists) -> float:
    """By how much a given one has to be better: where it was read on other images, by the noise of two readings."""
    same = None in (given.validation, found.validation) or given.validation == found.validation
    return READING_NOISE * (1.0 if same else math.sqrt(2))


def _given(searches: Sequence[Finalists]) -> Iterator[tuple[Candidate, int, str]]:
    """The best given candidate of each family in each search, with the search and the family."""
    for search, found in enumerate(searches):
        for family, result in found.families.items():
            if result.given is not None:
                yield result.given, search, family


# --- the file --------------------------------------------------------------------------------------------------------


def read_finalists(path: Path) -> Finalists:
    """ResultsError if the file is missing, damaged, or of a form that no version wrote."""
    found = read_json(path)
    try:
        families = {family: _parse_family(row) for family, row in found["families"].items()}
        best = found.get("best_trial")
        return Finalists(
            families, None if best is None else BestTrial(**best), found.get("trials"), found.get("validation")
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"{path} is of an unknown form ({type(error).__name__}: {error}); move it away and rerun `study retrain`"
        ) from None


def _parse_family(row: Mapping[str, Any]) -> FamilyResult:
    examples = row["schedule"]["examples_per_run"]
    return FamilyResult(
        candidates=tuple(_parse_candidate(candidate, examples) for candidate in row["candidates"]),
        finalist=row["finalist"],
        final_runs=tuple(row["final_runs"]),
        examples=examples,
        seconds=row.get("seconds", 0.0),
        failed=row.get("failed", {}),
    )


def _parse_candidate(row: Mapping[str, Any], examples: int) -> Candidate:
    lists = {"runs": tuple(row["runs"]), "accuracies": tuple(row["accuracies"])}
    # The first studies trained all candidates of a family for as long.
    return Candidate(**{"examples": examples, **row, **lists})


def write_finalists(path: Path, found: Finalists) -> None:
    """ResultsError, and nothing is written, if no final run ended well."""
    chosen = choose([found])
    content: dict[str, Any] = {
        "families": {family: _family_row(result) for family, result in found.families.items()},
        "winner": chosen.winner,
        "shipped_run": chosen.run,
        "best_trial": None if found.best_trial is None else asdict(found.best_trial),
    }
    digests = {"trials": found.trials, "validation": found.validation}
    write_json(path, content | {name: digest for name, digest in digests.items() if digest is not None})


def _family_row(result: FamilyResult) -> dict[str, Any]:
    """A family's part of the file."""
    return {
        "candidates": [asdict(candidate) for candidate in result.candidates],
        "finalist": result.finalist,
        "final_runs": list(result.final_runs),
        "schedule": {"examples_per_run": result.examples},
        "seconds": result.seconds,
        "failed": dict(result.failed),
    }
