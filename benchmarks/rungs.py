"""Ladders and proposals, one against the other: what the program's search finds, in processor seconds.

    python benchmarks/rungs.py [--seconds 30] [--final 8] [--seeds 5] [--families mlp,cnn] [--ways examples,seconds]
    python benchmarks/rungs.py --table         # only prints what is recorded

    program     as the program without its surrogate: rungs of equal seconds, the first no shorter than a fifth of an
                epoch unless only two fit; every other proposal changes one choice of one of the three best trials; on
                as many images as a trial sees as often as the run that is judged sees all
    all         the same on all images, as the program until 27 November
    alone       that with all proposals by TPE
    seconds     all proposals by TPE, the first rung no shorter than a tenth of an epoch
    examples    the same with rungs of equal examples
    6250-18750  as the program with these rungs, in examples, on three tenths of the images; others likewise

A minute and a half for each search and its run on a quiet core. Nothing is given to the searches. Each is the
program's own, with the ladder that it would have for so many worker-seconds, over one thread that is charged for what
it computed: other work on the machine costs neither the searches nor the runs. What a search hands over first is
trained by one cycle of `--final` seconds and read on the dev-test slice. The test split is not read.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import optuna
import torch
from _data import build_model, dev_data, warm_configs
from _rows import RECORDED, Rows, machine
from live import FINAL_ATTEMPTS, Task, lower_bound, settings_of
from torch import Tensor

from study.errors import TrainingError
from study.execution.executors import InProcessExecutor
from study.execution.jobs import Event, Finished, Job, OnRung, Outcome, RungMetrics
from study.execution.worker import train
from study.records.paths import StudyFiles
from study.records.settings import Ladder
from study.records.trial import TrialRecord, Trials
from study.retraining.candidates import choose_candidates
from study.search.driver import Search
from study.search.storage import open_storage, storage_url
from study.search.turns import Limits
from study.stages import ladder as ladders
from study.statistics.logits import accuracy
from study.training import loop
from study.training.config import training_config
from study.training.loop import OnRung as OnMark
from study.training.loop import TrainingData, choose_precision, fit, predict_logits
from study.training.schedule import Schedule
from study.training.tempo import Tempo

KEY = ("family", "rungs", "seed", "seconds")
WAYS = ("program", "all", "alone", "seconds", "examples")
TIMED = Schedule((60,), (10, 60))
SPEED_SHARE = 0.5  # the program's


class Charged(InProcessExecutor):
    """One thread, which a job holds for the seconds that it computes; on a GPU for those of the clock on the wall."""

    def __init__(self, data: TrainingData) -> None:
        self._data, self._held = data, dict[str, float]()
        self._precision, self._clock = choose_precision(data.images.device), clock_of(data)
        self._tempo = Tempo(data, self._precision)
        super().__init__(1, self._charged)

    def _charged(self, job: Job, on_rung: OnRung) -> Outcome:
        began = self._clock()

        def reached(examples: int, metrics: RungMetrics) -> bool:
            self._held[job.id] = self._clock() - began
            return on_rung(examples, metrics)

        try:
            return train(job, reached, data=self._data, precision=self._precision, tempo=self._tempo)
        finally:
            self._held[job.id] = self._clock() - began

    def next_event(self, timeout: float | None = None) -> Event | None:
        event = super().next_event(timeout)
        return replace(event, held_seconds=self._held[event.job.id]) if isinstance(event, Finished) else event

    def running(self) -> dict[str, float]:
        return {job: self._held.get(job, 0.0) for job in super().running()}


def clock_of(data: TrainingData) -> Callable[[], float]:
    """What a search over these images is charged by: other work on the machine costs no processor seconds."""
    return time.thread_time if data.images.device.type == "cpu" else time.perf_counter


def count_processor_seconds() -> None:
    """From now on the seconds of training are those that the training thread computed."""
    loop.time = SimpleNamespace(perf_counter=time.thread_time)  # type: ignore[attr-defined]


def trained(config: dict[str, Any], seed: int, schedule: Schedule, on_mark: OnMark, data: TrainingData) -> Any:
    device = data.images.device
    model = build_model(config, seed).to(device)
    fit(model, data, training_config(config), schedule, on_mark, seed=seed, precision=choose_precision(device))
    return model


def speed_of(config: dict[str, Any], data: TrainingData) -> float:
    """Examples a second, of those that `clock_of` shows."""
    marks: list[tuple[int, float]] = []

    def look(examples: int, metrics: dict[str, Any]) -> bool:
        marks.append((examples, metrics["training_seconds"]))
        return True

    trained(config, 0, TIMED, look, data)
    (first, begun), (last, ended) = marks
    return (last - first) / (ended - begun)


def ladder_of(task: Task, data: TrainingData, speed: float) -> Ladder:
    n_train = len(data.train)
    if task.method[0].isdigit():
        examples = tuple(int(rung) for rung in task.method.split("-"))
        return Ladder(examples=examples, reduction_factor=5, equal="seconds", images=round(0.3 * n_train))
    smallest = 0.1 if task.method in ("seconds", "examples") else ladders._SMALLEST_RUNG
    on_gpu = data.images.device.type != "cpu"  # where a study's rungs are of equal examples
    equal = "examples" if task.method == "examples" or on_gpu else "seconds"
    with mock.patch.object(ladders, "_SMALLEST_RUNG", smallest):
        ladder = ladders.choose_ladder(n_train, speed, task.seconds).model_copy(update={"equal": equal})
    if task.method == "program":
        images = ladders.images_of_trials(n_train, task.final_epochs * speed / ladder.examples[-1])
        ladder = ladder.model_copy(update={"images": images})
    return ladder


def search(task: Task, data: TrainingData, speed: float) -> Trials:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, Charged(data) as executor:
        files = StudyFiles(Path(folder) / task.family)
        files.root.mkdir()
        storage = open_storage(storage_url(files, None))
        settings = settings_of(task, files, data, ladder_of(task, data, speed)).model_copy(
            update={"neighbours": task.method not in ("alone", "seconds", "examples"), "surrogate": False}
        )
        found = Search(files, settings, storage, Trials())
        found.run(executor, Limits(task.seconds), lambda *_: None)
        storage.engine.dispose()
        return found.records.counted


def final(trial: TrialRecord, task: Task, data: TrainingData, dev_test: Tensor) -> tuple[float, int]:
    """Dev-test accuracy after `final_epochs`, here seconds, and the examples seen in them."""
    config = dict(trial.config)
    steps = max(1, round(task.final_epochs * speed_of(config, data) / config["batch_size"]))
    for attempt in range(FINAL_ATTEMPTS):
        try:
            model = trained(config, task.derive(attempt, "final"), Schedule((steps,), (steps,)), lambda *_: True, data)
        except TrainingError:
            continue
        logits = predict_logits(model, data, dev_test, choose_precision(data.images.device))
        return accuracy(logits, data.labels[dev_test].cpu().numpy()), steps * config["batch_size"]
    return 1 / data.n_classes, 0


def measure(task: Task, data: TrainingData, dev_test: Tensor, speed: float) -> dict[str, Any]:
    trials = search(task, data, speed)
    chosen = choose_candidates(trials, 1, speed_share=SPEED_SHARE)[task.family][0]
    dev_accuracy, examples = final(chosen, task, data, dev_test)
    return {
        **dict(zip(KEY, task.key, strict=True)),
        "final_s": task.final_epochs,
        "trials": len(trials),
        "complete": len(trials.completed),
        "held_s": round(trials.held_seconds, 2),
        "training_s": round(sum(trial.training_seconds for trial in trials), 2),
        "validation": chosen.value,
        "dev_test": round(dev_accuracy, 5),
        "examples": examples,
        "batch_size": chosen.config["batch_size"],
    }


def tasks(arguments: argparse.Namespace) -> Iterator[Task]:
    ways = arguments.ways.split(",")
    for seed in range(arguments.seeds):
        for family in arguments.families.split(","):
            for way in ways[:: 1 if seed % 2 == 0 else -1]:
                yield Task(family, way, seed, arguments.seconds, arguments.final)


def print_table(rows: list[dict[str, Any]]) -> None:
    for family, seconds in dict.fromkeys((row["family"], row["seconds"]) for row in rows):
        found = {
            (row["rungs"], row["seed"]): row for row in rows if (row["family"], row["seconds"]) == (family, seconds)
        }
        print(f"\n{family}, {seconds:g} processor seconds a search")
        for way in dict.fromkeys(way for way, _ in found):
            mine = [row for (its, _), row in found.items() if its == way]
            worth = [100 * row["dev_test"] for row in mine]
            trials = np.mean([row["trials"] for row in mine])
            print(f"{way:<10}{np.mean(worth):8.2f} sd {np.std(worth, ddof=1):.2f}, {trials:.0f} trials")
        for better, other in itertools.combinations(dict.fromkeys([*WAYS, *(way for way, _ in found)]), 2):
            seeds = sorted({seed for _, seed in found if all((way, seed) in found for way in (better, other))})
            pairs = [100 * (found[better, s]["dev_test"] - found[other, s]["dev_test"]) for s in seeds]
            if len(pairs) > 1:
                low = lower_bound(pairs)
                print(f"{better} less {other} {np.mean(pairs):+.2f}, lower bound {low:+.2f}: {np.round(pairs, 2)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Ladders and proposals of the search, one against the other.")
    parser.add_argument("--seconds", type=float, default=30.0, help="processor seconds of one search")
    parser.add_argument("--final", type=float, default=8.0, help="processor seconds of the run that is judged")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--families", default="mlp,cnn")
    parser.add_argument("--ways", default="program,seconds")
    parser.add_argument("--out", type=Path, default=RECORDED / "rungs.csv")
    parser.add_argument("--table", action="store_true", help="only print what is recorded")
    arguments = parser.parse_args()
    rows = Rows(arguments.out, KEY)
    if not arguments.table:
        torch.set_num_threads(1)
        count_processor_seconds()
        data, dev_test = dev_data()
        speeds = {family: speed_of(warm_configs(family)[0], data) for family in arguments.families.split(",")}
        for task in tasks(arguments):
            if not rows.has(*task.key):
                rows.add(measure(task, data, dev_test, speeds[task.family]))
                print(f"{task.family} {task.method} seed {task.seed}", file=sys.stderr, flush=True)
    print(machine())
    print_table(rows.all())


if __name__ == "__main__":
    main()
