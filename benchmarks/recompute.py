"""Every number of a report that its raw files determine, computed again by other means. Half a minute.

    python benchmarks/recompute.py results/mnist        # or a study's name under ./results

Nothing of the package is imported: numpy, scipy, scikit-learn and statsmodels read test/predictions.npz,
test/candidates.npz, finalists.json, runs/ and trials.csv, and compare with report.json and with the prose of
report.html. Where a study left only its report and trials.csv, the report is held against itself: p from t, Holm's
adjustment, McNemar from its counts, scores from confusions. Prints each difference and how many numbers agree; exits
with 1 if one differs. Resampled figures are drawn again and compared within their noise.
"""

from __future__ import annotations

import argparse
import html
import json
import math
import re
import sys
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats
from sklearn import metrics
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Record = dict[str, Any]
Array = NDArray[Any]
EXACT = 1e-9
RESAMPLED = 0.12  # of an interval's width: four standard errors of a percentile over 1,000 resamples, taken twice


class Checks:
    """Agreements are counted by topic, differences are kept."""

    def __init__(self) -> None:
        self.agreed: dict[str, int] = {}
        self.differences: list[str] = []

    def number(self, topic: str, name: str, ours: Any, theirs: Any, tolerance: float = EXACT) -> None:
        """Numbers, None, or lists of them: equal up to `tolerance`, relative above one."""
        if isinstance(ours, list | tuple | np.ndarray):
            seen = list(theirs)
            if len(ours) != len(seen):
                self.differences.append(f"{topic}: {name}: {len(ours)} values here, {len(seen)} in the report")
            for place, (one, other) in enumerate(zip(ours, seen, strict=False)):
                self.number(topic, f"{name}[{place}]", one, other, tolerance)
            return
        same = ours is theirs is None or (
            None not in (ours, theirs) and math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance)
        )
        self._note(same, topic, f"{name}: {ours} here, {theirs} in the report")

    def says(self, text: str, topic: str, phrase: str) -> None:
        self._note(phrase in text, topic, f"the page does not say {phrase!r}")

    def _note(self, same: bool, topic: str, words: str) -> None:
        if same:
            self.agreed[topic] = self.agreed.get(topic, 0) + 1
        else:
            self.differences.append(f"{topic}: {words}")


# --- what was read -------------------------------------------------------------------------------------------------


def read_table(path: Path) -> pd.DataFrame | None:
    """trials.csv of either form, with the column names of form 2."""
    if not path.exists():
        return None
    return pd.read_csv(path).rename(columns={"nll": "nll_scaled", "seconds": "held_seconds"})


class Files:
    """The files of a study, each None or empty where it is missing."""

    def __init__(self, root: Path) -> None:
        self.report: Record = json.loads((root / "report.json").read_text())
        page = (root / "report.html").read_text()
        self.text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split()).replace("\u2212", "-")
        self.trials = read_table(root / "trials.csv")
        self.root = root
        finalists = root / "finalists.json"
        self.finalists: Record = json.loads(finalists.read_text())["families"] if finalists.exists() else {}
        self.predictions = _arrays(root / "test" / "predictions.npz")
        self.candidates = _arrays(root / "test" / "candidates.npz")
        self.labels = self.predictions.pop("labels", np.zeros(0, dtype=np.int64))

    def logits(self, family: str) -> list[Array]:
        names = self.finalists.get(family, {}).get("final_runs", [])
        return [self.predictions[name] for name in names if name in self.predictions]

    def correct(self) -> dict[str, Array]:
        known = {family: self.logits(family) for family in self.finalists}
        return {f: np.array([one.argmax(1) == self.labels for one in seeds]) for f, seeds in known.items() if seeds}


def _arrays(path: Path) -> dict[str, Array]:
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files if np.isfinite(found[name]).all()}


def probabilities(logits: Array, temperature: float = 1.0) -> Array:
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


# --- test split: finalists and pairs -------------------------------------------------------------------------------


