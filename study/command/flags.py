"""Every verb and flag of the command line. What a verb needs is imported when it runs."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NoReturn

from study.errors import StudyError


class _Parser(argparse.ArgumentParser):
    """Wrong usage in one line; `-h` has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _duration(text: str) -> float:
    from study.command.durations import parse_duration

    try:
        return parse_duration(text)
    except StudyError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected a whole number from 1 on")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected a number above 0")
    return value


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected a port from 1 to 65535")
    return int(text)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected a whole number from 0 to 2^32 - 1")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not usable: expected names with commas between, such as mlp,cnn")
    return names


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: ./results")


def _add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", help="mnist (bundled), fashion-mnist, kmnist, qmnist, emnist-digits, usps")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="a folder of IDX files, or of --dataset's own files; a folder of pictures, train/<digit>/*.png and "
        "test/<digit>/*.png; or a .npz with x_train, y_train, x_test, y_test; for a study also the new place of its "
        "data; beside IDX files train-groups.txt and t10k-groups.txt, one integer a line, say who wrote an image: a "
        "writer stays on one side of the split, and intervals are clustered by writers",
    )


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="the study's name (default: the dataset's, or the name of --data-dir's folder)")
    _add_results(parser)
    _add_dataset(parser)


def _add_work(parser: argparse.ArgumentParser) -> None:
    """Flags of the verbs that create or continue a study."""
    _add_study(parser)
    parser.add_argument(
        "--families",
        type=_names,
        metavar="A,B",
        help="the families to compare: bundled, installed, or of --space (default: mlp,cnn and those of --space)",
    )
    parser.add_argument(
        "--space",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a search space: one more family, or in place of that family's bundled space; repeatable",
    )
    parser.add_argument(
        "--single-family", action="store_true", help="open the test split though one family alone compares nothing"
    )
    parser.add_argument(
        "--budget",
        type=_duration,
        metavar="TIME",
        help="total wall-clock of the study: 90s, 5m, 1h30m, 0.5h (default: 5m)",
    )
    parser.add_argument("--n-trials", type=_count, metavar="N", help="total trials of each family, in each search")
    parser.add_argument("--seed", type=_seed, metavar="S", help="the study's seed (default: 0)")
    parser.add_argument("--split-seed", type=_seed, metavar="S", help="seed of the validation split (default: 0)")
    parser.add_argument(
        "--sampler",
        choices=("tpe", "random", "qmc", "grid"),
        help="default: tpe; grid tries every configuration once, of spaces without continuous ranges",
    )
    parser.add_argument("--pruner", choices=("asha", "hyperband", "median", "none"), help="default: asha")
    parser.add_argument(
        "--no-warm-start",
        action="store_true",
        help="do not train the spaces' known-good configurations beside the search",
    )
    parser.add_argument(
        "--given",
        action="append",
        type=Path,
        metavar="FILE",
        help="a configuration of your own (TOML), to compare with what a new study finds: from a budget of 4m on it is "
        "trained again beside the finalists; may be given again",
    )
    parser.add_argument(
        "--from",
        dest="imported_from",
        metavar="OLD",
        help="give a new study another's trials to compare with: its name under --results, or its folder",
    )
    parser.add_argument(
        "--workers", type=_count, metavar="N", help="default: one for each core, on a GPU no more than fit its memory"
    )
    parser.add_argument("--device", default="auto", help="auto (every GPU), cuda:1 for one, cpu (default: auto)")
    parser.add_argument(
        "--storage", metavar="URL", help="default: SQLite in the study's folder; postgresql+psycopg://..."
    )
    _add_output(parser)


def _add_uncounted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--uncounted",
        action="store_true",
        help="leave an opening of the test split out of your count of them, which `study doctor` tells",
    )


