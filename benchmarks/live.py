"""The program's search against others on equal seconds: what each chooses, trained afresh, judged on dev-test images.

    python benchmarks/live.py [--seconds 60] [--seeds 5] [--workers 2] [--families cnn,mlp] [--methods ours,random]
    python benchmarks/live.py --table          # only prints what is recorded

About an hour on two cores: each (family, method, seed) has the seconds for its search and then trains what it chose
twice. Recorded ones are skipped, so a killed recording continues. The search sees 40,000 training and 10,000 validation
images, the dev-test slice (10,000 more of the training file) judges the choice. The test split is not read.

    random          random configurations, each with one whole cycle of F = 2 epochs; the best validation accuracy wins
    short_then_top  for half of the seconds each draw gets half an epoch; then the best ones in order get F, as above
    tpe_median      Optuna's TPESampler and MedianPruner as they come; a run of F reports at every ninth of it
    tpe_hyperband   the same under HyperbandPruner(1, 9, 3), which is not asked at the last step
    ours            the program's search as `study run` makes it for this many seconds, without warm starts
    ours_warm       the same with the warm starts of the search space

What is the same for all: the space, the training function, the images, one core of its own (searching program and
training share it), one torch thread, the precision, and one training step before the clock starts. The clock starts
when the data is loaded and the worker stands; ours then opens its SQLite file and measures the machine's speed within
its seconds. A run is over at the deadline: what ends later does not count (ours lets a run finish its rung, as the
program does, but no trial that ended late is chosen while there is another). A method yields its best completed trial,
else the one that got furthest. Optuna's intermediate reports read a third of the validation images, the last one all:
reading all of them nine times would slow it down. The chosen configuration is trained by one cycle of 3 epochs under
two fresh seeds, outside the seconds; a run whose loss diverges is repeated with the next seed and counted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import optuna
import psutil
import torch
from _data import build_model, default_space, dev_data, precision, warm_configs
from _rows import RECORDED, Rows, machine
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.samplers import RandomSampler, TPESampler
from scipy import stats
from torch import Tensor, nn

from study.errors import FamilyStoppedError, TrainingError
from study.execution.executors import ProcessExecutor
from study.execution.jobs import Finished, Job, Report
from study.records.paths import StudyFiles
from study.records.settings import DatasetSettings, FamilySettings, Ladder, StudySettings
from study.records.trial import TrialRecord, Trials
from study.search.driver import Search
from study.search.storage import open_storage, storage_url
from study.search.turns import Limits
from study.seeds import derive_seed
from study.space.bundled import bundled_spaces
from study.space.parameters import SearchSpace
from study.space.sampling import sample
from study.stages.ladder import choose_ladder, images_of_trials
from study.stages.request import Request
from study.stages.session import new_settings
from study.stages.speed import measure_speeds
from study.statistics.logits import accuracy
from study.training.config import training_config
from study.training.loop import OnRung, TrainingData, fit, predict_logits
from study.training.schedule import Schedule

FULL = 2.0  # epochs of one run of the baselines
SHORT = 0.5
STEPS = 9  # reports of a run under a pruner
STRIDE = 3  # of the validation images at all reports but the last
FINAL = 3.0
FINAL_RUNS = 2
FINAL_ATTEMPTS = 4
METHODS = ("random", "short_then_top", "tpe_median", "tpe_hyperband", "ours", "ours_warm")
WARM_UP = Schedule((1,), (1,), (9,))  # one step, and a look at a ninth of the validation images
KEY = ("family", "method", "seed", "seconds")


@dataclass(frozen=True)
class Task:
    """One row to record. It is pickled into the process that works on it."""

    family: str
    method: str
    seed: int
    seconds: float
    final_epochs: float

    @property
    def key(self) -> tuple[str, str, int, float]:
        return self.family, self.method, self.seed, self.seconds

    def derive(self, number: int, purpose: str) -> int:
        return derive_seed(self.seed, self.family, number, purpose)


@dataclass
class Tried:
    """One trial of any method: how far it got within the seconds, and its figures there."""

    config: dict[str, Any]
    value: float | None = None
    nll: float = float("inf")
    examples: int = 0
    training_seconds: float = 0.0
    complete: bool = False
    late: bool = False  # ended after the deadline

    @property
    def score(self) -> tuple[float, float]:
        return (-1.0 if self.value is None else self.value), -self.nll

    @property
    def steps(self) -> float:
        return self.examples / self.config["batch_size"]


def choose(tried: list[Tried]) -> Tried:
    """The best completed trial, else the one that got furthest."""
    return max(tried, key=lambda t: (not t.late, t.complete, 0 if t.complete else t.examples, t.score))


def train(config: dict[str, Any], seed: int, schedule: Schedule, on_mark: OnRung, data: TrainingData) -> nn.Module:
    """As a worker of the program does it."""
    model = build_model(config, seed, data.n_classes)
    fit(model, data, training_config(config), schedule, on_mark, seed=seed, precision=precision())
    return model


def whole(epochs: float, config: dict[str, Any], data: TrainingData, reports: int = 1) -> Schedule:
    """One annealed cycle with evenly spaced reports, all but the last on a third of the validation images."""
    n_steps = max(reports, round(epochs * len(data.train) / config["batch_size"]))
    marks = tuple(round(n_steps * (report + 1) / reports) for report in range(reports))
    return Schedule((n_steps,), marks, (STRIDE,) * (reports - 1) + (1,))


class TimeUp(BaseException):  # not an Exception: Optuna must not take it for a failed trial
    """The seconds are over."""


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """End the block at `deadline`, wherever it is; it is no error."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeUp

    previous = signal.signal(signal.SIGALRM, ring)
    try:
        # It rings again: an exception that happens to be raised in a destructor is swallowed.
        signal.setitimer(signal.ITIMER_REAL, max(1e-3, deadline - time.monotonic()), 0.25)
        yield
    except TimeUp:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@dataclass