def excess(correct: Array) -> float:
    """The seeds' variance of the mean beyond what flips of single images explain."""
    s, n = correct.shape
    if s < 2:
        return 0.0
    flips = correct.var(axis=0, ddof=1).mean()  # S/(S-1) p(1-p) is the sample variance of a seed's right or wrong
    return max(0.0, float(stats.sem(correct.mean(axis=1)) ** 2 - flips / (n * s)))


def t_summary(values: Array, parts: list[tuple[float, int]]) -> tuple[float, float, float]:
    """Mean over images, its standard error with the seeds' part, and the degrees of freedom."""
    variance = float(stats.sem(values)) ** 2 + sum(part for part, _ in parts)
    spread = sum(part**2 / (s - 1) for part, s in parts if s > 1)
    df = min(len(values) - 1.0, variance**2 / spread) if spread > 0 else len(values) - 1.0
    return float(values.mean()), math.sqrt(variance), df


def bounds(mean: float, se: float, df: float, level: float) -> tuple[float, float]:
    low, high = stats.t.interval(level, df, loc=mean, scale=se) if se > 0 else (mean, mean)
    return float(low), float(high)


def exact_share(count: float, n: int, level: float) -> tuple[float, float]:
    low, high = proportion_confint(count, n, 1 - level, method="beta")
    return (float(low) if count > 0 else 0.0), (float(high) if count < n else 1.0)


def share_bounds(found: tuple[float, float], count: float, n: int) -> list[float]:
    """The 95 % bounds of a mean share, no narrower than the exact ones where fewer than ten images are on one side."""
    low, high = exact_share(count, n, 0.95) if min(count, n - count) < 10 else found
    return [max(0.0, min(found[0], low)), min(1.0, max(found[1], high))]


def pair_bounds(found: tuple[float, float], wins: float, losses: float, n: int, level: float) -> list[float]:
    """The bounds of a difference of matched shares, no narrower than those joined from the exact ones of either share
    (MOVER) where fewer than ten images are beside the most frequent outcome."""
    if n - max(wins, losses, n - wins - losses) >= 10:
        return list(found)
    (low_a, high_a), (low_b, high_b) = (exact_share(count, n, level) for count in (wins, losses))
    a, b = wins / n, losses / n
    low, high = a - b - math.hypot(a - low_a, high_b - b), a - b + math.hypot(high_a - a, b - low_b)
    return [min(found[0], max(-1.0, low)), max(found[1], min(1.0, high))]


def sign_p(wins: float, losses: float) -> float:
    """The exact sign test's p, of counts that may be fractions."""
    fewer, both = min(wins, losses), wins + losses
    return min(1.0, 2 * float(stats.beta.cdf(0.5, both - fewer, fewer + 1))) if both > 0 else 1.0


def check_accuracy(checks: Checks, name: str, correct: Array, theirs: Record) -> None:
    topic = "accuracy and intervals"
    mean, se, df = t_summary(correct.mean(axis=0), [(excess(correct), len(correct))])
    n = correct.shape[1]
    interval = share_bounds(bounds(mean, se, df, 0.95), round(mean * n, 6), n)
    for key, ours in (("mean", mean), ("se", se), ("df", df), ("interval95", interval)):
        checks.number(topic, f"{name} {key}", ours, theirs[key], 1e-7)
    checks.number(topic, f"{name} seeds", correct.mean(axis=1), theirs["seed_accuracies"])


