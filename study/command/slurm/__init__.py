"""`study slurm`: a job script that runs a study on the nodes of a Slurm job, with Ray on them."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from study.command.console import print_answer


def slurm(args: argparse.Namespace, command: str, started: float) -> int:
    text = job_script(exclusive=args.exclusive)
    if args.format == "json":
        print_answer(args.verb, {"script": text})
    else:
        print(text, end="")
    return 0


def job_script(*, exclusive: bool) -> str:
    """For nodes that the job has alone, or may share with others; with the programs of this installation."""
    kind = "exclusive" if exclusive else "shared"
    text = Path(__file__).with_name(f"{kind}.sh").read_text(encoding="utf-8")
    return text.replace("@BIN@", shlex.quote(str(Path(sys.executable).parent)))