def _add_format(parser: argparse.ArgumentParser, *more: str) -> None:
    parser.add_argument("--format", choices=("table", "json", *more), default="table", help="default: table")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith("?") else ".")


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="study",
        description="Compare network families for handwritten digits under equal budgets, and use the winner.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=_sentence(text), allow_abbrev=False)

    run = verb("run", "search, retrain, evaluate, examine and report; the same command again continues")
    _add_work(run)
    run.add_argument(
        "--repeats",
        type=_count,
        metavar="R",
        help="independent searches that share the budget; from three on the verdict speaks of families (default: 3 "
        "from a budget of 15m on, 5 from 1h on, else 1)",
    )
    run.add_argument("--no-evaluate", action="store_true", help="leave the test split sealed: a validation-only report")
    run.add_argument(
        "--dry-run", action="store_true", help="print the plan of this command and what it would write; write nothing"
    )
    run.add_argument(
        "--format", choices=("table", "json"), default="table", help="of the plan of --dry-run (default: table)"
    )
    run.add_argument("--dashboard", action="store_true", help="serve the dashboard, too; at a terminal until Ctrl-C")
    run.add_argument("--port", type=_port, default=8080, help="the dashboard's port (default: 8080)")
    _add_uncounted(run)
    for name, text in (
        ("search", "search every family for good configurations"),
        ("retrain", "train candidates under fresh seeds, and the finalists on train + validation"),
    ):
        _add_work(verb(name, text))
    evaluate = verb("evaluate", "open the test split, once, and seal the record of it")
    _add_work(evaluate)
    _add_uncounted(evaluate)
    examine = verb("examine", "baselines, ensembles, latency and robustness of the finalists; or an ablation, an audit")
    _add_work(examine)
    examine.add_argument(
        "--ablation",
        nargs="?",
        type=_duration,
        const=math.inf,
        metavar="TIME",
        help="only this: swap each finalist's choices one at a time, three seeds each, on validation; within TIME, a "
        "later call adds what is left out (default: all)",
    )
    examine.add_argument(
        "--audit", type=_count, metavar="N", help="only this: run N random pruned trials to the end, on validation"
    )

    report = verb("report", "write report.json and report.html from the study's files")
    _add_study(report)
    _add_output(report)
    compare = verb("compare", "one page for two or more finished studies: protocols, leaderboard, differences, costs")
    compare.add_argument("studies", nargs="+", metavar="STUDY", help="its name under --results, or its folder")
    compare.add_argument(
        "--out", type=Path, metavar="FILE", help="default: compare-A-B.html beside the first study; numbers as .json"
    )
    _add_results(compare)
    _add_format(compare)
    _add_output(compare)
    status = verb("status", "trials by state, best so far, budget spent and left")
    _add_study(status)
    _add_format(status)
    _add_output(status)

    dashboard = verb("dashboard", "optuna-dashboard on this study, on loopback")
    _add_study(dashboard)
    dashboard.add_argument("--storage", metavar="URL")
    dashboard.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    dashboard.add_argument("--port", type=_port, default=8080, help="default: 8080")
    dashboard.add_argument("--until-stdin-ends", action="store_true", help=argparse.SUPPRESS)
    dashboard.add_argument("--write", action="store_true", help="allow changes, when no search holds the study")
    _add_output(dashboard)

    predict = verb("predict", "read digits from images, folders or standard input")
    predict.add_argument("inputs", nargs="+", metavar="FILE|DIR|GLOB|-")
    _add_study(predict)
    predict.add_argument("--model", type=Path, metavar="DIR", help="a model folder (default: the study's winner)")
    predict.add_argument("--top-k", type=_count, default=3, metavar="K", help="default: 3")
    predict.add_argument(
        "--threshold", type=float, metavar="P", help="abstain below this probability (default: the model's)"
    )
    predict.add_argument(
        "--coverage",
        type=float,
        metavar="P",
        help="how often the answer's set contains the true digit (default: 0.999); one that the answer alone reaches, "
        "often up to 0.995, changes nothing",
    )
    predict.add_argument(
        "--invert", choices=("auto", "yes", "no"), default="auto", help="dark ink on light paper? default: auto"
    )
    predict.add_argument(
        "--segment",
        action=argparse.BooleanOptionalAction,
        help="read several digits row by row, cutting those that touch (default: where the picture clearly is a row"
        " of digits, 100 at most)",
    )
    predict.add_argument("--recursive", action="store_true", help="look into folders' folders")
    predict.add_argument("--explain", type=Path, metavar="DIR", help="write a page that shows how they were read")
    predict.add_argument("--save-input", type=Path, metavar="DIR", help="write what the model saw")
    predict.add_argument("-v", "--verbose", action="store_true", help="print what the model saw as text")
    _add_format(predict, "csv")
    _add_output(predict)

    draw = verb("draw", "a page on loopback to draw a digit on, which the winner reads meanwhile")
    _add_study(draw)
    draw.add_argument("--model", type=Path, metavar="DIR", help="a model folder (default: the study's winner)")
    draw.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    draw.add_argument("--port", type=_port, default=8081, help="default: 8081")
    _add_output(draw)

    train = verb("train", "train one configuration without a search, and validate it")
    train.add_argument("file", type=Path, metavar="FILE", help="a configuration in TOML, as `study show best` prints")
    _add_study(train)
    train.add_argument("--seed", type=_seed, default=0, metavar="S", help="of the training (default: 0)")
    train.add_argument(
        "--epochs",
        type=_positive,
        metavar="E",
        help="passes over the training part (default: as long as the study's finalist of that family, else 5)",
    )
    train.add_argument("--device", default="auto", help="auto or any torch device (default: auto)")
    _add_output(train)

    show = verb("show", "the winner, or a family's finalist, as a configuration and as lines of torch that load it")
    show.add_argument("which", metavar="best|FAMILY", help="the shipped network, or the finalist of a family")
    show.add_argument("--as", dest="form", choices=("toml", "torch"), help="one of the two alone (default: both)")
    _add_study(show)
    _add_output(show)

    export = verb("export", "the winner as ONNX, checked against torch")
    _add_study(export)
    export.add_argument("--model", type=Path, metavar="DIR", help="a model folder (default: the study's winner)")
    export.add_argument("--output", type=Path, metavar="FILE", help="default: model.onnx in the model's folder")
    _add_output(export)

    data = verb("data", "explore a dataset: classes, pixel statistics, samples")
    _add_dataset(data)
    data.add_argument("--seed", type=_seed, default=0, metavar="S", help="of the samples (default: 0)")
    data.add_argument("--html", type=Path, metavar="FILE", help="write one page with figures")
    data.add_argument("--image", type=Path, metavar="FILE", help="write the sample grid as a picture")
    _add_format(data)
    _add_output(data)

    spaces = verb("spaces", "list, show and check search spaces")
    spaces.add_argument("action", choices=("list", "show", "check"))
    spaces.add_argument("spaces", nargs="*", metavar="NAME|FILE", help="default: all that are bundled or installed")
    _add_format(spaces)
    _add_output(spaces)

    doctor = verb("doctor", "is this installation, this dataset, this study sound?")
    _add_study(doctor)
    doctor.add_argument("--storage", metavar="URL")
    doctor.add_argument(
        "--repair",
        action="store_true",
        help="make a lost or damaged database, trials.jsonl, study.toml, ledger or seal again",
    )
    doctor.add_argument(
        "--set-aside", action="store_true", help="only this: rename another study's trials that have this name there"
    )
    _add_format(doctor)
    _add_output(doctor)
    return parser
