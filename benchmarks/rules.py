"""Rules of pruning and ladders replayed on the recorded pool, on equal worker-seconds: what a search would hand over.

    python benchmarks/rules.py [--replays 1000] [--families cnn,mlp] [--seed 0] [--equal-seconds]

Reads what pool.py recorded, trains nothing, takes half a minute. A replay draws configurations from a family's pool
with replacement, by a seed that is the same for every rule, and one worker trains them in turn, rung by rung, until the
seconds are used: the pool's processor seconds of the run with restarts. The best by the highest rung and the value
there (three of them, or one in a study of 60 s) are then trained for two epochs under another seed (`whole`); the best
of these on validation is the finalist, judged on the dev-test slice. With --equal-seconds final runs get equal seconds
in place of equal examples, as in the program: their accuracy lies between those at the recorded lengths, and beyond two
epochs the error is taken to fall as examples to the power of -0.3. The seconds are such that the program of 26 November
makes as many trials in them as it did on two cores of an EPYC in a default study, and in one of 60 s; so are the
ladders. Reading a validation image is taken to cost a third of training on one.

    program          a trial goes on while it is among the best 1/5 of the values at its rung so far
    1/r              the same with another share
    within m         a trial goes on, too, that is within m standard errors of the last one that goes on by the rule
    finish two       the last fifth of the seconds trains the two best trials that are below the top rung up to it
    dead             a trial within chance (20 %) at a rung ends there, be it the first or the best
    dead early       the same at a third of the first rung, of those that are within chance at the rung: at best
    one rung less    without the lowest rung
    one rung more    with a further one below
    lower, lowest    each rung a third, or a ninth, as long: more, shorter trials
    higher           each rung three times as long: fewer, longer trials
    seconds          rungs of equal seconds: a configuration trains as long as the middle one does for the rung's
                     examples; values lie between those at the pool's lengths, below and beyond as in --equal-seconds

The pool's spaces knew neither Muon nor the choice of images, its draws are random, and there are a hundred of them: the
table says how rules do beside each other, not what a search reaches, and nothing of the sampler.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _rows import RECORDED, Rows
from pool import FULL, KEY, RUNGS
from replay import Floats, Pool, read_pool

from study.seeds import derive_seed

N_VALIDATION = 10_000
DEAD = 0.2
CHANCE = 0.1
FALL = 0.3
JUDGING = 1 / 3  # what an image costs that is read, of one that is trained on
# Of a difference between two networks' readings of the same images about half is what both err on.
OWN_SHARE = 0.5
GROUP = 10  # replays, of which the worst is shown


@dataclass(frozen=True)
class Rule:
    """How trials are stopped; `fewer` and `more` are rungs from below, `shift` moves the ladder among the pool's."""

    name: str
    factor: int = 5
    within: float = 0.0
    finish: int = 0
    dead: bool = False
    early: bool = False
    fewer: int = 0
    shift: int = 0
    more: int = 0
    seconds: bool = False


RULES = (
    Rule("program"),
    *(Rule(f"1/{factor}", factor=factor) for factor in (2, 3, 8)),
    Rule("within 1", within=1.0),
    Rule("within 2", within=2.0),
    Rule("finish two", finish=2),
    Rule("dead", dead=True),
    Rule("dead early", dead=True, early=True),
    Rule("one rung less", fewer=1),
    Rule("one rung more", more=1),
    Rule("higher", shift=1),
    Rule("lower", shift=-1),
    Rule("lower, 1/3", shift=-1, factor=3),
    Rule("lower, dead", shift=-1, dead=True),
    Rule("lower, dead early", shift=-1, dead=True, early=True),
    Rule("lowest", shift=-2),
    Rule("seconds", seconds=True),
    Rule("seconds, one rung more", seconds=True, more=1),
    Rule("seconds, lower", seconds=True, shift=-1),
)


@dataclass(frozen=True)
class Case:
    """A family's seconds and the ladder, as numbers of the pool's rungs."""

    family: str
    seconds: float
    ladder: tuple[int, ...]
    n_candidates: int
    final_seconds: float


CASES = (
    Case("cnn", 50.0, (1, 2), 3, 12.0),
    Case("cnn", 10.0, (0, 1), 1, 8.0),
    Case("mlp", 40.0, (1, 2, 3), 3, 6.0),
    Case("mlp", 8.0, (1, 2), 1, 4.0),
)