class Baseline:
    """One baseline's search in this process; `tried` outlives the run that the deadline cuts off."""

    task: Task
    space: SearchSpace
    data: TrainingData
    tried: list[Tried] = field(default_factory=list)

    def search(self, deadline: float) -> None:
        with until(deadline):
            if self.task.method == "random":
                for config in self.draws():
                    with suppress(TrainingError):
                        self.run(config, whole(FULL, config, self.data))
            elif self.task.method == "short_then_top":
                self.short_then_top(deadline - self.task.seconds / 2)
            else:
                self.optuna(deadline)

    def draws(self) -> Iterator[dict[str, Any]]:
        """Endless random configurations, the same ones for every method that draws so."""
        study = optuna.create_study(sampler=RandomSampler(seed=self.task.derive(0, "draws")))
        while True:
            yield sample(self.space, study.ask())

    def short_then_top(self, half_time: float) -> None:
        draws = self.draws()
        while time.monotonic() < half_time:
            config = next(draws)
            with suppress(TrainingError):
                self.run(config, whole(SHORT, config, self.data), full=False)
        for short in sorted(self.tried, key=lambda t: t.score, reverse=True):
            with suppress(TrainingError):
                self.run(short.config, whole(FULL, short.config, self.data))

    def optuna(self, deadline: float) -> None:
        hyperband = HyperbandPruner(min_resource=1, max_resource=STEPS, reduction_factor=3)
        pruner: BasePruner = MedianPruner() if self.task.method == "tpe_median" else hyperband
        study = optuna.create_study(
            study_name=f"{self.task.family}-{self.task.seed}",  # Hyperband draws its brackets from the name
            direction="maximize",
            sampler=TPESampler(seed=self.task.derive(0, "tpe")),
            pruner=pruner,
        )

        def objective(trial: optuna.Trial) -> float:
            config = sample(self.space, trial)
            step = 0

            def go_on(value: float) -> bool:
                nonlocal step
                step += 1
                trial.report(value, step)
                return step == STEPS or not trial.should_prune()

            tried = self.run(config, whole(FULL, config, self.data, STEPS), go_on)
            if tried.value is None or not tried.complete:
                raise optuna.TrialPruned
            return tried.value

        study.optimize(objective, timeout=max(0.0, deadline - time.monotonic()), catch=(TrainingError,))

    def run(
        self,
        config: dict[str, Any],
        schedule: Schedule,
        go_on: Callable[[float], bool] = lambda _: True,
        *,
        full: bool = True,
    ) -> Tried:
        """One training; it keeps the figures of its last report. TrainingError if it diverges."""
        tried = Tried(config)
        self.tried.append(tried)

        def on_mark(examples: int, metrics: dict[str, Any]) -> bool:
            tried.value, tried.nll = metrics["accuracy"], metrics["nll_scaled"]
            tried.training_seconds = metrics["training_seconds"]
            tried.examples = examples
            tried.complete = full and examples == schedule.marks[-1] * config["batch_size"]
            return go_on(metrics["accuracy"])

        train(config, self.task.derive(len(self.tried), "run"), schedule, on_mark, self.data)
        return tried


