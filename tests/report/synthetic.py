"""Whole synthetic study folders, written as the program writes them: what the report must cope with, on demand."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from study.records.files import append_jsonl, write_csv, write_json, write_text
from study.records.paths import StudyFiles
from study.records.settings import (
    DatasetSettings,
    FamilySettings,
    Ladder,
    RetrainSettings,
    StudySettings,
    save_settings,
)

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
RUNGS = (12_500, 25_000, 50_000)


@dataclass(frozen=True)
class Wanted:
    """What a synthetic study is to look like; the defaults make a clear win of `cnn` over `mlp`."""

    accuracy: dict[str, float] = field(default_factory=lambda: {"cnn": 0.994, "mlp": 0.983})  # on test
    validation: dict[str, float] | None = None  # of the candidates; None: as on test
    stage: str = "evaluated"  # empty | searching | searched | retrained | evaluated
    trials: int = 24
    seconds: dict[str, float] = field(default_factory=dict)  # a trial's seconds, default 4
    seeds: int = 3
    candidates: int = 3
    n_test: int = 2000
    shared_errors: float = 0.5  # share of a network's errors taken from the hardest images of all
    openings: int = 1
    states: str | None = None  # all trials in this state
    failed: tuple[str, ...] = ()  # families of which no trial completes
    non_finite: bool = False  # one final run with NaN logits
    budget_s: float | None = 300.0
    n_trials: int | None = None
    edge: bool = False  # best learning rates at the top of the range
    sampler: str = "tpe"
    pruner: str = "asha"
    warm_starts: int = 1
    apart: bool = False  # whether warm starts are trained beside the search
    classes: tuple[str, ...] = tuple("0123456789")
    family_title: dict[str, str] = field(default_factory=dict)
    reason: str = "the loss became nan at step 12"
    dataset: str = "mnist"
    data_dir: str | None = None
    activations: tuple[str, ...] = ("relu", "gelu", "silu")
    examined: bool = False
    ablated: bool = False  # an ablation of both finalists and an audit of pruned trials
    draw: int = 0  # another search of the same protocol: other trials, other networks
    study_seed: int = 7
    cpu: str = "a processor"
    gpu: str | None = None
    imported_from: str | None = None
    images: int | None = None  # from how many trials learn, if not from all
    repeats: int = 1  # searches; each further one is a little better or worse


def space(activations: tuple[str, ...]) -> dict[str, BaseDistribution]:
    return {
        "learning_rate[adamw]": FloatDistribution(1e-4, 2e-2, log=True),
        "depth": IntDistribution(1, 4),
        "activation": CategoricalDistribution(activations),
        "normalisation": CategoricalDistribution(("none", "batch")),
        "dropout": FloatDistribution(0.0, 0.5),
    }


def write_study(folder: Path, wanted: Wanted | None = None) -> StudyFiles:
    """Write `folder` as a study that got as far as `wanted.stage`."""
    wanted = wanted or Wanted()
    files = StudyFiles(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_settings(_settings(folder.name, wanted), files.settings)
    if wanted.stage == "empty":
        return files
    write_json(files.ledger, _ledger(wanted))
    trials = [trial for k, family in enumerate(wanted.accuracy) for trial in _trials(family, k, wanted)]
    lines = sorted(trials, key=lambda trial: trial["end"])
    for trial in lines if len(lines) <= 200 else []:
        append_jsonl(files.trials_jsonl, trial)
    if len(lines) > 200:
        _append_fast(files.trials_jsonl, lines)
    if wanted.stage in ("retrained", "evaluated") and any(t["state"] == "COMPLETE" for t in trials):
        _retrain(files, trials, wanted)
        if wanted.stage == "evaluated":
            _evaluate(files, wanted)
    for number in range(2, wanted.repeats + 1):
        _repeat(files, number, wanted)
    return files


def without_runs_of_their_own(files: StudyFiles) -> StudyFiles:
    """Let the finalists of a study be as under a short budget: what was their candidates' runs are the final ones."""
    write_text(files.settings, files.settings.read_text().replace("final_seeds = 1", "final_seeds = 0"))
    found = json.loads(files.finalists.read_text())
    for result in found["families"].values():
        result["final_runs"] = result["candidates"][0]["runs"]
    write_json(files.finalists, found)
    if files.predictions.is_file():
        files.candidate_predictions.replace(files.predictions)
    return files


