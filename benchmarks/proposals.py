"""Ways of proposing, one against another, in real searches of short trials: some hundred trials in a minute.

    python benchmarks/proposals.py [--families mlp,cnn] [--ways program,neighbours,tpe] [--seconds 60] [--seeds 16]
    python benchmarks/proposals.py --table         # only prints what is recorded

    program     every other proposal is the surrogate's, a quarter is near one of the best three, a quarter is TPE's
    neighbours  every other proposal is near one of the best three, the others are TPE's, as until 27 November
    tpe         all are TPE's
    random      all are drawn at random

One search of the default's length differs from the next by more than two ways of proposing do. Here trials learn from
4,000 images for a second at most, so that many searches can be made, on the landscape that training really has, with
its noise. Each is the program's own, nothing given, of one thread that is charged for what it computed; what proposing
takes comes on top, and is shown. What a search hands over is trained as long as its trials again, three times, with
fresh seeds, and read on the dev-test slice: that is what it is judged by. The test split is not read.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna
import torch
from _data import dev_data, parallel
from _rows import RECORDED, Rows, machine
from live import Task, settings_of
from rungs import SPEED_SHARE, Charged, count_processor_seconds

from study.errors import StudyError
from study.execution.jobs import EqualSeconds, Job, RungMetrics
from study.execution.worker import train
from study.records.paths import StudyFiles
from study.records.settings import Ladder
from study.records.trial import TrialRecord, Trials
from study.retraining.candidates import choose_candidates
from study.search.choosing import Chooser
from study.search.driver import Search
from study.search.storage import open_storage, storage_url
from study.search.turns import Limits
from study.seeds import derive_seed
from study.space.bundled import bundled_spaces
from study.space.sampling import load_space, typical
from study.training.loop import choose_precision
from study.training.schedule import Schedule
from study.training.tempo import Tempo

KEY = ("family", "way", "seed", "seconds")
TOP = {"mlp": 13_500, "cnn": 6_750}  # examples of the top rung, about a second of a core
IMAGES = 4_000
AGAIN = 3
WAYS: dict[str, dict[str, Any]] = {
    "program": {},
    "neighbours": {"surrogate": False},
    "tpe": {"surrogate": False, "neighbours": False},
    "random": {"surrogate": False, "neighbours": False, "sampler": "random"},
}

_data = functools.cache(dev_data)


def ladder_of(name: str) -> Ladder:
    top = TOP[name]
    return Ladder(examples=(top // 9, top // 3, top), reduction_factor=5, equal="seconds", images=IMAGES)


def searched(name: str, way: str, seed: int, seconds: float) -> tuple[Trials, float]:
    """Its trials, and the seconds that proposals took beside them."""
    data, _ = _data()
    spent = 0.0
    choose = Chooser.choose

    def timed(*arguments: Any, **more: Any) -> Any:
        nonlocal spent
        began = time.thread_time()
        try:
            return choose(*arguments, **more)
        finally:
            spent += time.thread_time() - began

    with tempfile.TemporaryDirectory() as folder, Charged(data) as executor:
        files = StudyFiles(Path(folder) / name)
        files.root.mkdir()
        storage = open_storage(storage_url(files, None))
        settings = settings_of(Task(name, "program", seed, seconds, 0.0), files, data, ladder_of(name))
        search = Search(files, settings.model_copy(update=WAYS[way]), storage, Trials())
        with mock.patch.object(Chooser, "choose", timed):
            search.run(executor, Limits(seconds), lambda *_: None)
        storage.engine.dispose()
        return search.records.counted, spent


def judged(trial: TrialRecord, seed: int) -> list[float]:
    """Dev-test accuracies of the same training with fresh seeds."""
    data, dev_test = _data()
    data = replace(data, validation=dev_test)
    precision = choose_precision(data.images.device)
    config, ladder = dict(trial.config), ladder_of(trial.family)
    equal = EqualSeconds(ladder.examples, typical(load_space(bundled_spaces()[trial.family])))
    tempo, found = Tempo(data, precision), []
    for again in range(AGAIN):
        job = Job(
            f"again/{again}",
            config,
            derive_seed(seed, trial.family, again, "again"),
            Schedule.rungs(ladder.examples, config["batch_size"]),
            images=ladder.images,
            equal_seconds=equal,
        )
        last: list[float] = [1 / data.n_classes]

        def note(_: int, metrics: RungMetrics, last: list[float] = last) -> bool:
            assert metrics.validation is not None
            last.append(metrics.validation.accuracy)
            return True

        try:
            train(job, note, data=data, precision=precision, tempo=tempo)
        except StudyError:  # it diverged
            last.append(1 / data.n_classes)
        found.append(last[-1])
    return found


def measured(task: tuple[str, str, int], seconds: float) -> dict[str, Any]:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    count_processor_seconds()
    name, way, seed = task
    trials, proposing = searched(name, way, seed, seconds)
    chosen = choose_candidates(trials, 1, speed_share=SPEED_SHARE)[name][0]
    again = judged(chosen, seed)
    return {
        **dict(zip(KEY, (name, way, seed, seconds), strict=True)),
        "trials": len(trials),
        "complete": len(trials.completed),
        "proposing_s": round(proposing, 2),
        "validation": chosen.value,
        "dev_test": round(float(np.mean(again)), 5),
        "dev_test_sd": round(float(np.std(again, ddof=1)), 5),
    }


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    for name, seconds in dict.fromkeys((row["family"], row["seconds"]) for row in rows):
        mine = [row for row in rows if (row["family"], row["seconds"]) == (name, seconds)]
        base = {row["seed"]: row["dev_test"] for row in mine if row["way"] == "neighbours"}
        print(f"\n{name}, {seconds:g} processor seconds a search")
        for way in dict.fromkeys(row["way"] for row in mine):
            its = [row for row in mine if row["way"] == way]
            worth = 100 * np.array([row["dev_test"] for row in its])
            apart = 100 * np.array([row["dev_test"] - base[row["seed"]] for row in its if row["seed"] in base])
            error = apart.std(ddof=1) / len(apart) ** 0.5 if len(apart) > 1 else float("nan")
            each = {key: np.mean([row[key] for row in its]) for key in ("trials", "complete", "proposing_s")}
            print(
                f"{way:<11} {worth.mean():.2f}, sd {worth.std(ddof=1):.2f}, worst in ten "
                f"{np.quantile(worth, 0.1):.2f}; less neighbours {apart.mean():+.2f} ± {error:.2f} "
                f"({len(apart)} seeds); {each['trials']:.0f} trials, {each['complete']:.0f} complete, "
                f"{each['proposing_s']:.1f} s of proposing"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="Ways of proposing in searches of short trials.")
    parser.add_argument("--families", default="mlp,cnn")
    parser.add_argument("--ways", default="program,neighbours")
    parser.add_argument("--seconds", type=float, default=60.0, help="processor seconds of one search")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RECORDED / "proposals.csv")
    parser.add_argument("--table", action="store_true", help="only print what is recorded")
    options = parser.parse_args()
    rows = Rows(options.out, KEY)
    wanted = [
        (name, way, seed)
        for seed in range(options.seeds)
        for name in options.families.split(",")
        for way in options.ways.split(",")
    ]
    missing = [task for task in wanted if not rows.has(*task, options.seconds)]
    if missing and not options.table:
        for row in parallel(missing, functools.partial(measured, seconds=options.seconds), options.workers):
            rows.add(row)
    print(machine())
    print_table(rows.all())


if __name__ == "__main__":
    main()
