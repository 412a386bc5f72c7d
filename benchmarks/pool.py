"""A pool of random configurations, each trained at several lengths in four ways, for ladder.py and replay.py.

    nice python benchmarks/pool.py --ways whole,restarts --workers 2
    nice python benchmarks/pool.py --ways cooldown,ema --count 30 --workers 2
    nice python benchmarks/pool.py --ways whole,restarts --warm --workers 2
    python benchmarks/pool.py --table

100 configurations a family, uniform from the bundled space (numbered 0 to 99; -1 and -2 are its warm starts). Full
length is F = 2 epochs of 40,000 images; rungs are F/27, F/9, F/3 and F. One row for each rung of each way:

    whole      a fresh run of exactly the rung's length, one annealed cycle
    curve      the values of the F run of `whole` at every F/9, on a third of the validation images
    restarts   one run with a cycle of the learning rate up to each rung (warm restarts)
    cooldown   one run at a constant rate; at each rung up to F/3 a copy of weights and optimizer state goes on for
               another 20 % of the rung's examples while the rate falls linearly to 0, and is judged
    ema        on that run, a moving average of the weights over the last tenth of the rung's steps

Each run has its own seed, so that a rung predicts a configuration and not the luck of one initialisation.

`value` is accuracy on all 10,000 validation images, `value_part` on those that a rung of the program would read,
`dev_test` on 10,000 images that are in neither part. `examples`, `cpu_seconds` and `wall_seconds` count training
without judging: for `whole` of that run alone, otherwise of everything up to that rung, of `cooldown` all its copies
included. A run that fails has a status that says why, and from there on no values but the examples up to the failure.
Rows go to recorded/pool.csv, the configurations beside it; a killed recording goes on with the same command.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _data import build_model, cpu_seconds, dev_data, parallel, precision, random_configs, warm_configs
from _rows import RECORDED, Rows, machine, spread
from torch import Tensor, nn

from study.data.augment import augment, to_float
from study.errors import TrainingError
from study.records.files import write_text
from study.seeds import derive_seed
from study.statistics.logits import accuracy
from study.training.config import TrainingConfig, training_config
from study.training.loop import TrainingData, fit, predict_logits, validate
from study.training.optim import build_optimizer, learning_rate_factor, set_learning_rate
from study.training.schedule import Schedule

FULL = 80_000  # examples
RUNGS = tuple(round(FULL / share) for share in (27, 9, 3, 1))
TRUNK_RUNGS = RUNGS[:3]
CURVE = tuple(round(FULL * mark / 9) for mark in range(1, 10))
WAYS = ("whole", "restarts", "cooldown", "ema")
N_CONFIGS = 100
CONFIG_SEED = 0
COOLDOWN = 0.2  # of a rung's examples
HORIZON = 0.1  # of a rung's steps
KEY = ("family", "number", "way", "rung")
_ALL_BUT_ONE = 10_000  # a stride: `fit` looks at one validation image, and the benchmark judges outside its clock
_CURVE_STRIDE = 3
_CHECK_EVERY = 50

Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One run: `way` is "trunk" for cooldown and ema, which share it; `rung` is the length of a `whole` run."""

    family: str
    number: int
    way: str
    rung: int
    config: dict[str, Any]

    @property
    def seed(self) -> int:
        # Of a number below 0, as warm starts have, no seed can be derived.
        return derive_seed(CONFIG_SEED, self.family, self.number % 1000, f"pool {self.way} {self.rung}")

    @property
    def keys(self) -> list[tuple[str, int, str, int]]:
        """What its rows are called."""
        if self.way == "whole":
            curve = [("curve", rung) for rung in CURVE] if self.rung == FULL else []
            names = [*curve, ("whole", self.rung)]
        elif self.way == "restarts":
            names = [("restarts", rung) for rung in RUNGS]
        else:
            names = [(way, rung) for rung in TRUNK_RUNGS for way in ("cooldown", "ema")]
        return [(self.family, self.number, way, rung) for way, rung in names]


def record(task: Task, data: TrainingData, dev_test: Tensor) -> list[Row]:
    """The rows of a run, those of its failure included."""
    _warm_up(task.family, data)
    rows: list[Row] = []
    try:
        if task.way == "trunk":
            _record_trunk(task, data, dev_test, rows)
        else:
            _record_fit(task, data, dev_test, rows)
    except TrainingError as error:
        made = {(row["way"], row["rung"]) for row in rows}
        left = [key[2:] for key in task.keys if key[2:] not in made]
        # A loss that is not finite is said with its step; a logit that is not, when a rung is judged.
        step = re.search(r"by step (\d+)", str(error))
        examples = int(step[1]) * task.config["batch_size"] if step else left[0][1]
        rows += [_row(task, way, rung, status=f"failed: {error}", examples=examples) for way, rung in left]
    return rows