def check_finalist(checks: Checks, files: Files, family: str, correct: Array, row: Record) -> None:
    check_accuracy(checks, family, correct, row["test"]["accuracy"])
    half = correct.shape[1] // 2
    for place, part in enumerate((correct[:, :half], correct[:, half:])):
        check_accuracy(checks, f"{family} half {place}", part, row["test"]["halves"][place])
    topic, labels, answers = "macro scores", files.labels, [one.argmax(1) for one in files.logits(family)]
    kinds = range(files.logits(family)[0].shape[1])
    scores = [
        metrics.precision_recall_fscore_support(labels, a, labels=kinds, average="macro", zero_division=0)[:3]
        for a in answers
    ]
    precision, recall, f1 = np.mean(scores, axis=0)
    checks.number(topic, f"{family} precision", precision, row["test"]["macro_precision"])
    checks.number(topic, f"{family} recall", recall, row["test"]["macro_recall"])
    checks.number(topic, f"{family} F1", f1, row["test"]["macro_f1"]["estimate"])
    ours = f1_interval(labels, np.array(answers), len(kinds))
    noise = RESAMPLED * float(ours[1] - ours[0])
    checks.number("resampled", f"{family} F1 interval", ours, row["test"]["macro_f1"]["interval95"], noise)
    loss = np.mean([metrics.log_loss(labels, probabilities(one), labels=kinds) for one in files.logits(family)])
    checks.number(topic, f"{family} NLL", float(loss), row["test"]["nll"], 1e-6)


def f1_interval(labels: Array, answers: Array, kinds: int) -> Array:
    """Percentiles of mean macro F1 over 1,000 draws of images."""
    draw, values = np.random.default_rng(12345), []
    for _ in range(1000):
        index = draw.integers(0, len(labels), len(labels))
        scores = []
        for seed in answers:
            cells = np.bincount(labels[index] * kinds + seed[index], minlength=kinds**2).reshape(kinds, kinds)
            with np.errstate(invalid="ignore"):
                scores.append(np.nan_to_num(2 * np.diag(cells) / (cells.sum(0) + cells.sum(1))).mean())
        values.append(np.mean(scores))
    low, high = np.percentile(values, [2.5, 97.5])
    right, n = round(float((answers == labels).mean()) * len(labels), 6), len(labels)
    if min(right, n - right) >= 10:
        return np.array([low, high])
    exact, middle = exact_share(right, n, 0.95), float(np.mean([_macro_f1(labels, one, kinds) for one in answers]))
    weight = n / (kinds * min(count for count in np.bincount(labels) if count))
    return np.array(
        [min(low, middle - (right / n - exact[0]) * weight), max(high, middle + (exact[1] - right / n) * weight)]
    ).clip(0, 1)


def _macro_f1(labels: Array, answers: Array, kinds: int) -> float:
    return float(metrics.f1_score(labels, answers, labels=range(kinds), average="macro", zero_division=0))


def check_pair(checks: Checks, pair: Record, a: Array, b: Array) -> None:
    topic, theirs, name = "pairwise", pair["comparison"], f"{pair['a']}-{pair['b']}"
    ours = t_summary(a.mean(0) - b.mean(0), [(excess(a), len(a)), (excess(b), len(b))])
    checks.number(topic, f"{name} difference, se, df", ours, [theirs[key] for key in ("difference", "se", "df")], 1e-7)
    only_a, only_b = int((a[0] & ~b[0]).sum()), int((b[0] & ~a[0]).sum())
    seen = [pair["single"][key] for key in ("only_a", "only_b", "both")]
    checks.number("McNemar", f"{name} counts", [only_a, only_b, int((a[0] & b[0]).sum())], seen)
    wins = [np.sign(x - y) / 2 + 0.5 for x in a.mean(1) for y in b.mean(1)]
    checks.number(topic, f"{name} P(A > B)", float(np.mean(wins)), pair["p_a_better"]["probability"])


