"""The stages of a study over all its searches, each of which can run alone: from the search to the report."""

from __future__ import annotations

import contextlib
import itertools
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from study.agenda import Agenda
from study.errors import FamilyStoppedError
from study.evaluation.replications import choose_over_searches
from study.one_search import OneSearch, Progress, Workers
from study.repeats import open_repeat
from study.results import StudyFiles, read_json
from study.retraining import no_verdict, retrain_candidates
from study.search import planner
from study.searching import search_families, search_wall
from study.session import Session


class Stages:
    """One command's stages over one open session. The workers and the databases are opened when first needed."""

    def __init__(self, session: Session, progress: Progress, resources: contextlib.ExitStack) -> None:
        self.session = session
        self.progress = progress
        self._workers = Workers(session, resources)
        self._first = OneSearch(session, progress, resources, self._workers)
        self._n_searches = self._first.n_searches
        self._spare = 0.0  # seconds that the repeats left of their budgets
        self._evaluates: bool | None = None  # whether all stages are made that a report needs; None for one stage alone

    @property
    def _agenda(self) -> Agenda:
        return Agenda(self._first.goal["budget_s"], self._n_searches, self._evaluates)

    @property
    def _folders(self) -> list[StudyFiles]:
        """Where the searches are, the study's own folder first."""
        return [self.session.files, *self.session.files.repeats(self._n_searches)]

    # --- search and retraining ---------------------------------------------------------------------------------------

    def search(self) -> None:
        self._in_each_search(self._search)

    def retrain(self) -> None:
        self._in_each_search(self._retrain)
        self._ship_over_searches()

    def _in_each_search(self, action: Callable[[OneSearch], None]) -> None:
        """Do it to the first search, then to each repeat. FamilyStoppedError, once all are done, if one gave up."""
        failures: list[FamilyStoppedError] = []

        def attempt(one: OneSearch) -> None:
            try:
                action(one)
            except FamilyStoppedError as error:
                failures.append(error)

        attempt(self._first)
        for number in range(2, self._n_searches + 1):
            with self._open_search(number) as one:
                attempt(one)
        if failures:
            raise failures[0]

    @contextlib.contextmanager
    def _open_search(self, number: int) -> Iterator[OneSearch]:
        """Search `number`, from 2 on, in a session of its own."""
        repeat, goal = self.session.files.repeat(number), self._first.goal
        watch = shlex.join(["study", "dashboard", "--name", repeat.root.name, "--results", str(repeat.root.parent)])
        self.progress.say(f"search {number} of {self._n_searches} in {repeat.root}; watch it: {watch}")
        with (
            open_repeat(self.session, number, goal["budget_s"], goal["n_trials"]) as session,
            contextlib.ExitStack() as resources,
        ):
            yield OneSearch(session, self.progress, resources, self._workers, first=self._first, number=number)
            if goal["budget_s"] is not None:
                self._spare += max(0.0, session.ledger.left(goal["budget_s"]))

    def _search(self, one: OneSearch) -> None:
        budget = one.goal["budget_s"]
        left, wall = (0.0, 0.0) if budget is None else (one.session.ledger.left(budget), search_wall(one, budget))
        self.progress.stage("search", after=self._agenda.after_search(one.number, left, wall))
        search_families(one)

    def _retrain(self, one: OneSearch) -> None:
        self.progress.stage("retrain", after=self._agenda.after_retraining(one.number))
        retrain_candidates(one)

    def _search_and_retrain(self, one: OneSearch) -> None:
        """A family that failed does not keep the others from their finalists."""
        failure: FamilyStoppedError | None = None
        try:
            self._search(one)
        except FamilyStoppedError as error:
            failure = error
        self._retrain(one)
        if failure is not None:
            raise failure

    def finalists(self) -> list[dict[str, Any]]:
        """What each search handed over, the content of its finalists.json."""
        return [read_json(folder.finalists) for folder in self._folders]

    def _ship_over_searches(self) -> None:
        """What one search ships with its retraining, several ship once all are there."""
        if self._n_searches > 1:
            with self.session.ledger.stage("retrain"):
                self._write_model()

    def _write_model(self) -> None:
        """Put the winner's first final run into `model/`, ready to use."""
        from study.shipping import ship

        files, *repeats = self._folders
        ship(files, self.session.settings, self.session.data, repeats)

    # --- the test split and after ------------------------------------------------------------------------------------

    def evaluate(self) -> bool:
        """Open the test split for all runs, once; False if these very runs were evaluated before."""
        from study.evaluation.test_set import open_test

        self.progress.stage("evaluate", self._agenda.half_report, self._agenda.after_evaluation())
        self.progress.step("the test split is read")
        self._workers.close()
        session = self.session
        folders, found = self._folders, self.finalists()
        chosen = choose_over_searches(found)
        shipped_run = f"{folders[chosen.search].root.name}/{chosen.run}" if chosen.search else chosen.run
        standing = dict.fromkeys(
            family for one in found for family, row in one["families"].items() if row["final_runs"]
        )
        runs, *others = [_runs_to_evaluate(one) for one in found]
        with session.ledger.stage("evaluate"):
            opened = open_test(
                session.files,
                session.settings,
                session.request.command,
                runs,
                chosen.winner,
                shipped_run,
                list(itertools.combinations(standing, 2)),
                device=str(session.device),
                repeats=list(zip(folders[1:], others, strict=True)),
            )
            self._write_model()
            if opened or not session.files.duplicates.exists():
                self._count_repeated()
        self._first.mark_done("evaluate")
        return opened

    def _count_repeated(self) -> None:
        from study.evaluation import repeated

        found = repeated.run(self.session.files, self.session.settings, self.session.data.images)
        if found["test_in_train"]:
            self.progress.say(
                f"note: {found['test_in_train']:,} of {found['n_test']:,} test images are also among the training "
                "images, pixel by pixel: the report tells the accuracy on the others"
            )

    def examine(self, seconds: float | None) -> None:
        """Baselines, ensembles, latency and robustness within `seconds`; None is as long as they take."""
        from study.evaluation import baselines, ensemble, latency, robustness

        self._workers.close()
        session, step = self.session, self.progress.step
        total = seconds if seconds is not None else planner.examine_seconds(None)
        self.progress.stage("examine", total, self._agenda.after_examination())
        with session.ledger.stage("examine"):
            step("ensembles")
            ensemble.run(session.files, session.settings)
            if seconds is not None and seconds <= 0:
                return
            step("latency")
            latency.run(session.files, session.settings, seconds=0.15 * total)
            step("baselines")
            baselines.run(session.files, session.settings, seconds=0.35 * total)
            step("robustness to corrupted images")
            robustness.run(session.files, session.settings, seconds=0.5 * total, device=str(session.device))
        self._first.mark_done("examine")

    def ablate(self, seconds: float | None) -> dict[str, Any]:
        """Swap the finalists' choices one at a time, within `seconds`; None is as long as it takes."""
        from study.evaluation.ablation import Ablation

        session = self.session
        self.progress.stage("ablation", seconds)
        with session.ledger.stage("ablation"):
            ablation = Ablation(session.files, session.settings, self._first.engine)

            def tick() -> None:
                session.ledger.tick()
                share = ablation.n_trained / max(1, ablation.n_to_train) if seconds is None else None
                self.progress.step(f"{ablation.n_trained} of {ablation.n_to_train} runs", share)

            return ablation.run(self._workers.executor, seconds, tick)

    def audit(self, n: int) -> dict[str, Any]:
        """Run `n` pruned trials to their end."""
        from study.evaluation.audit import Audit

        session = self.session
        self.progress.stage("audit")
        with session.ledger.stage("audit"):
            audit = Audit(session.files, session.settings, n)

            def tick() -> None:
                session.ledger.tick()
                self.progress.step(f"{audit.n_known} of {audit.n_drawn} trials", audit.n_known / max(1, audit.n_drawn))

            return audit.run(self._workers.executor, tick)

    def report(self) -> None:
        from study.report.page import write_report

        self.progress.stage("report", self._agenda.half_report)
        self.progress.step("the page is made")
        with self.session.ledger.stage("report"):
            write_report(self.session.files)
        self.session.ledger.save()

    def no_verdict(self) -> str | None:
        return no_verdict(self._first)

    # --- all together ------------------------------------------------------------------------------------------------

    def is_complete(self, *, evaluate: bool) -> bool:
        stages = ("search", "retrain", "evaluate") if evaluate else ("search", "retrain")
        if not all(self._first.is_done(stage) for stage in stages) or not self.session.files.report_html.exists():
            return False
        ledgers = [repeat.ledger for repeat in self._folders[1:]]
        done = [read_json(ledger).get("done", {}) if ledger.exists() else {} for ledger in ledgers]
        return all(of_one.get(stage) == self._first.goal for of_one in done for stage in ("search", "retrain"))

    def run_all(self, *, evaluate: bool) -> None:
        """Every stage that is not done yet. A family that failed does not keep the others from their report."""
        self._evaluates = evaluate
        failure: FamilyStoppedError | None = None
        try:
            self._in_each_search(self._search_and_retrain)
        except FamilyStoppedError as error:
            failure = error
        self._ship_over_searches()
        if evaluate:
            self.evaluate()
            self.examine(self._examine_seconds())
        self.report()
        if failure is not None:
            raise failure

    def _examine_seconds(self) -> float | None:
        budget = self._first.goal["budget_s"]
        if budget is None:
            return planner.examine_seconds(None)
        total = budget * self._n_searches
        left = self.session.ledger.left(budget) + self._spare - 0.5 * planner.report_seconds(total)
        return max(0.0, min(left, 2 * planner.examine_seconds(total)))


def _runs_to_evaluate(found: Mapping[str, Any]) -> list[str]:
    """Final runs and candidate runs of one search's finalists.json."""
    rows = found["families"].values()
    return [run for row in rows for run in row["final_runs"]] + [
        run for row in rows for candidate in row["candidates"] for run in candidate["runs"]
    ]


@contextlib.contextmanager
def open_stages(session: Session, progress: Progress) -> Iterator[Stages]:
    with contextlib.ExitStack() as resources:
        yield Stages(session, progress, resources)
