"""What a budget buys: how much of it is for the search, how long trials and final runs may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from study.records.ledger import Goal, Ledger
from study.records.settings import Ladder, RetrainSettings
from study.records.trial import TrialRecord
from study.stages.ladder import choose_ladder, images_of_trials
from study.stages.last_stage_plan import last_stage_seconds
from study.stages.makespan import RunSeconds, fits, wall_of_runs

SEARCH_SHARE = 0.4  # of the budget, as the protocol promises
SHORT_BUDGET = 60.0  # seconds; below it no baselines and no latency
# Seconds; below it a family has one run, on the training part, which is candidate and final run in one, and so no
# verdict. In the same seconds, on validation (benchmarks/run_plans.py): at 60 s a CNN has 99.38 % so and 99.22 with a
# candidate's and a final run, an MLP 99.36 and 99.32; at 180 s a CNN 99.50, and 99.48 with two candidates and a final
# run, an MLP 99.41 and 99.36.
VERDICT_BUDGET = 240.0
# Seconds of a search's share, below which a family has two candidates. In the same seconds the better of two CNNs ends
# at 99.48 %, the best of three, each with two thirds of the other's seconds, at 99.45, MLPs at 99.38 and 99.32
# (benchmarks/run_plans.py), and final runs are as long as a candidate's.
_THREE_CANDIDATES = 600.0
# Seconds, from which on a new study divides its budget among so many searches, for a verdict on families by what was
# found. 300 s are too few on two cores: in one study, on a machine that others used too, three searches of 34
# worker-seconds a family found CNNs and MLPs of 98.4 and 98.3 %; the verdict's interval reached 0.6 points each way.
# Fourteen are the fewest that see families 0.3 points apart in 80 % of studies on 10,000 test images, if they spread as
# recorded ones do (`statistics.power`); of a day each has longer than five have of six hours.
_SEARCHES = {900.0: 3, 3600.0: 5, 43_200.0: 8, 86_400.0: 14}
TIMELESS_RUN = 3  # times the top rung: a final run's length when no budget says
# Of a final run: nobody has measured longer ones. On validation an MLP went from 99.41 to 99.52 % between 26 and 186
# epochs, a CNN from 99.48 to 99.62 between 4 and 28 (benchmarks/run_length.py).
MOST_EPOCHS = 200.0
_FEWEST_WORKERS = 8  # of a search that is beside others
_LEAST_SEARCH = 2.0  # seconds
# Where starting up has taken so long that the search's share would leave nothing for retraining.
_OF_THE_REST = 0.75


@dataclass(frozen=True, slots=True)
class Used:
    """What one search has used of its share of the budget, in seconds of wall-clock: all its commands, start-up
    included, and in the search stage. `searched` says whether it has searched for any goal; `lent` are seconds that the
    searches after it leave to the first one for what the study was given."""

    seconds: float = 0.0
    searching: float = 0.0
    searched: bool = False
    lent: float = 0.0

    @classmethod
    def of(cls, ledger: Ledger) -> Used:
        """By what the ledger holds, until now where it is open."""
        return cls(ledger.used, ledger.stage_seconds_now("search"), "search" in ledger.reached, ledger.lent)


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What one search's share of a goal's budget buys, once so much of it is used, for a process that has `core_share`
    of a core. Without a budget nothing is limited by time, and seconds are None."""

    goal: Goal
    used: Used = Used()
    core_share: float = 1.0
    last_stage: bool = False  # whether the study is to have one

    @property
    def search_wall(self) -> float | None:
        """Seconds of wall-clock that the search may still take: a first trial of each family gets its chance even
        where starting up has used the search's share."""
        share, whole = self.goal.share, self._whole_search
        if share is None or whole is None:
            return None
        rest = share + self.used.lent - self.used.seconds - self._report_seconds
        least = 0.0 if self.used.searched else _LEAST_SEARCH
        return max(least, min(whole - self.used.searching, _OF_THE_REST * rest))

    @property
    def _whole_search(self) -> float | None:
        """Seconds of the search stage over all commands."""
        return None if self.goal.share is None else search_seconds(self.goal.share) + self.used.lent

    def search_deadline(self, now: float) -> float | None:
        """When the search must end, on the clock that shows `now`."""
        return None if self.search_wall is None else now + self.search_wall

    def allowance(self, spent: Mapping[str, float], n_workers: int, most: float | None = None) -> float | None:
        """Seconds that a worker may hold trials of each family, those already `spent` included, `most` at most."""
        if self.search_wall is None:
            return None
        level = equal_allowance(spent, self.search_wall * n_workers)
        return level if most is None else min(level, most)

    def ladder(
        self,
        n_train: int,
        examples_per_second: float | None,
        allowance: float | None,
        *,
        n_workers: int,
        n_at_once: int,
    ) -> Ladder:
        ladder = choose_ladder(n_train, examples_per_second, allowance, self.search_wall)
        run = self._run_seconds(n_workers, n_at_once)
        times: float = TIMELESS_RUN
        if run is not None and examples_per_second is not None:
            times = min(run * examples_per_second, MOST_EPOCHS * n_train) / ladder.examples[-1]
        return ladder.model_copy(update={"images": images_of_trials(n_train, times)})

    def _run_seconds(self, n_workers: int, n_at_once: int) -> float | None:
        """Of each run that follows the search, about; None without a budget."""
        seconds, retrain = self.after_whole_search().retrain_seconds(), self.retrain_settings(n_at_once)
        if seconds is None:
            return None
        # Searches side by side have their part of the workers, and as many times the seconds that each is charged.
        beside = searches_at_once(self.goal.n_searches, n_at_once, retrain, len(self.goal.families))
        alike = dict.fromkeys(self.goal.families, 1.0)
        return beside * seconds / wall_of_runs(alike, retrain, max(1, n_workers // beside))

    def retrain_settings(self, n_at_once: int) -> RetrainSettings:
        return retrain_settings(self.goal.share, n_at_once, len(self.goal.families))

    @property
    def _report_seconds(self) -> float:
        """A search's part of them."""
        return report_seconds(self.goal.budget or 0.0, self.core_share) / self.goal.n_searches

    @property
    def closing_seconds(self) -> float | None:
        """Kept for all that follows the retraining, by each search the same."""
        if self.goal.budget is None:
            return None
        for_last_stage = last_stage_seconds(self.goal.budget) if self.last_stage else 0.0
        return self._report_seconds + (examine_seconds(self.goal.budget) + for_last_stage) / self.goal.n_searches

    @property
    def seconds_for_runs(self) -> float | None:
        """What the rest of the share leaves for retraining; it may be less than nothing."""
        share, closing = self.goal.share, self.closing_seconds
        return None if share is None or closing is None else share + self.used.lent - self.used.seconds - closing

    def retrain_seconds(self, most: float | None = None) -> float | None:
        """Wall-clock of the candidates' and final runs, `most` at most."""
        left = self.seconds_for_runs
        return None if left is None else max(1.0, left if most is None else min(left, most))

    def after_whole_search(self) -> SearchPlan:
        """Once the search has taken what is left of its own seconds."""
        whole = self._whole_search
        rest = 0.0 if whole is None else max(0.0, whole - self.used.searching)
        used = replace(self.used, seconds=self.used.seconds + rest, searching=self.used.searching + rest, searched=True)
        return replace(self, used=used)

    def lending(self, seconds: float) -> SearchPlan:
        """The same with so many seconds from the searches after it."""
        return replace(self, used=replace(self.used, lent=seconds))


def retrain_settings(budget: float | None, n_workers: int, n_families: int) -> RetrainSettings:
    """Candidates and seeds. Where seconds are few, one long run is worth more than several short ones; where all of
    them run side by side, several are as long as one."""
    full = RetrainSettings()
    if n_families * max(full.candidates * full.candidate_seeds, full.final_seeds) <= n_workers:
        return full
    if budget is not None and budget < VERDICT_BUDGET:
        return RetrainSettings(candidates=1, candidate_seeds=1, final_seeds=0)
    return RetrainSettings(candidates=2) if budget is not None and budget < _THREE_CANDIDATES else full


def default_searches(budget: float) -> int:
    """Among how many searches a new study of several families divides its budget."""
    return max([1, *(n for least, n in _SEARCHES.items() if budget >= least)])


def searches_at_once(n_searches: int, n_workers: int, retrain: RetrainSettings, n_families: int) -> int:
    """How many of a study's searches are side by side: each has as many workers as it can keep busy while it trains its
    candidates or its finalists again. More than that would stand idle then; and of what is in flight at once the search
    learns nothing, so that few long trials each teach it more."""
    busy = n_families * max(retrain.candidates * retrain.candidate_seeds, retrain.final_seeds)
    return max(1, min(n_searches, n_workers // max(_FEWEST_WORKERS, busy)))


def at_least(stored: RetrainSettings, wanted: RetrainSettings) -> RetrainSettings:
    """What a study was created with, or more if its budget has grown."""
    return RetrainSettings(
        candidates=max(stored.candidates, wanted.candidates),
        candidate_seeds=max(stored.candidate_seeds, wanted.candidate_seeds),
        final_seeds=max(stored.final_seeds, wanted.final_seeds),
    )


def examine_seconds(budget: float | None) -> float:
    """Seconds for baselines, ensembles, latency and robustness."""
    return 60.0 if budget is None else min(60.0, 0.06 * budget) if budget >= SHORT_BUDGET else 0.0


def left_to_examine(goal: Goal, left: float) -> float:
    """Seconds for those, where `left` of the whole budget are left and the report is still to be made."""
    if goal.budget is None:
        return examine_seconds(None)
    return max(0.0, min(left - 0.5 * report_seconds(goal.budget), 2 * examine_seconds(goal.budget)))


def report_seconds(budget: float, core_share: float = 1.0) -> float:
    """Seconds kept for the shipped model, evaluation and report; at a budget of 60 they took 6 on a quiet machine, and
    longer where a quota leaves only a share of a core."""
    return min(18.0, 5.0 + 0.05 * budget) / core_share


def search_seconds(budget: float) -> float:
    """Wall-clock of the search out of a total budget, start-up included."""
    return SEARCH_SHARE * budget


def equal_allowance(spent: Mapping[str, float], worker_seconds: float) -> float:
    """The level up to which every family may spend so that together they spend `worker_seconds` more.

    Families that have spent less (one added later) catch up first; the level is the same for all.
    """
    levels = sorted(spent.values())
    left = worker_seconds
    for count, level in enumerate(levels, 1):
        step = (levels[count] - level) * count if count < len(levels) else float("inf")
        if left <= step:
            return level + left / count
        left -= step
    raise ValueError("no family to plan for")


@dataclass(frozen=True)
class RunCost:
    """Examples a second of each candidate of a family, and how many seeds each gets and the finalist gets."""

    speeds: Sequence[float]
    candidate_seeds: int
    final_seeds: int

    def seconds(self, lengths: Sequence[float]) -> list[float]:
        """Of each run of so many examples, candidates first; the finalist is taken to be the costliest candidate."""
        runs = [examples / speed for examples, speed in zip(lengths, self.speeds, strict=True)]
        return [run for run in runs for _ in range(self.candidate_seeds)] + [max(runs)] * self.final_seeds


def run_cost(candidates: Sequence[TrialRecord], retrain: RetrainSettings) -> RunCost:
    """Cost from the speeds that the candidates' trials had in the search."""
    return RunCost([steady_speed(trial) for trial in candidates], retrain.candidate_seeds, retrain.final_seeds)


def steady_speed(trial: TrialRecord) -> float:
    """Examples a second beyond the trial's first rung: a worker's first batches of a network take some tenths of a
    second more, which a long run hardly feels. Of the whole trial if it has one rung only, or does not say when it
    reached the first."""
    timed = len(trial.rungs) > 1 and trial.rungs[0].training_seconds > 0
    before, begun = (trial.seen[0], trial.rungs[0].training_seconds) if timed else (0, 0.0)
    return max(1, trial.examples - before) / max(1e-3, trial.training_seconds - begun)


def run_lengths(
    costs: Mapping[str, RunCost], seconds: float, n_workers: int, n_train: int
) -> dict[str, tuple[int, ...]]:
    """Examples of each candidate's runs, so that all runs end within `seconds` of wall-clock.

    Every run of every family gets the same seconds, the currency of the search's allowance: a slow network must earn
    what it costs. Long budgets end at the same number of epochs for all. The workers' idle time is found by playing
    the schedule through.
    """
    fewest, most = max(1, n_train // 10), int(MOST_EPOCHS * n_train)

    def lengths(run_seconds: float) -> dict[str, tuple[int, ...]]:
        return {
            family: tuple(min(most, max(fewest, round(run_seconds * speed))) for speed in cost.speeds)
            for family, cost in costs.items()
        }

    low, high = 0.0, seconds * n_workers
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(*_runs(costs, lengths(middle)), seconds, n_workers) else (low, middle)
        if high < 0.01:  # of a second: not even the fewest examples fit
            break
    return lengths(low)


@dataclass(frozen=True, slots=True)
class PartsOfRuns:
    """Of the seconds that each search keeps for its runs, what the first search takes and what each further one does:
    all runs of all searches are as long."""

    first: float
    further: float


def parts_of_runs(retrain: RetrainSettings, n_searches: int, *, n_beside: float) -> PartsOfRuns:
    """The first search trains `n_beside` candidates of a family, a mean over the families, beside what was found."""
    found = retrain.candidates * retrain.candidate_seeds + retrain.final_seeds
    beside = retrain.candidate_seeds * n_beside
    unit = n_searches / (n_searches * found + beside)
    return PartsOfRuns((found + beside) * unit, found * unit)


def longest_retraining(speeds: Mapping[str, float], retrain: RetrainSettings, n_workers: int, n_train: int) -> float:
    """Wall-clock of a retraining whose runs are as long as any plan makes them, at these examples a second."""
    runs = {family: MOST_EPOCHS * n_train / speed for family, speed in speeds.items()}
    return wall_of_runs(runs, retrain, n_workers)


def _runs(costs: Mapping[str, RunCost], lengths: Mapping[str, Sequence[float]]) -> tuple[RunSeconds, RunSeconds]:
    """Seconds of the candidates' runs, and of the final runs."""
    seconds = {family: cost.seconds(lengths[family]) for family, cost in costs.items()}
    n_candidates = {family: len(runs) - costs[family].final_seeds for family, runs in seconds.items()}
    candidates = {family: runs[: n_candidates[family]] for family, runs in seconds.items()}
    return candidates, {family: runs[n_candidates[family] :] for family, runs in seconds.items()}
