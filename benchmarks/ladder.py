"""How well each rung of each way predicts the final value, and what it costs: the choice of the ladder.

    python benchmarks/ladder.py [--pool benchmarks/recorded/pool.csv]

Reads what pool.py recorded, trains nothing. A configuration's final value is the mean of its validation and dev-test
accuracy after the whole full-length run. Of each way and rung, over the configurations whose runs ended well:

    Spearman      rank correlation of the rung's value with the final value, with a bootstrap 95 % interval
    as read       the same for the value on the validation images that the program would read at that rung
    - whole       its difference to a whole cycle of that length on the same configurations, 95 % interval
    top kept      share of the best tenth (by final value) among the third that goes on (by the rung's value)
    CPU s         mean CPU seconds of a configuration up to and with that rung; for `whole` all shorter runs included

`whole` at full length is the run that the final value comes from: an upper bound. If some configurations were not
trained in every way, a second table compares the ways on those that were.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _rows import RECORDED, Rows
from numpy.typing import NDArray
from pool import FULL, KEY, RUNGS
from scipy.stats import rankdata

RESAMPLES = 2000
WAYS = ("curve", "whole", "restarts", "cooldown", "ema")

Floats = NDArray[np.float64]
Cells = dict[tuple[str, int], dict[int, dict[str, Any]]]  # (way, rung) -> number -> row


def read_cells(rows: Sequence[dict[str, Any]], family: str) -> Cells:
    """Rows of the random configurations of a family that ended well."""
    cells: Cells = {}
    for row in rows:
        if row["family"] == family and row["number"] >= 0 and row["status"] == "ok":
            cells.setdefault((row["way"], row["rung"]), {})[row["number"]] = row
    return cells


def spearman(a: Floats, b: Floats) -> Floats:
    """Rank correlation along the last axis, ties at their mean rank; 0 where a side has one value only."""
    ranks = [rankdata(side, axis=-1) for side in (a, b)]
    left, right = (side - side.mean(axis=-1, keepdims=True) for side in ranks)
    scale = np.sqrt((left**2).sum(-1) * (right**2).sum(-1))
    return np.divide((left * right).sum(-1), scale, out=np.zeros_like(scale), where=scale > 0)


def bootstrap(values: Floats, final: Floats) -> Floats:
    """Spearman under resampling of the configurations; the same resamples for the same number of configurations."""
    index = np.random.default_rng(0).integers(len(final), size=(RESAMPLES, len(final)))
    return spearman(values[index], final[index])


def top_kept(values: Floats, final: Floats) -> float:
    """Share of the best tenth by `final` that is in the best third by `values`."""
    best = set(np.argsort(-final, kind="stable")[: math.ceil(len(final) / 10)].tolist())
    goes_on = set(np.argsort(-values, kind="stable")[: max(1, len(final) // 3)].tolist())
    return len(best & goes_on) / len(best)


def cost(cells: Cells, way: str, rung: int, numbers: Sequence[int]) -> float:
    """Mean CPU seconds up to and with the rung."""
    due = [shorter for shorter in RUNGS if shorter <= rung] if way == "whole" else [rung]
    parts = [[cells[way, one][number]["cpu_seconds"] for number in numbers if number in cells[way, one]] for one in due]
    return float(sum(np.mean(part) for part in parts))


def line(cells: Cells, family: str, way: str, rung: int, allowed: set[int]) -> str:
    here, top, whole = cells[way, rung], cells["whole", FULL], cells["whole", rung]
    numbers = sorted(here.keys() & top.keys() & whole.keys() & allowed)
    if len(numbers) < 3:
        return f"{family:<8}{way:<10}{rung:>7}{len(numbers):>5}   too few"
    final = np.array([(top[n]["value"] + top[n]["dev_test"]) / 2 for n in numbers])
    values = np.array([here[n]["value"] for n in numbers])
    # A curve is read on a third of the images; it has no second reading.
    read = np.array([here[n]["value_part"] if way != "curve" else here[n]["value"] for n in numbers])
    resampled = bootstrap(values, final)
    low, high = np.quantile(resampled, (0.025, 0.975))
    against = ""
    if way != "whole":
        reference = np.array([whole[n]["value"] for n in numbers])
        low_d, high_d = np.quantile(resampled - bootstrap(reference, final), (0.025, 0.975))
        difference = float(spearman(values, final) - spearman(reference, final))
        against = f"{difference:+.2f} ({low_d:+.2f} to {high_d:+.2f})"
    return (
        f"{family:<8}{way:<10}{rung:>7}{len(numbers):>5}{float(spearman(values, final)):>8.3f} "
        f"({low:.2f} to {high:.2f}){float(spearman(read, final)):>9.3f}{against:>26}"
        f"{100 * top_kept(values, final):>8.0f} %{cost(cells, way, rung, numbers):>8.2f}"
    )


def table(cells: Cells, family: str, allowed: set[int]) -> None:
    print(
        f"{'family':<8}{'way':<10}{'rung':>7}{'n':>5}{'Spearman (95 %)':>24}{'as read':>9}{'- whole (95 %)':>26}"
        f"{'top kept':>10}{'CPU s':>8}"
    )
    for rung in RUNGS:
        for way in WAYS:
            if (way, rung) in cells and ("whole", rung) in cells:
                print(line(cells, family, way, rung, allowed), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Rank correlation of every rung with the final value.")
    parser.add_argument("--pool", type=Path, default=RECORDED / "pool.csv")
    arguments = parser.parse_args()
    rows = Rows(arguments.pool, KEY).all()
    for family in sorted({row["family"] for row in rows}):
        cells = read_cells(rows, family)
        if ("whole", FULL) not in cells:
            print(f"{family}: no full-length run is recorded")
            continue
        n_tried = len({row["number"] for row in rows if row["family"] == family and row["number"] >= 0})
        n_failed = n_tried - len(cells["whole", FULL])
        print(f"\n{family}: {n_tried} configurations, {n_failed} of them failed at full length or are not there yet")
        everyone = set(cells["whole", FULL])
        common = everyone.intersection(*(cell.keys() for (_, rung), cell in cells.items() if rung in RUNGS))
        table(cells, family, everyone)
        n_by_way = {len(cell) for (_, rung), cell in cells.items() if rung in RUNGS}
        if max(n_by_way) > 1.5 * len(common):
            print(f"\n{family}: the {len(common)} configurations that ended well in every way")
            table(cells, family, common)


if __name__ == "__main__":
    main()
