"""How busy real processes are kept whose trials sleep: by this program, by Ray Tune and by Optuna's own way, in turn.

    python benchmarks/stand_ins.py [--workers 4 16] [--seconds 1] [--turns 2] [--each 20] [--table]

A trial sleeps so many seconds in five parts and reports after each, better each time, so that nobody prunes it. Its
configuration is drawn from the bundled CNN space: here by TPE, in the study's process over a worker process for each
trial at a time (SQLite, trials.jsonl); by Ray Tune at random, with ASHA, each trial an actor that is used again; by
Optuna in as many processes as there are workers, with TPE and successive halving over one PostgreSQL without fsync.
Each tool has `--each` trials for every worker. Utilisation is the share of the workers' time that is slept, between
the first and the last ends of as many trials as there are workers. Ray Tune wants `pip install "ray[tune]"`,
Optuna's way a PostgreSQL on this machine; without one of them it is left out, and said.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import driver_cost
import numpy as np
import optuna
from _rows import RECORDED, Rows, machine
from _trials import BEST_INVENTED, _Draw

from study.execution.executors import PipeExecutor, PipeWorker
from study.execution.jobs import Job, OnRung, Outcome, RungMetrics, Validation
from study.execution.processes import start_process
from study.execution.worker import serve
from study.records.paths import StudyFiles
from study.records.trial import read_trials
from study.search.driver import Search
from study.search.storage import open_storage, quiet_experimental, storage_url
from study.search.turns import Limits
from study.space.sampling import find_space, sample

EXAMPLES = driver_cost.LADDER.examples


@dataclass(frozen=True)
class StandIn:
    """A trial that sleeps, and notes its end in `log`."""

    log: str
    seconds: float

    def run(self, report: Callable[[int, float], None]) -> None:
        for examples in EXAMPLES:
            time.sleep(self.seconds / len(EXAMPLES))
            if examples == EXAMPLES[-1]:  # who is told the last value may end the process
                with Path(self.log).open("a", encoding="utf-8") as stream:
                    stream.write(f"{time.time()}\n")
            report(examples, BEST_INVENTED + 1e-8 * (time.time() % 100_000))


# --- this program ----------------------------------------------------------------------------------------------------


class Sleepers(PipeExecutor):
    """Workers are processes that sleep in place of training."""

    def __init__(self, n_workers: int, trial: StandIn) -> None:
        self._trial = trial
        super().__init__(n_workers, self._start_process)

    def _start_process(self, number: int) -> PipeWorker:
        ours, theirs = multiprocessing.Pipe()
        process = start_process(sleep, (theirs, self._trial), f"worker-{number}")
        theirs.close()

        def end() -> int | None:
            ours.close()
            process.join()
            return process.exitcode

        return PipeWorker(number, ours, end, process.sentinel)


def sleep(connection: Connection, trial: StandIn) -> None:
    def work(_: Job, on_rung: OnRung) -> Outcome:
        def report(examples: int, value: float) -> None:
            on_rung(examples, RungMetrics(0.1, 0.01, trial.seconds, Validation(value, 0.03, 0.02, 0.8)))

        trial.run(report)
        return Outcome(100_000, 5_000_000, trial.seconds)

    serve(connection, work)


def with_this(n_workers: int, trial: StandIn, n_trials: int, folder: Path) -> None:
    files = StudyFiles(folder / "study")
    files.root.mkdir()
    storage = open_storage(storage_url(files, None))
    with Sleepers(n_workers, trial) as executor:
        search = Search(files, driver_cost.make_settings(), storage, read_trials(files.trials_jsonl))
        search.run(executor, Limits(n_trials=n_trials), lambda *_: None)
    storage.engine.dispose()


# --- others ----------------------------------------------------------------------------------------------------------


def with_ray_tune(n_workers: int, trial: StandIn, n_trials: int, folder: Path) -> None:
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    space, rng = find_space(driver_cost.FAMILY), np.random.default_rng(0)

    def draw(_: object) -> dict[str, Any]:
        return sample(space, _Draw(rng, {}))

    def trainable(_: dict[str, Any]) -> None:
        trial.run(lambda examples, value: tune.report({"examples": examples, "accuracy": value}))

    scheduler = ASHAScheduler(time_attr="examples", max_t=EXAMPLES[-1], grace_period=EXAMPLES[0], reduction_factor=3)
    ray.init("local", num_cpus=n_workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"drawn": tune.sample_from(draw)},
            tune_config=tune.TuneConfig(
                metric="accuracy", mode="max", num_samples=n_trials, scheduler=scheduler, reuse_actors=True
            ),
            run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
        ).fit()
    finally:
        ray.shutdown()


def with_optuna(n_workers: int, trial: StandIn, n_trials: int, folder: Path) -> None:
    from postgresql import running_server

    with running_server() as server:
        url = server.url()
        optuna.create_study(study_name="stand-ins", storage=url, direction="maximize")
        processes = [
            start_process(optimize, (url, trial, n_trials, seed), f"optuna-{seed}") for seed in range(n_workers)
        ]
        for process in processes:
            process.join()


def optimize(url: str, trial: StandIn, n_trials: int, seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = find_space(driver_cost.FAMILY)
    with quiet_experimental():
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=EXAMPLES[0], reduction_factor=3)
    study = optuna.load_study(study_name="stand-ins", storage=url, sampler=sampler, pruner=pruner)

    def objective(asked: optuna.Trial) -> float:
        sample(space, asked)
        seen = [0.0]

        def report(examples: int, value: float) -> None:
            seen[0] = value
            asked.report(value, examples)
            asked.should_prune()

        trial.run(report)
        return seen[0]

    study.optimize(objective, callbacks=[optuna.study.MaxTrialsCallback(n_trials, states=None)])


TOOLS: dict[str, Callable[[int, StandIn, int, Path], None]] = {
    "this program": with_this,
    "Ray Tune": with_ray_tune,
    "Optuna": with_optuna,
}


def missing(tool: str) -> str | None:
    """Why a tool cannot be measured here."""
    if tool == "Ray Tune" and not all(map(importlib.util.find_spec, ("ray", "pyarrow", "tensorboardX"))):
        return 'not installed: pip install "ray[tune]"'
    if tool == "Optuna":
        import postgresql

        return str(postgresql.missing() or "") or None
    return None


# --- measured --------------------------------------------------------------------------------------------------------


def measure(tool: str, n_workers: int, seconds: float, each: int, parent: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="stand-ins-", dir=parent) as name:
        log = Path(name).resolve() / "ends"
        began = time.monotonic()
        TOOLS[tool](n_workers, StandIn(str(log), seconds), each * n_workers, log.parent)
        wall = time.monotonic() - began
        ends = sorted(map(float, log.read_text(encoding="utf-8").split()))
    inside = ends[n_workers - 1 : len(ends) - n_workers]
    per_second = (len(inside) - 1) / (inside[-1] - inside[0])
    return {
        "utilisation": round(per_second * seconds / n_workers, 3),
        "trials_per_second": round(per_second, 2),
        "wall": round(wall, 1),
        "trials": len(ends),
    }


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Of each tool's turns the utilisation, and the seconds of the whole from start to end."""
    for n_workers, seconds in dict.fromkeys((row["workers"], row["seconds"]) for row in rows):
        for tool in TOOLS:
            turns = [row for row in rows if (row["tool"], row["workers"], row["seconds"]) == (tool, n_workers, seconds)]
            used, walls = (", ".join(f"{row[name]:g}" for row in turns) for name in ("utilisation", "wall"))
            ideal = turns[0]["trials"] * seconds / n_workers if turns else 0.0
            print(f"| {n_workers} × {seconds:g} s | {tool} | {used or '–'} | {walls or '–'} (ideal {ideal:g}) |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--each", type=int, default=20, help="trials for every worker (default: 20)")
    parser.add_argument("--folder", type=Path, default=Path("results"), help="for the studies (default: results)")
    parser.add_argument("--out", type=Path, default=RECORDED / "stand_ins.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    rows = Rows(options.out, ("tool", "workers", "seconds", "turn"))
    if not options.table:
        sys.path.append(str(Path(__file__).parent.parent / "tests"))  # for the server
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        options.folder.mkdir(parents=True, exist_ok=True)
        absent = {tool: why for tool in TOOLS if (why := missing(tool)) is not None}
        for tool, why in absent.items():
            print(f"{tool} is left out: {why}", flush=True)
        for turn, n_workers, seconds in itertools.product(range(options.turns), options.workers, options.seconds):
            for tool in TOOLS:
                if tool in absent or rows.has(tool, n_workers, seconds, turn):
                    continue
                found = measure(tool, n_workers, seconds, options.each, options.folder)
                cell = {"tool": tool, "workers": n_workers, "seconds": seconds, "turn": turn}
                rows.add(cell | found | {"machine": machine(), "load": round(os.getloadavg()[0], 1)})
                print(cell, found, flush=True)
    print_table(rows.all())


if __name__ == "__main__":
    import stand_ins  # under the name by which the processes that it starts find it

    stand_ins.main()
