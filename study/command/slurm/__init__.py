"""`study slurm`: a job script that runs a study on the nodes of a Slurm job, with Ray on them."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from study.command.console import print_answer


def slurm(args: argparse.Namespace, command: str, started: float) -> int:
    text = job_script(exclusive=args.exclusive, gpus=args.gpus)
    if args.format == "json":
        print_answer(args.verb, {"script": text})
    else:
        print(text, end="")
    return 0


def job_script(*, exclusive: bool, gpus: int | None = None) -> str:
    """For nodes that the job has alone, or may share with others; with the programs of this installation. Where `gpus`
    of each node are asked for, they train."""
    kind = "exclusive" if exclusive else "shared"
    text = Path(__file__).with_name(f"{kind}.sh").read_text(encoding="utf-8")
    if gpus is not None:
        text = text.replace("#SBATCH --nodes=2\n", f"#SBATCH --nodes=2\n#SBATCH --gpus-per-node={gpus}\n")
        text = text.replace("study run --cluster", "study run --device cuda --cluster")
    return text.replace("@BIN@", shlex.quote(str(Path(sys.executable).parent)))
