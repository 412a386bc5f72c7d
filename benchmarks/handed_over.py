"""What a search hands over first: its best trial, or the one whose error is expected to be least after a long run.

    python benchmarks/handed_over.py STUDY [STUDY ...] [--families mlp,cnn] [--final 14]
    python benchmarks/handed_over.py --table

Reads the trials that the searches of finished studies drew, each of a name of its own, whose rungs take equal seconds.
Where the two ways choose another trial, both are trained by one cycle of `--final` processor seconds and read on the
dev-test slice. The test split is not read. A quarter of a minute of a core for each of two trials.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from _data import dev_data
from _rows import RECORDED, Rows, machine
from live import Task
from rungs import final

from study.records.paths import StudyFiles
from study.records.trial import read_trials
from study.retraining.candidates import choose_candidates
from study.training import loop

KEY = ("study", "family", "speed_share")
SHARES = (0.0, 0.5)


def measure(studies: list[Path], families: list[str], seconds: float, rows: Rows) -> None:
    data, dev_test = dev_data()
    for place in studies:
        found = read_trials(StudyFiles(place).trials_jsonl).counted.found
        for family in families:
            chosen = {share: choose_candidates(found, 1, speed_share=share)[family][0] for share in SHARES}
            if len({trial.number for trial in chosen.values()}) == 1:
                print(f"{place} {family}: both choose #{chosen[0.0].number}", flush=True)
                continue
            for share, trial in chosen.items():
                if rows.has(place.name, family, share):
                    continue
                accuracy, examples = final(trial, Task(family, "handed over", 0, 0.0, seconds), data, dev_test)
                row = {"trial": trial.number, "search": trial.value, "dev_test": round(accuracy, 5)}
                rows.add({**dict(zip(KEY, (place.name, family, share), strict=True)), **row, "examples": examples})


def print_table(rows: Rows) -> None:
    for family in dict.fromkeys(row["family"] for row in rows.all()):
        mine = {(row["study"], row["speed_share"]): row for row in rows.all() if row["family"] == family}
        studies = sorted({study for study, _ in mine})
        pairs = [100 * (mine[one, 0.0]["dev_test"] - mine[one, 0.5]["dev_test"]) for one in studies]
        error = np.std(pairs, ddof=1) / len(pairs) ** 0.5 if len(pairs) > 1 else np.nan
        print(f"{family}: best trial less expected best {np.mean(pairs):+.2f} ± {error:.2f}: {np.round(pairs, 2)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What a search hands over first.")
    parser.add_argument("studies", nargs="*", type=Path, help="folders of finished studies")
    parser.add_argument("--families", default="mlp,cnn")
    parser.add_argument("--final", type=float, default=14.0, help="processor seconds of a run")
    parser.add_argument("--out", type=Path, default=RECORDED / "handed_over.csv")
    parser.add_argument("--table", action="store_true", help="only print what is recorded")
    arguments = parser.parse_args()
    rows = Rows(arguments.out, KEY)
    if not arguments.table:
        torch.set_num_threads(1)
        loop.time = SimpleNamespace(perf_counter=time.thread_time)  # type: ignore[attr-defined]  # seconds of training
        measure(arguments.studies, arguments.families.split(","), arguments.final, rows)
    print(machine())
    print_table(rows)


if __name__ == "__main__":
    main()
