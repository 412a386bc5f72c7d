"""What was fixed or asked in a study, point by point, so that it can be held against others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from study.records.ledger import Machine
from study.report import budget
from study.report.comparison.spaces import space_summary
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import integer
from study.statistics.result import OPTIONAL, Result

Kind = Literal["text", "count", "about count", "seconds", "about seconds", "digest", "list", "space", "ladder"]


class Fact(NamedTuple):
    """What one study was asked; `kind` says how values are compared and written."""

    group: str
    label: str
    kind: Kind
    value: Any


Facts = dict[str, Fact]


@dataclass(frozen=True, slots=True)
class Rungs(Result):
    """A ladder."""

    examples: tuple[int, ...]
    reduction_factor: int
    equal_seconds: bool | None = field(default=None, metadata=OPTIONAL)
    images: int | None = field(default=None, metadata=OPTIONAL)

    def __str__(self) -> str:
        equal = ", in equal seconds" if self.equal_seconds else ""
        images = "" if self.images is None else f", of {integer(self.images)} images"
        rungs = ", ".join(integer(rung) for rung in self.examples)
        return f"{rungs} examples{images}{equal}, factor {self.reduction_factor}"


def facts_of(report: Report) -> Facts:
    """Everything that was fixed or asked in a study, by key."""
    study = report.study
    by_seconds = report[budget].equalised == "seconds"
    return {
        **_data(study),
        **_search(study, by_seconds=by_seconds),
        **_retraining(study),
        **_machine(study),
        **_test(study),
    }


def _data(study: StudyRecords) -> Facts:
    data = study.settings.dataset
    digests: Facts = {
        f"sha256.{role}": Fact("data", f"sha256 of {role}", "digest", digest) for role, digest in data.sha256.items()
    }
    return {
        "dataset": Fact("data", "data set", "text", data.name),
        **digests,
        **_form(study),
        "classes": Fact("data", "classes", "list", list(data.classes)),
        "n_train": Fact("data", "training images", "count", data.n_train),
        "n_validation": Fact("data", "validation images", "count", data.n_validation),
        "split_seed": Fact("data", "seed of the validation split", "count", data.split_seed),
        "split_sha256": Fact("data", "sha256 of the validation split", "digest", data.split_sha256),
    }


def _form(study: StudyRecords) -> Facts:
    """Only of a study whose files are not read as they are: older versions read the same files so."""
    data = study.settings.dataset
    done = {"turned upright": data.was_transposed, "dark ink made bright": data.inverted, "stretched": data.levels}
    words = [what for what, is_done in done.items() if is_done]
    return {"form": Fact("data", "pictures, on loading", "list", words)} if words else {}


def _search(study: StudyRecords, *, by_seconds: bool) -> Facts:
    settings, ledger = study.settings, study.ledger
    families: Facts = {}
    for name, family in settings.families.items():
        families[f"space.{name}"] = Fact("search", f"search space of {name}", "space", space_summary(family.space))
        ladder = family.ladder
        in_seconds = ladder.equal == "seconds" or None
        rungs = Rungs(tuple(ladder.examples), ladder.reduction_factor, in_seconds, ladder.images)
        families[f"ladder.{name}"] = Fact("search", f"ladder of {name}", "ladder", rungs)
    return {
        "seed": Fact("search", "study seed", "count", settings.seed),
        "families": Fact("search", "families", "list", sorted(study.families)),
        **families,
        "budget_s": Fact("search", "budget of the whole study", "seconds", ledger.budget),
        "n_trials": Fact("search", "trials asked of each family", "count", ledger.n_trials),
        "allowance_s": Fact(
            "search",
            "search allowance of each family in worker time",
            "about seconds",
            ledger.allowance if by_seconds else None,
        ),
        "sampler": Fact("search", "sampler", "text", settings.sampler_in_words),
        "pruner": Fact("search", "pruner", "text", settings.pruner),
        "warm_starts": Fact("search", "warm starts of each family", "count", settings.warm_starts),
        "imported_from": Fact("search", "trials imported from", "text", settings.imported_from),
        **_repeats(study),
    }


def _repeats(study: StudyRecords) -> Facts:
    """Only of a study that has several searches: its first one is what is compared."""
    if study.n_searches == 1:
        return {}
    return {
        "repeats": Fact("search", "independent searches, of which the first is compared", "count", study.n_searches)
    }


def _retraining(study: StudyRecords) -> Facts:
    asked = study.settings.retrain
    lengths: Facts = {}
    for name in study.families:
        examples = study.finalists.of(name).examples
        lengths[f"examples.{name}"] = Fact("retraining", f"examples of each final run, {name}", "about count", examples)
    return {
        "candidates": Fact("retraining", "candidates of each family", "count", asked.candidates),
        "candidate_seeds": Fact("retraining", "seeds of each candidate", "count", asked.candidate_seeds),
        "final_seeds": Fact("retraining", "seeds of each finalist", "count", asked.final_seeds),
        **lengths,
    }


def _machine(study: StudyRecords) -> Facts:
    ledger = study.ledger
    machine = ledger.machine or Machine()
    versions: Facts = {
        f"version.{name}": Fact("versions", name, "text", version) for name, version in study.settings.versions.items()
    }
    return {
        "device": Fact("machine", "device", "text", ledger.device),
        "precision": Fact("machine", "precision", "text", ledger.precision),
        "workers": Fact("machine", "number of workers", "count", ledger.workers),
        "cpu": Fact("machine", "processor", "text", machine.cpu),
        "gpu": Fact("machine", "GPU", "text", machine.gpu),
        "cores": Fact("machine", "number of cores", "count", machine.cores),
        **versions,
    }


def _test(study: StudyRecords) -> Facts:
    elsewhere = len(study.openings_elsewhere)
    return {
        "openings": Fact("test split", "openings by the study", "count", len(study.openings)),
        "openings_elsewhere": Fact("test split", "openings by others of its results folder", "count", elsewhere),
    }
