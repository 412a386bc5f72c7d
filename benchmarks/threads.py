"""One thread each on many runs, or many threads on one run? Networks of rising size. About 10 minutes.

    python benchmarks/threads.py [--turns 5] [--seconds 1] [--threads N] [--batch-sizes 64 256 1024] [--table]

N is the number of cores unless given. For each network and batch size, in turn, the milliseconds per step of `fit`:

    alone       one run of one thread
    together    N runs of one thread each, started at once, until the last one ends
    shared      one run of N threads

"speed-up of one run" is alone / shared: what N threads bring to somebody who waits for a single run. "N runs" is
N x shared / together: how much sooner N runs end side by side, one thread each, than one after the other on all
threads; above 1 one thread a worker wins. The rule of thumb looks for the floating-point operations per step (forward
and backward, counted as three times forward) above which the one or the other beats 1.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing
from _data import build_model, precision
from _rows import RECORDED, Rows, machine
from _speed import Seconds, fit_steps, program_data, timed

from study.models import flops_per_image
from study.stages.cores import available_cores
from study.training.config import build_model as build
from study.training.loop import TrainingData

KEY = ("threads", "family", "width", "batch_size", "turn")
WIDTHS = {"mlp": (128, 256, 512, 1024, 2048), "cnn": (8, 16, 32, 64)}
TRAINING = {"optimizer": "adamw", "learning_rate": 1e-3, "augmentation": "affine", "augmentation_strength": 0.5}
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"depth": 2, "activation": "relu", "normalisation": "batch", "dropout": 0.0},
    "cnn": {
        "stages": 3,
        "convs_per_stage": 1,
        "growth": 2.0,
        "kernel_size": 3,
        "activation": "relu",
        "normalisation": "batch",
        "pooling": "max",
        "stem": "plain",
        "residual": False,
        "head": "global",
        "dropout": 0.0,
    },
}
WARM_UP_STEPS = 3


def network(family: str, width: int, batch_size: int) -> dict[str, Any]:
    widths = [width] * MODELS["mlp"]["depth"] if family == "mlp" else width
    return {"family": family, "width": widths, "batch_size": batch_size, **MODELS[family], **TRAINING}


def serve(connection: Connection, data: TrainingData, threads: int) -> None:
    """A process of `threads` torch threads: times what it is sent, until nobody is left to send. It gets a task, says
    that it is ready, and starts on the answer."""
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, OSError):
        while True:
            config, steps = connection.recv()
            fit_steps(build_model(config, seed=0), data, config, WARM_UP_STEPS, precision())
            model = build_model(config, seed=0)
            connection.send("ready")
            connection.recv()
            connection.send(timed(partial(fit_steps, model, data, config, steps, precision())))


class Bench:
    """N processes of one thread, and one of N; those without a task sleep."""

    def __init__(self, threads: int, data: TrainingData) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self._processes = []
        self._connections = []
        for own_threads in [1] * threads + [threads]:
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, data, own_threads), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)

    def alone(self, config: dict[str, Any], steps: int) -> Seconds:
        return self._run(self._connections[:1], config, steps)[0]

    def shared(self, config: dict[str, Any], steps: int) -> Seconds:
        return self._run(self._connections[-1:], config, steps)[0]

    def together(self, config: dict[str, Any], steps: int) -> Seconds:
        """Until the last one ends; computing as the mean of one."""
        each = self._run(self._connections[:-1], config, steps)
        return Seconds(max(one.wall for one in each), statistics.fmean(one.cpu for one in each))

    def _run(self, connections: Sequence[Any], config: dict[str, Any], steps: int) -> list[Seconds]:
        for connection in connections:
            connection.send((config, steps))
        for connection in connections:
            connection.recv()
        for connection in connections:
            connection.send("go")
        return [connection.recv() for connection in connections]

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join()


def measure(rows: Rows, arguments: argparse.Namespace) -> None:
    wanted = [
        (family, width, batch_size)
        for family in arguments.families
        for width in WIDTHS[family]
        if width <= arguments.max_width
        for batch_size in arguments.batch_sizes
    ]
    if all(rows.has(arguments.threads, *one, turn) for one in wanted for turn in range(arguments.turns)):
        return
    bench = Bench(arguments.threads, program_data())
    try:
        for one in wanted:
            measure_one(rows, arguments, bench, one)
    finally:
        bench.close()


def measure_one(rows: Rows, arguments: argparse.Namespace, bench: Bench, one: tuple[str, int, int]) -> None:
    config = network(*one)
    flops = 3 * flops_per_image(build(config, 10)) * config["batch_size"]
    steps = 0
    for turn in range(arguments.turns):
        if rows.has(arguments.threads, *one, turn):
            continue
        steps = steps or max(3, round(3 * arguments.seconds / bench.alone(config, 3).wall))
        ways = {"alone": bench.alone, "together": bench.together, "shared": bench.shared}
        order = [*ways][turn % 3 :] + [*ways][: turn % 3]
        found = {way: ways[way](config, steps) for way in order}
        key = dict(zip(KEY, (arguments.threads, *one, turn), strict=True))
        wall = {f"{way}_ms": round(1000 * found[way].wall / steps, 4) for way in ways}
        cpu = {f"{way}_cpu_ms": round(1000 * found[way].cpu / steps, 4) for way in ways}
        rows.add({**key, "flops_per_step": flops, "steps": steps, **wall, **cpu})
        print(*key.values(), *(f"{name} {value:.2f}" for name, value in wall.items()), flush=True)


def speed_up(row: dict[str, Any]) -> float:
    return float(row["alone_ms"] / row["shared_ms"])


def side_by_side(row: dict[str, Any]) -> float:
    return float(row["threads"] * row["shared_ms"] / row["together_ms"])


def threshold(flops: Sequence[float], wins: Sequence[bool]) -> tuple[float, int] | None:
    """The operations per step that tell winners (from there on) from losers with the fewest errors, and how many lines
    it gets wrong; None where "never" has as few. Between two lines it is their geometric mean."""
    ordered = sorted(zip(flops, wins, strict=True))
    errors = [
        sum(win for _, win in ordered[:cut]) + sum(not win for _, win in ordered[cut:])
        for cut in range(len(ordered) + 1)
    ]
    cut = errors.index(min(errors))
    if errors[cut] == errors[-1]:
        return None
    value = ordered[0][0] if cut == 0 else (ordered[cut - 1][0] * ordered[cut][0]) ** 0.5
    return value, errors[cut]


def rule(lines: list[tuple[dict[str, Any], float, float]], threads: int) -> list[str]:
    """Thresholds over all lines and per family: a run of N threads is faster than one of a thread; it is faster by
    half; and such runs one after another even beat N side by side."""
    texts = ["", f"{threads} threads on one run: million operations per step from which on (lines told wrongly)"]
    texts.append(f"{'lines':<10}{'faster than one thread':>26}{'1.5 times as fast':>26}{'beats runs side by side':>26}")
    for name in ["all", *sorted({row["family"] for row, _, _ in lines})]:
        own = [line for line in lines if name in ("all", line[0]["family"])]
        flops = [row["flops_per_step"] for row, _, _ in own]
        cells = []
        for wins in ([up > 1 for _, up, _ in own], [up >= 1.5 for _, up, _ in own], [side < 1 for _, _, side in own]):
            found = threshold(flops, wins)
            cells.append("never" if found is None else f"{found[0] / 1e6:,.0f} ({found[1]} of {len(own)})")
        texts.append(f"{name:<10}" + "".join(f"{cell:>26}" for cell in cells))
    return texts


def median_and_range(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def table(rows: Rows) -> str:
    found = rows.all()
    lines = [machine()]
    for threads in sorted({row["threads"] for row in found}):
        lines += ["", f"N = {threads}; {precision()}; milliseconds per step, medians over turns; ratios with range"]
        lines.append(
            f"{'family':<7}{'width':>6}{'batch':>7}{'MFLOP/step':>12}{'alone':>9}{'together':>10}{'shared':>9}"
            f"{'speed-up of one run':>24}{'N runs':>24}"
        )
        summed = []
        ours = [row for row in found if row["threads"] == threads]
        networks = {(row["family"], row["flops_per_step"], row["width"], row["batch_size"]) for row in ours}
        for family, flops, width, batch_size in sorted(networks):
            own = [
                row for row in ours if (row["family"], row["width"], row["batch_size"]) == (family, width, batch_size)
            ]
            ups, sides = [speed_up(row) for row in own], [side_by_side(row) for row in own]
            alone, together, shared = (
                statistics.median(row[f"{way}_ms"] for row in own) for way in ("alone", "together", "shared")
            )
            lines.append(
                f"{family:<7}{width:>6}{batch_size:>7}{flops / 1e6:>12,.0f}{alone:>9.2f}{together:>10.2f}{shared:>9.2f}"
                f"{median_and_range(ups):>24}{median_and_range(sides):>24}"
            )
            summed.append((own[0], statistics.median(ups), statistics.median(sides)))
        lines += rule(summed, threads)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Threads on one run against runs of one thread.")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a run of one thread alone")
    parser.add_argument("--threads", type=int, default=available_cores(), help="N: how many threads, how many runs")
    parser.add_argument("--families", nargs="+", default=["mlp", "cnn"], choices=list(WIDTHS))
    parser.add_argument("--max-width", type=int, default=2048)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--out", type=Path, default=RECORDED / "threads.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    arguments = parser.parse_args()
    rows = Rows(arguments.out, KEY)
    if not arguments.table:
        measure(rows, arguments)
    print(table(rows))


if __name__ == "__main__":
    main()
