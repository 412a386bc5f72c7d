"""The numbers of each section, by section: plain dictionaries that strict JSON can hold."""

from __future__ import annotations

import numpy as np

from study.report import search_numbers as search
from study.report.reading import Record, StudyRecords
from study.report.verdicts import turned


def stage(study: StudyRecords) -> str:
    """How far the study got: empty, searching, retrained or evaluated."""
    if study.evaluated:
        return "evaluated"
    if study.finalists.families:
        return "retrained"
    return "searching" if study.records else "empty"


def header(study: StudyRecords) -> Record:
    settings = study.settings
    return {
        "name": settings.name,
        "created": settings.created,
        "dataset": settings.dataset.name,
        "sha256": settings.dataset.sha256,
        "split_sha256": settings.dataset.split_sha256,
        "seed": settings.seed,
        "split_seed": settings.dataset.split_seed,
        "sampler": settings.sampler,
        "pruner": settings.pruner,
        "imported_from": settings.imported_from,
        "versions": settings.versions,
        "openings": [
            {key: opening.get(key) for key in ("time", "command", "winner", "shipped_run", "hypotheses")}
            for opening in study.openings
        ],
        "openings_elsewhere": len(study.openings_elsewhere),
        "openings_of_user": study.openings_of_user,
        "exploratory": study.earlier_openings > 0,
        "workers": study.ledger.workers,
        "device": study.ledger.device,
        "precision": study.ledger.precision,
        "machine": None if study.ledger.machine is None else study.ledger.machine.known(),
    }


def answer(study: StudyRecords, leaderboard: Record, compared: Record) -> Record:
    winner = study.finalists.winner
    rows = [row for row in leaderboard["rows"] if row["kind"] == "finalist" and row["test"]]
    mine = next((row for row in rows if row["family"] == winner), None)
    others = sorted((row for row in rows if row["family"] != winner), key=_test_mean, reverse=True)
    second = others[0] if others and mine else None
    pair = _pair_of(compared["pairs"], winner, second["family"]) if second else None
    return {
        "stage": stage(study),
        "opened": len(study.openings),
        "winner": winner,
        "winner_row": mine,
        "runner_up": second,
        "pair": pair,
        "contradicted": bool(mine and second and _test_mean(second) > _test_mean(mine)),
        "best_trial": best_trial(study),
        "seconds": search.active_seconds(study.ledger),
        "search_seconds": study.records.held_seconds,
        "trials": len(study.records.counted),
    }


def _test_mean(row: Record) -> float:
    return float(row["test"]["accuracy"]["mean"])


def _pair_of(pairs: list[Record], winner: str | None, other: str) -> Record | None:
    """The pair seen from the winner's side: difference and intervals are winner minus other."""
    for pair in pairs:
        if {pair["a"], pair["b"]} == {winner, other}:
            return turned(pair, str(winner))
    return None


def best_trial(study: StudyRecords) -> Record | None:
    """The trial that led the search over all families, and what became of it."""
    everyone = study.counted
    top = everyone.best()
    if top is None:
        return None
    family = top.family
    result = study.finalists.of(family)
    row, chosen = result.candidate(top.number), result.chosen
    return {
        "number": top.number,
        "family": family,
        "accuracy": top.value,
        "role": top.role,
        "fresh_accuracy": row.mean_accuracy if row else None,
        "fresh_seeds": len(row.runs) if row else 0,
        "finalist": result.finalist,
        "finalist_accuracy": chosen.mean_accuracy if chosen else None,
        "best_sampled": search.summary(everyone.best("sampled")),
    }


def protocol(study: StudyRecords, budget: Record) -> Record:
    settings, known = study.settings, study.finalists.families
    return {
        "n_train": settings.dataset.n_train,
        "n_validation": settings.dataset.n_validation,
        "n_test": None if study.test_labels is None else len(study.test_labels),
        "classes": list(settings.dataset.classes),
        "counts": class_counts(study),
        "mean": settings.dataset.mean,
        "std": settings.dataset.std,
        "inverted": settings.dataset.inverted,
        "levels": settings.dataset.levels,
        "transposed": settings.dataset.was_transposed,
        "split_seed": settings.dataset.split_seed,
        "retrain": settings.retrain.model_dump(),
        "budget": budget,
        "budget_s": study.ledger.budget,
        "n_trials": study.ledger.n_trials,
        "stages": study.ledger.stages,
        "retrain_seconds": {name: known[name].seconds if name in known else None for name in study.families},
        "schedules": {
            name: {"examples_per_run": known[name].examples} if name in known else None for name in study.families
        },
        "planned": study.openings[0].get("hypotheses", []) if study.openings else _planned(study.families),
        "samples_shown": "images" in study.samples,
    }


def _planned(families: list[str]) -> list[list[str]]:
    return [[a, b] for place, a in enumerate(families) for b in families[place + 1 :]]


def class_counts(study: StudyRecords) -> dict[str, list[int]]:
    """Images per class by part, as far as the study's files tell them."""
    n_classes = len(study.settings.dataset.classes)
    found = {part: study.samples[f"{part}_counts"].tolist() for part in PARTS if f"{part}_counts" in study.samples}
    if study.test_labels is not None:
        found["test"] = np.bincount(study.test_labels, minlength=n_classes).tolist()
    return found


PARTS = ("train", "validation")


def reproduce(study: StudyRecords) -> Record:
    source, winner, name = study.shipped
    run = source.runs.get(str(name))
    shipped = name if source is study else f"{source.files.root.name}/{name}"
    return {
        "commands": [
            {"command": command.command, "start": command.start, "seconds": command.seconds}
            for command in study.ledger.commands
        ],
        "versions": study.settings.versions,
        "winner": winner,
        "shipped_run": shipped,
        "config": run.config if run else None,
        "weights_sha256": _shipped_hash(study, str(shipped)),
        "sha256": study.settings.dataset.sha256,
        "split_sha256": study.settings.dataset.split_sha256,
        "name": study.settings.name,
        "model_ready": bool(study.model),
    }


def _shipped_hash(study: StudyRecords, run: str) -> str | None:
    sealed = study.openings[-1].get("hashes", {}).get(run) if study.openings else None
    found = study.model.get("weights_sha256") or sealed
    return None if found is None else str(found)
