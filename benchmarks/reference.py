"""Makes the sample anew: a default study from a cold start, its report in `results/reference` with a picture of the
first screen, and the figures of the README.

    python benchmarks/reference.py [--study FOLDER] [--flags "..."]

On an otherwise idle machine. Needs chromium for the picture. `--study` takes a finished study in place of a new one.
Openings of the test split are counted apart: `results/README.md` tells what development had opened before.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

from _commands import study_command

from study.command.summary import winner_line
from study.records.files import read_json
from study.records.paths import StudyFiles
from study.records.summary import read_summary
from study.report.wording import duration

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "results" / "reference"
README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- figures of the sample.*?-->\n).*?(<!-- end -->)", re.DOTALL)
WINNER = re.compile(r"^#> winner: .*$", re.MULTILINE)  # what `study run` prints
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars")


def run_default(results: Path, flags: list[str]) -> tuple[StudyFiles, float]:
    """A study as `study run` makes it, and the command's seconds."""
    words = [*study_command(), "run", "--results", str(results), "--name", "mnist", "--quiet", *flags]
    started = time.perf_counter()
    subprocess.run(words, check=True, env=os.environ | {"XDG_STATE_HOME": str(results / "state")})
    return StudyFiles(results / "mnist"), time.perf_counter() - started


def keep(files: StudyFiles) -> None:
    """The sample names no folder of this machine, but the default one."""
    SAMPLE.mkdir(exist_ok=True)
    for path in (files.report_html, files.report_json, files.trials_csv):
        text = path.read_text(encoding="utf-8").replace(str(files.root.parent), "results")
        (SAMPLE / path.name).write_text(text, encoding="utf-8")


def photograph(page: Path, picture: Path) -> None:
    """The first screen, as a reader meets it; SystemExit without chromium."""
    browser = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"no picture was made: none of {', '.join(CHROMIUM)} is installed; apt install chromium")
    words = [browser, *FLAGS, "--virtual-time-budget=8000", "--window-size=1200,1060", f"--screenshot={picture}"]
    subprocess.run([*words, page.resolve().as_uri()], check=True, capture_output=True)


def figures(report: dict[str, Any], seconds: float | None) -> str:
    """The README's lines on this study: a row a family, the verdict, the shipped network, the time."""
    lines = ["| family | mean test accuracy (95 % interval) | its best network | parameters | latency, 1 image |"]
    lines += ["|---|---|---|---|---|", *map(_row, _families(report))]
    machine = report["header"]["machine"]
    took = "" if seconds is None else f" The command took {duration(seconds)} on an {machine['cpu']}."
    return "\n".join([*lines, "", textwrap.fill(f"*{report['findings']['answer']}*{took}", 120), ""])


def _families(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The finalists' rows of the leaderboard; over several searches with the mean of all of them."""
    rows = [row for row in report["leaderboard"]["rows"] if row["kind"] == "finalist" and row["test"]]
    several = (report["searches"] or {}).get("families") or {}
    for row in rows:
        own = row["test"]["accuracy"]
        over = (several.get(row["family"]) or {}).get("test")
        row["mean"], row["interval95"] = (
            (over["mean"], over["interval95"]) if over else (own["mean"], own["interval95"])
        )
    return sorted(rows, key=lambda row: -float(row["mean"]))


def _row(row: dict[str, Any]) -> str:
    low, high = (f"{100 * end:.2f}" for end in row["interval95"])
    latency = "–" if row["latency_p50_ms"] is None else f"{row['latency_p50_ms']:.2f} ms"
    return (
        f"| {row['family']} | {100 * row['mean']:.2f} % ({low} to {high}) | #{row['trial']} | "
        f"{row['n_parameters']:,.0f} | {latency} |"
    )


def write_figures(text: str, winner: str) -> None:
    before = README.read_text(encoding="utf-8")
    after, n = BLOCK.subn(lambda match: match[1] + text + match[2], before)
    if n != 1:
        raise SystemExit(
            f"{README}: expected one block that begins with '<!-- figures of the sample' and ends '<!-- end -->'"
        )
    README.write_text(WINNER.sub(f"#> {winner}", after), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, metavar="FOLDER", help="a finished study in place of a new one")
    parser.add_argument("--flags", default="", help="more flags for `study run`, in quotes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reference-") as folder:
        if options.study:
            files, seconds = StudyFiles(options.study), None
        else:
            files, seconds = run_default(Path(folder), shlex.split(options.flags))
        keep(files)
        photograph(SAMPLE / files.report_html.name, SAMPLE / "report.png")
        summary = read_summary(files)
        assert summary is not None  # the study is finished
        assert summary.winner is not None
        write_figures(figures(read_json(files.report_json), seconds), winner_line(summary.winner))


if __name__ == "__main__":
    main()