def check_pair_itself(checks: Checks, pair: Record) -> None:
    """What follows from a pair's own difference, standard error and counts."""
    topic, c, name = "pairwise", pair["comparison"], f"{pair['a']}-{pair['b']}"
    checks.number(topic, f"{name} difference", c["accuracy_a"] - c["accuracy_b"], c["difference"])
    wins, losses = c.get("wins", 0.0), c.get("losses", 0.0)
    few = "wins" in c and c["n"] - max(wins, losses, c["n"] - wins - losses) < 10  # older reports have no counts
    if c["se"] > 0:
        t = c["difference"] / c["se"]
        checks.number(topic, f"{name} t", t, c["t"])
        p = 2 * stats.t.sf(abs(t), c["df"])
        checks.number(topic, f"{name} p", max(p, sign_p(wins, losses)) if few else p, c["p_value"])
    for level, key in ((0.95, "interval95"), (0.90, "interval90")):
        found = bounds(c["difference"], c["se"], c["df"], level)
        checks.number(topic, f"{name} {key}", pair_bounds(found, wins, losses, c["n"], level) if few else found, c[key])
    single = pair["single"]
    a, b, n = single["only_a"], single["only_b"], single["n"]
    exact = stats.binomtest(min(a, b), a + b).pvalue if a + b else 1.0
    checks.number("McNemar", f"{name} p", exact, single["p_value"])
    middle = (a - b) / (n + 2)  # Agresti and Min: half an image more in each cell
    half = stats.norm.ppf(0.975) * math.sqrt(a + b + 1 - (a - b) ** 2 / (n + 2)) / (n + 2)
    interval = pair_bounds((middle - half, middle + half), a, b, n, 0.95)
    checks.number("McNemar", f"{name} interval", interval, single["interval95"])
    checks.number(
        "verdicts", f"{name} {expected_verdict(pair)!r}", 1, int(expected_verdict(pair) == pair["verdict"]["label"])
    )


def expected_verdict(pair: Record) -> str:
    c = pair["comparison"]
    if min(c["seeds_a"], c["seeds_b"]) < 3:
        return "no verdict"
    if pair["holm_p"] < 0.05:
        return "better" if abs(c["difference"]) >= 0.001 else "better, too small to matter"
    inside = c["interval90"][0] > -0.002 and c["interval90"][1] < 0.002
    return "equal within 0.2 points" if inside else "too close to call"


def check_pairs(checks: Checks, files: Files, correct: dict[str, Array]) -> None:
    pairs = files.report["pairwise"]["pairs"]
    if correct:
        names = [{a, b} for a, b in combinations(correct, 2)]
        checks.number("pairwise", "pairs", len(names), sum({p["a"], p["b"]} in names for p in pairs))
    planned = [pair for pair in pairs if pair["planned"]]
    if planned:
        adjusted = multipletests([pair["comparison"]["p_value"] for pair in planned], method="holm")[1]
        checks.number("Holm", "planned pairs", adjusted, [pair["holm_p"] for pair in planned])
    for pair in pairs:
        check_pair_itself(checks, pair)
        if pair["a"] in correct and pair["b"] in correct:
            check_pair(checks, pair, correct[pair["a"]], correct[pair["b"]])


# --- test split: classes, calibration, optimism, hardest images ----------------------------------------------------


def check_classes(checks: Checks, files: Files, family: str, entry: Record) -> None:
    topic, cells = "per class", np.array(entry["confusion"])
    logits = files.logits(family)
    if logits:
        ours = metrics.confusion_matrix(files.labels, logits[0].argmax(1), labels=range(len(cells)))
        checks.number(topic, f"{family} confusion", ours.ravel(), cells.ravel())
    truth, answers = (np.repeat(index.ravel(), cells.ravel()) for index in np.indices(cells.shape))
    found = metrics.precision_recall_fscore_support(truth, answers, labels=range(len(cells)), zero_division=0)
    for key, ours in zip(("precision", "recall", "f1", "support"), found, strict=True):
        checks.number(topic, f"{family} {key}", ours, entry["scores"][key])
    for key, totals in (("recall", cells.sum(axis=1)), ("precision", cells.sum(axis=0))):
        for k, total in enumerate(totals):
            if total:
                ours = proportion_confint(int(cells[k, k]), int(total), method="wilson")
                checks.number(
                    topic, f"{family} {key} interval {k}", ours, entry["scores"][f"{key}_interval95"][k], 1e-7
                )