class Ours:
    """The program's own search over one worker process, with the defaults of `study run`."""

    def __init__(self, task: Task, space: SearchSpace, data: TrainingData, folder: Path) -> None:
        self.task, self.space, self.data = task, space, data
        self.files = StudyFiles(folder / task.family)
        self.files.root.mkdir()
        self.ladder: tuple[int, ...] = ()
        self.tried: list[Tried] = []
        self.executor = ProcessExecutor(1, data, precision=precision(), threads=1)

    def warm_up(self, config: dict[str, Any]) -> None:
        """Wait until the worker stands and has trained one step."""
        self.executor.submit(Job("warm-up", config, 0, WARM_UP))
        while not isinstance(event := self.executor.next_event(), Finished):
            if isinstance(event, Report):
                self.executor.answer(event.job, False)
        if event.reason:
            raise RuntimeError(event.reason)

    def search(self, deadline: float) -> None:
        search = self.open()
        in_time: set[int] = set()

        def observe(_: Search, record: TrialRecord | None) -> None:
            if record is not None and time.monotonic() <= deadline:
                in_time.add(record.number)

        try:
            search.run(self.executor, Limits(deadline - time.monotonic(), None, deadline), observe)
        except FamilyStoppedError as error:
            print(f"{self.task}: {error}", file=sys.stderr)
        finally:
            self.executor.close()
        self.tried = [
            Tried(
                dict(record.config),
                record.value,
                float("inf") if record.nll_scaled is None else record.nll_scaled,
                record.examples,
                record.training_seconds,
                record.state == "COMPLETE",
                record.number not in in_time,
            )
            for record in search.families[self.task.family].records
            if record.counted
        ]

    def open(self) -> Search:
        """What the search stage does before its first trial."""
        storage = open_storage(storage_url(self.files, None))
        speed = measure_speeds(self.executor, [self.space])[self.task.family]
        n_train = len(self.data.train)
        ladder = choose_ladder(n_train, speed, self.task.seconds)
        images = images_of_trials(n_train, self.task.final_epochs * n_train / ladder.examples[-1])
        ladder = ladder.model_copy(update={"equal": "seconds", "images": images})
        self.ladder = ladder.examples
        return Search(self.files, settings_of(self.task, self.files, self.data, ladder), storage, Trials())


def settings_of(task: Task, files: StudyFiles, data: TrainingData, ladder: Ladder) -> StudySettings:
    """Of a study of this family alone, over its bundled space."""
    request = Request("benchmark", 0.0, seed=task.seed, warm_start=task.method == "ours_warm")
    dataset = DatasetSettings(
        name="mnist",
        classes=tuple(str(digit) for digit in range(data.n_classes)),
        sha256={},
        n_train=len(data.train),
        n_validation=len(data.validation),
        split_seed=0,
        split_sha256="",
        mean=data.mean,
        std=data.std,
    )
    path = bundled_spaces()[task.family]
    family = FamilySettings(space_file=path.name, space=path.read_text(encoding="utf-8"), ladder=ladder)
    settings = new_settings(request, files, dataset, n_at_once=1, families=[task.family])
    return settings.model_copy(update={"families": {task.family: family}})


def judge(config: dict[str, Any], task: Task, data: TrainingData, dev_test: Tensor) -> tuple[list[float], int]:
    """Dev-test accuracies of fresh runs of the chosen configuration, and how many of its runs diverged."""
    found: list[float] = []
    for attempt in range(FINAL_ATTEMPTS):
        schedule = whole(task.final_epochs, config, data)
        try:
            model = train(config, task.derive(attempt, "final"), schedule, lambda *_: True, data)
        except TrainingError:
            continue
        found.append(accuracy(predict_logits(model, data, dev_test, precision()), data.labels[dev_test].numpy()))
        if len(found) == FINAL_RUNS:
            return found, attempt + 1 - FINAL_RUNS
    return found or [1 / data.n_classes], FINAL_ATTEMPTS - len(found)


