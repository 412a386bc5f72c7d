"""How long each verb takes from the command to its end: every `--help`, and the verbs that answer at once.

    python benchmarks/startup.py results/mnist [--turns 7] [--table]

The study given is only read. Commands run in turn, so that another process's work falls on all of them alike. `predict`
reads one small picture, a digit of the training file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from _commands import measure, study_command
from _rows import RECORDED, Rows, machine

from study.command.parser import build_parser

AIM = {"--help": 0.3}  # seconds


def verbs() -> list[str]:
    actions = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return list(actions[0].choices)


def commands(study: Path, picture: Path) -> dict[str, list[str]]:
    """Words after `study` by what the table calls them."""
    of_study = ["--name", study.name, "--results", str(study.parent)]
    return {
        "--help": ["--help"],
        "--version": ["--version"],
        **{f"{verb} --help": [verb, "--help"] for verb in verbs()},
        "status": ["status", *of_study],
        "spaces list": ["spaces", "list"],
        "doctor": ["doctor", *of_study],
        "data": ["data"],
        "predict one picture": ["predict", str(picture), *of_study],
    }


def write_picture(path: Path) -> None:
    """The first digit of the training file."""
    from PIL import Image

    from study.data.datasets import load_train

    Image.fromarray(load_train("mnist").images[0].numpy()).save(path)


def record(rows: Rows, study: Path, turns: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "digit.png"
        listed = commands(study, picture)
        missing = [(turn, name) for turn in range(turns) for name in listed if not rows.has(name, turn)]
        if missing:
            write_picture(picture)
        for turn, name in missing:
            ran = measure([*study_command(), *listed[name]])
            seconds = {"wall_s": round(ran.wall_seconds, 4), "cpu_s": round(ran.cpu_seconds, 4)}
            rows.add({"command": name, "turn": turn, **seconds, "machine": machine()})


def print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("nothing recorded yet")
        return
    print(rows[-1]["machine"])
    print(f"{'study ...':<22}{'turns':>6}{'median, s':>12}{'from':>8}{'to':>8}{'CPU, s':>9}{'aim, s':>9}")
    for name in dict.fromkeys(row["command"] for row in rows):
        group = [row for row in rows if row["command"] == name]
        walls, cpu = [row["wall_s"] for row in group], statistics.median(row["cpu_s"] for row in group)
        numbers = f"{statistics.median(walls):>12.2f}{min(walls):>8.2f}{max(walls):>8.2f}{cpu:>9.2f}"
        print(f"{name:<22}{len(group):>6}{numbers}{AIM.get(name, ''):>9}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, nargs="?", help="folder of a finished study, such as results/mnist")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RECORDED / "startup.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    if options.study is None and not options.table:
        parser.error("the folder of a finished study is needed, such as results/mnist")
    rows = Rows(options.out, ("command", "turn"))
    if not options.table:
        record(rows, options.study, options.turns)
    print_table(rows.all())


if __name__ == "__main__":
    main()