@dataclass(frozen=True)
class Recorded:
    """Values, and seconds up to there, by rung [rungs, n]; of the whole run its value and its dev-test accuracy."""

    value: Floats
    seconds: Floats
    chosen_by: Floats
    worth: Floats


def recorded(rows: Sequence[dict[str, Any]], pool: Pool, family: str, final_seconds: float | None) -> Recorded:
    """Final runs of two epochs, or of so many seconds."""
    cells = {(row["way"], row["rung"], row["number"]): row for row in rows if row["family"] == family}
    numbers = sorted({int(number) for _, _, number in cells if number >= 0})

    def read(way: str, column: str, failed: float) -> Floats:
        rungs = [[cells[way, rung, number] for number in numbers] for rung in RUNGS]
        return np.array(
            [[float(row[column]) if row["status"] == "ok" else failed for row in row_of] for row_of in rungs]
        )

    taken = read("restarts", "cpu_seconds", np.nan)
    # Of a run that failed: those of the middle one.
    seconds = np.where(np.isnan(taken), np.nanmedian(taken, axis=1, keepdims=True), taken)
    assert pool.restarts is not None
    examples = np.full(len(numbers), FULL) if final_seconds is None else final_seconds * FULL / seconds[-1]
    chosen_by, worth = (after(examples, read("whole", column, CHANCE)) for column in ("value", "dev_test"))
    return Recorded(pool.restarts.value[:, pool.cold], seconds, chosen_by, worth)


def after(examples: Floats, accuracy: Floats) -> Floats:
    """Accuracy [n] after so many examples [n], from that at the pool's lengths [rungs, n]."""
    errors, lengths = np.log(1 - accuracy + 1e-4), np.log(RUNGS)
    within = np.array([np.interp(np.log(n), lengths, error) for n, error in zip(examples, errors.T, strict=True)])
    beyond = np.maximum(0.0, np.log(examples) - lengths[-1])
    found: Floats = 1 - np.exp(within - FALL * beyond)
    return found


def at_equal_seconds(values: Floats, seconds: Floats) -> tuple[Floats, Floats]:
    """Values and seconds [rungs, n] where each configuration trains as long as the middle one does for a rung."""
    each = seconds[-1] / FULL  # for an example
    examples = np.outer(RUNGS, np.median(each) / each)
    found = np.array([after(n, values) for n in examples])
    return found, examples * each


def margin(within: float, value: float, n_read: int) -> float:
    return within * float(np.sqrt(2 * OWN_SHARE * max(value * (1 - value), 1e-6) / n_read))


def ladder_of(case: Case, rule: Rule) -> list[int]:
    """The rungs, as numbers of the pool's; empty where the pool has none so high or low."""
    rungs = range(min(case.ladder) - rule.more + rule.fewer + rule.shift, max(case.ladder) + rule.shift + 1)
    return [rung for rung in rungs if rung >= 0] if rungs[-1] < len(RUNGS) else []


