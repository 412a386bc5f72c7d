"""What a recipe of training is worth: one annealed run a row, judged on the 10,000 validation images.

    python benchmarks/fewer_steps.py [--device cuda --workers 16] [--family cnn] [--warm-start 0] [--steps 600]
        [--seeds 10] [--noise 0] [--recipes "optimizer=muon learning_rate=0.01" "images=hard" ...] [--table]

A recipe is what differs from the family's warm start under AdamW on all images, `default` for nothing. Beside keys of
a configuration it may name parts of Muon: `polynomials=NAME` the iterations, `first=muon` and `head=adamw` for who has
the first layer and the last but one, `convs=adamw` for AdamW on convolutions, `widest=N` for AdamW where both sides of
a matrix are above N; or `last=SHARE`, the part of a cycle after hard images that sees all of them; or `average=DECAY`,
by which the moving average of all steps' weights is judged in place of the last step's.
`--noise 0.02` makes 2 % of the training part's labels wrong, others under each seed; validation keeps its own.
Runs of one seed share initial weights and labels, and the first pass over the images. Coverage is the share of
validation images, surest first, among which one in a thousand is wrong. `with shifts` is what the mean of five
readings, each image moved by a pixel each way, adds to the accuracy. The test split is never read.

    --cost N   instead: milliseconds of a step, recipes in turn, N turns; on a CPU of 20 steps on one thread, by its
               processor time, on a GPU of 1,500 recorded ones
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from _data import build_model, cpu_seconds, parallel, warm_configs
from _rows import RECORDED, machine, paired_ratio
from _speed import fit_steps, program_data, timed
from scipy import special
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from study.data.augment import to_float
from study.execution.sharing import shared_gpus
from study.records.files import append_jsonl, read_jsonl
from study.statistics.logits import accuracy, fit_temperature, nll
from study.statistics.scores import confidence_and_correct, ece
from study.training import images, muon, optim
from study.training.config import training_config
from study.training.loop import TrainingData, choose_precision, fit, validate
from study.training.optim import build_optimizer
from study.training.schedule import Schedule

DEFAULTS = ("default", "optimizer=muon", "images=hard", "optimizer=muon images=hard")
PARTS = ("polynomials", "first", "head", "convs", "widest", "last", "average")
_JORDAN = (3.4445, -4.7750, 2.0315)
# Optimal for singular values from 0.001 on (Amsel et al. 2025, arXiv:2505.16932).
_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
# The same for two iterations, for singular values from 0.02 (the program's) and from 0.05 on.
_SHORT = {
    "two-02": ((7.7110, -22.1138, 16.2487), (3.2153, -2.4112, 0.5013)),
    "two-05": ((6.7524, -18.3510, 13.2633), (2.5379, -1.8747, 0.4413)),
}
POLYNOMIALS = (
    {f"jordan-{n}": (_JORDAN,) * n for n in (2, 3, 4, 5)} | {f"express-{n}": _EXPRESS[:n] for n in (3, 4, 5)} | _SHORT
)
RISK = 0.001
SURE = 0.95


@dataclass(frozen=True)
class Run:
    """One training."""

    family: str
    warm_start: int
    recipe: str
    steps: int
    noise: float
    seed: int
    device: str


# --- recipes -------------------------------------------------------------------------------------------------------


def parsed(recipe: str) -> dict[str, Any]:
    """'optimizer=muon learning_rate=0.01' by key, numbers as numbers."""
    pairs = [] if recipe == "default" else [word.partition("=")[::2] for word in recipe.split()]
    return {key: _value(text) for key, text in pairs}


def _value(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def configuration(family: str, warm_start: int, recipe: str) -> dict[str, Any]:
    own = {key: value for key, value in parsed(recipe).items() if key not in PARTS}
    return warm_configs(family)[warm_start] | {"optimizer": "adamw", "images": "all"} | own


@contextlib.contextmanager
def parts(recipe: str) -> Iterator[None]:
    about = parsed(recipe)

    def hidden(weights: list[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
        skipped = [] if about.get("first") == "muon" else weights[:1]
        skipped += weights[-2:-1] if about.get("head") == "adamw" else []
        widest = about.get("widest", 10**9)
        return [
            weight
            for weight in weights[:-1]
            if muon.is_matrix(weight)
            and all(weight is not other for other in skipped)
            and min(len(weight), weight[0].numel()) <= widest
            and not (weight.ndim == 4 and about.get("convs") == "adamw")
        ]

    with contextlib.ExitStack() as stack:
        if "polynomials" in about:
            stack.enter_context(mock.patch.object(muon, "_POLYNOMIALS", POLYNOMIALS[about["polynomials"]]))
        if "last" in about:
            stack.enter_context(mock.patch.object(images, "_UNBIASED_SHARE", about["last"]))
        if about.keys() & {"first", "head", "convs", "widest"}:
            stack.enter_context(mock.patch.object(optim, "_hidden", hidden))
        yield


@contextlib.contextmanager
def averaged(model: torch.nn.Module, decay: float | None) -> Iterator[AveragedModel | None]:
    """The moving average of a model's weights and running statistics over the steps that its optimizer takes."""
    if decay is None:
        yield None
        return
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    hook = register_optimizer_step_post_hook(lambda *_: average.update_parameters(model))
    try:
        yield average
    finally:
        hook.remove()


