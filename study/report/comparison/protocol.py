"""What was asked of each study, point by point: what differs between them, and what is the same."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from typing import Any, NamedTuple

from study.records.ledger import Machine
from study.report import budget
from study.report.reading import Record, StudyRecords
from study.report.section import Report
from study.report.spaces import space_rows

# Lengths and allowances are planned from a clock, so two runs of one command differ a little in them.
TOLERANCE = 0.05
MEASURED = ("about seconds", "about count")
OF_A_FAMILY = ("space.", "ladder.", "examples.")


class Fact(NamedTuple):
    """What one study was asked; `kind` says how values are compared and written."""

    group: str
    label: str
    kind: str
    value: Any


Facts = dict[str, Fact]


def rows(known: Sequence[Facts]) -> list[Record]:
    """Rows {key, group, label, kind, values, differs}, the values in the order of the studies, None where a study has
    none."""
    about = {key: fact for facts in known for key, fact in facts.items()}
    groups = list(dict.fromkeys(fact.group for fact in about.values()))
    found = []
    for key, fact in sorted(about.items(), key=lambda item: groups.index(item[1].group)):
        values = [facts[key].value if key in facts else None for facts in known]
        row = {"key": key, "group": fact.group, "label": fact.label, "kind": fact.kind, "values": values}
        found.append({**row, "differs": not _same(key, values, fact.kind)})
    return found


def _same(key: str, values: Sequence[Any], kind: str) -> bool:
    if key.startswith(OF_A_FAMILY):
        # That a study lacks the family is told once, by the families' own point.
        values = [value for value in values if value is not None]
    if kind in MEASURED and values and None not in values:
        return bool(max(values) <= (1 + TOLERANCE) * min(values))
    return all(value == values[0] for value in values)


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
        ladder = {"examples": list(family.ladder.examples), "reduction_factor": family.ladder.reduction_factor}
        families[f"ladder.{name}"] = Fact("search", f"ladder of {name}", "ladder", ladder)
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
        "sampler": Fact("search", "sampler", "text", settings.sampler),
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


# -- search spaces ----------------------------------------------------------------------------------------------------


def space_summary(text: str) -> Record:
    """Searched and fixed parameters, warm starts, and a digest of what the TOML says: a comment changes nothing."""
    rows = space_rows(text)
    fixed = sum(row.rule.startswith("fixed:") for row in rows)
    return {
        "searched": len(rows) - fixed,
        "fixed": fixed,
        "warm_starts": len(_warm_starts(text)),
        "digest": hashlib.sha256(_meaning(text).encode()).hexdigest(),
    }


def _meaning(text: str) -> str:
    try:
        return json.dumps(tomllib.loads(text), sort_keys=True, default=str)
    except tomllib.TOMLDecodeError:
        return text


def _warm_starts(text: str) -> list[Any]:
    try:
        return list(tomllib.loads(text).get("warm_start", []))
    except tomllib.TOMLDecodeError:
        return []


def spaces(studies: Sequence[StudyRecords]) -> list[Record]:
    """Families of two studies or more whose spaces are not the same: {family, rows}, a row {name, when, rules}, the
    rules in the order of the studies, None where the space or the parameter is not there."""
    names = dict.fromkeys(name for study in studies for name in study.families)
    found = []
    for name in names:
        texts = [study.settings.families[name].space if name in study.families else None for study in studies]
        having = [text for text in texts if text is not None]
        if len(having) > 1 and len({_meaning(text) for text in having}) > 1:
            found.append({"family": name, "rows": _space_rows(texts)})
    return found


def _space_rows(texts: Sequence[str | None]) -> list[Record]:
    spaces = [_rules(text) if text is not None else {} for text in texts]
    keys = dict.fromkeys(key for rules in spaces for key in rules)
    rows = [{"name": name, "when": when, "rules": [rules.get((name, when)) for rules in spaces]} for name, when in keys]
    present = [text is not None for text in texts]
    return [row for row in rows if len({rule for rule, there in zip(row["rules"], present, strict=True) if there}) > 1]


def _rules(text: str) -> dict[tuple[str, str], str]:
    rules = {(row.name, row.when): row.rule for row in space_rows(text)}
    starts = _warm_starts(text)
    digest = hashlib.sha256(json.dumps(starts, sort_keys=True, default=str).encode()).hexdigest()
    return {**rules, ("warm starts in the file", ""): f"{len(starts)} ({digest[:8]})" if starts else "none"}
