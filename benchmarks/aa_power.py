"""False alarms and power of the comparisons, by simulation: of two finalists over seeds, half a minute on one core, and
of two families over searches, some three minutes.

    python benchmarks/aa_power.py [--studies 1000] [--seed 0] [--only finalists|families]

A simulated study draws 10,000 images whose chance of being read wrongly is heavily skewed (most are read by every
network, a few by hardly any), two finalists and S seeds of each. `seed sd` moves all logits of one seed together: it
is the spread between seeds that image flips alone do not explain. `configuration sd` moves each image's logit for
each finalist: 0 is the same configuration under other seeds, above 0 two configurations of equal expected accuracy.
Every test is at 5 %, so under "no difference" a rate of 5 % is right. Compared are three standard errors of D:

    study           var(d)/n + g_A + g_B, as in study.statistics.over_seeds.compare_finalists
    images only     var(d)/n
    plus plain      var(d)/n + s²_A/S + s²_B/S, which counts the flips of single images twice

Families (`compare_searches`): each search of a family finds a configuration of its own, whose accuracy spreads as
recorded searches do, evenly or with one search in five far behind; equal families have equal mean accuracy. The rate
stays under 7 % but where one family alone has bad searches half a point behind or more: three searches have none in
half of the studies, and the family then looks better than it is. No rule for the degrees of freedom mends that.
"foreseen" is the share that `study.statistics.power.foresee` expects, whose variances are those of these images.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from study.statistics.intervals import mcnemar_exact, wilson
from study.statistics.over_seeds import compare_finalists, compare_searches
from study.statistics.power import foresee

N_IMAGES = 10_000
METHODS = ("study", "images only", "plus plain")


@dataclass(frozen=True)
class Scenario:
    """`gap` is how much less accurate B is, as a fraction; `error` the expected share of errors of A."""

    name: str
    seeds: int
    error: float
    seed_sd: float
    configuration_sd: float
    gap: float = 0.0


SCENARIOS = (
    Scenario("same configuration", 3, 0.006, 0.0, 0.0),
    Scenario("same configuration", 3, 0.006, 0.1, 0.0),
    Scenario("same configuration", 3, 0.006, 0.3, 0.0),
    Scenario("same configuration", 5, 0.006, 0.1, 0.0),
    Scenario("same configuration", 10, 0.006, 0.1, 0.0),
    Scenario("same configuration", 3, 0.017, 0.1, 0.0),
    Scenario("equal configurations", 3, 0.006, 0.1, 1.0),
    Scenario("equal configurations", 3, 0.017, 0.1, 1.0),
    Scenario("0.1 points apart", 3, 0.006, 0.1, 1.0, 0.001),
    Scenario("0.2 points apart", 3, 0.006, 0.1, 1.0, 0.002),
    Scenario("0.3 points apart", 3, 0.006, 0.1, 1.0, 0.003),
)


def difficulties(error: float, sd: float = 4.0, size: int = 400_000) -> float:
    """Mean of the normal logit-difficulty whose expected error probability is `error`, by bisection on quantiles."""
    z = special.ndtri((np.arange(size) + 0.5) / size)
    low, high = -60.0, 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if special.expit(middle + sd * z).mean() < error else (low, middle)
    return (low + high) / 2


def draw_study(
    scenario: Scenario, centres: tuple[float, float], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Correctness [S, N] of A and of B on the same newly drawn images."""
    # The part that both share is narrowed so that a configuration's own part leaves the total spread at 4.
    shared = np.float32(np.sqrt(16.0 - scenario.configuration_sd**2)) * rng.standard_normal(N_IMAGES, dtype=np.float32)
    finalists = []
    for centre in centres:
        logit = centre + shared + scenario.configuration_sd * rng.standard_normal(N_IMAGES, dtype=np.float32)
        seeds = scenario.seed_sd * rng.standard_normal((scenario.seeds, 1), dtype=np.float32)
        wrong = rng.random((scenario.seeds, N_IMAGES), dtype=np.float32) < special.expit(logit + seeds)
        finalists.append(~wrong)
    return finalists[0], finalists[1]


