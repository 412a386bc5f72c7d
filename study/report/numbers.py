"""Numbers of the candidates, the finalists and the test split. Pure functions of what `reading` read."""

from __future__ import annotations

import statistics

import numpy as np

from study.records.run import Run
from study.report.reading import Array, Record, StudyRecords
from study.statistics import comparison as stats
from study.statistics import estimators, intervals, over_seeds
from study.statistics import scores as metrics


def correctness(study: StudyRecords) -> dict[str, Array]:
    """Family -> bool [S, N]: which seed of its finalist is right on which test image."""
    found = {}
    for family in study.families:
        logits = study.final_logits(family)
        if logits and study.test_labels is not None:
            found[family] = np.stack([seed.argmax(axis=1) == study.test_labels for seed in logits])
    return found


def pairs(study: StudyRecords, correct: dict[str, Array]) -> list[Record]:
    """Every pair of finalists: comparison, Holm p, verdict, the two seed-0 networks, P(A > B)."""
    if len(correct) < 2:
        return []
    planned = [tuple(pair) for pair in study.openings[0].get("hypotheses", [])] if study.openings else None
    rows = []
    for pair in stats.compare_pairs(correct, planned):
        a, b = correct[pair.a], correct[pair.b]
        single = intervals.mcnemar_exact(a[0], b[0])
        extra = {
            "single": {**single.to_dict(), "discordant": single.discordant},
            "p_a_better": estimators.p_a_better(a.mean(axis=1).tolist(), b.mean(axis=1).tolist()).to_dict(),
            "title_a": study.title(pair.a),
            "title_b": study.title(pair.b),
        }
        rows.append({**pair.to_dict(), **extra})
    return rows


def optimism(study: StudyRecords, family: str, correct: dict[str, Array]) -> Record | None:
    """The finalist's way from its search score to the test split, None before retraining."""
    chosen = study.chosen(family)
    if not chosen:
        return None
    tested = [study.candidate_logits[name] for name in chosen.get("runs", []) if name in study.candidate_logits]
    labels = study.test_labels
    on_test = [metrics.accuracy(logits, labels) for logits in tested] if labels is not None else []
    return estimators.optimism(
        chosen["search_accuracy"],
        chosen.get("mean_accuracy"),
        float(np.mean(on_test)) if on_test else None,
        float(correct[family].mean()) if family in correct else None,
    ).to_dict()


def test_scores(study: StudyRecords, family: str, correct: Array) -> Record:
    """Accuracy with its interval and halves, and macro precision, recall and F1 as means over the seeds."""
    labels, logits = study.test_labels, study.final_logits(family)
    assert labels is not None  # the caller has correctness, so there were labels
    n_classes = logits[0].shape[1]
    answers = np.stack([seed.argmax(axis=1) for seed in logits])
    per_seed = [metrics.per_class(metrics.confusion_matrix(labels, seed, n_classes)) for seed in answers]
    first, second = over_seeds.family_halves(correct)
    return {
        "accuracy": over_seeds.family_accuracy(correct).to_dict(),
        "halves": [first.to_dict(), second.to_dict()],
        "macro_precision": statistics.fmean(seed.macro_precision for seed in per_seed),
        "macro_recall": statistics.fmean(seed.macro_recall for seed in per_seed),
        "macro_f1": estimators.bootstrap_macro_f1(labels, answers, n_classes, resamples=1000).to_dict(),
        "nll": statistics.fmean(metrics.nll(seed, labels) for seed in logits),
        "images": len(labels),
    }