def calibration_error(confidence: Array, right: Array, bins: int = 15) -> float:
    """Equal-mass bins; equal confidences share the bin of their middle rank."""
    middle = stats.rankdata(confidence) - 0.5
    place = np.minimum(bins - 1, (middle * bins / len(confidence)).astype(int))
    frame = pd.DataFrame({"place": place, "gap": right - confidence})
    return float(frame.groupby("place")["gap"].sum().abs().sum() / len(confidence))


def carried(files: Files, family: str) -> float | None:
    """The temperature with the least NLL on the validation logits of the finalist's candidate runs."""
    entry = files.finalists[family]
    runs = next(c["runs"] for c in entry["candidates"] if c["trial"] == entry["finalist"])
    found = [_arrays(files.root / "runs" / run / "validation.npz") for run in runs]
    if not all(found):
        return None
    logits, labels = (np.concatenate([one[key] for one in found]) for key in ("logits", "labels"))
    kinds = range(logits.shape[1])
    loss = optimize.minimize_scalar(
        lambda inverse: metrics.log_loss(labels, probabilities(logits, 1 / inverse), labels=kinds),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(1 / loss.x)


def check_calibration(checks: Checks, files: Files, family: str, entry: Record) -> None:
    topic, logits = "calibration", files.logits(family)[0]
    temperature = carried(files, family)
    if temperature is not None:
        checks.number(topic, f"{family} temperature", temperature, entry["temperature"], 2e-4)
    for kind, used in (("plain", 1.0), ("scaled", entry["temperature"])):
        theirs = entry[kind]
        if theirs is None:
            continue
        shares, right = probabilities(logits, used), logits.argmax(1) == files.labels
        kinds = range(shares.shape[1])
        loss = metrics.log_loss(files.labels, shares, labels=kinds)
        brier = metrics.brier_score_loss(files.labels, shares, labels=kinds, scale_by_half=False)
        checks.number(topic, f"{family} {kind} NLL", loss, theirs["nll"], 1e-6)
        checks.number(topic, f"{family} {kind} Brier", brier, theirs["brier"], 1e-6)
        checks.number(topic, f"{family} {kind} ECE", calibration_error(shares.max(1), right), theirs["ece"], 1e-6)
    shares, right = probabilities(logits, entry["temperature"] or 1.0), logits.argmax(1) == files.labels
    order = np.argsort(-shares.max(1), kind="stable")
    risk = np.cumsum(~right[order]) / np.arange(1, len(right) + 1)
    checks.number(topic, f"{family} risk of all", risk[-1], entry["risk_at_full"])
    checks.number(topic, f"{family} area under risk", float(risk.mean()), entry["risk_area"], 1e-3)


def check_optimism(checks: Checks, files: Files, family: str, correct: Array, theirs: Record) -> None:
    entry, topic = files.finalists[family], "optimism"
    chosen = next(c for c in entry["candidates"] if c["trial"] == entry["finalist"])
    tested = [files.candidates[run] for run in chosen["runs"] if run in files.candidates]
    a, b, d = chosen["search_accuracy"], float(np.mean(chosen["accuracies"])), float(correct.mean())
    gained = theirs.get("length_and_luck")  # reports of earlier versions call it luck whatever the lengths were
    checks.number(topic, f"{family} search to fresh", a - b, theirs["seed_luck"] if gained is None else -gained)
    checks.number(topic, f"{family} finals on test", d, theirs["finals_test"])
    if tested:
        c = float(np.mean([metrics.accuracy_score(files.labels, one.argmax(1)) for one in tested]))
        ours = [b - c, d - c]
        checks.number(topic, f"{family} shift, more data", ours, [theirs["selection_and_shift"], theirs["more_data"]])


def check_hardest(checks: Checks, files: Files) -> None:
    for image in files.report["hardest"]["images"]:
        losses, wrong = [], 0
        for family in files.finalists:
            shares = [probabilities(one[[image["index"]]])[0] for one in files.logits(family)]
            wrong += sum(int(one.argmax() != image["label"]) for one in shares)
            losses += [np.mean([-math.log(one[image["label"]]) for one in shares])] if shares else []
        checks.number("hardest images", f"image {image['index']} label", files.labels[image["index"]], image["label"])
        checks.number("hardest images", f"image {image['index']} wrong", wrong, image["wrong"])
        checks.number("hardest images", f"image {image['index']} loss", float(np.mean(losses)), image["loss"], 1e-5)


# --- the search, from trials.csv -----------------------------------------------------------------------------------


def check_search(checks: Checks, files: Files) -> None:
    assert files.trials is not None
    report, counted = files.report, files.trials[files.trials["counted"].astype(bool)]
    if report["protocol"]["budget"].get("given_seconds"):  # what was given is no trial of the search
        counted = counted[counted["role"] == "sampled"]
    checks.number("search", "trials", len(counted), report["answer"]["trials"])
    for row in report["families"]["families"]:
        trials = counted[counted["family"] == row["family"]]
        states = [int((trials["state"] == state).sum()) for state in row["states"]]
        checks.number("search", f"{row['family']} states", states, list(row["states"].values()))
        complete = trials[trials["state"] == "COMPLETE"]
        for key, found in (("best", complete), ("best_sampled", complete[complete["role"] == "sampled"])):
            first = found.sort_values(["value", "nll_scaled"], ascending=[False, True]).head(1)
            ours = None if first.empty else [int(first["number"].iloc[0]), float(first["value"].iloc[0])]
            theirs = None if row[key] is None else [row[key]["number"], row[key]["value"]]
            checks.number("search", f"{row['family']} {key}", ours or [], theirs or [])
        check_curve(checks, row["family"], trials, report["fair"]["curves"][row["family"]])
        check_choices(checks, row["family"], trials, report["mattered"]["families"][row["family"]]["choices"])
    check_health(checks, files, counted)


def check_curve(checks: Checks, family: str, trials: pd.DataFrame, curve: Record) -> None:
    ordered = trials.sort_values(["end", "number"])
    sampled = (ordered["role"] == "sampled").to_numpy()
    values = ordered["value"].where((ordered["state"] == "COMPLETE") & sampled).to_numpy(dtype=float)
    best = np.fmax.accumulate(values) if len(values) else values
    before = np.concatenate([[-np.inf], np.nan_to_num(best[:-1], nan=-np.inf)]) if len(best) else best
    rises = np.flatnonzero(values > before)
    seconds = ordered["held_seconds"].cumsum().to_numpy()
    checks.number("search", f"{family} curve values", values[rises], [step["value"] for step in curve["steps"]])
    checks.number("search", f"{family} curve seconds", seconds[rises], [step["seconds"] for step in curve["steps"]])
    checks.number("search", f"{family} seconds", float(ordered["held_seconds"].sum()), curve["seconds"])
    checks.number("search", f"{family} sampled", int(sampled.sum()), curve["trials"])


def check_choices(checks: Checks, family: str, trials: pd.DataFrame, choices: Iterable[Record]) -> None:
    sampled = trials[trials["role"] == "sampled"]
    for choice in choices:
        column = sampled[f"param_{choice['parameter']}"].dropna()
        having = sampled.loc[[index for index, value in column.items() if _is_choice(value, choice["value"])]]
        complete = having.loc[having["state"] == "COMPLETE", "value"]
        ours = [len(having), len(complete), float(complete.max()) if len(complete) else None]
        theirs = [choice["trials"], choice["completed"], choice["best"]]
        checks.number("search", f"{family} {choice['parameter']} {choice['value']}", ours, theirs)


def _is_choice(seen: object, choice: str) -> bool:
    """A table's cell against a choice as text: 1.0 and '1', True and 'true' are the same there."""
    if isinstance(seen, bool | np.bool_) or str(seen) in ("True", "False"):
        return str(seen).lower() == choice
    try:
        return float(str(seen)) == float(choice)
    except ValueError:
        return str(seen) == choice


def check_health(checks: Checks, files: Files, counted: pd.DataFrame) -> None:
    report, health = files.report, files.report["health"]
    held, training = float(counted["held_seconds"].sum()), float(counted["training_seconds"].sum())
    tops = {row["family"]: row["rungs"][-1] for row in report["families"]["families"]}
    pruned = counted[counted["state"] == "PRUNED"]
    saved = sum(max(tops[family] - seen, 0) for family, seen in zip(pruned["family"], pruned["examples"], strict=True))
    n_train = report["protocol"]["n_train"]
    ours = [held, training, training / held, counted["examples"].sum() / n_train, saved / n_train]
    keys = ("held_seconds", "training_seconds", "training_share", "epochs_used", "epochs_saved")
    checks.number("search", "held, training, share, epochs", ours, [health[key] for key in keys])


# --- prose ---------------------------------------------------------------------------------------------------------


def check_prose(checks: Checks, files: Files) -> None:
    """Sentences stand on the page as in report.json, and the figures in them are those computed here."""
    report = files.report
    for name, sentence in report["findings"].items():
        if name != "header":
            checks.says(files.text, "sentences on the page", " ".join(sentence.split()))
    for row in report["leaderboard"]["rows"]:
        if row["kind"] == "finalist" and row["test"]:
            accuracy = row["test"]["accuracy"]
            checks.says(files.text, "figures in prose", f"{100 * np.mean(accuracy['seed_accuracies']):.2f} %")
            low, high = accuracy["interval95"]
            checks.says(files.text, "figures in prose", f"{100 * low:.2f} to {100 * high:.2f} %")
    for pair in report["pairwise"]["pairs"]:
        check_pair_prose(checks, report, pair)


def check_pair_prose(checks: Checks, report: Record, pair: Record) -> None:
    """The answer's sentence, if it is of this pair: its gap, interval and p."""
    answer, compared = report["findings"]["answer"], pair["comparison"]
    if not all(title.lower() in answer.lower() for title in (pair["title_a"], pair["title_b"])):
        return
    if pair["verdict"]["label"] == "no verdict":
        return
    sides = [[sign * 100 * bound for bound in compared["interval95"]] for sign in (1, -1)]
    intervals = [f"{min(side):+.2f} to {max(side):+.2f} points" for side in sides]
    checks.says(answer, "figures in prose", f"{100 * abs(compared['difference']):.2f} points")
    checks.says(answer, "figures in prose", next((i for i in intervals if i in answer), intervals[0]))
    p = pair["holm_p"]
    checks.says(
        answer, "figures in prose", "p < 0.0001" if p < 1e-4 else f"p = {p:.{4 if p < 0.01 else 3 if p < 0.1 else 2}f}"
    )


def recompute(files: Files) -> Checks:
    checks, report = Checks(), files.report
    correct = files.correct()
    rows = {row["family"]: row for row in report["leaderboard"]["rows"] if row["kind"] == "finalist"}
    for family, seeds in correct.items():
        check_finalist(checks, files, family, seeds, rows[family])
        check_calibration(checks, files, family, report["calibration"]["families"][family])
        check_optimism(checks, files, family, seeds, report["pairwise"]["optimism"][family])
    check_pairs(checks, files, correct)
    for family, entry in report["classes"]["families"].items():
        check_classes(checks, files, family, entry)
    if correct:
        check_hardest(checks, files)
    if files.trials is not None:
        check_search(checks, files)
    check_prose(checks, files)
    return checks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="a study's folder, or its name under ./results")
    word = parser.parse_args().study
    root = next((path for path in (Path(word), Path("results") / word) if (path / "report.json").exists()), None)
    if root is None:
        raise SystemExit(f"{word}: report.json is missing there and under ./results; expected a study with a report")
    checks = recompute(Files(root))
    for topic, n in checks.agreed.items():
        print(f"{n:>6} agree    {topic}")
    for difference in checks.differences:
        print(f"DIFFERS  {difference}")
    sys.exit(1 if checks.differences else 0)


if __name__ == "__main__":
    main()
