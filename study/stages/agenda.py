"""What a command still has to do after each of its stages, in seconds of wall-clock."""

from __future__ import annotations

from dataclasses import dataclass

from study.stages import plan as planner


@dataclass(frozen=True)
class Agenda:
    """`budget` seconds for each of `n_searches`, or None where no budget says how long anything takes: then nothing is
    known of what follows a stage. `evaluates` says whether the test split is opened; None is a command of one stage."""

    budget: float | None
    n_searches: int
    evaluates: bool | None

    def after_search(self, number: int, left: float, wall: float) -> float | None:
        """After search `number`, which takes `wall` of the seconds `left` of its budget."""
        if self.budget is None:
            return None
        further = self.n_searches - number
        if self.evaluates is None:
            return further * planner.search_seconds(self.budget)
        # The first search's budget pays for all that follows the searches, too.
        closing = self._closing(self.budget) if number > 1 else 0.0
        return max(0.0, left - wall) + further * self.budget + closing

    def after_retraining(self, number: int) -> float | None:
        further = self.n_searches - number
        if self.evaluates is None:
            return None if further else 0.0
        return None if self.budget is None else further * self.budget + self._closing(self.budget)

    def after_evaluation(self) -> float | None:
        if self.evaluates is None:
            return 0.0
        return None if self.budget is None else self._examination(self.budget) + self._half(self.budget)

    def after_examination(self) -> float | None:
        return 0.0 if self.evaluates is None else self.half_report

    @property
    def half_report(self) -> float | None:
        """What the plan keeps for shipped model and evaluation, and as much for the report."""
        return None if self.budget is None else self._half(self.budget)

    def _closing(self, budget: float) -> float:
        evaluated = self._half(budget) + self._examination(budget) if self.evaluates else 0.0
        return evaluated + self._half(budget)

    def _examination(self, budget: float) -> float:
        return planner.examine_seconds(budget * self.n_searches)

    def _half(self, budget: float) -> float:
        return 0.5 * planner.report_seconds(budget * self.n_searches)