# --- accuracy ------------------------------------------------------------------------------------------------------


def with_wrong_labels(data: TrainingData, share: float, seed: int) -> TrainingData:
    """That share of the training part under another class, each other class as likely."""
    random = np.random.default_rng([seed, 16])
    wrong = random.permutation(len(data.train))[: round(share * len(data.train))]
    index = data.train[torch.from_numpy(wrong)]
    labels = data.labels.clone()
    labels[index] = (labels[index] + torch.from_numpy(random.integers(1, data.n_classes, len(index)))) % data.n_classes
    return replace(data, labels=labels)


@cache
def resident(data: TrainingData, device: str) -> TrainingData:
    return data.to(torch.device(device))


def trained(run: Run, data: TrainingData) -> dict[str, Any]:
    """The row of one training."""
    config = configuration(run.family, run.warm_start, run.recipe)
    moved = resident(data, run.device)
    if run.noise:
        moved = replace(moved, labels=with_wrong_labels(data, run.noise, run.seed).labels.to(run.device))
    model = build_model(config, run.seed).to(moved.images.device)
    judged: dict[str, Any] = {}
    with parts(run.recipe), averaged(model, parsed(run.recipe).get("average")) as average:
        fit(
            model,
            moved,
            training_config(config),
            Schedule.whole(run.steps, run.steps),
            lambda _, metrics: judged.update(metrics) or True,
            seed=run.seed,
            precision=choose_precision(moved.images.device),
        )
    if average is not None:
        model = average.module
        judged |= validate(model, moved, choose_precision(moved.images.device))
    labels = data.labels[data.validation].numpy()
    confidence, correct = confidence_and_correct(judged["logits"], labels, judged["temperature"])
    figures = {name: judged[name] for name in ("accuracy", "nll", "nll_scaled", "temperature", "training_seconds")}
    figures |= {"ece": ece(confidence, correct), "coverage": coverage(confidence, correct)}
    return asdict(run) | figures | shifted(model, moved, labels, judged["temperature"])


