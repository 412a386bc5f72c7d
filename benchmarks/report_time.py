"""Seconds, memory and file sizes of `study report` at the trials of a default study, at 1,000 and at 10,000.

    python benchmarks/report_time.py results/mnist [--sizes 1000 10000] [--turns 3] [--table]

Works on a copy of the study in a temporary folder. The first line is the study as it is; for the others invented trials
are added to its own, equally for every family, a third of which goes on at each rung.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from _commands import measure, study_command
from _rows import RECORDED, Rows, machine
from _trials import append_records, invent

from study.records.paths import StudyFiles
from study.records.settings import load_settings
from study.records.trial import read_trials
from study.space.grammar import parse_space


def copy_study(study: Path, parent: Path) -> StudyFiles:
    """What a report may read: all but the database."""
    shutil.copytree(study, parent / study.name, ignore=shutil.ignore_patterns("study.db*", "old", ".lock"))
    return StudyFiles(parent / study.name)


def grow(files: StudyFiles, original: bytes, size: int) -> int:
    """Replace trials.jsonl by the original and invented trials up to `size`; returns how many trials there are."""
    files.trials_jsonl.write_bytes(original)
    records = read_trials(files.trials_jsonl)
    settings = load_settings(files.settings)
    families = settings.families
    for position, (name, family) in enumerate(families.items()):
        share = size // len(families) + (position < size % len(families))
        numbers = [trial.number for trial in records.of(name)]
        first = 1 + max(numbers, default=-1)
        more = range(first, first + max(0, share - len(numbers)))
        space = parse_space(family.space, family.space_file)
        trials = invent(space, family.ladder, more, seed=position, halved=True)
        append_records(files.trials_jsonl, trials, name, settings.format_version)
    return len(read_trials(files.trials_jsonl))


def record(rows: Rows, study: Path, sizes: list[int], turns: int) -> None:
    original = StudyFiles(study).trials_jsonl.read_bytes()
    with tempfile.TemporaryDirectory() as parent:
        files = copy_study(study, Path(parent))
        for size in [0, *sorted(sizes)]:
            missing = [turn for turn in range(turns) if not rows.has(size, turn)]
            n_trials = grow(files, original, size) if missing else 0
            for turn in missing:
                ran = measure([*study_command(), "report", "--name", files.name, "--results", parent])
                rows.add(
                    {
                        "asked": size,
                        "turn": turn,
                        "trials": n_trials,
                        "wall_s": round(ran.wall_seconds, 3),
                        "cpu_s": round(ran.cpu_seconds, 3),
                        "peak_mib": round(ran.peak_mib, 1),
                        "html_bytes": files.report_html.stat().st_size,
                        "json_bytes": files.report_json.stat().st_size,
                        "machine": machine(),
                    }
                )


def print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("nothing recorded yet")
        return
    print(rows[-1]["machine"])
    heads = ("wall, s", "from", "to", "CPU, s", "peak, MiB", "html, MB", "json, MB")
    print(f"{'trials':>8}{'turns':>7}" + "".join(f"{head:>11}" for head in heads))
    for asked in sorted({row["asked"] for row in rows}):
        group = [row for row in rows if row["asked"] == asked]
        walls = [row["wall_s"] for row in group]
        middle = {column: statistics.median(row[column] for row in group) for column in group[0] if column != "machine"}
        cells = (middle["wall_s"], min(walls), max(walls), middle["cpu_s"], middle["peak_mib"])
        sizes = (middle["html_bytes"] / 1e6, middle["json_bytes"] / 1e6)
        print(f"{group[0]['trials']:>8,}{len(group):>7}" + "".join(f"{cell:>11.2f}" for cell in (*cells, *sizes)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, nargs="?", help="folder of a finished study, such as results/mnist")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RECORDED / "report_time.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    if options.study is None and not options.table:
        parser.error("the folder of a finished study is needed, such as results/mnist")
    rows = Rows(options.out, ("asked", "turn"))
    if not options.table:
        record(rows, options.study, options.sizes, options.turns)
    print_table(rows.all())


if __name__ == "__main__":
    main()