def _repeat(files: StudyFiles, number: int, wanted: Wanted) -> None:
    """A further search: another draw, in a folder of its own, sealed with the study and not by itself."""
    shift = (0.0015, -0.001, 0.0005, -0.002)[(number - 2) % 4]
    better = {
        family: accuracy + shift * (1 + place) for place, (family, accuracy) in enumerate(wanted.accuracy.items())
    }
    fields: dict[str, Any] = {"examined": False, "ablated": False, "openings": 1}
    fields |= {"accuracy": better, "draw": number, "study_seed": 1000 + number, "repeats": 1}
    repeat = write_study(files.repeat(number).root, replace(wanted, **fields))
    if files.seal.exists() and repeat.seal.exists():
        hashes = {f"{repeat.name}/{run}": digest for run, digest in _openings(repeat)[0]["hashes"].items()}
        write_json(files.seal, {"openings": [o | {"hashes": o["hashes"] | hashes} for o in _openings(files)]})
    repeat.seal.unlink(missing_ok=True)


def _openings(files: StudyFiles) -> list[dict[str, Any]]:
    return list(json.loads(files.seal.read_text())["openings"])


def _append_fast(path: Path, lines: list[dict[str, Any]]) -> None:
    """As append_jsonl, without its sync per line."""
    import zlib

    def line(record: dict[str, Any]) -> str:
        crc = f"{zlib.crc32(json.dumps(record, sort_keys=True).encode()):08x}"
        return json.dumps({**record, "crc32": crc}) + "\n"

    path.write_text("".join(line(record) for record in lines))


def _settings(name: str, wanted: Wanted) -> StudySettings:
    text = tomli_w.dumps(
        {
            "family": "cnn",
            "depth": {"low": 1, "high": 4},
            "activation": {"choices": list(wanted.activations)},
            "normalisation": {"choices": ["none", "batch"]},
            "dropout": {"low": 0.0, "high": 0.5},
            "optimizer": "adamw",
            "parameter": [
                {"name": "learning_rate", "when": {"optimizer": "adamw"}, "low": 1e-4, "high": 2e-2, "log": True}
            ],
        }
    )
    return StudySettings(
        format_version=1,  # as older studies are: their lines are told by _trial
        name=name,
        created=START.isoformat(),
        seed=wanted.study_seed,
        sampler=wanted.sampler,  # type: ignore[arg-type]  # pydantic checks the text
        pruner=wanted.pruner,  # type: ignore[arg-type]
        warm_starts=wanted.warm_starts,
        given="apart" if wanted.apart else None,
        imported_from=wanted.imported_from,
        dataset=DatasetSettings(
            name=wanted.dataset,
            data_dir=wanted.data_dir,
            classes=wanted.classes,
            sha256=_digests(wanted),
            n_train=50_000,
            n_validation=10_000,
            split_seed=0,
            split_sha256="ab" * 32,
            mean=0.1307,
            std=0.3081,
        ),
        retrain=RetrainSettings(candidates=wanted.candidates, final_seeds=wanted.seeds),
        families={
            family: FamilySettings(
                space_file=f"{family}.toml",
                space=text.replace('"cnn"', json.dumps(family)),
                ladder=Ladder(examples=RUNGS, reduction_factor=2, images=wanted.images),
            )
            for family in wanted.accuracy
        },
        versions={"study": "0.1.0", "torch": "2.15.0", "optuna": "5.0.0", "python": "3.11.9"},
    )


def _digests(wanted: Wanted) -> dict[str, str]:
    roles = ("train_images", "test_images")
    return {role: hashlib.sha256(f"{wanted.dataset} {role}".encode()).hexdigest() for role in roles}


def _weights(files: StudyFiles, run: str) -> bytes:
    return f"{files.name} {run}".encode()


def _ledger(wanted: Wanted) -> dict[str, Any]:
    each = {family: wanted.trials * wanted.seconds.get(family, 4.0) for family in wanted.accuracy}
    return {
        "budget_s": wanted.budget_s,
        "n_trials": wanted.n_trials,
        "allowance_s": max(each.values(), default=None),
        "families": {name: {"spent_s": seconds, "training_s": 0.95 * seconds} for name, seconds in each.items()},
        "stages": {"search": 130.0, "retrain": 120.0, "evaluate": 6.0, "examine": 20.0, "report": 3.0},
        "commands": [
            {"command": "study run --budget 5m", "start": START.isoformat(), "seconds": 280.0, "versions": {}}
        ],
        "workers": 2,
        "device": "cpu",
        "precision": "bf16",
        "machine": {"cpu": wanted.cpu, "cores": 2, **({"gpu": wanted.gpu} if wanted.gpu else {})},
        "utilisation": 0.94,
        **({"repeats": wanted.repeats} if wanted.repeats > 1 else {}),
    }