@torch.inference_mode()
def shifted(
    model: torch.nn.Module, data: TrainingData, labels: np.ndarray[Any, Any], temperature: float
) -> dict[str, float]:
    """Accuracy and NLL under a fitted temperature of five readings of each image, moved by a pixel each way: their mean
    logits, the logarithm of their mean probabilities, and the mean logits where one reading is unsure alone."""
    model.eval()
    x = (to_float(data.images[data.validation]) - data.mean) / data.std  # [N, 1, 28, 28]
    readings = []
    for dy, dx in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)):
        moved = F.pad(x, (1, 1, 1, 1), mode="replicate")[:, :, 1 + dy : 29 + dy, 1 + dx : 29 + dx]
        parts = torch.split(moved.contiguous(memory_format=torch.channels_last), 1000)
        readings.append(torch.cat([model(part).float() for part in parts]))
    logits = torch.stack(readings)  # [5, N, C]
    unsure = (logits[0] / temperature).softmax(1).amax(1) < SURE  # [N]
    ways = {
        "logits": logits.mean(0),
        "probabilities": logits.softmax(2).mean(0).clamp_(min=1e-30).log(),
        "unsure": torch.where(unsure.unsqueeze(1), logits.mean(0), logits[0]),
    }
    found = {"unsure_passes": 1 + 4 * float(unsure.float().mean()), "single": accuracy(logits[0].cpu().numpy(), labels)}
    for name, mean in ways.items():
        values = mean.cpu().numpy()
        found[f"shifted_{name}"] = accuracy(values, labels)
        found[f"shifted_{name}_nll"] = nll(values, labels, fit_temperature(values, labels))
    return found


def coverage(confidence: np.ndarray[Any, Any], correct: np.ndarray[Any, Any]) -> float:
    """The largest share of images, surest first, with a share of wrong ones of at most RISK."""
    wrong = np.cumsum(~correct.astype(bool)[np.argsort(-confidence, kind="stable")])
    within = np.flatnonzero(wrong <= RISK * np.arange(1, len(wrong) + 1))
    return float(within[-1] + 1) / len(wrong) if len(within) else 0.0


def measure(arguments: argparse.Namespace) -> None:
    have = {key(row) for row in recorded(arguments.out)}
    runs = [
        run
        for seed in range(arguments.seeds)  # seed by seed: a run that is cut short has all recipes under some seeds
        for steps in arguments.steps
        for noise in arguments.noise
        for recipe in arguments.recipes
        if key(asdict(run := Run(arguments.family, arguments.warm_start, recipe, steps, noise, seed, arguments.device)))
        not in have
    ]
    if not runs:
        return
    started = time.perf_counter()
    with shared_gpus(torch.device(arguments.device)) as (environment, *_):
        os.environ.update(environment)
        for done, row in enumerate(parallel(runs, partial(trained, data=program_data()), arguments.workers), 1):
            append_jsonl(arguments.out, row)
            if done % 20 == 0 or done == len(runs):
                print(f"{done} of {len(runs)} runs after {time.perf_counter() - started:.0f} s", flush=True)


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in Run.__dataclass_fields__)


def recorded(path: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(path)) if path.exists() else []