def p_values(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> tuple[float, float, float]:
    """p under each of METHODS."""
    found = compare_finalists(a, b)
    seeds = len(a)
    images = found.se**2 - found.g_a - found.g_b
    spread = [float(one.mean(axis=1).var(ddof=1)) / seeds for one in (a, b)]
    plain = images + sum(spread)
    # The same rule for the degrees of freedom as the study's, so that only the variance differs.
    df = min(N_IMAGES - 1.0, plain**2 * (seeds - 1) / max(sum(part * part for part in spread), 1e-30))
    only = 2 * special.stdtr(N_IMAGES - 1, -abs(found.difference) / np.sqrt(images))
    plus = 2 * special.stdtr(df, -abs(found.difference) / np.sqrt(plain))
    return found.p_value, float(only), float(plus)


def simulate(scenario: Scenario, studies: int, seed: int) -> str:
    """One line of the table: rates of p < 0.05 with the 95 % interval of the study's."""
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario)])
    centres = difficulties(scenario.error), difficulties(scenario.error + scenario.gap)
    alarms, discordant, spreads = np.zeros(3), 0, []
    for _ in range(studies):
        a, b = draw_study(scenario, centres, rng)
        alarms += np.array(p_values(a, b)) < 0.05
        discordant += mcnemar_exact(a[0], b[0]).discordant
        spreads.append(a.mean(axis=1).var(ddof=1))
    low, high = wilson(int(alarms[0]), studies)
    rates = "  ".join(f"{100 * rate:11.1f}" for rate in alarms / studies)
    return (
        f"{scenario.name:<22}{scenario.seeds:>5}{100 * (1 - scenario.error):>9.1f}{scenario.seed_sd:>9.1f}"
        f"{100 * float(np.sqrt(np.mean(spreads))):>12.3f}{discordant / studies:>12.0f}  {rates}"
        f"   {100 * low:.1f} to {100 * high:.1f}"
    )


def table_of_finalists(studies: int, seed: int) -> None:
    print(f"{studies} simulated studies a line; share with p < 0.05, in %")
    print(
        f"{'truth':<22}{'seeds':>5}{'acc. %':>9}{'seed sd':>9}{'sd, points':>12}{'discordant':>12}  "
        + "  ".join(f"{method:>11}" for method in METHODS)
        + "   95 % of 'study'"
    )
    for scenario in SCENARIOS:
        print(simulate(scenario, studies, seed), flush=True)


# --- families, by their searches -------------------------------------------------------------------------------------

FAMILY_ERROR = 0.007
FAMILY_SD, FOUND_SD = 1.0, 1.0  # of each image's logit: what a family shares, and what one search's finalist has alone


@dataclass(frozen=True)
class Spread:
    """Between a family's searches: standard deviation of the accuracies, share of bad searches and how far they end
    behind, in fractions. The mean stays where it is: with bad ones the others are better."""

    sd: float = 0.0
    bad: float = 0.0
    behind: float = 0.0

    def draw(self, searches: int, rng: np.random.Generator) -> NDArray[np.float64]:
        bad = rng.random(searches) < self.bad
        return self.sd * rng.standard_normal(searches) + self.behind * (bad - self.bad)


@dataclass(frozen=True)
class Families:
    """`found` is false where every search ends at the same given configuration."""

    name: str
    a: Spread
    b: Spread
    gaps: tuple[float, ...] = (0.0,)
    found: bool = True


_GAPS = (0.0, 0.002, 0.003)
FAMILIES = (
    Families("the same warm start", Spread(), Spread(), _GAPS, found=False),
    Families("sd 0.05 and 0.05", Spread(0.0005), Spread(0.0005), _GAPS),
    Families("sd 0.07 and 0.07", Spread(0.0007), Spread(0.0007), _GAPS),
    Families("sd 0.22 and 0.25", Spread(0.0022), Spread(0.0025), _GAPS),
    Families("sd 0.05 and 0.25", Spread(0.0005), Spread(0.0025)),
    Families("both: 1 in 5 by 0.3", Spread(0.0005, 0.2, 0.003), Spread(0.0005, 0.2, 0.003), _GAPS),
    Families("both: 1 in 5 by 1.0", Spread(0.0005, 0.2, 0.01), Spread(0.0005, 0.2, 0.01)),
    Families("one: 1 in 5 by 0.3", Spread(0.0005), Spread(0.0005, 0.2, 0.003)),
    Families("one: 1 in 5 by 0.5", Spread(0.0005), Spread(0.0005, 0.2, 0.005)),
    Families("one: 1 in 5 by 1.0", Spread(0.0005), Spread(0.0005, 0.2, 0.01)),
)
_ERRORS = np.linspace(0.0005, 0.03, 60)


