"""What a GPU trains: a recorded step against launching kernel by kernel, and several workers on one GPU. 4 minutes.

    python benchmarks/gpu.py [--turns 3] [--seconds 1] [--batch-sizes 128 512] [--workers 1 2 4 8 16] [--table]

The networks are the first warm start of each family, trained by `fit` on the 60,000 images of the training file,
without validation. All loops and numbers of workers take turns.

    launched    one process, every kernel of every step launched by itself
    recorded    one process, the step recorded once as a CUDA graph and replayed: what `fit` does on a GPU
    in turn     N worker processes as the program's executor starts them, each with the GPU to itself in its turn
    shared      the same under NVIDIA's Multi-Process Service, as the program starts it: what a study does

For workers a row holds the images of all of them over the time until the last one was done, building the network and
recording its step included. Where no GPU is, this says so and measures nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from _data import build_model, warm_configs
from _rows import RECORDED, Rows, machine, paired_ratio
from _speed import fit_steps, program_data

from study.execution.executors import ProcessExecutor
from study.execution.jobs import Finished, Job
from study.execution.sharing import shared_gpus
from study.records.run import Precision
from study.training import loop
from study.training.loop import TrainingData, choose_precision
from study.training.recorded import Step
from study.training.schedule import Schedule

KEY = ("family", "batch_size", "loop", "workers", "turn")
DEVICE = torch.device("cuda")
_WARM_UP_STEPS = 20


@contextlib.contextmanager
def launched() -> Iterator[None]:
    """Let `fit` launch every kernel."""

    def as_it_is(step: Step, generator: torch.Generator, batch_size: int) -> Step:
        return step

    with mock.patch.object(loop, "RecordedStep", as_it_is):
        yield


def one_process(
    data: TrainingData, config: dict[str, Any], steps: int, precision: Precision
) -> dict[str, Callable[[], float]]:
    def train() -> float:
        model = build_model(config, seed=0).to(DEVICE)
        torch.cuda.synchronize()
        started = time.perf_counter()
        fit_steps(model, data, config, steps, precision)
        return time.perf_counter() - started

    def train_launched() -> float:
        with launched():
            return train()

    return {"launched": train_launched, "recorded": train}


def together(executor: ProcessExecutor, config: dict[str, Any], steps: int) -> float:
    """Seconds until all workers have trained so many steps, each its own network."""
    started = time.perf_counter()
    for number in range(executor.n_workers):
        schedule = Schedule.whole(steps, steps)
        executor.submit(Job(str(number), config, number, schedule, "train+validation"))
    left = executor.n_workers
    while left:
        event = executor.next_event()
        if isinstance(event, Finished):
            if event.reason:
                raise SystemExit(f"a worker failed: {event.reason}")
            left -= 1
        elif event is not None:
            executor.answer(event.job, True)
    return time.perf_counter() - started


def add(rows: Rows, config: dict[str, Any], name: str, workers: int, turn: int, steps: int, seconds: float) -> None:
    examples = workers * steps * config["batch_size"]
    row = {"family": config["family"], "batch_size": config["batch_size"], "loop": name, "workers": workers}
    rows.add(
        row
        | {"turn": turn, "steps": steps, "seconds": round(seconds, 4), "images_per_second": round(examples / seconds)}
        | {"machine": machine()}
    )
    print(row["family"], row["batch_size"], name, workers, turn, round(examples / seconds), flush=True)


def measure(rows: Rows, arguments: argparse.Namespace) -> None:
    data, precision = program_data(), choose_precision(DEVICE)
    resident = data.to(DEVICE)
    configs = [
        warm_configs(family)[0] | {"batch_size": batch_size}
        for family in ("cnn", "mlp")
        for batch_size in arguments.batch_sizes
    ]
    steps: list[int] = []
    for config in configs:
        loops = one_process(resident, config, _WARM_UP_STEPS * 10, precision)
        for run in loops.values():
            run()
        steps.append(round(arguments.seconds * _WARM_UP_STEPS * 10 / loops["recorded"]()))
    for turn in range(arguments.turns):
        for config, n_steps in zip(configs, steps, strict=True):
            for name, run in one_process(resident, config, n_steps, precision).items():
                if not rows.has(config["family"], config["batch_size"], name, 1, turn):
                    add(rows, config, name, 1, turn, n_steps, run())
    for workers in arguments.workers:
        for name in ("in turn", "shared"):
            measure_workers(rows, arguments, data, precision, workers, name, list(zip(configs, steps, strict=True)))


def measure_workers(
    rows: Rows,
    arguments: argparse.Namespace,
    data: TrainingData,
    precision: Precision,
    workers: int,
    name: str,
    wanted: list[tuple[dict[str, Any], int]],
) -> None:
    with contextlib.ExitStack() as stack:
        started = time.perf_counter()
        environments = stack.enter_context(shared_gpus(DEVICE)) if name == "shared" else [{}]
        if name == "shared" and not all(environments):
            print("no Multi-Process Service here")
            return
        executor = stack.enter_context(
            ProcessExecutor(workers, data, device=str(DEVICE), precision=precision, environments=environments)
        )
        together(executor, wanted[0][0], _WARM_UP_STEPS)
        print(f"{workers} workers {name}: ready after {time.perf_counter() - started:.1f} s", flush=True)
        for turn in range(arguments.turns):
            for config, steps in wanted:
                if not rows.has(config["family"], config["batch_size"], name, workers, turn):
                    # As many steps in all as fill the time of one, were the GPU handed on in turn.
                    mine = max(_WARM_UP_STEPS, steps // max(1, workers // 2))
                    add(rows, config, name, workers, turn, mine, together(executor, config, mine))


def table(rows: Rows) -> str:
    found: dict[tuple[str, int], dict[tuple[str, int], list[float]]] = {}
    for row in rows.all():
        loops = found.setdefault((row["family"], row["batch_size"]), {})
        loops.setdefault((row["loop"], row["workers"]), []).append(row["images_per_second"])
    lines = [
        "| family | batch | loop | workers | images a second, median | times `launched` |",
        "|---|---|---|---|---|---|",
    ]
    for (family, batch_size), loops in found.items():
        base = loops.get(("launched", 1), [])
        for (name, workers), speeds in loops.items():
            ratio = paired_ratio(speeds, base) if len(speeds) == len(base) else ""
            middle = f"{statistics.median(speeds):,.0f}"
            lines.append(f"| {family} | {batch_size} | {name} | {workers} | {middle} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--out", type=Path, default=RECORDED / "gpu.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, run nothing")
    arguments = parser.parse_args()
    rows = Rows(arguments.out, KEY)
    if not arguments.table:
        if not torch.cuda.is_available():
            raise SystemExit("no GPU here: nothing measured")
        measure(rows, arguments)
    print(table(rows))


if __name__ == "__main__":
    main()
