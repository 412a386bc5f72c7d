"""What `study --help` and `study VERB --help` say beside the flags: the verbs in groups, and examples."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping

GROUPS: Mapping[str, Mapping[str, str]] = {
    "search and compare": {
        "run": "search, retrain, evaluate, examine and report; the same command again continues",
        "train": "train one configuration without a search, and validate it",
        "propose": "give a study that is searched a configuration of your own, which its search tries next",
        "compare": "one page for two or more finished studies: protocols, leaderboard, differences, costs",
    },
    "the stages of a run, one by one": {
        "search": "search every family for good configurations",
        "retrain": "train candidates under fresh seeds, and the finalists on train + validation",
        "evaluate": "open the test split, once, and seal the record of it",
        "examine": "baselines, ensembles, latency and robustness of the finalists; or an ablation, an audit",
        "report": "write report.json and report.html from the study's files",
    },
    "look at a study": {
        "status": "trials by state, best so far, budget spent and left",
        "show": "the winner, or a family's finalist, as a configuration and as lines of torch that load it",
        "dashboard": "optuna-dashboard for this study, on loopback; read-only",
    },
    "use the winner": {
        "predict": "read digits from images, folders or standard input",
        "draw": "a page on loopback to draw a digit on, which the winner reads meanwhile",
        "export": "the winner as ONNX, checked against torch",
    },
    "before and beside": {
        "data": "explore a dataset: classes, pixel statistics, samples",
        "spaces": "list, show and check search spaces",
        "doctor": "is this installation, this dataset, this study sound?",
        "slurm": "a job script that runs a study on the nodes of a Slurm job",
        "completion": "what completes verbs and flags in your shell",
    },
}
EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "run": (
        "study run",
        "study run --data-dir my-digits --budget 15m",
        "study run --name wide --space wide.toml --families mlp,cnn",
        "study run --dry-run --format json",
    ),
    "train": ("study show best --as toml > mine.toml", "study train mine.toml --seed 3"),
    "propose": ("study propose mine.toml", "study propose --family cnn mine.toml --name second"),
    "compare": ("study compare mnist second", "study compare mnist elsewhere/results/mnist --out both.html"),
    "search": ("study search --n-trials 20", "study search --n-trials 40"),
    "retrain": ("study retrain",),
    "evaluate": ("study evaluate", "study evaluate --single-family"),
    "examine": ("study examine", "study examine --ablation 10m", "study examine --audit 20"),
    "report": ("study report --name second",),
    "status": ("study status", "study status --format json"),
    "show": ("study show best", "study show cnn --as toml > cnn.toml"),
    "dashboard": ("study dashboard", "study dashboard --name second --port 8090"),
    "predict": (
        "study predict photo.png",
        "study predict scans/ --recursive --format csv > read.csv",
        "study predict sheet.png --segment --explain why",
    ),
    "draw": ("study draw", "study draw --port 8090"),
    "export": ("study export", "study export --output digits.onnx"),
    "data": ("study data", "study data --data-dir my-digits --html my-digits.html"),
    "spaces": ("study spaces list", "study spaces show cnn", "study spaces check mine.toml"),
    "doctor": ("study doctor", "study doctor --name second --repair"),
    "slurm": (
        "study slurm > study.sh && sbatch --nodes=4 study.sh --budget 3h",
        "study slurm --exclusive --gpus 4 > study.sh",
    ),
    "completion": (
        "study completion bash > ~/.local/share/bash-completion/completions/study",
        "study completion zsh > ~/.zfunc/_study",
        "study completion tcsh > ~/.study.tcsh",
    ),
}
FIRST = ("study run", "study status", "study predict photo.png", "study draw")
_WIDTH = 80


class Help(argparse.HelpFormatter):
    """Fills paragraphs, and leaves lines that are indented as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled = (
            line if line.startswith(" ") or not line else super(Help, self)._fill_text(line, width, indent)
            for line in text.splitlines()
        )
        return "\n".join(filled)


def sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith("?") else ".")


def examples(lines: tuple[str, ...]) -> str:
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def all_verbs() -> str:
    """The verbs in groups, a line or two each."""
    width = max(len(verb) for verbs in GROUPS.values() for verb in verbs) + 4
    lines = []
    for title, verbs in GROUPS.items():
        lines += ["", f"{title}:"]
        for verb, text in verbs.items():
            first, rest = f"  {verb}".ljust(width), " " * width
            lines += textwrap.wrap(text, _WIDTH - 2, initial_indent=first, subsequent_indent=rest)
    return "\n".join(lines)