def cpu_seconds() -> float:
    """Of this process and its children that live."""
    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def measure(task: Task) -> dict[str, Any]:
    """Search, then judge what was chosen; the row."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    data, dev_test = dev_data()
    space, warm_start = default_space(task.family), warm_configs(task.family)[0]
    with tempfile.TemporaryDirectory() as folder:
        searching: Baseline | Ours
        if task.method.startswith("ours"):
            searching = Ours(task, space, data, Path(folder))
            searching.warm_up(warm_start)
        else:
            searching = Baseline(task, space, data)
            train(warm_start, 0, WARM_UP, lambda *_: False, data)
        spent: list[float] = []
        cpu, started = cpu_seconds(), time.monotonic()
        watch = threading.Timer(task.seconds, lambda: spent.append(cpu_seconds() - cpu))
        watch.daemon = True
        watch.start()
        searching.search(started + task.seconds)
        wall = time.monotonic() - started
        watch.join()
    chosen = choose(searching.tried)
    accuracies, diverged = judge(chosen.config, task, data, dev_test)
    n_steps = sum(tried.steps for tried in searching.tried)
    training = sum(tried.training_seconds for tried in searching.tried)
    return {
        **dict(zip(KEY, task.key, strict=True)),
        "search_wall_s": round(wall, 2),
        "cpu_s": round(spent[0], 2),
        "training_s": round(training, 2),
        "trials": len(searching.tried),
        "complete": sum(tried.complete and not tried.late for tried in searching.tried),
        "examples": sum(tried.examples for tried in searching.tried),
        "ms_per_step": round(1000 * training / n_steps, 2) if n_steps else None,
        "ladder": "/".join(str(rung) for rung in searching.ladder) if isinstance(searching, Ours) else None,
        "chosen_complete": int(chosen.complete and not chosen.late),
        "validation": None if chosen.value is None else round(chosen.value, 5),
        "dev_test_0": round(accuracies[0], 5),
        "dev_test_1": round(accuracies[-1], 5),
        "diverged": diverged,
        "config": json.dumps(chosen.config, separators=(",", ":")),
    }


def work(connection: Connection, task: Task, core: int | None) -> None:
    """Entry point of a task's own process, on a core of its own."""

    def end_with_parent() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the temporary folder goes
    if core is not None:
        os.sched_setaffinity(0, {core})
    connection.send(measure(task))


def side_by_side(tasks: list[Task], workers: int) -> Iterator[tuple[Task, dict[str, Any] | None]]:
    """Each task in a fresh process, `workers` at a time; None for one that failed (its traceback is on stderr)."""
    context = multiprocessing.get_context("spawn")
    cores: list[int | None] = [None] * workers
    if hasattr(os, "sched_getaffinity") and workers <= len(os.sched_getaffinity(0)):
        cores = [*sorted(os.sched_getaffinity(0))[:workers]]
    waiting = deque(tasks)
    running: dict[Any, tuple[Task, int | None, Any]] = {}  # by the connection that its row comes from
    try:
        while waiting or running:
            while waiting and cores:
                task, core = waiting.popleft(), cores.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=work, args=(theirs, task, core))
                process.start()
                theirs.close()
                running[ours] = task, core, process
            for ready in multiprocessing.connection.wait(list(running)):
                try:
                    row = ready.recv()
                except EOFError:
                    row = None
                task, core, process = running.pop(ready)
                process.join()
                cores.append(core)
                yield task, row
    finally:
        for _, _, process in running.values():
            process.terminate()


def lower_bound(differences: list[float]) -> float:
    """One-sided 95 % lower bound of the mean, by t."""
    n = len(differences)
    if n < 2:
        return float("nan")
    return float(np.mean(differences) - stats.t.ppf(0.95, n - 1) * np.std(differences, ddof=1) / np.sqrt(n))


