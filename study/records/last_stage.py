"""The last stage of what validation chose, as a study's file tells it: whether it was trained, how it was judged on
validation images, and which network is shipped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from study.errors import ResultsError
from study.records.files import read_json, write_json
from study.records.finalists import Choice, Finalists, choose
from study.records.paths import StudyFiles
from study.records.run import last_stage_run
from study.records.seal import file_sha256
from study.statistics.result import OPTIONAL, Result

MAX_LOSS = 0.0005  # of the accuracy on clean validation images: what the stage may cost
_BY_CHANCE = 1.64  # standard errors, which two runs that are as good differ by in one of twenty studies


@dataclass(frozen=True, slots=True)
class Judged(Result):
    """A run before and after the stage on `images` validation images, from which neither has learned: its accuracies,
    fractions, and how many answers the stage `mended` and `spoiled`; then the mean accuracy over the kinds of
    corruption, of `corrupted` pictures in all."""

    images: int
    before: float
    after: float
    mended: int
    spoiled: int
    corrupted: int
    corrupted_before: float
    corrupted_after: float

    @property
    def chance(self) -> float:
        """The standard error of the difference on clean images, a fraction."""
        return math.sqrt(self.mended + self.spoiled) / self.images


@dataclass(frozen=True, slots=True)
class LastStage(Result):
    """Of the run `of` a `trial` in one of the study's searches, counted from 0, which had weights of this sha256; and
    of its `candidate` run, by which the stage is judged, the same one where that is shipped. `skipped` says why there
    is none with this `budget` in seconds, `examples` how many it trained: `anew`, as a longer run of the same
    configuration, or as in older studies from the run's weights on."""

    search: int
    family: str
    trial: int
    of: str
    sha256: str
    candidate: str
    examples: int
    skipped: str | None = field(default=None, metadata=OPTIONAL)
    judged: Judged | None = field(default=None, metadata=OPTIONAL)
    budget: float | None = field(default=None, metadata=OPTIONAL)
    anew: bool = False

    @property
    def run(self) -> str:
        return last_stage_run(self.of)

    @property
    def judged_run(self) -> str:
        return last_stage_run(self.candidate)

    @property
    def runs(self) -> list[str]:
        """What was trained."""
        return [] if self.skipped is not None else list(dict.fromkeys([self.run, self.judged_run]))

    @property
    def goes_on(self) -> bool:
        """Whether it was begun as stages are made now, so that it can be continued."""
        return self.skipped is None and (self.anew or self.judged is not None)

    @property
    def most_loss(self) -> float:
        """What clean validation images may lose, a fraction. A longer run is expected to read them better, but differs
        from the run before by chance, too: it must not be shown to be worse."""
        return max(MAX_LOSS, _BY_CHANCE * self.judged.chance) if self.anew and self.judged is not None else MAX_LOSS

    @property
    def ships(self) -> bool:
        """The rule, which stands in the seal: clean images lose no more than they may, corrupted ones gain."""
        seen = self.judged
        if seen is None or seen.corrupted_after <= seen.corrupted_before:
            return False
        return seen.spoiled - seen.mended <= self.most_loss * seen.images


@dataclass(frozen=True, slots=True)
class Shipped:
    """What a study ships: the `run` with these weights, and runs of the same making that have not learned from the
    validation images, from which its temperature and threshold are. `stage` is the last one, None where the study has
    none of what validation chose."""

    choice: Choice
    run: str
    basis: tuple[str, ...]
    stage: LastStage | None

    @property
    def is_staged(self) -> bool:
        return self.run != self.choice.run


def read_last_stage(path: Path) -> LastStage | None:
    """None where there is no file. ResultsError if it is damaged."""
    if not path.is_file():
        return None
    try:
        return TypeAdapter(LastStage).validate_python(read_json(path))
    except ValidationError as error:
        raise ResultsError(
            f"{path} is of an unknown form ({error.errors()[0]['msg']}); move it away, then run"
        ) from None


def write_last_stage(path: Path, stage: LastStage) -> None:
    write_json(path, stage.to_dict())


def shipped_by(searches: Sequence[StudyFiles], finalists: Sequence[Finalists]) -> Shipped:
    """What validation chose over the searches, the study's own first, after its last stage where that is to be shipped.
    ResultsError if there is nothing to choose from."""
    chosen = choose(finalists)
    source = searches[chosen.search]
    candidate = finalists[chosen.search].of(chosen.family).candidate(chosen.trial)
    assert candidate is not None  # it was chosen
    stage = read_last_stage(searches[0].last_stage)
    if stage is None or not _is_of(stage, chosen, source):
        return Shipped(chosen, chosen.run, candidate.runs, None)
    if not stage.ships:
        return Shipped(chosen, chosen.run, candidate.runs, stage)
    return Shipped(chosen, stage.run, (stage.judged_run,), stage)


def _is_of(stage: LastStage, chosen: Choice, source: StudyFiles) -> bool:
    """Whether it was the stage of these very weights: another network may have had the run's name. A study whose
    weights are gone is read all the same."""
    same = (stage.search, stage.family, stage.trial, stage.of)
    if same != (chosen.search, chosen.family, chosen.trial, chosen.run):
        return False
    weights = source.run(chosen.run).weights
    return not weights.is_file() or file_sha256(weights) == stage.sha256