class Replay:
    """One search by one rule."""

    def __init__(self, pool: Recorded, case: Case, rule: Rule, draws: np.random.Generator) -> None:
        if rule.seconds:
            value, seconds = at_equal_seconds(pool.value, pool.seconds)
            pool = replace(pool, value=value, seconds=seconds)
        self._pool, self._case, self._rule, self._draws = pool, case, rule, draws
        self._ladder = ladder_of(case, rule)
        self._seen: list[list[float]] = [[] for _ in self._ladder]
        self.spent, self.done = 0.0, list[tuple[int, float, int]]()

    def run(self) -> float:
        """Dev-test accuracy of the finalist."""
        search = self._case.seconds * (0.8 if self._rule.finish else 1.0)
        while self.spent < search:
            self._trial(int(self._draws.integers(self._pool.value.shape[1])), search)
        for rung, _, which in sorted(self.done, reverse=True)[: self._rule.finish]:
            if rung < len(self._ladder) - 1 and self.spent < self._case.seconds:
                self.spent += self._pool.seconds[self._ladder[-1], which]
                self._end(len(self._ladder) - 1, self._value(len(self._ladder) - 1, which), which)
        best = list(dict.fromkeys(which for _, _, which in sorted(self.done, reverse=True)))[: self._case.n_candidates]
        chosen = max(best, key=lambda which: self._pool.chosen_by[which])
        return float(self._pool.worth[chosen])

    @property
    def n_complete(self) -> int:
        return sum(rung == len(self._ladder) - 1 for rung, _, _ in self.done)

    def _value(self, rung: int, which: int) -> float:
        return float(self._pool.value[self._ladder[rung], which])

    def _end(self, rung: int, value: float, which: int) -> None:
        self.done.append((rung, value, which))

    def _trial(self, which: int, search: float) -> None:
        self._end(*self._reached(which, search), which)

    def _reached(self, which: int, search: float) -> tuple[int, float]:
        """Where a trial ends: its rung, and the value there."""
        begun, judging = self.spent, 0.0
        seconds = self._pool.seconds[:, which]
        for rung, place in enumerate(self._ladder):
            value = self._value(rung, which)
            judging += JUDGING * self._n_read(rung) * float(seconds[place]) / RUNGS[place]
            is_dead = self._rule.dead and not value > DEAD
            self.spent = begun + (float(seconds[place]) + judging) / (3 if is_dead and self._rule.early else 1)
            if is_dead or np.isnan(value):
                return max(0, rung - 1), 0.0
            if rung == len(self._ladder) - 1:
                return rung, value
            ahead = float(seconds[self._ladder[rung + 1]] - seconds[place])
            if not self._goes_on(rung, value) or self.spent + ahead / 2 >= search:
                return rung, value
        raise AssertionError("a ladder has a rung")

    def _n_read(self, rung: int) -> int:
        """Validation images that a rung reads: `Schedule.rungs`."""
        return N_VALIDATION // min(9, max(1, RUNGS[self._ladder[-1]] // RUNGS[self._ladder[rung]]))

    def _goes_on(self, rung: int, value: float) -> bool:
        seen = self._seen[rung]
        place = max(1, (len(seen) + 1) // self._rule.factor)
        reached = value + margin(self._rule.within, value, self._n_read(rung))
        goes_on = sum(other > reached for other in seen) < place
        seen.append(value)
        return goes_on


def table(pool: Recorded, case: Case, replays: int, seed: int) -> None:
    rungs = ", ".join(f"{RUNGS[rung]:,}" for rung in case.ladder)
    print(f"\n{case.family}, {case.seconds:g} worker-seconds, rungs at {rungs}; {replays} replays")
    heads = ("accuracy", "less program's", "spread", "worst of ten", "trials", "complete")
    print(f"{'rule':<24}" + "".join(f"{head:>18}" for head in heads))
    base = np.zeros(replays)
    for rule in RULES:
        if not ladder_of(case, rule):
            continue
        runs = [Replay(pool, case, rule, _draws(seed, case, number)) for number in range(replays)]
        worth = 100 * np.array([run.run() for run in runs])
        base = worth if rule is RULES[0] else base
        less = worth - base
        worst = worth[: replays // GROUP * GROUP].reshape(-1, GROUP).min(axis=1).mean()
        print(
            f"{rule.name:<24}{worth.mean():>18.3f}{less.mean():>+11.3f} ±{1.96 * less.std() / replays**0.5:.3f}"
            f"{worth.std():>18.3f}{worst:>18.2f}{np.mean([len(run.done) for run in runs]):>18.1f}"
            f"{np.mean([run.n_complete for run in runs]):>18.1f}",
            flush=True,
        )


def _draws(seed: int, case: Case, number: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, case.family, number, "rules"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Replays rules of pruning on the recorded pool.")
    parser.add_argument("--pool", type=Path, default=RECORDED / "pool.csv")
    parser.add_argument("--families", default="cnn,mlp")
    parser.add_argument("--replays", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--equal-seconds", action="store_true", help="final runs of equal seconds, not examples")
    arguments = parser.parse_args()
    rows = Rows(arguments.pool, KEY).all()
    for family in arguments.families.split(","):
        whole = read_pool(rows, family)
        for case in CASES:
            if case.family == family:
                pool = recorded(rows, whole, family, case.final_seconds if arguments.equal_seconds else None)
                table(pool, case, arguments.replays, arguments.seed)


if __name__ == "__main__":
    main()
