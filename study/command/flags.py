"""Flags that several verbs share, in the groups in which `study VERB --help` shows them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from study.command.arguments import count, duration, names, seed

Adder = Callable[..., argparse.Action]


def add_output(parser: argparse.ArgumentParser, *more: str) -> None:
    """`more` are formats beside the two that every verb has."""
    add = parser.add_argument_group("output").add_argument
    add(
        "--format",
        choices=("table", "json", *more),
        default="table",
        help="of results on stdout: text for people, or JSON, which errors on stderr have then, too (default: table)",
    )
    add("--quiet", action="store_true", help="no progress on stderr")
    add("--debug", action="store_true", help="show the traceback of an error")


def add_results(add: Adder) -> None:
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="where studies are (default: ./results)")


def add_dataset(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add(
        "--dataset",
        metavar="NAME",
        help="mnist, fashion-mnist, kmnist, qmnist, qmnist-50k (tested on those of its images that are not MNIST's), "
        "emnist-digits or usps (default: mnist, which is bundled)",
    )
    add(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="a folder of IDX files, or of --dataset's own files; a folder of pictures, train/<digit>/*.png and "
        "test/<digit>/*.png; or a .npz with x_train, y_train, x_test, y_test; for a study also the new place of its "
        "data; beside IDX files train-groups.txt and t10k-groups.txt, one integer a line, say who wrote an image: a "
        "writer stays on one side of the split, and intervals are clustered by writers (default: the bundled MNIST)",
    )


def add_study(parser: argparse.ArgumentParser) -> None:
    """Which study is meant, and where its data are."""
    add = parser.add_argument_group("study").add_argument
    add("--name", help="the study's name (default: the dataset's, or the name of --data-dir's folder)")
    add_results(add)
    add_dataset(parser)


def add_storage(add: Adder) -> None:
    add(
        "--storage",
        metavar="URL",
        help="the trials' database, such as postgresql+psycopg://you@host/db (default: the one that the study "
        "remembers, at first SQLite in its folder)",
    )


def add_device(add: Adder) -> None:
    add(
        "--device",
        default="auto",
        help="auto (every GPU; with --cluster cores), cuda for every GPU, cuda:1 for one, cpu (default: auto)",
    )


def add_work(parser: argparse.ArgumentParser) -> None:
    """Flags of the verbs that create or continue a study."""
    add_study(parser)
    _add_compared(parser.add_argument_group("what is compared").add_argument)
    _add_limits(parser.add_argument_group("how much").add_argument)
    _add_search(parser.add_argument_group("how it searches").add_argument)
    add = parser.add_argument_group("where it works").add_argument
    add(
        "--workers",
        type=count,
        metavar="N",
        help="trainings at once (default: one for each core, on a GPU no more than fit its memory)",
    )
    add_device(add)
    _add_cluster(add)
    add_storage(add)


def _add_cluster(add: Adder) -> None:
    add(
        "--cluster",
        metavar="local|auto|HOST:PORT",
        help="train on the machines of a Ray cluster: a new one of this machine, the one that runs here or that "
        "RAY_ADDRESS names, or the one at an address (default: no cluster)",
    )
    add(
        "--cluster-machines",
        type=names,
        default=(),
        metavar="NAME,NAME",
        help="only machines with these host names, in which * and ? stand for others; a time budget needs machines of "
        "one kind (default: all)",
    )
    add(
        "--cluster-patience",
        type=duration,
        default=300.0,
        metavar="TIME",
        help="how long to wait for a worker of the cluster while there is none (default: 5m)",
    )


def _add_compared(add: Adder) -> None:
    add(
        "--families",
        type=names,
        metavar="A,B",
        help="the families to compare: bundled, installed, or of --space (default: mlp,cnn and those of --space)",
    )
    add(
        "--space",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a search space: one more family, or in place of that family's bundled space; repeatable (default: none)",
    )
    add("--single-family", action="store_true", help="open the test split though one family alone compares nothing")
    add(
        "--given",
        action="append",
        type=Path,
        metavar="FILE",
        help="a configuration of your own (TOML), to compare with what a new study finds: from a budget of 4m on it is "
        "trained again beside the finalists; may be given again (default: none)",
    )
    add(
        "--from",
        dest="imported_from",
        metavar="OLD",
        help="give a new study another's trials to compare with: its name under --results, or its folder "
        "(default: none)",
    )


def _add_limits(add: Adder) -> None:
    add(
        "--budget",
        type=duration,
        metavar="TIME",
        help="total wall-clock of the study: 90s, 5m, 1h30m, 0.5h (default: 5m)",
    )
    add(
        "--n-trials",
        type=count,
        metavar="N",
        help="total trials of each family, in each search (default: what the budget buys)",
    )


def _add_search(add: Adder) -> None:
    add("--seed", type=seed, metavar="S", help="the study's seed (default: 0)")
    add("--split-seed", type=seed, metavar="S", help="seed of the validation split (default: 0)")
    add(
        "--sampler",
        choices=("tpe", "random", "qmc", "grid"),
        help="tpe takes turns with changes of one choice of one of the best trials and, up to 16 workers, with a "
        "surrogate of all trials; grid tries every configuration once, of spaces without continuous ranges "
        "(default: tpe)",
    )
    add(
        "--pruner",
        choices=("asha", "hyperband", "median", "none"),
        help="what ends weak trials early (default: asha)",
    )
    add(
        "--no-warm-start",
        action="store_true",
        help="do not train the spaces' known-good configurations beside the search",
    )
    add(
        "--no-last-stage",
        action="store_true",
        help="ship the network as it was compared: from a budget of 4m on a fifth of it goes to a longer run, "
        "on pictures by other hands too, which ships unless validation images show it to be worse",
    )


def add_uncounted(add: Adder) -> None:
    add(
        "--uncounted",
        action="store_true",
        help="leave an opening of the test split out of your count of them, which `study doctor` tells",
    )


def add_model(add: Adder) -> None:
    add("--model", type=Path, metavar="DIR", help="a model folder (default: the study's winner)")


def add_address(add: Adder, port: int, of_port: Any) -> None:
    add("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    add("--port", type=of_port, default=port, help=f"the port to listen on (default: {port})")
