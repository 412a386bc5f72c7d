"""The stages of a study over all its searches, each of which can run alone: from the search to the report."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Collection, Iterator
from typing import Any

from study.errors import FamilyStoppedError, ResultsError
from study.evaluation.test_set import RunsToTest
from study.execution.gpus import room_on
from study.records.finalists import Finalists, read_finalists
from study.records.last_stage import shipped_by
from study.records.ledger import read_ledger
from study.records.paths import StudyFiles
from study.records.seal import read_openings
from study.report.page import report_stands
from study.report.wording import times
from study.search.identity import is_here
from study.stages import plan as planner
from study.stages import standing
from study.stages.agenda import Agenda
from study.stages.extension import no_verdict, opened_again, settle_for_what_helps
from study.stages.foreseen import sees_little
from study.stages.last_stage import last_stage_stands, train_last_stage
from study.stages.one_search import OneSearch, Progress, Workers
from study.stages.retrain import retrain_candidates
from study.stages.run_plan import hands_over_found, taken_of_others
from study.stages.search import search_families
from study.stages.searches import Searches
from study.stages.session import Session
from study.stages.shifts import shipped_reading


class Stages:
    """One command's stages over one open session. The workers and the databases are opened when first needed."""

    def __init__(self, session: Session, progress: Progress, resources: contextlib.ExitStack) -> None:
        self.session = session
        self.progress = progress
        self._workers = Workers(session, resources)
        self.first = OneSearch(session, progress, resources, self._workers)
        self._searches = Searches(self.first, self._workers, self.first.n_searches)
        self._evaluates: bool | None = None  # whether all stages are made that a report needs; None for one stage alone

    @property
    def _agenda(self) -> Agenda:
        return Agenda(self.first.goal, self._evaluates, self.session.settings.last_stage)

    @property
    def folders(self) -> list[StudyFiles]:
        """Where the searches are, the study's own folder first."""
        return [self.session.files, *self.session.files.repeats(self._searches.n)]

    def find_database(self) -> None:
        """Settle under which name a study that was copied, renamed or moved goes on, before its database is shown."""
        if self.session.files.exists() and not is_here(self.session.files):
            _ = self.first.storage

    # --- search and retraining ---------------------------------------------------------------------------------------

    def search(self) -> None:
        self._searches.each(self._search)

    def retrain(self) -> None:
        self._searches.each(self._retrain)
        self._last_stage()
        self._workers.let_end()
        with self.session.ledger.stage("retrain"):
            self._write_model()

    def _search(self, one: OneSearch) -> None:
        one.progress.stage("search", after=self._after_search(one))
        search_families(one)

    def _after_search(self, one: OneSearch) -> float | None:
        if one.share is not None:
            return self._agenda.after_searches(one.plan, one.real_seconds(1.0), self._searches.n_to_come)
        return self._agenda.after_search(one.number, one.plan, 0.0 if one.first is None else self._ahead())

    def _retrain(self, one: OneSearch) -> None:
        one.progress.stage("retrain", after=self._after_retraining(one))
        retrain_candidates(one)

    def _after_retraining(self, one: OneSearch) -> float | None:
        if one.share is not None:
            return self._agenda.after_retraining(self._searches.n - self._searches.n_to_come)
        ahead = taken_of_others(one) if one.first is None else self._ahead()
        return self._agenda.after_retraining(one.number, ahead)

    def _ahead(self) -> float:
        return self._agenda.ahead(self.session.ledger.used)

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

    def finalists(self) -> list[Finalists]:
        """What each search handed over."""
        return [read_finalists(folder.finalists) for folder in self.folders]

    def _last_stage(self) -> None:
        train_last_stage(self.first, self.folders, self.finalists(), self._agenda.after_last_stage())

    def has_last_stage(self) -> bool:
        """Or is to have none."""
        return last_stage_stands(self.first, self.folders, self.finalists())

    def _write_model(self) -> None:
        """Put the winner's first final run into `model/`, ready to use, unless it is there."""
        from study.stages.ship import ship

        files, *repeats = self.folders
        if not standing.model_stands(self.folders):
            ship(files, self.session.settings, self.session.data, repeats, self._workers.n_workers)

    # --- the test split and after ------------------------------------------------------------------------------------

    def _runs_to_test(self) -> RunsToTest:
        found, *others = self.finalists()
        files, *repeats = self.folders
        stage = shipped_by(self.folders, [found, *others]).stage
        return RunsToTest(files, found, list(zip(repeats, others, strict=True)), shipped_reading(files), stage)

    def evaluate(self) -> bool:
        """Open the test split for all runs, once; False if these very runs were evaluated before."""
        from study.evaluation.test_set import open_test

        if not self.has_last_stage():
            raise ResultsError(
                "the network to ship has not had its last stage, which the seal has to name: `study retrain` trains it"
            )
        self.progress.stage("evaluate", self._agenda.half_report, self._agenda.after_evaluation())
        with self.session.ledger.stage("evaluate"):
            self._write_model()  # which says how the shipped network reads
        wanted = self._runs_to_test()
        if not all(map(standing.finalists_stand, self.folders)):
            self.progress.say(
                "note: the search has gone on since the finalists were chosen; `study retrain` chooses anew"
            )
        if wanted.openings and not wanted.are_sealed:
            self.progress.say(f"note: {opened_again(wanted)}")
        self.progress.step("the test split is read")
        self._workers.let_end()
        session = self.session
        if session.own_device.type == "cuda" and not room_on(session.own_device):
            self._workers.close()  # they have filled it
        folders, found = self.folders, self.finalists()
        ships = shipped_by(folders, found)
        prefix = f"{folders[ships.choice.search].root.name}/" if ships.choice.search else ""
        families = dict.fromkeys(family for one in found for family in one.standing)
        with session.ledger.stage("evaluate"):
            opened = open_test(
                session.files,
                session.settings,
                session.request.command,
                wanted,
                ships.choice.winner,
                prefix + ships.run,
                list(itertools.combinations(families, 2)),
                device=str(session.own_device),
                counted=session.request.counted,
                say=lambda text: self.progress.say(f"note: {text}"),
            )
            self._write_model()
            if opened or not session.files.duplicates.exists():
                self._count_repeated()
        self.first.mark_done("evaluate")
        return opened

    def _count_repeated(self) -> None:
        from study.evaluation import repeated

        found = repeated.run(self.session.files, self.session.settings, self.session.data.images)
        if found["test_in_train"]:
            self.progress.say(
                f"note: {found['test_in_train']:,} of {found['n_test']:,} test images are also among the training "
                "images, pixel by pixel: the report tells the accuracy on the others"
            )

    def examine(self, seconds: float | None, wanted: Collection[str] = standing.EXAMINED) -> None:
        """Those `wanted` of baselines, ensembles, latency and robustness within `seconds`; None is as long as they
        take."""
        from study.evaluation import baselines, ensemble, latency, robustness

        session, step = self.session, self.progress.step
        files, settings, device = session.files, session.settings, str(session.own_device)
        total = seconds if seconds is not None else planner.examine_seconds(None)
        self.progress.stage("examine", total, self._agenda.after_examination())
        with session.ledger.stage("examine"):
            if "ensemble" in wanted:
                step("ensembles")
                ensemble.run(files, settings)
            if seconds is not None and seconds <= 0:
                return
            began = time.monotonic()
            self._workers.close()
            if seconds is not None:
                total = max(0.0, total - (time.monotonic() - began))
            if "latency" in wanted:
                step("latency")
                latency.run(files, settings, seconds=0.15 * total)
            if "baselines" in wanted:
                step("baselines")
                baselines.run(files, settings, seconds=0.35 * total)
            if "robustness" in wanted:
                step("robustness to corrupted images")
                robustness.run(files, settings, seconds=0.5 * total, device=device)
        self.first.mark_done("examine")

    def ablate(self, seconds: float | None) -> dict[str, Any]:
        """Swap the finalists' choices one at a time, within `seconds`; None is as long as it takes."""
        from study.retraining.ablation import Ablation

        session = self.session
        self.progress.stage("ablation", seconds)
        with session.ledger.stage("ablation"):
            ablation = Ablation(session.files, session.settings, self.first.engine)

            def tick() -> None:
                session.ledger.tick()
                share = ablation.n_trained / max(1, ablation.n_to_train) if seconds is None else None
                self.progress.step(f"{ablation.n_trained} of {ablation.n_to_train} runs", share)

            return ablation.run(self._workers.executor, seconds, tick)

    def audit(self, n: int) -> dict[str, Any]:
        """Run `n` pruned trials to their end."""
        from study.retraining.audit import Audit

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

    # --- said before it begins ----------------------------------------------------------------------------------------

    def no_verdict(self) -> str | None:
        """What one seed per finalist means for a test split that was not opened yet."""
        return None if self.session.files.seal.exists() else no_verdict(self.first)

    def sees_little(self) -> str | None:
        """That the verdict planned for a test split that was not opened yet would miss what one wants to see."""
        return None if self.session.files.seal.exists() else sees_little(self.first)

    def settle_for_what_helps(self) -> str | None:
        """Go back to the goal that was reached where a larger one buys nothing, and return why."""
        return settle_for_what_helps(self.first)

    def may_open_again(self) -> str | None:
        """In words that this command may open the test split a second time; None if it will not."""
        openings = read_openings(self.session.files.seal)
        if not openings or (all(self.is_searched(folder) for folder in self.folders) and self.has_last_stage()):
            return None
        return (
            f"this study opened the test split {times(len(openings))}; if other networks come of this command, it is "
            "opened again and the report is exploratory: --no-evaluate keeps it closed"
        )

    # --- all together ------------------------------------------------------------------------------------------------

    def is_complete(self, *, evaluate: bool) -> bool:
        """Whether all that `run_all` would write is there and was made from what is there now."""
        return (
            all(self.is_searched(folder) for folder in self.folders)
            and self.has_last_stage()
            and standing.model_stands(self.folders)
            and (not evaluate or self.is_evaluated())
            and report_stands(self.session.files)
        )

    def is_evaluated(self) -> bool:
        counted = self.session.files.duplicates.is_file()
        return counted and self._runs_to_test().are_evaluated and not self._to_examine()

    def is_searched(self, files: StudyFiles) -> bool:
        """Whether a search reached the goal, and its finalists were made from its trials."""
        own = self.session.ledger if files is self.session.files else read_ledger(files.ledger)
        reached = own.has_reached("search", self.first.goal) and own.has_reached("retrain", self.first.goal)
        compared = files is not self.session.files or hands_over_found(self.first)
        return reached and files.trials_csv.is_file() and standing.finalists_stand(files) and compared

    def _to_examine(self) -> list[str]:
        """What is to be examined anew, as far as there is time for it."""
        wanted = standing.not_examined(self.session.files)
        seconds = self._examine_seconds()
        return wanted if seconds > 0 else [name for name in wanted if name == "ensemble"]

    def run_all(self, *, evaluate: bool) -> None:
        """Every stage whose files are not there, or were made from others than those that are there now. A family that
        failed does not keep the others from their report."""
        self._evaluates = evaluate
        failure: FamilyStoppedError | None = None
        try:
            self._searches.each(self._search_and_retrain)
        except FamilyStoppedError as error:
            failure = error
        self._last_stage()
        self._workers.let_end()
        with self.session.ledger.stage("retrain"):
            self._write_model()
        if evaluate:
            self.evaluate()
            self.examine(self._examine_seconds(), self._to_examine())
        self.report()
        if failure is not None:
            raise failure

    def _examine_seconds(self) -> float:
        goal = self.first.goal
        return planner.left_to_examine(goal, self.session.ledger.left(goal.share or 0.0) + self._searches.spare)


@contextlib.contextmanager
def open_stages(session: Session, progress: Progress) -> Iterator[Stages]:
    with contextlib.ExitStack() as resources:
        yield Stages(session, progress, resources)