def _stream(wanted: Wanted, *key: int) -> tuple[int, ...]:
    return (*key, wanted.draw) if wanted.draw else key


def _trials(family: str, index: int, wanted: Wanted) -> list[dict[str, Any]]:
    return [_trial(family, index, number, wanted) for number in range(wanted.trials)]


def _trial(family: str, index: int, number: int, wanted: Wanted) -> dict[str, Any]:
    draw = np.random.default_rng(_stream(wanted, 11, index, number))
    known = space(wanted.activations)
    parameters: dict[str, Any] = {
        "learning_rate[adamw]": float(10 ** draw.uniform(-4, np.log10(2e-2))),
        "depth": int(draw.integers(1, 5)),
        "activation": str(draw.choice(wanted.activations)),
        "normalisation": str(draw.choice(["none", "batch"])),
        "dropout": float(draw.uniform(0.05, 0.45)),
    }
    role = "warm_start" if number < wanted.warm_starts else "sampled"
    state = (
        "FAIL"
        if family in wanted.failed
        else wanted.states or ("FAIL" if number % 11 == 9 else "PRUNED" if number % 3 == 1 else "COMPLETE")
    )
    target = (wanted.validation or wanted.accuracy)[family]
    # A smooth optimum in the learning rate and in normalisation, so that importance has something to find.
    loss = 0.002 * (np.log10(parameters["learning_rate[adamw]"] / 3e-3)) ** 2
    value = min(target + 0.0005 - loss - 0.001 * (parameters["normalisation"] == "none") + draw.normal(0, 3e-4), 0.9999)
    if wanted.edge:
        parameters["learning_rate[adamw]"] = 0.0198 if number % 3 == 2 else parameters["learning_rate[adamw]"]
        value += 0.002 * (parameters["learning_rate[adamw]"] == 0.0198)
    reached = {"COMPLETE": 3, "PRUNED": 1 + number % 2, "FAIL": 0}[state]
    rungs = [
        {
            "examples": RUNGS[k],
            "accuracy": value - 0.004 * (2 - k),
            "nll": 3.5 * (1 - value),
            "temperature": 1.1,
            "seconds": 1.2 * (k + 1),
        }
        for k in range(reached)
    ]
    seconds = wanted.seconds.get(family, 4.0)
    start = START + timedelta(seconds=number * seconds + index * 0.5)
    return {
        "number": number,
        "family": family,
        "parameters": parameters,
        "config": {"family": family, **{name.partition("[")[0]: value for name, value in parameters.items()}},
        "distributions": {name: distribution_to_json(distribution) for name, distribution in known.items()},
        "rungs": rungs,
        "state": state,
        "reason": wanted.reason if state == "FAIL" else None,
        "role": role,
        "value": value if state == "COMPLETE" else None,
        "nll": 3.5 * (1 - value) if state == "COMPLETE" else None,
        "seed": 1000 * (wanted.study_seed - 6) + number,
        "attempt": 2 if number == 5 else 1,
        "start": start.isoformat(),
        "end": (start + timedelta(seconds=seconds)).isoformat(),
        "seconds": seconds,
        "training_seconds": 0.95 * seconds,
        "worker": number % 2,
        "n_parameters": 20_000 * (1 + parameters["depth"]) * (4 if family == "mlp" else 1),
        "flops": 900_000 * (1 + parameters["depth"]),
        "counted": True,
        "examples": RUNGS[reached - 1] if reached else 3_000,
    }


def _retrain(files: StudyFiles, trials: list[dict[str, Any]], wanted: Wanted) -> None:
    families, best = {}, None
    for index, family in enumerate(wanted.accuracy):
        complete = [t for t in trials if t["family"] == family and t["state"] == "COMPLETE"]
        if not complete:
            continue
        ranked = sorted(complete, key=lambda t: (-t["value"], t["nll"]))[: wanted.candidates]
        best = max([best, ranked[0]], key=lambda t: t["value"]) if best else ranked[0]
        families[family] = _family(files, family, index, ranked, wanted)
    assert best is not None
    for entry in families.values():
        for row in entry["candidates"]:
            row["best_overall"] = row["trial"] == best["number"] and entry["final_runs"][0].startswith(best["family"])
    winner = max(families, key=lambda name: families[name]["candidates"][0]["mean_accuracy"])
    write_json(
        files.finalists,
        {
            "families": families,
            "winner": winner,
            "shipped_run": families[winner]["final_runs"][0],
            "best_trial": {"family": best["family"], "number": best["number"], "accuracy": best["value"]},
        },
    )


