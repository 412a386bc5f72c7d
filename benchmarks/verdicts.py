"""What studies of one kind say beside each other: verdicts, what was found and what was given, what ships, and how
often two of them differ where only seeds or searches do.

    python benchmarks/verdicts.py STUDY [STUDY ...]       # folders, as time_to_accuracy.py --keep DIR leaves them

Reads report.json and the predictions that the studies keep. Test accuracy in %, differences in points with half their
95 % interval: of the families' finalists, or of their searches where there are several, with the verdict; of each
family's best found configuration against the best one given, one run of each; and of the shipped network with the
reading that it ships with. Then all pairs of studies, family by family: p < 0.05 between finalists that are the same
given configuration, trained under other seeds, and between what their searches found, one run of each.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from _rows import machine
from numpy.typing import NDArray

from study.records.finalists import read_finalists
from study.records.paths import StudyFiles
from study.records.predictions import read_logits
from study.statistics.over_seeds import Comparison, compare_finalists


def with_interval(difference: float, interval: Sequence[float]) -> str:
    return f"{100 * difference:+.2f} ± {50 * (interval[1] - interval[0]):.2f}"


def first_pair(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of families by their searches where there are several, else of finalists."""
    several: list[Mapping[str, Any]] = (report["searches"] or {}).get("pairs", [])
    return (several or report["pairwise"]["pairs"])[0]


def verdict_of(report: Mapping[str, Any]) -> str:
    pair = first_pair(report)
    found = pair["comparison"]
    difference = with_interval(found["difference"], found["interval95"])
    return f"{pair['a']} less {pair['b']} {difference}, p {pair['holm_p']:.1g}: {pair['verdict']['label']}"


def added_in(report: Mapping[str, Any], against: str) -> dict[str, Mapping[str, Any]]:
    found = [one for one in report["answer"]["added"] if one["against"] == against and one["difference"] is not None]
    return {one["family"]: one for one in found}


def row_of(name: str, report: Mapping[str, Any]) -> list[str]:
    shipped, answer = report["leaderboard"].get("shipped"), report["answer"]
    shows = answer["winner_row"]["test"]["accuracy"]["mean"] if shipped is None else shipped["accuracy"]
    pair = first_pair(report)
    accuracies = ", ".join(f"{pair[one]} {100 * pair['comparison'][f'accuracy_{one}']:.2f}" for one in ("a", "b"))
    seconds = (report["searches"] or answer)["seconds"]
    added = [
        f"{family} {100 * one['found']:.2f}: {with_interval(one['difference'], one['interval95'])}"
        for family, one in sorted(added_in(report, "given").items())
    ]
    return [name, f"{100 * shows:.2f}", accuracies, verdict_of(report), "; ".join(added), f"{seconds:.0f} s"]


Right = dict[tuple[str, str], list[NDArray[np.bool_]]]  # by family and kind: bool [S, N] of each study's test images


def right_in(studies: Sequence[Path]) -> Right:
    """Which test images the finalists read rightly, by configuration, and the best found configurations."""
    right: Right = defaultdict(list)
    for files in map(StudyFiles, studies):
        labels, finals = read_logits(files.predictions)
        known = {run: logits.argmax(axis=1) == labels for run, logits in (_candidates(files) | finals).items()}
        for family, row in read_finalists(files.finalists).families.items():
            chosen = next((one for one in row.candidates if one.trial == row.finalist), None)
            if chosen is not None and chosen.given and row.final_runs:
                right[family, f"given #{row.finalist}"].append(np.stack([known[run] for run in row.final_runs]))
            found = [one for one in row.candidates if not one.given and one.runs[0] in known]
            if found:
                best = max(found, key=lambda one: one.mean_accuracy)
                right[family, "found"].append(known[best.runs[0]][None])
    return right


def _candidates(files: StudyFiles) -> dict[str, NDArray[np.float32]]:
    return read_logits(files.candidate_predictions)[1] if files.candidate_predictions.exists() else {}


def pairs_of(right: Right) -> Iterator[str]:
    for (family, kind), studies in sorted(right.items()):
        made: list[Comparison] = [compare_finalists(a, b) for a, b in combinations(studies, 2)]
        if made:
            seen = sum(one.p_value < 0.05 for one in made)
            furthest = 100 * max(abs(one.difference) for one in made)
            yield f"{family}, {kind}: {seen} of {len(made)} pairs of studies p < 0.05, {furthest:.2f} points at most"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    print("| study | shipped | finalists | verdict | found, less given | time |\n|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="What studies of one kind say beside each other.")
    parser.add_argument("studies", nargs="+", type=Path, help="their folders")
    studies = parser.parse_args().studies
    reports = {path: json.loads((path / "report.json").read_text()) for path in studies}
    print_table([row_of(str(number), report) for number, report in enumerate(reports.values())])
    added = [added_in(report, "given") for report in reports.values()]
    for family in sorted({family for one in added for family in one}):
        losses = [100 * one[family]["difference"] for one in added if family in one]
        if len(losses) > 1:
            spread = np.std(losses, ddof=1)
            print(f"{family}: found less given {np.mean(losses):+.2f}, sd {spread:.2f}, of {len(losses)}")
    print("\n".join(pairs_of(right_in(studies))))
    print(machine())


if __name__ == "__main__":
    main()