def finalist_row(study: StudyRecords, family: str, correct: dict[str, Array]) -> Record | None:
    """The leaderboard's row of a family's finalist, None before retraining."""
    chosen = study.chosen(family)
    if not chosen:
        return None
    accuracies = [float(value) for value in chosen.get("accuracies", [])]
    runs = study.final_runs(family)
    costs = runs or [study.runs[name] for name in chosen.get("runs", []) if name in study.runs]
    latency = _latency(study, family)
    return {
        "kind": "finalist",
        "family": family,
        "title": study.title(family),
        "trial": chosen["trial"],
        "validation_mean": chosen.get("mean_accuracy"),
        "validation_sd": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "validation_seeds": len(accuracies),
        "search_accuracy": chosen.get("search_accuracy"),
        "final_seeds": len(runs),
        "test": test_scores(study, family, correct[family]) if family in correct else None,
        "n_parameters": _metric(costs, "n_parameters"),
        "flops": _metric(costs, "flops"),
        "training_seconds": _metric(costs, "training_seconds"),
        "latency_p50_ms": latency.get("median"),
        "latency_p95_ms": latency.get("p95"),
    }


def _metric(runs: list[Run], name: str) -> float | None:
    values = [float(getattr(run.metrics, name)) for run in runs if run.metrics is not None]
    return statistics.fmean(values) if values else None


def _latency(study: StudyRecords, family: str) -> Record:
    """The measurement of one image, the model alone; {} where none was made."""
    for row in study.old_examined.get("latency", {}).get("measurements", []):
        if (row["family"], row["batch_size"], row["order"]) == (family, 1, "alone"):
            return dict(row)
    return {}


def cost_points(rows: list[Record], study: StudyRecords | None = None) -> list[Record]:
    """Finalists (leaderboard rows) and, with `study`, its candidates, with test accuracy and costs; `front` names the
    costs on whose Pareto front each is. Candidates saw the training part alone and are drawn with another symbol."""
    points = [
        {
            "family": row["family"],
            "label": row["title"],
            "kind": "finalist",
            "accuracy": row["test"]["accuracy"]["mean"],
            **{cost: row[cost] for cost in COSTS},
        }
        for row in rows
    ]
    points += _candidate_points(study) if study else []
    for point in points:
        point["front"] = [cost for cost in COSTS if _on_front(point, points, cost)]
    return points


def _candidate_points(study: StudyRecords) -> list[Record]:
    points = []
    for name, logits in study.candidate_logits.items():
        run = study.runs.get(name)
        if run is not None and study.test_labels is not None:
            accuracy = metrics.accuracy(logits, study.test_labels)
            costs = {cost: getattr(run.metrics, cost, None) for cost in COSTS}
            points.append(
                {"family": run.record.family, "label": name, "kind": "candidate", "accuracy": accuracy, **costs}
            )
    return points


def extra_rows(study: StudyRecords) -> list[Record]:
    """Baselines and ensembles beside the finalists, from what `examine` wrote; each is one named predictor."""
    keys = ("name", "accuracy", "interval95")
    found = []
    for row in study.old_examined.get("baselines", {}).get("baselines", []):
        note = f"{row['n_train']:,} training images, {row['note']}"
        about = {
            "kind": "baseline",
            "note": note,
            "n_parameters": row["parameters"],
            "training_seconds": row["seconds"],
        }
        found.append({"test": None, **{key: row[key] for key in keys}, **about})
    for row in study.old_examined.get("ensemble", {}).get("ensembles", []):
        note = f"mean probability of {len(row['runs'])} networks"
        about = {"kind": "ensemble", "note": note, "n_parameters": None, "training_seconds": None}
        found.append({"test": None, **{key: row[key] for key in keys}, **about})
    return found


COSTS = ("n_parameters", "flops", "latency_p50_ms")


def _on_front(point: Record, points: list[Record], cost: str) -> bool:
    """No other point is as accurate and as cheap, and better in one of the two."""
    if point[cost] is None:
        return False
    mine = (point["accuracy"], -point[cost])
    others = [(other["accuracy"], -other[cost]) for other in points if other[cost] is not None]
    return not any(other != mine and other[0] >= mine[0] and other[1] >= mine[1] for other in others)


def validation_images(study: StudyRecords) -> int:
    return study.settings.dataset.n_validation


def validation_half_width(study: StudyRecords, accuracy: float) -> float:
    """Wilson half-width of one network's accuracy on the validation split: what two trials must differ by at least."""
    n = validation_images(study)
    low, high = intervals.wilson(round(accuracy * n), n)
    return (high - low) / 2