def _family(files: StudyFiles, family: str, index: int, ranked: list[dict[str, Any]], wanted: Wanted) -> dict[str, Any]:
    rows = []
    target = (wanted.validation or wanted.accuracy)[family]
    for place, trial in enumerate(ranked):
        name = f"{family}-t{trial['number']}-seed0"
        accuracy = target - 0.0004 * ((place + 1) % len(ranked))  # the best trial does not stay the best
        logits, labels = _logits(accuracy, 1000, _stream(wanted, 3, index, place), wanted)
        _run(files, name, trial, "candidate", 0, accuracy, (logits, labels))
        rows.append(
            {
                "trial": trial["number"],
                "search_accuracy": trial["value"],
                "search_nll": trial["nll"],
                "runs": [name],
                "accuracies": [accuracy],
                "mean_accuracy": accuracy,
                "mean_nll": 3.5 * (1 - accuracy),
                "best_overall": False,
            }
        )
    rows.sort(key=lambda row: -row["mean_accuracy"])
    finalist = next(trial for trial in ranked if trial["number"] == rows[0]["trial"])
    names = [f"{family}-final-seed{seed}" for seed in range(wanted.seeds)]
    for seed, name in enumerate(names):
        _run(files, name, finalist, "final", seed, None, None)
    return {
        "candidates": rows,
        "finalist": finalist["number"],
        "final_runs": names,
        "schedule": {"examples_per_run": 250_000, "steps": 977},
        "seconds": 61.2,
    }


def _run(
    files: StudyFiles,
    name: str,
    trial: dict[str, Any],
    role: str,
    seed: int,
    accuracy: float | None,
    validation: tuple[NDArray[Any], NDArray[Any]] | None,
) -> None:
    run = files.run(name)
    run.root.mkdir(parents=True, exist_ok=True)
    about = {"family": trial["family"], "trial": trial["number"], "role": role, "seed": 9000 + seed, "seed_index": seed}
    part = "train" if role == "candidate" else "train+validation"
    about |= {"data_part": part, "examples": 250_000, "steps": 977, "n_classes": 10, "mean": 0.1307, "std": 0.3081}
    about |= {"device": "cpu", "precision": "bf16", "threads": 1}
    write_text(run.config, tomli_w.dumps({"run": about, "config": trial["config"]}))
    header = ["examples", "epoch", "learning_rate", "train_loss", "validation_loss", "validation_accuracy", "seconds"]
    loss = 0.0 if accuracy is None else 3.5 * (1 - accuracy)
    rows = [
        [50_000 * k, k, 0.01 / k, 0.3 / k, loss + 0.2 / k if accuracy else "", accuracy or "", 3.0 * k]
        for k in range(1, 6)
    ]
    write_csv(run.history, header, rows)
    metrics = {
        "accuracy": accuracy,
        "nll": loss or None,
        "nll_scaled": loss or None,
        "temperature": None if accuracy is None else 1.1,
        "train_loss": 0.06,
        "training_seconds": 15.0 + seed,
        "seconds": 16.0 + seed,
        "examples": 250_000,
        "steps": 977,
        "n_parameters": trial["n_parameters"],
        "flops": trial["flops"],
    }
    write_json(run.metrics, metrics)
    if validation is not None:
        with run.validation.open("wb") as stream:
            np.savez(stream, logits=validation[0], labels=validation[1])
    run.weights.write_bytes(_weights(files, name))
    write_json(run.done, {"hash": hashlib.sha256(name.encode()).hexdigest()})


