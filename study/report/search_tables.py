"""The numbers of the sections on the search and the training: 3, 5, 13, 14 and 15."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from study.records.settings import N_STARTUP_TRIALS, FamilySettings
from study.records.trial import TrialRecord, Trials
from study.report import bounds, examined, history, spaces
from study.report import search_numbers as search
from study.report.reading import Record, StudyRecords
from study.statistics import estimators


def families(study: StudyRecords) -> Record:
    return {"families": [_family(study, family) for family in study.families]}


def _family(study: StudyRecords, family: str) -> Record:
    settings = study.settings.families[family]
    trials = study.family_trials(family)
    sizes = [trial.n_parameters for trial in trials if trial.n_parameters is not None]
    return {
        "family": family,
        "space_file": settings.space_file,
        "parameters": spaces.space_rows(settings.space),
        "rungs": list(settings.ladder.examples),
        "reduction_factor": settings.ladder.reduction_factor,
        "states": trials.states,
        "warm_starts": [trial.number for trial in trials if trial.role == "warm_start"],
        "imported": sum(trial.role == "imported" for trial in trials),
        "further_seeds": sum(trial.further_seed_of is not None for trial in trials),
        "searched_whole": study.ledger.searched_whole(family),
        "n_parameters": [min(sizes), max(sizes)] if sizes else None,
        "best": search.summary(trials.best()),
        "best_sampled": search.summary(trials.best("sampled")),
    }


def fair(study: StudyRecords, budget: Record) -> Record:
    curves = {}
    for family in study.families:
        trials = study.family_trials(family)
        curve = search.tuning_curve(trials)
        curve["late_gain"] = search.late_gain(curve)
        curve["expected_max"] = _expected_max(study, trials)
        curves[family] = curve
    return {"curves": curves, "budget": budget}


def _expected_max(study: StudyRecords, trials: Trials) -> list[float] | None:
    """E[max of m]: only where the draws are independent and complete."""
    if study.settings.sampler != "random" or study.settings.pruner != "none":
        return None
    values = [trial.last.accuracy for trial in trials.completed("sampled")]
    return estimators.expected_max(values, min(len(values) // 2, 200)) if len(values) >= 4 else None


def mattered(study: StudyRecords) -> Record:
    return {"families": {name: _mattered(study, name) for name in study.families}}


def _mattered(study: StudyRecords, family: str) -> Record:
    trials = study.family_trials(family)
    known = search.distributions(trials)
    sampled = trials.completed("sampled")
    importance = _importance(trials, study.settings.families[family].ladder.examples, known)
    best = trials.best("sampled")
    draws = Trials(trial for trial in trials if trial.role == "sampled")
    drawn = search.drawn_trials(draws)
    random_draws = N_STARTUP_TRIALS if study.settings.sampler == "tpe" else None
    return {
        "completed_sampled": len(sampled),
        "needed": history.IMPORTANCE_FROM,
        **importance,
        "best_sampled": search.summary(best),
        "edges": _edges(study.settings.families[family], family, best.parameters, known) if best else [],
        "choices": search.choices(trials, known, random_draws),
        "distributions": known,
        "trials": [_drawn(trial, importance["importance_examples"]) for trial in drawn],
        "total": len(trials),
        "sampled": len(draws),
        "ablation": _ablation(study, family),
    }


def _edges(settings: FamilySettings, family: str, parameters: Mapping[str, Any], known: Record) -> list[Record]:
    """Parameters at an end of their range, each with how far it could go at all."""
    found = search.edges(parameters, known)
    limits = bounds.limits_of(family, settings) if found else {}
    return [edge | {"limit": bounds.limit_of(edge["parameter"], limits).model_dump()} for edge in found]


def _importance(trials: Trials, rungs: Sequence[int], known: Record) -> Record:
    """`importances`: PED-ANOVA's shares over the sampled trials at the highest rung that enough of them reached;
    `importance_trials` and `importance_examples` say how many and where. None, 0 and None if no rung has enough.

    A search that prunes well completes few trials: what it learned of the parameters, it learned further down.
    """
    for examples in reversed(rungs):
        reached = search.at_rung(trials, examples)
        if len(reached) >= history.IMPORTANCE_FROM:
            shares = history.importances(history.shown(reached), known)
            return {"importances": shares, "importance_trials": len(reached), "importance_examples": examples}
    return {"importances": None, "importance_trials": 0, "importance_examples": None}


def _ablation(study: StudyRecords, family: str) -> Record | None:
    """What `examine` wrote of the family's finalist; None where it wrote of none, or of an earlier one."""
    entry = study.old_examined.get("ablation", {}).get("families", {}).get(family)
    if entry is None or entry["trial"] != study.finalists.of(family).finalist:
        return None
    found = {**entry, "title": study.title(family), "n_validation": study.old_examined["ablation"]["n_validation"]}
    return {**found, "sentence": examined.ablation_sentence(found)}


def _drawn(trial: TrialRecord, rung: int | None) -> Record:
    """What figures need of a trial; `rung_accuracy` is its accuracy after `rung` examples, None if it got no such."""
    reached = search.at_rung([trial], rung) if rung is not None else []
    found = {key: getattr(trial, key) for key in ("number", "state", "value", "parameters", "examples")}
    return found | {"seconds": trial.held_seconds, "rung_accuracy": reached[0].value if reached else None}


def _pruned(trials: Trials) -> int:
    return sum(trial.ending == "pruned" for trial in trials)


def health(study: StudyRecords) -> Record:
    trials = study.counted
    tops = {name: settings.ladder.examples[-1] for name, settings in study.settings.families.items()}
    rows = search.timeline(trials)
    return {
        "states": {name: study.family_trials(name).states for name in study.families},
        "uncounted": len(study.records) - len(trials),
        "timeline": rows,
        "timeline_total": len(trials),
        "audit": study.old_examined.get("audit"),
        "audit_sentence": examined.audit_sentence(study.old_examined.get("audit"), _pruned(trials)),
        **search.health(trials, tops, study.settings.dataset.n_train, study.ledger),
    }