def draw_families(
    families: Families, gap: float, searches: int, centres: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Correctness [R, N] of one run of each search's finalist; `centres` are `difficulties` of _ERRORS."""
    own = FOUND_SD if families.found else 0.0
    shared = np.float32(np.sqrt(16.0 - FAMILY_SD**2 - own**2)) * rng.standard_normal(N_IMAGES, dtype=np.float32)
    found = []
    for spread, error in ((families.a, FAMILY_ERROR), (families.b, FAMILY_ERROR + gap)):
        errors = np.clip(error + spread.draw(searches, rng), _ERRORS[0], _ERRORS[-1])
        centre = np.interp(errors, _ERRORS, centres).astype(np.float32)[:, None]
        seeds = np.float32(0.1) * rng.standard_normal((searches, 1), dtype=np.float32)
        logit = centre + seeds + shared + FAMILY_SD * rng.standard_normal(N_IMAGES, dtype=np.float32)
        if own:
            logit = logit + own * rng.standard_normal((searches, N_IMAGES), dtype=np.float32)
        found.append(rng.random(logit.shape, dtype=np.float32) >= special.expit(logit))
    return found[0], found[1]


def simulate_families(
    families: Families, gap: float, searches: int, studies: int, seed: int, centres: NDArray[np.float64]
) -> str:
    """One line of the second table."""
    rng = np.random.default_rng([seed, FAMILIES.index(families), round(1e4 * gap), searches])
    alarms, halves, dfs, spreads = 0, [], [], []
    for _ in range(studies):
        a, b = draw_families(families, gap, searches, centres, rng)
        found = compare_searches(a, b)
        alarms += found.p_value < 0.05
        halves.append((found.interval95[1] - found.interval95[0]) / 2)
        dfs.append(found.df)
        spreads += [float(one.mean(axis=1).var(ddof=1)) for one in (a, b)]
    low, high = wilson(alarms, studies)
    return (
        f"{families.name:<22}{searches:>9}{100 * gap:>7.1f}{100 * alarms / studies:>9.1f}   "
        f"{f'{100 * low:.1f} to {100 * high:.1f}':<14}{100 * float(np.median(halves)):>10.2f}{np.median(dfs):>8.0f}"
        f"{100 * float(np.sqrt(np.mean(spreads))):>14.2f}{_foreseen(families, gap, searches):>10}"
    )


def _foreseen(families: Families, gap: float, searches: int) -> str:
    """Of searches that find what they find, none of them far behind."""
    even = families.found and not families.a.bad and not families.b.bad
    known = foresee(searches, N_IMAGES, (families.a.sd, families.b.sd), gap) if even else None
    return "–" if known is None else f"{100 * known.power:.1f}"


def table_of_families(studies: int, seed: int) -> None:
    print("families by R searches: share with p < 0.05, in %; median half-width of the 95 % interval, in points")
    print(
        f"{'spread of searches':<22}{'searches':>9}{'gap':>7}{'p < 0.05':>9}   {'95 %':<14}{'half-width':>10}{'df':>8}"
        f"{'sd, points':>14}{'foreseen':>10}"
    )
    centres = np.array([difficulties(float(error), size=40_000) for error in _ERRORS])
    for families in FAMILIES:
        for searches in (3, 5, 10):
            for gap in families.gaps:
                # Power needs no more than a few hundred.
                number = studies if gap == 0 else min(studies, 500)
                print(simulate_families(families, gap, searches, number, seed, centres), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="False alarms and power of the comparisons.")
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies per line")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("finalists", "families"))
    arguments = parser.parse_args()
    if arguments.only != "families":
        table_of_finalists(arguments.studies, arguments.seed)
    if arguments.only != "finalists":
        table_of_families(arguments.studies, arguments.seed)


if __name__ == "__main__":
    main()
