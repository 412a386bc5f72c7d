"""What studies of one kind say beside each other: verdicts, what was found and what was given, what ships.

    python benchmarks/verdicts.py STUDY [STUDY ...]       # folders, as time_to_accuracy.py --keep DIR leaves them

Reads report.json alone. Test accuracy in %, differences in points with half their 95 % interval: of the families'
finalists with the verdict, of each family's best found configuration against the best one given, one run of each; and
of the shipped network with the reading that it ships with.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _rows import machine


def with_interval(difference: float, interval: Sequence[float]) -> str:
    return f"{100 * difference:+.2f} ± {50 * (interval[1] - interval[0]):.2f}"


def verdict_of(report: Mapping[str, Any]) -> str:
    pairs = (report["repeated"] or {}).get("pairs") or report["pairwise"]["pairs"]
    pair = pairs[0]
    found = pair["comparison"]
    difference = with_interval(found["difference"], found["interval95"])
    return f"{pair['a']} less {pair['b']} {difference}, p {pair['holm_p']:.1g}: {pair['verdict']['label']}"


def added_in(report: Mapping[str, Any], against: str) -> dict[str, Mapping[str, Any]]:
    found = [one for one in report["answer"]["added"] if one["against"] == against and one["difference"] is not None]
    return {one["family"]: one for one in found}


def row_of(name: str, report: Mapping[str, Any]) -> list[str]:
    shipped, answer = report["leaderboard"]["shipped"], report["answer"]
    shows = answer["winner_row"]["test"]["accuracy"]["mean"] if shipped is None else shipped["accuracy"]
    finalists = [row for row in report["leaderboard"]["rows"] if row["kind"] == "finalist"]
    accuracies = ", ".join(
        f"{row['title'].split()[-2]} {100 * row['test']['accuracy']['mean']:.2f}" for row in finalists
    )
    added = [
        f"{family} {100 * one['found']:.2f}: {with_interval(one['difference'], one['interval95'])}"
        for family, one in sorted(added_in(report, "given").items())
    ]
    return [name, f"{100 * shows:.2f}", accuracies, verdict_of(report), "; ".join(added), f"{answer['seconds']:.0f} s"]


def print_table(rows: Sequence[Sequence[str]]) -> None:
    print("| study | shipped | finalists | verdict | found, less given | time |\n|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="What studies of one kind say beside each other.")
    parser.add_argument("studies", nargs="+", type=Path, help="their folders")
    reports = {path: json.loads((path / "report.json").read_text()) for path in parser.parse_args().studies}
    print_table([row_of(str(number), report) for number, report in enumerate(reports.values())])
    added = [added_in(report, "given") for report in reports.values()]
    for family in sorted({family for one in added for family in one}):
        losses = [100 * one[family]["difference"] for one in added if family in one]
        if len(losses) > 1:
            spread = np.std(losses, ddof=1)
            print(f"{family}: found less given {np.mean(losses):+.2f}, sd {spread:.2f}, of {len(losses)}")
    print(machine())


if __name__ == "__main__":
    main()