@functools.cache
def _warm_up(family: str, data: TrainingData) -> None:
    """A process's first batch pays for things loaded late; no recorded run should."""
    config = warm_configs(family)[0]
    fit(build_model(config, 0), data, training_config(config), Schedule((2,), ()), lambda *_: True, seed=0)


def _row(task: Task, way: str, rung: int, *, status: str = "ok", **figures: float) -> Row:
    columns = ("value", "value_part", "nll_scaled", "dev_test", "examples", "cpu_seconds", "wall_seconds")
    rounded = {name: _rounded(figures[name]) if name in figures else None for name in columns}
    return {"family": task.family, "number": task.number, "way": way, "rung": rung, **rounded, "status": status}


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.5g}")


def _judge(model: nn.Module, data: TrainingData, dev_test: Tensor, rung: int) -> dict[str, float]:
    found = validate(model, data, precision())
    logits = predict_logits(model, data, dev_test, precision())
    stride = min(9, FULL // rung)  # as in Schedule.rungs
    labels = data.labels[data.validation].numpy()
    return {
        "value": found["accuracy"],
        "value_part": accuracy(found["logits"][::stride], labels[::stride]),
        "nll_scaled": found["nll_scaled"],
        "dev_test": accuracy(logits, data.labels[dev_test].numpy()),
    }


def _record_fit(task: Task, data: TrainingData, dev_test: Tensor, rows: list[Row]) -> None:
    """`whole` with its curve, or `restarts`, by the program's own loop."""
    config = training_config(task.config)
    names, schedule = _schedule(task, config.batch_size)
    model = build_model(task.config, task.seed)
    judging_cpu, began_cpu = 0.0, cpu_seconds()

    def on_mark(examples: int, metrics: dict[str, Any]) -> bool:
        nonlocal judging_cpu
        stopped = cpu_seconds()
        cost = {
            "examples": examples,
            "cpu_seconds": stopped - began_cpu - judging_cpu,
            "wall_seconds": metrics["training_seconds"],
        }
        for way, rung in names.pop(0):
            if way == "curve":
                value = validate(model, data, precision(), _CURVE_STRIDE)
                rows.append(_row(task, way, rung, value=value["accuracy"], nll_scaled=value["nll_scaled"], **cost))
            else:
                rows.append(_row(task, way, rung, **_judge(model, data, dev_test, rung), **cost))
        judging_cpu += cpu_seconds() - stopped
        return True

    fit(model, data, config, schedule, on_mark, seed=task.seed, precision=precision())


def _schedule(task: Task, batch_size: int) -> tuple[list[list[tuple[str, int]]], Schedule]:
    """The rows due at each mark, and the schedule."""
    if task.way == "restarts":
        schedule = Schedule.rungs(RUNGS, batch_size)
        names = [[("restarts", rung)] for rung in RUNGS]
        return names, Schedule(schedule.cycles, schedule.marks, (_ALL_BUT_ONE,) * len(RUNGS))
    steps = max(1, round(task.rung / batch_size))
    if task.rung < FULL:
        return [[("whole", task.rung)]], Schedule((steps,), (steps,), (_ALL_BUT_ONE,))
    names = [[("curve", rung)] for rung in CURVE]
    names[-1].append(("whole", FULL))
    marks = tuple(round(steps * (mark + 1) / 9) for mark in range(9))
    return names, Schedule((steps,), marks, (_ALL_BUT_ONE,) * 9)


class Run:
    """A training at rates given from outside, one step at a time, that can be copied: `fit` cannot."""

    def __init__(self, config: TrainingConfig, model: nn.Module, data: TrainingData, seed: int) -> None:
        self.model = model
        self.step = 0
        self.optimizer = build_optimizer(model, config)
        self._config, self._data = config, data
        self._generator = torch.Generator().manual_seed(seed)
        self._batches = self._endless()
        self._loss_sum = torch.zeros(())

    def _endless(self) -> Iterator[Tensor]:
        train = self._data.train
        while True:
            order = train[torch.randperm(len(train), generator=self._generator)]
            whole = len(order) // self._config.batch_size * self._config.batch_size
            yield from torch.split(order[:whole], self._config.batch_size)

    def copy(self, seed: int) -> Run:
        twin = Run(self._config, copy.deepcopy(self.model), self._data, seed)
        twin.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
        return twin

    def train(self, factors: Sequence[float], average: Average | None = None) -> None:
        """A step for each factor on the peak rate. TrainingError when the loss is not finite."""
        config, data = self._config, self._data
        self.model.train()
        for position, factor in enumerate(factors, 1):
            index = next(self._batches)
            x = augment(
                to_float(data.images.index_select(0, index)),
                config.augmentation,
                config.augmentation_strength,
                self._generator,
            )
            x = x.sub_(data.mean).mul_(1 / data.std).contiguous(memory_format=torch.channels_last)  # [B, 1, 28, 28]
            set_learning_rate(self.optimizer, config.learning_rate * factor)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bf16"):
                logits = self.model(x)  # [B, C]
            loss = F.cross_entropy(logits.float(), data.labels[index], label_smoothing=config.label_smoothing)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self._loss_sum += loss.detach()
            self.step += 1
            if (self.step % _CHECK_EVERY == 0 or position == len(factors)) and not math.isfinite(self._loss_sum):
                raise TrainingError(f"the training loss is not finite by step {self.step}")
            if average is not None:
                average.update()


class Average:
    """An exponential moving average of a model's weights and of the statistics of its normalisations."""

    def __init__(self, model: nn.Module, horizon: float) -> None:
        self.model = copy.deepcopy(model)
        self._weight = 1 / max(1.0, horizon)
        self._pairs = [
            (mine, theirs)
            for mine, theirs in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
            if mine.is_floating_point()
        ]
        self.cpu_seconds = 0.0
        self.wall_seconds = 0.0

    def update(self) -> None:
        cpu, wall = cpu_seconds(), time.perf_counter()
        mine, theirs = ([pair[side] for pair in self._pairs] for side in (0, 1))
        torch._foreach_lerp_(mine, theirs, self._weight)
        self.cpu_seconds += cpu_seconds() - cpu
        self.wall_seconds += time.perf_counter() - wall


def _record_trunk(task: Task, data: TrainingData, dev_test: Tensor, rows: list[Row]) -> None:
    """A run at a constant rate, judged at each rung by a cooled-down copy and by the average of its weights."""
    config = training_config(task.config)
    run = Run(config, build_model(task.config, task.seed), data, task.seed)
    ends = Schedule.rungs(TRUNK_RUNGS, config.batch_size).marks
    warm_steps = round(config.warmup * ends[0]) if config.schedule == "one_cycle" else 0
    factors = [
        learning_rate_factor("one_cycle", config.warmup, step / ends[0]) if step < warm_steps else 1.0
        for step in range(ends[-1])
    ]
    spent = {way: _Cost() for way in ("trunk", "cooldown", "ema")}
    for rung, end in zip(TRUNK_RUNGS, ends, strict=True):
        # What went before the last rung would weigh exp(-6) in it.
        average = Average(run.model, HORIZON * end)
        with spent["trunk"]:
            run.train(factors[run.step : end], average)
        spent["ema"].add(average.cpu_seconds, average.wall_seconds)
        spent["trunk"].add(-average.cpu_seconds, -average.wall_seconds)
        examples = run.step * config.batch_size

        def cost(way: str, examples: int = examples) -> dict[str, float]:
            both = spent["trunk"], spent[way]
            return {
                "examples": examples + spent[way].examples,
                "cpu_seconds": sum(part.cpu for part in both),
                "wall_seconds": sum(part.wall for part in both),
            }

        _try(rows, task, "ema", rung, average.model, data, dev_test, cost("ema"))
        steps = max(1, round(COOLDOWN * end))
        spent["cooldown"].examples += steps * config.batch_size
        try:
            with spent["cooldown"]:
                twin = run.copy(derive_seed(CONFIG_SEED, task.family, rung, f"pool cooldown {task.seed}"))
                twin.train([1 - (step + 1) / (steps + 1) for step in range(steps)])
        except TrainingError as error:
            rows.append(_row(task, "cooldown", rung, status=f"failed: {error}", **cost("cooldown")))
        else:
            _try(rows, task, "cooldown", rung, twin.model, data, dev_test, cost("cooldown"))


def _try(
    rows: list[Row],
    task: Task,
    way: str,
    rung: int,
    model: nn.Module,
    data: TrainingData,
    dev_test: Tensor,
    cost: dict[str, float],
) -> None:
    """Judge a copy; the run that it was taken from may go on when it fails."""
    try:
        rows.append(_row(task, way, rung, **_judge(model, data, dev_test, rung), **cost))
    except TrainingError as error:
        rows.append(_row(task, way, rung, status=f"failed: {error}", **cost))


class _Cost:
    """A clock that runs inside its block."""

    def __init__(self) -> None:
        self.cpu, self.wall, self.examples = 0.0, 0.0, 0

    def add(self, cpu: float, wall: float) -> None:
        self.cpu += cpu
        self.wall += wall

    def __enter__(self) -> None:
        self._began = cpu_seconds(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.add(cpu_seconds() - self._began[0], time.perf_counter() - self._began[1])


def pool_configs(out: Path, family: str) -> dict[int, dict[str, Any]]:
    """The pool's configurations by number: those recorded beside its rows, so that a space that changed since changes
    no pool; drawn and recorded if there are none."""
    path = out.with_name(f"{out.stem}_{family}_configs.jsonl")
    if not path.exists():
        numbered = [*enumerate(random_configs(family, N_CONFIGS, CONFIG_SEED))]
        numbered += [(-1 - index, config) for index, config in enumerate(warm_configs(family))]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(json.dumps({"number": number, **config}) + "\n" for number, config in numbered))
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {record.pop("number"): record for record in records}


def tasks_left(rows: Rows, out: Path, arguments: argparse.Namespace) -> list[Task]:
    """Configuration by configuration, the families in turn: a recording that is cut short serves all the same."""
    ways = arguments.ways.split(",")
    if unknown := set(ways) - set(WAYS):
        raise SystemExit(f"--ways {','.join(sorted(unknown))}: expected some of {','.join(WAYS)}")
    configs = {family: pool_configs(out, family) for family in arguments.families.split(",")}
    numbers = range(arguments.first, arguments.first + arguments.count)
    found = []
    for number in (-1, -2) if arguments.warm else numbers:
        for family in configs:
            names = [("whole", rung) for rung in reversed(RUNGS)] if "whole" in ways else []
            names += [("restarts", FULL)] if "restarts" in ways else []
            names += [("trunk", TRUNK_RUNGS[-1])] if {"cooldown", "ema"} & set(ways) else []
            found += [Task(family, number, way, rung, configs[family][number]) for way, rung in names]
    return [task for task in found if not all(rows.has(*key) for key in task.keys)]


def table(rows: list[Row]) -> None:
    print(f"{'family':<8}{'way':<10}{'rung':>7}{'ok':>5}{'failed':>8}{'value, %':>28}{'CPU seconds':>30}")
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["family"], row["way"], row["rung"]), []).append(row)
    for (family, way, rung), group in sorted(groups.items(), key=lambda item: item[0]):
        ok = [row for row in group if row["status"] == "ok"]
        values = spread([100 * row["value"] for row in ok], 2)
        seconds = spread([row["cpu_seconds"] for row in ok], 2)
        print(f"{family:<8}{way:<10}{rung:>7}{len(ok):>5}{len(group) - len(ok):>8}{values:>28}{seconds:>30}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Records a pool of random configurations.")
    parser.add_argument("--ways", default="whole,restarts", help=f"some of {','.join(WAYS)}")
    parser.add_argument("--families", default="cnn,mlp")
    parser.add_argument("--first", type=int, default=0, help="number of the first configuration")
    parser.add_argument("--count", type=int, default=N_CONFIGS)
    parser.add_argument("--warm", action="store_true", help="the spaces' warm starts, instead of --first and --count")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--out", type=Path, default=RECORDED / "pool.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, record nothing")
    arguments = parser.parse_args()
    rows = Rows(arguments.out, KEY)
    if not arguments.table:
        tasks = tasks_left(rows, arguments.out, arguments)
        data, dev_test = dev_data()
        print(f"{machine()}, {precision()}; {len(tasks)} runs to do", flush=True)
        work = functools.partial(record, data=data, dev_test=dev_test)
        began = time.perf_counter()
        for done, found in enumerate(parallel(tasks, work, arguments.workers), 1):
            for row in found:
                if not rows.has(*(row[name] for name in KEY)):
                    rows.add(row)
            last = found[-1]
            left = (time.perf_counter() - began) / done * (len(tasks) - done)
            print(
                f"{done}/{len(tasks)} {last['family']} {last['number']} {last['way']} {last['rung']}: {last['value']} "
                f"{last['status']}, {left / 60:.0f} min left",
                flush=True,
            )
    table(rows.all())


if __name__ == "__main__":
    main()