def _logits(
    accuracy: float, n: int, seed: tuple[int, ...], wanted: Wanted
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits of a network that is right on `accuracy` of n images; the labels depend on n alone."""
    n_classes = len(wanted.classes)
    labels = np.random.default_rng(n).permutation(np.arange(n) % n_classes).astype(np.int64)
    draw = np.random.default_rng(seed)
    logits = draw.normal(0.0, 0.7, (n, n_classes)).astype(np.float32)
    logits[np.arange(n), labels] += 9.0
    errors = round((1 - accuracy) * n)
    common = round(errors * wanted.shared_errors)
    wrong = np.concatenate([np.arange(common), common + draw.permutation(n - common)[: errors - common]])
    shift = 1 + wrong % 3 if n_classes > 3 else np.ones_like(wrong)
    logits[wrong, (labels[wrong] + shift) % n_classes] += 11.0
    return logits, labels


def _ablate(files: StudyFiles, wanted: Wanted) -> None:
    """What `study examine --ablation` and `--audit` leave: for the first family gains, losses and a failure; for the
    second nothing that stands out."""

    def swap(value: str, difference: float, half: float, **also: Any) -> dict[str, Any]:
        about = {"parameter": "activation", "place": 1, "from": wanted.activations[0], "value": value, "also": also}
        low, high = difference - half, difference + half
        numbers = {"accuracies": [0.99 + difference] * 3, "difference": difference, "se": half / 2}
        return {**about, "failed": None, **numbers, "interval95": [low, high]}

    failed = {"parameter": "normalisation", "place": 0, "from": "batch", "value": "none", "also": {}, "failed": "nan"}
    finalists = json.loads(files.finalists.read_text())["families"]
    rows = [
        [swap(wanted.activations[1], 0.0012, 0.0006), swap(wanted.activations[-1], -0.004, 0.001, dropout=0.2), failed],
        [swap(wanted.activations[1], -0.0003, 0.0008)],
    ]
    families = {
        family: {
            "trial": finalists[family]["finalist"],
            "examples": 250_000,
            "accuracies": [0.99] * 3,
            "rows": told,
            "left_out": [{"parameter": "normalisation", "value": "none"}] if place else [],
            "seconds_left_out": 48.0 * place,
        }
        for place, (family, told) in enumerate(zip(wanted.accuracy, rows, strict=False))
    }
    write_json(files.ablation, {"seeds": 3, "n_validation": 10_000, "families": families})
    family = next(iter(wanted.accuracy))
    about = {"family": family, "pruned_at": 12_500, "best": 0.992, "failed": None}
    audited = [{**about, "number": k, "value": 0.98, "beats": False} for k in range(20)]
    counts = {"pruned": 31, "drawn": 20, "judged": 20, "beaten": 0, "bound95": 1 - 0.05 ** (1 / 20)}
    write_json(files.audit, {**counts, "rows": audited})


SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
LEVELS = [("clean", "clean", "", 0.0)] + [("gaussian blur", "blur", "sigma, px", sigma) for sigma in SIGMAS[1:]]
LEVELS += [("shot noise", "MNIST-C style", "photons", 20.0), ("shot noise", "MNIST-C style", "photons", 8.0)]


def _examine(files: StudyFiles, wanted: Wanted) -> None:
    """What `study examine` and the search leave beside the predictions."""
    draw = np.random.default_rng(3)
    n_classes, families = len(wanted.classes), list(wanted.accuracy)
    images = draw.integers(0, 255, (n_classes, 8, 28, 28)).astype(np.uint8)
    counts = np.full(n_classes, 5000)
    np.savez(files.samples, images=images, train_counts=counts, validation_counts=counts // 5)
    np.savez(files.test / "strip.npz", sigmas=np.array(SIGMAS), images=images[0, :7])
    write_json(files.test / "robustness.json", _robustness(families, wanted))
    rows = [
        {"family": name, "batch_size": size, "order": order, "n": 50, "median": 0.31 * size, "p95": 0.44 * size}
        for name in families
        for size in (1, 256)
        for order in ("alone", "in turn")
    ]
    write_json(files.test / "latency.json", {"device": "cpu", "threads": 1, "unit": "ms", "measurements": rows})
    entry = {"accuracy": 0.92, "correct": 1840, "n": 2000, "interval95": [0.91, 0.93], "seconds": 3.0}
    about = {"name": "logistic regression", "n_train": 20_000, "parameters": 7850, "note": "L-BFGS, C = 1"}
    write_json(files.test / "baselines.json", {"baselines": [{**entry, **about}]})
    both = {"name": "all finalists", "runs": ["a", "b"], "mean_member_accuracy": 0.99, **entry}
    write_json(files.test / "ensemble.json", {"n": 2000, "ensembles": [both]})
    write_json(files.model / "model.json", {"format": 1, "threshold": 0.61, "weights_sha256": "cd" * 32})


def _robustness(families: list[str], wanted: Wanted) -> dict[str, Any]:
    n_classes = len(wanted.classes)

    def summary(level: float) -> dict[str, Any]:
        accuracy = 0.99 - 0.25 * level if level <= 3 else 0.9
        bounds = {"interval95": [accuracy - 0.01, accuracy + 0.01], "per_class": [accuracy] * n_classes}
        read = {"accuracy": accuracy, "correct": round(500 * accuracy), "n": 500, "mean_confidence": accuracy + 0.01}
        return {**read, "ece": 0.01 + level / 20, "ece_noise_floor": 0.005, **bounds}

    label = min(6, n_classes - 1)
    sixes = [{"sigma": s, "counts": [int(90 - 25 * s) if k == label else 4 for k in range(n_classes)]} for s in SIGMAS]
    answers = [{"sigma": s, "answer": label if s < 2 else 1, "probability": 0.9 - s / 5, "top": []} for s in SIGMAS]
    mean = {"n": 500, "mean": 0.01, "se": 0.0025, "interval95": [0.005, 0.015]}
    pairs = [(a, b) for place, a in enumerate(families) for b in families[place + 1 :]]
    order = {"group": "blur", "clean": mean, "corrupt": mean, "change": mean, "order_changes": False}
    return {
        "n_images": 500,
        "n_test": wanted.n_test,
        "seed": 0,
        "classes": list(wanted.classes),
        "runs": {name: f"{name}-final-seed0" for name in families},
        "temperatures": dict.fromkeys(families, 1.1),
        "levels": [
            {"kind": kind, "group": g, "unit": unit, "level": v, "families": {name: summary(v) for name in families}}
            for kind, g, unit, v in LEVELS
        ],
        "half_accuracy_sigma": dict.fromkeys(families, 1.98),
        "first_to_fall": {name: [{"class": 1, "sigma": 1.5}, {"class": 0, "sigma": None}] for name in families},
        "sixes": {"label": label, "families": dict.fromkeys(families, sixes)},
        "order": [{"a": a, "b": b, **order} for a, b in pairs],
        "strip": {"index": 11, "label": label, "answers": dict.fromkeys(families, answers)},
        "skipped": [{"kind": "fog", "level": 0.5}],
        "seconds": 12.0,
    }


def _evaluate(files: StudyFiles, wanted: Wanted) -> None:
    finalists = json.loads(files.finalists.read_text())
    arrays: dict[str, NDArray[Any]] = {}
    candidates: dict[str, NDArray[Any]] = {}
    for index, (family, accuracy) in enumerate(wanted.accuracy.items()):
        if family in wanted.failed:
            continue
        entry = finalists["families"][family]
        for seed, name in enumerate(entry["final_runs"]):
            arrays[name], arrays["labels"] = _logits(accuracy, wanted.n_test, _stream(wanted, 5, index, seed), wanted)
        for place, row in enumerate(entry["candidates"]):
            stream = _stream(wanted, 6, index, place)
            candidates[row["runs"][0]], _ = _logits(accuracy - 0.001, wanted.n_test, stream, wanted)
    if wanted.non_finite:
        arrays[next(name for name in arrays if name != "labels")][0, 0] = np.nan
    files.test.mkdir(exist_ok=True)
    np.savez(files.predictions, **arrays)
    np.savez(files.candidate_predictions, labels=arrays["labels"], **candidates)
    shown = np.arange(12, dtype=np.int64)
    noise = np.random.default_rng(1).integers(0, 255, (12, 28, 28)).astype(np.uint8)
    np.savez(files.test / "images.npz", indices=shown, images=noise)
    names = list(wanted.accuracy)
    pairs = [[a, b] for i, a in enumerate(names) for b in names[i + 1 :]]
    opening = {
        "time": START.isoformat(),
        "command": "study run --budget 5m",
        "winner": finalists["winner"],
        "shipped_run": finalists["shipped_run"],
        "hypotheses": pairs,
        "hashes": {
            run: hashlib.sha256(_weights(files, run)).hexdigest() for run in {**arrays, **candidates} if run != "labels"
        },
        "test_sha256": {role: digest for role, digest in _digests(wanted).items() if role.startswith("test")},
    }
    write_json(files.seal, {"openings": [opening] * wanted.openings})
    if wanted.examined:
        _examine(files, wanted)
    if wanted.ablated:
        _ablate(files, wanted)
