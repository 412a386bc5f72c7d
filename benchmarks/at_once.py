"""Whether proposals that are drawn at once, or ahead, choose worse than those that are drawn one by one.

    python benchmarks/at_once.py [--trials 1500] [--seeds 6] [--families cnn mlp] [--table]

The landscape and the columns are those of window.py; 256 trials are in flight, and any of them ends next. "Ahead" are
as many at once as a process beside a busy driver draws. All ways of a seed begin with the same random trials. Rows are
added to recorded/at_once.csv; a killed script goes on.
"""

from __future__ import annotations

import itertools
import statistics
from unittest import mock

from _rows import RECORDED, Rows, machine
from window import EVERY, FIGURES, Landscape, Search, asked, difference

from study.records.settings import SAMPLER_WINDOW
from study.search import ahead, tpe

IN_FLIGHT = 256
# Trials in flight for one more proposal at once.
WAYS = {"one by one": IN_FLIGHT + 1, "at once": tpe._IN_FLIGHT, "ahead": ahead._IN_STOCK}


def search(rows: Rows, landscape: Landscape, family: str, seed: int, n_trials: int) -> None:
    """All ways of one seed, unless they have a row."""
    for way, share in WAYS.items():
        if rows.has(family, way, seed, n_trials):
            continue
        one = Search(landscape, family, SAMPLER_WINDOW, seed, IN_FLIGHT)
        for trials in range(EVERY, n_trials + 1, EVERY):
            one.took = 0.0
            with mock.patch.object(tpe, "_IN_FLIGHT", share):
                one.go_on(trials)
            if not rows.has(family, way, seed, trials):
                rows.add({"family": family, "way": way, "seed": seed} | one.row | {"machine": machine()})


def table(rows: Rows) -> None:
    """Points of those drawn at once or ahead against one by one, mean and standard error over seeds, with each number
    of trials."""
    found = {(row["family"], row["trials"], row["way"], row["seed"]): row for row in rows.all()}
    for family, trials, way in sorted({key[:3] for key in found if key[2] != "one by one"}):
        seeds = [seed for *cell, seed in found if cell == [family, trials, way]]
        if len(seeds) < 2:
            continue
        ways = [[found[family, trials, one, seed] for one in ("one by one", way)] for seed in seeds]
        cells = [difference([100 * (ours[name] - theirs[name]) for theirs, ours in ways]) for name in FIGURES]
        ms = [statistics.mean(row["ms_a_proposal"] for row in column) for column in zip(*ways, strict=True)]
        print(f"| {family} | {trials} | {way} | {len(seeds)} | {' | '.join(cells)} | {ms[1]:.1f} / {ms[0]:.1f} |")


def main() -> None:
    args = asked(__doc__, 1_500, 6)
    rows = Rows(RECORDED / "at_once.csv", ("family", "way", "seed", "trials"))
    if not args.table:
        landscapes = {family: Landscape(family) for family in args.families}
        for seed, family in itertools.product(range(args.seeds), args.families):
            search(rows, landscapes[family], family, seed, args.trials)
    table(rows)


if __name__ == "__main__":
    main()