# --- tables --------------------------------------------------------------------------------------------------------


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One block for each setting; differences are to the first recipe recorded in it, paired by seed, 95 % t."""
    lines: list[str] = []
    settings = {tuple(row[name] for name in ("family", "warm_start", "steps", "noise", "device")) for row in rows}
    for setting in sorted(settings):
        family, warm_start, steps, noise, device = setting
        lines += ["", f"{family} warm start {warm_start}, {steps} steps, {100 * noise:g} % wrong labels, {device}", ""]
        lines += [
            "| recipe | accuracy, % | difference | NLL, scaled | ECE, % | coverage, % | with shifts | seconds | seeds |"
        ]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        by_recipe: dict[str, dict[int, dict[str, Any]]] = {}
        for row in rows:
            if (*key(row)[:2], row["steps"], row["noise"], row["device"]) == setting:
                by_recipe.setdefault(row["recipe"], {})[row["seed"]] = row
        base = by_recipe.get("default") or next(iter(by_recipe.values()))
        for recipe, found in by_recipe.items():
            lines.append(f"| {recipe} | {' | '.join(cells(found, base))} | {len(found)} |")
    return "\n".join(lines)


def cells(found: dict[int, dict[str, Any]], base: dict[int, dict[str, Any]]) -> list[str]:
    def mean(name: str, scale: float = 1.0) -> float:
        return scale * statistics.fmean(row[name] for row in found.values())

    both = sorted(found.keys() & base.keys())
    gain = np.array([100 * (found[seed]["accuracy"] - base[seed]["accuracy"]) for seed in both])
    return [
        f"{mean('accuracy', 100):.3f}",
        "–" if found is base else interval(gain),
        f"{mean('nll_scaled'):.4f}",
        f"{mean('ece', 100):.2f}",
        f"{mean('coverage', 100):.1f}",
        interval(
            np.array([100 * (row["shifted_logits"] - row["single"]) for row in found.values() if "single" in row])
        ),
        f"{mean('training_seconds'):.1f}",
    ]


def interval(values: np.ndarray[Any, Any]) -> str:
    """Mean with the half of its 95 % t interval."""
    if len(values) < 2:
        return "–"
    half = special.stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.3f} ± {half:.3f}"


# --- cost ----------------------------------------------------------------------------------------------------------


def cost(arguments: argparse.Namespace) -> str:
    """Milliseconds of a step and, where it can be told, of its optimizer; all recipes in turn."""
    torch.set_num_threads(1)
    configs = [configuration(arguments.family, arguments.warm_start, recipe) for recipe in arguments.recipes]
    data = program_data().to(torch.device("cuda")) if arguments.device == "cuda" else None
    loops = [stepper(config, recipe) for config, recipe in zip(configs, arguments.recipes, strict=True)]
    turns: list[list[tuple[float, float]]] = [[] for _ in loops]
    for _ in range(arguments.cost):
        for found, loop, config, recipe in zip(turns, loops, configs, arguments.recipes, strict=True):
            if data is not None:
                found.append((recorded_step(data, config, recipe), 0.0))
                continue
            steps = [next(loop) for _ in range(20)]
            # The fastest half: what other processes on the machine take is in the others.
            found.append((_fast(whole for whole, _ in steps), _fast(own for _, own in steps)))
    lines = [
        machine(),
        "| recipe | a step, ms | its optimizer, ms | times the first recipe's step |",
        "|---|---|---|---|",
    ]
    for recipe, found in zip(arguments.recipes, turns, strict=True):
        whole, own = ([1000 * turn[side] for turn in found] for side in (0, 1))
        ratio = paired_ratio(whole, [1000 * turn[0] for turn in turns[0]], 3)
        lines.append(f"| {recipe} | {statistics.median(whole):.3f} | {statistics.median(own):.3f} | {ratio} |")
    return "\n".join(lines)


def recorded_step(data: TrainingData, config: dict[str, Any], recipe: str, steps: int = 1500) -> float:
    """Seconds of one step of a run without its beginning: the difference of a long run to one of a third of it."""

    def seconds(n: int) -> float:
        model = build_model(config, seed=0).to(data.images.device)
        with parts(recipe):
            return timed(lambda: (fit_steps(model, data, config, n, "bf16"), torch.cuda.synchronize())).wall

    return (seconds(steps) - seconds(steps // 3)) / (steps - steps // 3)


def _fast(seconds: Iterator[float]) -> float:
    found = sorted(seconds)
    return statistics.fmean(found[: max(1, len(found) // 2)])


def stepper(config: dict[str, Any], recipe: str) -> Iterator[tuple[float, float]]:
    model = build_model(config, 0).train()
    with parts(recipe):
        optimizer = build_optimizer(model, training_config(config))
    bf16 = choose_precision(torch.device("cpu")) == "bf16"
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(config["batch_size"], 1, 28, 28, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (config["batch_size"],), generator=generator)
    while True:
        started = cpu_seconds()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(x)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        before = cpu_seconds()
        with parts(recipe):
            optimizer.step()
        ended = cpu_seconds()
        optimizer.zero_grad(set_to_none=True)
        yield ended - started, ended - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--family", default="cnn")
    parser.add_argument("--warm-start", type=int, default=0)
    parser.add_argument("--recipes", nargs="+", default=list(DEFAULTS))
    parser.add_argument("--steps", type=int, nargs="+", default=[600])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cost", type=int, default=0, help="turns; measures the cost of a step and nothing else")
    parser.add_argument("--out", type=Path, default=RECORDED / "fewer_steps.jsonl")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    arguments = parser.parse_args()
    if arguments.cost:
        print(cost(arguments))
        return
    if not arguments.table:
        measure(arguments)
    print(machine() + table(recorded(arguments.out)))


if __name__ == "__main__":
    main()
