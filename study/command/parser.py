"""Every verb of the command line with its flags, its help and its examples. What a verb needs is imported when it
runs."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from study.command import flags
from study.command.arguments import count, duration, port, positive, seed
from study.command.help import EXAMPLES, FIRST, GROUPS, Help, all_verbs, examples, sentence
from study.errors import UsageError


class WrongUsageError(UsageError):
    """Words that `program`, such as `study run`, does not understand."""

    def __init__(self, message: str, program: str) -> None:
        super().__init__(f"{message}; see `{program} --help`")
        self.program = program


class _Parser(argparse.ArgumentParser):
    """Wrong usage in one line; `-h` has the rest."""

    def error(self, message: str) -> NoReturn:
        raise WrongUsageError(message, self.prog)


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="study",
        usage="study [-h] [--version] VERB ...",
        description="Compare network families for handwritten digits under equal budgets, and use the winner.\n"
        + all_verbs(),
        epilog="`study VERB --help` has a verb's flags and examples. Exit status: 0 done, 1 failed (a line says why), "
        "2 wrong usage, 128 + a signal's number.\n\n" + examples(FIRST),
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    # The description lists the verbs in their groups.
    verbs = parser.add_subparsers(
        prog="study", dest="verb", metavar="VERB", parser_class=_Parser, help=argparse.SUPPRESS
    )
    for group in GROUPS.values():
        for name, text in group.items():
            verb = verbs.add_parser(
                name,
                help=text,
                description=sentence(text),
                epilog=examples(EXAMPLES[name]),
                formatter_class=Help,
                allow_abbrev=False,
            )
            _FLAGS[name](verb)
            flags.add_output(verb, *(("csv",) if name == "predict" else ()))
    return parser


# --- work on a study -------------------------------------------------------------------------------------------------


def _run(parser: argparse.ArgumentParser) -> None:
    flags.add_work(parser)
    add = parser.add_argument_group("the run").add_argument
    add(
        "--repeats",
        type=count,
        metavar="R",
        help="independent searches that share the budget, side by side where each has 8 workers or more; from three on "
        "the verdict speaks of families (default: 3 from a budget of 15m on, 5 from 1h, 8 from 12h, 14 from 24h, "
        "else 1)",
    )
    add("--no-evaluate", action="store_true", help="leave the test split sealed: a validation-only report")
    flags.add_uncounted(add)
    add("--dry-run", action="store_true", help="print the plan of this command and what it would write; write nothing")
    add("--dashboard", action="store_true", help="serve the dashboard, too; at a terminal until Ctrl-C")
    add("--port", type=port, default=8080, help="the dashboard's port (default: 8080)")


def _evaluate(parser: argparse.ArgumentParser) -> None:
    flags.add_work(parser)
    flags.add_uncounted(parser.add_argument)


def _examine(parser: argparse.ArgumentParser) -> None:
    flags.add_work(parser)
    add = parser.add_argument_group("instead").add_argument
    add(
        "--ablation",
        nargs="?",
        type=duration,
        const=math.inf,
        metavar="TIME",
        help="only this: swap each finalist's choices one at a time, three seeds each, on validation; within TIME, a "
        "later call adds what is left out (default: all)",
    )
    add(
        "--audit",
        type=count,
        metavar="N",
        help="only this: run N random pruned trials to the end, on validation (default: none)",
    )


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a configuration in TOML, as `study show best` prints")
    flags.add_study(parser)
    add = parser.add_argument_group("the training").add_argument
    add("--seed", type=seed, default=0, metavar="S", help="of the training (default: 0)")
    add(
        "--epochs",
        type=positive,
        metavar="E",
        help="passes over the training part (default: as long as the study's finalist of that family, else 5)",
    )
    flags.add_device(add)


def _propose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a configuration in TOML, as `study show best` prints")
    flags.add_study(parser)
    parser.add_argument("--family", metavar="NAME", help="its family (default: the one that the file names or fits)")


# --- look at studies -------------------------------------------------------------------------------------------------


def _compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="its name under --results, or its folder")
    add = parser.add_argument_group("study").add_argument
    flags.add_results(add)
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="the page, its numbers beside it as .json (default: compare-A-B.html beside the first study)",
    )


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", metavar="best|FAMILY", help="the shipped network, or the finalist of a family")
    parser.add_argument("--as", dest="form", choices=("toml", "torch"), help="one of the two alone (default: both)")
    flags.add_study(parser)


def _dashboard(parser: argparse.ArgumentParser) -> None:
    flags.add_study(parser)
    add = parser.add_argument_group("the dashboard").add_argument
    flags.add_storage(add)
    flags.add_address(add, 8080, port)
    add("--write", action="store_true", help="allow changes, when no search holds the study")
    add("--until-stdin-ends", action="store_true", help=argparse.SUPPRESS)


# --- use the winner --------------------------------------------------------------------------------------------------


def _predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", metavar="FILE|DIR|GLOB|-", help="pictures; - reads one from stdin")
    flags.add_study(parser)
    add = parser.add_argument_group("how they are read").add_argument
    flags.add_model(add)
    add("--top-k", type=count, default=3, metavar="K", help="classes named with their probabilities (default: 3)")
    add("--threshold", type=float, metavar="P", help="abstain below this probability (default: the model's)")
    add(
        "--coverage",
        type=float,
        metavar="P",
        help="how often the answer's set contains the true digit (default: 0.999); one that the answer alone reaches, "
        "often up to 0.995, changes nothing",
    )
    add("--invert", choices=("auto", "yes", "no"), default="auto", help="dark ink on light paper? (default: auto)")
    add(
        "--segment",
        action=argparse.BooleanOptionalAction,
        help="read several digits row by row, cutting those that touch (default: where the picture clearly is a row"
        " of digits, 100 at most)",
    )
    add("--recursive", action="store_true", help="look into folders' folders")
    add = parser.add_argument_group("what is written beside the answers").add_argument
    add("--explain", type=Path, metavar="DIR", help="a page that shows how they were read (default: none)")
    add("--save-input", type=Path, metavar="DIR", help="what the model saw, as pictures (default: none)")
    add("-v", "--verbose", action="store_true", help="print what the model saw as text")


def _draw(parser: argparse.ArgumentParser) -> None:
    flags.add_study(parser)
    add = parser.add_argument_group("the page").add_argument
    flags.add_model(add)
    flags.add_address(add, 8081, port)


def _export(parser: argparse.ArgumentParser) -> None:
    flags.add_study(parser)
    add = parser.add_argument_group("the file").add_argument
    flags.add_model(add)
    add("--output", type=Path, metavar="FILE", help="where it goes (default: model.onnx in the model's folder)")


# --- before and beside -----------------------------------------------------------------------------------------------


def _data(parser: argparse.ArgumentParser) -> None:
    flags.add_dataset(parser)
    add = parser.add_argument_group("what is shown").add_argument
    add("--seed", type=seed, default=0, metavar="S", help="of the samples (default: 0)")
    add("--html", type=Path, metavar="FILE", help="write one page with figures (default: none)")
    add("--image", type=Path, metavar="FILE", help="write the sample grid as a picture (default: none)")


def _spaces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "show", "check"), help="check trains every branch for a batch")
    parser.add_argument(
        "spaces", nargs="*", metavar="NAME|FILE", help="search spaces (default: all that are bundled or installed)"
    )


def _doctor(parser: argparse.ArgumentParser) -> None:
    flags.add_study(parser)
    add = parser.add_argument_group("what is looked at and mended").add_argument
    flags.add_storage(add)
    add(
        "--repair",
        action="store_true",
        help="make a lost or damaged database, trials.jsonl, study.toml, ledger or seal again",
    )
    add("--set-aside", action="store_true", help="only this: rename another study's trials that have this name there")


def _slurm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exclusive", action="store_true", help="for nodes that have no other job (default: nodes may be shared)"
    )
    parser.add_argument(
        "--gpus", type=count, metavar="N", help="train on so many GPUs of each node (default: on its cores)"
    )


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="which shell the completion is for")


_FLAGS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "run": _run,
    "train": _train,
    "propose": _propose,
    "compare": _compare,
    "search": flags.add_work,
    "retrain": flags.add_work,
    "evaluate": _evaluate,
    "examine": _examine,
    "report": flags.add_study,
    "status": flags.add_study,
    "show": _show,
    "dashboard": _dashboard,
    "predict": _predict,
    "draw": _draw,
    "export": _export,
    "data": _data,
    "spaces": _spaces,
    "doctor": _doctor,
    "slurm": _slurm,
    "completion": _completion,
}
