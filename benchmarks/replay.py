"""Search methods replayed on the recorded pool: accuracy of what they would have chosen, against epochs spent.

    python benchmarks/replay.py [--replays 2000] [--warm]

Reads what pool.py recorded, trains nothing. A replay draws configurations from a family's pool with replacement, as
if it were endless, and one worker trains them in turn. At any time a method would yield the configuration with the
best validation value at the highest rung that any has reached; it is judged by the dev-test accuracy of that
configuration's whole full-length run (`--judge both`: the mean of that run and of the one with restarts, so that no
way is judged by the very run that it chose from). An epoch is 40,000 images trained; validation is not counted.

    random              every configuration gets the full run
    short F/s, top K    all get a whole run of F/s, the best K the full one, half of the epochs each
    best K              the same with the K that came out best for these epochs: no search knows it beforehand
    halving             asynchronous successive halving by the program's rule: a run goes on from a rung while it is
                        among the best 1/r of the values there so far; rungs F/27 (or F/9), .., F are whole runs from
                        scratch, or stretches of one run with restarts. Lower rungs read every n-th validation image
    median              Optuna's MedianPruner (5 start-up trials) on the curve of the full run, read every F/9

The target is the mean over replays of random search after 100 full runs. `epochs to` says when a method's mean first
reaches it, or comes within 0.02 points; the factor is the epochs of random's 100 runs over these.

With --warm the spaces' warm starts are proposed first, by every method; the target stays that of random without them.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _rows import RECORDED, Rows
from numpy.typing import NDArray
from pool import CURVE, FULL, KEY, RUNGS

EPOCH = 40_000
SHOWN = (5, 10, 20, 50, 100, 200)
UNTIL = 300.0  # epochs
GRID = 0.1  # epochs
CHANCE = 0.1  # the accuracy of no configuration, or of one whose full run fails
TARGET_RUNS = 100
CLOSE = 0.0002
STARTUP_TRIALS = 5
BUDGET_STEP = 1.1

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Way:
    """Values [marks, n], NaN from a failure on, and the epochs [marks, n] that lead from one mark to the next."""

    value: Floats
    epochs: Floats


@dataclass(frozen=True)
class Pool:
    """A family's configurations; `cold` are the random ones, `warm` the space's warm starts, as indices."""

    family: str
    cold: Ints
    warm: Ints
    whole: Way
    curve: Way
    restarts: Way | None
    final: Floats


def read_pool(rows: Sequence[dict[str, Any]], family: str, judge: str = "whole") -> Pool:
    """The configurations of which everything is recorded; `restarts` is None unless all of them have it."""
    cells = {(row["way"], row["rung"], row["number"]): row for row in rows if row["family"] == family}
    wanted = [("whole", rung) for rung in RUNGS] + [("curve", rung) for rung in CURVE]
    numbers = sorted({number for _, _, number in cells}, key=lambda number: (number < 0, abs(number)))
    numbers = [n for n in numbers if all((way, rung, n) in cells for way, rung in wanted)]

    def read(way: str, marks: tuple[int, ...], column: str) -> Floats:
        found = [[cells[way, mark, n][column] for n in numbers] for mark in marks]
        return np.array(found, dtype=np.float64).reshape(len(marks), len(numbers))

    def rungs(way: str, continued: bool) -> Way:
        # The program reads all of validation at the top rung only.
        values = np.vstack([read(way, RUNGS[:-1], "value_part"), read(way, RUNGS[-1:], "value")])
        return Way(values, _epochs(read(way, RUNGS, "examples"), continued))

    curve = np.vstack([read("curve", CURVE[:-1], "value"), read("whole", (FULL,), "value")])
    complete = all(("restarts", rung, n) in cells for rung in RUNGS for n in numbers)
    final = read("whole", (FULL,), "dev_test")[0]
    if judge == "both":
        if not complete:
            raise SystemExit("--judge both: restarts are not recorded for every configuration of the pool")
        final = (final + read("restarts", (FULL,), "dev_test")[0]) / 2
    index = np.arange(len(numbers))
    cold = np.array(numbers) >= 0
    return Pool(
        family,
        index[cold],
        index[~cold],
        rungs("whole", False),
        Way(curve, _epochs(read("curve", CURVE, "examples"), True)),
        rungs("restarts", True) if complete else None,
        np.nan_to_num(final, nan=CHANCE),
    )


def _epochs(examples: Floats, continued: bool) -> Floats:
    return (np.diff(examples, axis=0, prepend=0).clip(0) if continued else examples) / EPOCH


@dataclass
class Track:
    """Mean over replays of what they would yield, on a grid of epochs, from the moments when that changes."""

    replays: int
    until: float = UNTIL
    _change: Floats = field(init=False)

    def __post_init__(self) -> None:
        self._change = np.zeros(round(self.until / GRID) + 2)
        self._change[0] = CHANCE * self.replays

    def add(self, epochs: Floats, before: Floats, after: Floats) -> None:
        # Ceiling, so that nothing is known too early; 1e-6 is the rounding of sums.
        place = np.minimum(np.ceil(epochs / GRID - 1e-6).astype(np.int64), len(self._change) - 1)
        np.add.at(self._change, place, after - before)

    @property
    def points(self) -> tuple[Floats, Floats]:
        """Epochs and mean accuracy."""
        mean = np.cumsum(self._change)[:-1] / self.replays
        return np.arange(len(mean)) * GRID, mean


class Incumbents:
    """Of each replay: the best validation value at the highest rung so far, and what it is worth."""

    def __init__(self, replays: int, final: Floats, until: float) -> None:
        self.track = Track(replays, until)
        self._final = final
        self._rung = np.full(replays, -1)
        self._value = np.full(replays, -np.inf)
        self._worth = np.full(replays, CHANCE)

    def offer(self, who: Ints, rung: int, configs: Ints, values: Floats, epochs: Floats) -> None:
        better = (rung > self._rung[who]) | ((rung == self._rung[who]) & (values > self._value[who]))
        who, configs, values, epochs = who[better], configs[better], values[better], epochs[better]
        self.track.add(epochs, self._worth[who], self._final[configs])
        self._rung[who], self._value[who], self._worth[who] = rung, values, self._final[configs]


def draws(pool: Pool, replays: int, warm: bool, seed: int) -> Iterator[Ints]:
    """Endless configurations, one for each replay; the same for every method."""
    if warm:
        yield from (np.full(replays, index) for index in pool.warm)
    rng = np.random.default_rng(seed)
    while True:
        yield pool.cold[rng.integers(len(pool.cold), size=replays)]


def halving(
    way: Way, final: Floats, stream: Iterator[Ints], replays: int, first: int, factor: int, until: float = UNTIL
) -> Track:
    """Asynchronous successive halving from rung `first` on. With the top rung alone it is random search."""
    incumbents = Incumbents(replays, final, until)
    spent = np.zeros(replays)
    n_rungs = len(way.value)
    # Place of each configuration's value among all values of the rung: equal values have equal places.
    places = [np.unique(way.value[rung], return_inverse=True)[1] for rung in range(n_rungs)]
    seen = np.zeros((n_rungs, replays, way.value.shape[1]), dtype=np.int32)  # how often each place was seen
    above = np.arange(way.value.shape[1])
    for configs in stream:
        who = np.flatnonzero(spent < until)
        if not len(who):
            return incumbents.track
        for rung in range(first, n_rungs):
            spent[who] += way.epochs[rung, configs[who]]
            who = who[~np.isnan(way.value[rung, configs[who]])]  # a failed run reports nothing
            mine = configs[who]
            incumbents.offer(who, rung, mine, way.value[rung, mine], spent[who])
            if rung == n_rungs - 1:
                break
            place = places[rung][mine]
            others = seen[rung, who]
            better = (others * (above > place[:, None])).sum(axis=1)
            seen[rung, who, place] += 1
            who = who[better < np.maximum(1, (others.sum(axis=1) + 1) // factor)]
    raise AssertionError("the stream is endless")


def median(way: Way, final: Floats, stream: Iterator[Ints], replays: int, until: float = UNTIL) -> Track:
    """Optuna's rule: stop when the best value so far is below the median of the complete trials' values there."""
    incumbents = Incumbents(replays, final, until)
    spent, n_complete = np.zeros(replays), np.zeros(replays, dtype=np.int64)
    complete = np.zeros((replays, way.value.shape[1]), dtype=np.int32)  # how often each configuration completed
    orders = np.argsort(way.value, axis=1, kind="stable")  # NaN last: such a trial never completes
    best_so_far = np.fmax.accumulate(way.value, axis=0)
    last = len(way.value) - 1
    for configs in stream:
        who = np.flatnonzero(spent < until)
        if not len(who):
            return incumbents.track
        for mark in range(last + 1):
            spent[who] += way.epochs[mark, configs[who]]
            who = who[~np.isnan(way.value[mark, configs[who]])]
            ready = n_complete[who] >= STARTUP_TRIALS
            middle = np.full(len(who), -np.inf)
            if ready.any():
                judged = who[ready]
                middle[ready] = _medians(complete[judged][:, orders[mark]], way.value[mark, orders[mark]])
            who = who[~(best_so_far[mark, configs[who]] < middle)]
        mine = configs[who]
        incumbents.offer(who, 0, mine, way.value[last, mine], spent[who])
        complete[who, mine] += 1
        n_complete[who] += 1
    raise AssertionError("the stream is endless")


def _medians(counts: NDArray[np.int32], values: Floats) -> Floats:
    """Median of the values [n], in rising order, each taken as often as counts [replays, n] says."""
    total = counts.cumsum(axis=1)
    n = total[:, -1:]
    low = (total <= (n - 1) // 2).sum(axis=1)
    high = (total <= n // 2).sum(axis=1)
    return (values[low] + values[high]) / 2


def short_then_top(
    pool: Pool, short: int, drawn: Ints, budget: float, n_top: int | None, n_warm: int
) -> tuple[float, int] | None:
    """Mean accuracy of the choice, and K: `n_top` runs of full length, or as many as half of the epochs pay for.

    None where the epochs do not suffice. `drawn` [replays, many] are the configurations in their order.
    """
    full_epochs = FULL / EPOCH
    short_epochs = full_epochs / 3 ** (len(RUNGS) - 1 - short)
    k = max(1, int(budget / 2 / full_epochs + 1e-9)) if n_top is None else n_top
    n_short = int((budget - k * full_epochs if n_top else budget / 2) / short_epochs + 1e-9)
    if n_top is None and budget < full_epochs + short_epochs:
        return None
    if not max(k, n_warm) <= n_short <= drawn.shape[1]:
        return None
    taken = drawn[:, :n_short]
    values = np.nan_to_num(pool.whole.value[short], nan=-1.0)[taken]
    top = np.take_along_axis(taken, np.argpartition(-values, k - 1, axis=1)[:, :k], axis=1)
    best = np.nan_to_num(pool.whole.value[-1], nan=-1.0)[top].argmax(axis=1)
    return float(pool.final[top[np.arange(len(top)), best]].mean()), k


def short_points(
    pool: Pool, short: int, stream: Iterator[Ints], n_warm: int, until: float, best: bool
) -> tuple[Floats, Floats, list[int]]:
    """Budgets, mean accuracy at each, and K at each."""
    many = int(until / (RUNGS[short] / EPOCH)) + 1
    drawn = np.stack(list(itertools.islice(stream, many)), axis=1)
    steps = int(np.log(until / 2) / np.log(BUDGET_STEP))
    budgets = sorted({*map(float, SHOWN), *(2 * BUDGET_STEP**step for step in range(steps + 1))})
    tops = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64) if best else (None,)
    found = []
    for budget in budgets:
        tried = [short_then_top(pool, short, drawn, budget, n_top, n_warm) for n_top in tops]
        found.append(max((one for one in tried if one), default=(CHANCE, 0)))
    return np.array(budgets), np.array([mean for mean, _ in found]), [k for _, k in found]


def random_target(pool: Pool, replays: int, seed: int) -> tuple[float, float]:
    """Mean dev-test accuracy of the best by validation of 100 full runs, and the mean of their epochs."""
    drawn = np.stack(list(itertools.islice(draws(pool, replays, False, seed), TARGET_RUNS)), axis=1)
    best = np.nan_to_num(pool.whole.value[-1], nan=-1.0)[drawn].argmax(axis=1)
    worth = pool.final[drawn[np.arange(replays), best]]
    return float(worth.mean()), float(pool.whole.epochs[-1][drawn].sum(axis=1).mean())


def first_reached(epochs: Floats, mean: Floats, target: float) -> float | None:
    reached = np.flatnonzero(mean >= target)
    return float(epochs[reached[0]]) if len(reached) else None


def describe(name: str, epochs: Floats, mean: Floats, target: float, random_epochs: float, ks: str = "") -> str:
    at = [mean[np.searchsorted(epochs, shown + 1e-6) - 1] for shown in SHOWN]
    cells = "".join(f"{100 * value:>8.2f}" for value in at)
    for wanted in (target, target - CLOSE):
        needed = first_reached(epochs, mean, wanted)
        cells += f"{'never':>10}{'':>8}" if needed is None else f"{needed:>10.1f}{random_epochs / needed:>7.1f}x"
    return f"{name:<34}{cells}  {ks}"


def table(pool: Pool, replays: int, warm: bool, seed: int, until: float) -> None:
    target, random_epochs = random_target(pool, replays, seed)
    print(
        f"\n{pool.family}: {len(pool.cold)} configurations, {int(np.isnan(pool.whole.value[-1][pool.cold]).sum())} fail"
        f"{f', {len(pool.warm)} warm starts first' if warm else ''}; {replays} replays; target: {100 * target:.3f} % "
        f"after {random_epochs:.0f} epochs"
    )
    heads = "".join(f"{f'{shown} ep':>8}" for shown in SHOWN)
    print(f"{'method':<34}{heads}{'epochs to':>11}{'factor':>8}{'within':>9}{'factor':>8}")
    n_warm = len(pool.warm) if warm else 0

    def stream() -> Iterator[Ints]:
        return draws(pool, replays, warm, seed)

    def show(name: str, run: Callable[[], Track]) -> None:
        print(describe(name, *run().points, target, random_epochs), flush=True)

    show("random", lambda: halving(pool.whole, pool.final, stream(), replays, 3, 3, until))
    for short, best in ((2, False), (1, False), (2, True), (1, True)):
        epochs, mean, ks = short_points(pool, short, stream(), n_warm, until, best)
        shown = ", ".join(str(ks[int(np.searchsorted(epochs, at - 1e-6))]) for at in SHOWN)
        name = f"short F/{round(FULL / RUNGS[short])}, {'best' if best else 'top'} K"
        print(describe(name, epochs, mean, target, random_epochs, f"K = {shown}"), flush=True)
    show("median", lambda: median(pool.curve, pool.final, stream(), replays, until))
    for name, way in (("whole", pool.whole), ("restarts", pool.restarts)):
        if way is None:
            print(f"halving, {name}: not recorded for every configuration")
            continue
        for first, factor in itertools.product((0, 1), (5, 3)):
            smallest = round(FULL / RUNGS[first])
            show(
                f"halving, {name}, from F/{smallest}, 1/{factor}",
                lambda way=way, first=first, factor=factor: halving(
                    way, pool.final, stream(), replays, first, factor, until
                ),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="Replays search methods on the recorded pool.")
    parser.add_argument("--pool", type=Path, default=RECORDED / "pool.csv")
    parser.add_argument("--families", default="cnn,mlp")
    parser.add_argument("--replays", type=int, default=2000)
    parser.add_argument("--until", type=float, default=UNTIL, help="epochs after which a replay ends")
    parser.add_argument("--judge", choices=("whole", "both"), default="whole", help="the run that judges a choice")
    parser.add_argument("--warm", action="store_true", help="propose the spaces' warm starts first")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.perf_counter()
    rows = Rows(arguments.pool, KEY).all()
    for family in arguments.families.split(","):
        pool = read_pool(rows, family, arguments.judge)
        if not len(pool.cold) or (arguments.warm and not len(pool.warm)):
            print(f"{family}: {'warm starts are' if len(pool.cold) else 'nothing is'} not recorded in whole")
            continue
        table(pool, arguments.replays, arguments.warm, arguments.seed, arguments.until)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
