"""What a command still has to do after each of its stages, in seconds of wall-clock."""

from __future__ import annotations

from dataclasses import dataclass

from study.records.ledger import Goal
from study.stages import plan as planner
from study.stages.last_stage_plan import last_stage_seconds


@dataclass(frozen=True)
class Agenda:
    """Of a study with this goal; without a budget nothing is known of what follows a stage. `evaluates` says whether
    the test split is opened; None is a command of one stage. `last_stage` says whether the study is to have one."""

    goal: Goal
    evaluates: bool | None
    last_stage: bool = False

    def after_search(self, number: int, plan: planner.SearchPlan, ahead: float = 0.0) -> float | None:
        """After search `number`, which takes what its plan has for it. `ahead` are seconds that the first search took
        of the shares of those after it, for what was given."""
        share, wall = self.goal.share, plan.search_wall
        if share is None or wall is None:
            return None
        further = self.goal.n_searches - number
        if self.evaluates is None:
            return further * planner.search_seconds(share)
        # What follows all searches is kept by each of them in equal parts: those before this one have kept theirs.
        kept = (self._closing or 0.0) * (number - 1) / self.goal.n_searches
        return max(0.0, share - plan.used.seconds - wall) + further * share + kept - self._shorter(ahead, further + 1)

    def after_searches(self, plan: planner.SearchPlan, stretch: float, n_to_come: int) -> float | None:
        """After searches side by side, each of which is charged with one of `stretch` seconds; more are to come."""
        share, wall = self.goal.share, plan.search_wall
        if share is None or wall is None:
            return None
        if self.evaluates is None:
            return n_to_come * planner.search_seconds(share)
        return max(0.0, share - plan.used.seconds - wall) * stretch + n_to_come * share

    def after_retraining(self, number: int, ahead: float = 0.0) -> float | None:
        further = self.goal.n_searches - number
        if self.evaluates is None:
            return None if further else 0.0
        share, closing = self.goal.share, self._closing
        if share is None or closing is None:
            return None
        return further * share + closing * number / self.goal.n_searches - self._shorter(ahead, further)

    def _shorter(self, ahead: float, n_searches: int) -> float:
        """By so much are that many searches after the first shorter than their shares, all alike."""
        return ahead * n_searches / max(1, self.goal.n_searches - 1)

    def ahead(self, used: float) -> float:
        """What the first search, once done, has used beyond its share, but for what it keeps of the closing stages."""
        share, closing = self.goal.share, self._closing
        return 0.0 if share is None or closing is None else max(0.0, used + closing / self.goal.n_searches - share)

    def after_evaluation(self) -> float | None:
        if self.evaluates is None:
            return 0.0
        half = self.half_report
        return None if half is None else planner.examine_seconds(self.goal.budget) + half

    def after_examination(self) -> float | None:
        return 0.0 if self.evaluates is None else self.half_report

    @property
    def half_report(self) -> float | None:
        """What the plan keeps for shipped model and evaluation, and as much for the report."""
        return None if self.goal.budget is None else 0.5 * planner.report_seconds(self.goal.budget)

    @property
    def _closing(self) -> float | None:
        half = self.half_report
        if half is None:
            return None
        evaluation = half + planner.examine_seconds(self.goal.budget) if self.evaluates else 0.0
        return half + evaluation + (last_stage_seconds(self.goal.budget) if self.last_stage else 0.0)

    def after_last_stage(self) -> float | None:
        if self.evaluates is None:
            return 0.0
        closing = self._closing
        return None if closing is None else closing - last_stage_seconds(self.goal.budget)
