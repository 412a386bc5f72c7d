"""What the benchmarks train on, and on how many processes: a three-way split of MNIST's training file, configurations
drawn from the bundled spaces, and workers of one thread each. The test split is never read."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

import optuna
import torch
import torch.multiprocessing
from torch import Tensor, nn

from study.data.datasets import load_train, pixel_statistics, stratified_split
from study.records.run import Precision
from study.space.bundled import bundled_spaces
from study.space.grammar import warm_start_params
from study.space.parameters import SearchSpace
from study.space.sampling import load_space, sample
from study.training.config import build_model as build
from study.training.loop import TrainingData, choose_precision

Item = TypeVar("Item")
Result = TypeVar("Result")
_SPLIT_SEED = 0  # the program's default
CPU = torch.device("cpu")


def dev_data(n_dev_test: int = 10_000, seed: int = 7) -> tuple[TrainingData, Tensor]:
    """MNIST's training file in three parts: train (40,000) and validation (10,000) of the TrainingData, and the
    indices [n_dev_test] of a dev-test slice cut from the rest, stratified.

    Validation is the program's own. `TrainingData.part("train+validation")` holds the dev-test slice too: not to be
    used with it.
    """
    whole = load_train("mnist")
    rest, validation = stratified_split(whole.labels, _SPLIT_SEED)
    kept, cut = stratified_split(whole.labels[torch.from_numpy(rest)], seed, n_dev_test / len(rest))
    train, dev_test = torch.from_numpy(rest[kept]), torch.from_numpy(rest[cut])
    mean, std = pixel_statistics(whole.images[train])
    parts = train, torch.from_numpy(validation)
    return TrainingData(whole.images, whole.labels, *parts, mean, std, len(whole.classes)), dev_test


def default_space(family: str) -> SearchSpace:
    return load_space(bundled_spaces()[family])


def random_configs(family: str, n: int, seed: int) -> list[dict[str, Any]]:
    """The first `n` of an endless series of configurations, each value drawn uniformly from its range."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = default_space(family)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return [sample(space, study.ask()) for _ in range(n)]


def warm_configs(family: str) -> list[dict[str, Any]]:
    """The warm starts of the bundled space."""
    space = default_space(family)
    trials = [optuna.trial.FixedTrial(warm_start_params(space, index)) for index in range(len(space.warm_starts))]
    return [sample(space, trial) for trial in trials]


def precision() -> Precision:
    return choose_precision(CPU)


def build_model(config: dict[str, Any], seed: int, n_classes: int = 10) -> nn.Module:
    """A fresh model as the program's worker makes it: seeded, channels_last."""
    torch.manual_seed(seed)
    return build(config, n_classes).to(memory_format=torch.channels_last)


def cpu_seconds() -> float:
    """Seconds that this process has computed: unlike the clock on the wall, hardly moved by other processes."""
    return time.process_time()


def parallel(
    items: Iterable[Item], function: Callable[[Item], Result], workers: int, threads: int = 1
) -> Iterator[Result]:
    """Results of function(item) in the order in which they come, from `workers` processes of `threads` torch threads.

    `function` is pickled once for each process: data bound with functools.partial goes along, its tensors as shared
    memory. With 0 workers this process computes. The processes end with this one, even if it is killed.
    """
    if workers == 0:
        torch.set_num_threads(threads)
        yield from map(function, items)
        return
    context = torch.multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(function, threads))
    try:
        for future in as_completed([pool.submit(_call, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


_function: Callable[[Any], Any]


def _start(function: Callable[[Any], Any], threads: int) -> None:
    global _function
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _function = function


def _call(item: Any) -> Any:
    return _function(item)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