def print_table(rows: list[dict[str, Any]], seconds: float) -> None:
    rows = [row for row in rows if row["seconds"] == seconds]
    for family in dict.fromkeys(row["family"] for row in rows):
        by_method = {
            method: {row["seed"]: row for row in rows if (row["family"], row["method"]) == (family, method)}
            for method in METHODS
        }
        scores = {
            method: {seed: 50 * (row["dev_test_0"] + row["dev_test_1"]) for seed, row in found.items()}
            for method, found in by_method.items()
        }
        print(f"\n{family}, {seconds:g} s a search; accuracies in %, differences in points over the same seeds")
        print(
            f"{'method':<16}{'seeds':>6}{'dev-test':>10}{'sd':>7}{'ours - it':>11}{'bound':>8}{'warm - it':>11}"
            f"{'bound':>8}{'validation':>12}{'trials':>8}{'complete':>10}{'epochs':>8}{'ms/step':>9}"
            f"{'training %':>12}{'CPU %':>7}"
        )
        for method, found in by_method.items():
            if not found:
                continue
            values = list(scores[method].values())
            line = f"{method:<16}{len(values):>6}{np.mean(values):>10.3f}"
            line += f"{np.std(values, ddof=1):>7.3f}" if len(values) > 1 else f"{'-':>7}"
            for mine in ("ours", "ours_warm"):
                seeds = sorted(scores[mine].keys() & scores[method].keys()) if mine != method else []
                differences = [scores[mine][seed] - scores[method][seed] for seed in seeds]
                mean = f"{np.mean(differences):+.3f}" if differences else "-"
                bound = f"{lower_bound(differences):+.3f}" if len(differences) > 1 else "-"
                line += f"{mean:>11}{bound:>8}"
            names = ("validation", "trials", "complete", "examples", "ms_per_step", "training_s", "cpu_s")
            kept = {name: [row[name] for row in found.values() if row[name] is not None] for name in names}
            mean_of = {name: float(np.mean(values)) if values else float("nan") for name, values in kept.items()}
            print(
                f"{line}{100 * mean_of['validation']:>12.2f}{mean_of['trials']:>8.1f}{mean_of['complete']:>10.1f}"
                f"{mean_of['examples'] / 40_000:>8.1f}{mean_of['ms_per_step']:>9.2f}"
                f"{100 * mean_of['training_s'] / seconds:>12.1f}{100 * mean_of['cpu_s'] / seconds:>7.1f}"
            )
    print(
        "\nbound: one-sided 95 % lower bound (t) of the mean paired difference. complete: trials of full length in time"
        "\nepochs, training %: up to each trial's last report, so without validation and what the deadline cut off"
        "\nCPU %: processor time of the search and its training over the seconds; other work on the machine lowers it"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="The program's search against others on equal seconds.")
    parser.add_argument("--seconds", type=float, default=60.0, help="wall-clock of one search")
    parser.add_argument("--seeds", type=int, default=5, help="search seeds 0, 1, ...")
    parser.add_argument("--workers", type=int, default=2, help="searches side by side, one core each")
    parser.add_argument("--families", default="cnn,mlp")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--final-epochs", type=float, default=FINAL, help="smaller to try the script")
    parser.add_argument("--out", type=Path, default=RECORDED / "live.csv")
    parser.add_argument("--table", action="store_true", help="only print what is recorded")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends, too
    rows = Rows(arguments.out, KEY)
    failed = 0
    if not arguments.table:
        methods = arguments.methods.split(",")
        if unknown := set(methods) - set(METHODS):
            parser.error(f"unknown method {sorted(unknown)[0]!r}; expected some of {','.join(METHODS)}")
        tasks = [
            Task(family, methods[(place + seed) % len(methods)], seed, arguments.seconds, arguments.final_epochs)
            for seed in range(arguments.seeds)
            for family in arguments.families.split(",")
            for place in range(len(methods))
        ]
        for task, row in side_by_side([task for task in tasks if not rows.has(*task.key)], arguments.workers):
            if row is None:
                failed += 1
                print(f"{task} failed", file=sys.stderr)
                continue
            rows.add(row)
            shown = f"{100 * row['dev_test_0']:.2f} {100 * row['dev_test_1']:.2f}"
            print(f"{task.family} {task.method} seed {task.seed}: {shown}", file=sys.stderr, flush=True)
    print(machine())
    print_table(rows.all(), arguments.seconds)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
