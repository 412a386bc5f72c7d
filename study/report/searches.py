"""Section 19, of a study of several searches: what lies between them, and what it says of the families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from study.report import search_numbers as search
from study.report.reading import Array, Record, StudyRecords
from study.statistics import comparison as stats
from study.statistics import over_seeds
from study.statistics import searches as between


def searches(study: StudyRecords) -> Record | None:
    """The finalists of every search, their spread by family, and the families in pairs; None for one search."""
    if study.n_searches < 2:
        return None
    everyone = study.searches
    correct = {number: one.correct for number, one in everyone.items()}
    rows = [_row(number, one, family, correct[number]) for number, one in everyone.items() for family in one.families]
    tested = _by_family(rows, "test_mean")
    ready = all(number in everyone and _ready(everyone[number]) for number in range(1, study.n_searches + 1))
    return {
        "asked": study.n_searches,
        "ready": sum(_ready(one) for one in everyone.values()),
        "tested": min((len(tested.get(family, {})) for family in study.families), default=0),
        "needed": stats.MIN_SEARCHES,
        "allowances": [one.ledger.allowance for one in everyone.values()],
        "rows": rows,
        "families": {family: _family(rows, family) for family in study.families},
        "warm_finalists": {
            family: sum(row["warm_start"] for row in rows if row["family"] == family) for family in study.families
        },
        "pairs": _pairs({family: _shares(correct, family) for family in tested}),
        "seconds": sum(search.active_seconds(one.ledger) or 0.0 for one in everyone.values()),
        "search_seconds": sum(one.records.held_seconds for one in everyone.values()),
        "trials": sum(len(one.family_trials(family)) for one in everyone.values() for family in one.families),
        **(_decided(study, rows, tested) if ready else {"winner": None, "shipped": None, "runner_up": None}),
    }


def _ready(one: StudyRecords) -> bool:
    return any(one.final_runs(family) for family in one.families)


def _row(number: int, one: StudyRecords, family: str, correct: Mapping[str, Array]) -> Record:
    chosen, trials = one.finalists.of(family).chosen, one.family_trials(family)
    best = trials.best()
    finalist = next((trial for trial in trials if chosen is not None and trial.number == chosen.trial), None)
    return {
        "search": number,
        "family": family,
        "seed": one.settings.seed,
        "title": one.title(family) if chosen else None,
        "warm_start": finalist is not None and finalist.role == "warm_start",
        "parameters": finalist.parameters if finalist is not None else {},
        "best": best.value if best else None,
        "validation_mean": chosen.mean_accuracy if chosen else None,
        "test_mean": float(correct[family].mean()) if family in correct else None,
        "final_seeds": len(one.final_logits(family)),
        "trials": len(trials),
        "seconds": trials.held_seconds,
    }


def _by_family(rows: Sequence[Record], key: str) -> dict[str, dict[int, float]]:
    """Family -> search -> the value, where there is one."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if row[key] is not None:
            found.setdefault(row["family"], {})[row["search"]] = row[key]
    return found


def _family(rows: Sequence[Record], family: str) -> Record:
    spreads = {}
    for name in ("best", "validation_mean", "test_mean"):
        values = _by_family(rows, name).get(family, {})
        spreads[name] = between.spread(list(values.values())).to_dict() if values else None
    return {"best": spreads["best"], "validation": spreads["validation_mean"], "test": spreads["test_mean"]}


def _shares(correct: Mapping[int, Mapping[str, Array]], family: str) -> dict[int, Array]:
    """Search -> share [N] of the finalist's seeds that are right on an image."""
    return {number: one[family].mean(axis=0) for number, one in correct.items() if family in one}


def _pairs(tested: Mapping[str, Mapping[int, Array]]) -> list[Record]:
    """Every pair of families that two searches or more have, all read on the same images: images and searches are both
    drawn, Holm over the pairs. Beside it, with no test, the difference search by search."""
    known = [(a, b) for a, b in combinations(tested, 2) if min(len(tested[a]), len(tested[b])) > 1]
    shares = {family: np.stack(list(rows.values())) for family, rows in tested.items() if rows}
    compared = [over_seeds.compare_searches(shares[a], shares[b]) for a, b in known]
    adjusted = between.holm([comparison.p_value for comparison in compared])
    rows = []
    for (a, b), comparison, holm_p in zip(known, compared, adjusted, strict=True):
        both = sorted(tested[a].keys() & tested[b].keys())
        differences = [float(tested[a][number].mean() - tested[b][number].mean()) for number in both]
        rows.append(
            {
                "a": a,
                "b": b,
                "title_a": f"family {a}",
                "title_b": f"family {b}",
                "searches": min(comparison.seeds_a, comparison.seeds_b),
                "comparison": comparison.to_dict(),
                "holm_p": holm_p,
                "verdict": stats.verdict(comparison, holm_p).to_dict(),
                "by_search": dict(zip(map(str, both), differences, strict=True)),
                "paired": between.spread(differences).to_dict() if differences else None,
            }
        )
    return rows


def _decided(study: StudyRecords, rows: Sequence[Record], tested: Mapping[str, Mapping[int, float]]) -> Record:
    """The winner on validation and what is shipped of it; beside it the best other family on the test split."""
    source, winner, _ = study.shipped
    number = next(number for number, one in study.searches.items() if one is source)
    means = {family: between.spread(list(values.values())).mean for family, values in tested.items()}
    others = sorted((family for family in means if family != winner), key=lambda family: -means[family])
    shipped = next(row for row in rows if (row["search"], row["family"]) == (number, winner))
    second = others[0] if others else None
    return {
        "winner": winner,
        "shipped": shipped,
        "runner_up": second,
        "contradicted": bool(second and winner in means and means[second] > means[winner]),
    }
