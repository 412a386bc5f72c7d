"""The stages of a study, each of which can run alone: search, retrain, evaluate, examine, report."""

from __future__ import annotations

import contextlib
import itertools
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from optuna.storages import RDBStorage

from study.config import FamilySettings, Ladder, StudySettings
from study.dashboard import Publisher, note_on_retraining
from study.errors import FamilyStoppedError, StudyError, UsageError
from study.evaluation.finalists import Engine, Retraining, RunLengths, choose_candidates, fingerprint
from study.evaluation.replications import choose_over_searches
from study.execution.executors import Executor, ProcessExecutor
from study.repeats import open_repeat
from study.results import StudyFiles, read_json, read_jsonl
from study.search import planner
from study.search.driver import Limits, Search
from study.search.imports import import_trials, load_source
from study.search.lock import StorageLock
from study.search.probe import measure_speeds
from study.search.storage import open_storage, storage_url, write_trials_csv
from study.search.watch import RetrainWatch
from study.session import DEFAULT_BUDGET, Session

_LEAST_SEARCH = 2.0  # seconds
_TIMELESS_RUN = 3  # times the top rung: a final run's length when no budget says


class Progress(Protocol):
    """Whoever shows the work; every method returns at once."""

    def say(self, text: str) -> None: ...
    def stage(self, name: str) -> None: ...
    def search(self, search: Search, record: dict[str, Any] | None) -> None: ...
    def retrain(self, retraining: Retraining, run: str | None) -> None: ...


class Stages:
    """One command's stages over one open session. The executor and the storage are opened when first needed.

    A study of several searches holds the first; its repeats are sessions of their own, driven over the same executor by
    stages whose `lender` has it. What is done to each search is a private method, what is done to all a public one.
    """

    def __init__(
        self,
        session: Session,
        progress: Progress,
        resources: contextlib.ExitStack,
        lender: Stages | None = None,
    ) -> None:
        self.session = session
        self.progress = progress
        self._resources = resources
        self._lender = lender
        self._workers = resources.enter_context(contextlib.ExitStack())
        self._executor: Executor | None = None
        self._database: tuple[RDBStorage, StorageLock] | None = None
        self._spare = 0.0  # seconds that the repeats left of their budgets
        self.n_searches = max(session.request.repeats or 1, session.ledger.data.get("repeats", 1))
        self.goal = self._goal()

    def _goal(self) -> dict[str, Any]:
        """What this command is to reach in each search. A smaller budget than the one already reached changes nothing;
        without one, a further search gets what those before it got."""
        request, reached = self.session.request, self.session.ledger.data.get("goal", {})
        n_trials = request.n_trials
        budget = None if request.budget is None else request.budget / self.n_searches
        if budget is None and n_trials is None:
            budget, n_trials = reached.get("budget_s", DEFAULT_BUDGET / self.n_searches), reached.get("n_trials")
        if self.n_searches > self.session.ledger.data.get("repeats", 1):
            self._check_added_searches(budget, n_trials, reached)
        done = self.session.ledger.data.get("done", {}).get("search")
        if done and n_trials == done["n_trials"] and budget and done["budget_s"] and budget < done["budget_s"]:
            budget = done["budget_s"]
        families = sorted({*self.session.settings.families, *(space.family for space in self.session.new_spaces)})
        goal = {"budget_s": budget, "n_trials": n_trials, "families": families}
        total = None if budget is None else budget * self.n_searches
        self.session.ledger.data |= {"goal": goal, "budget_s": total, "n_trials": n_trials}
        if self.n_searches > 1:
            self.session.ledger.data["repeats"] = self.n_searches
        return goal

    def _check_added_searches(self, budget: float | None, n_trials: int | None, reached: Mapping[str, Any]) -> None:
        """UsageError where further searches would get less than those before them."""
        name, n, had = self.session.settings.name, self.n_searches, reached.get("budget_s")
        if budget is not None and had is not None and budget < had:
            raise UsageError(
                f"--repeats {n} divides the budget into {budget:.0f} s a search, but study '{name}' has one of "
                f"{had:.0f} s: expected --budget {math.ceil(n * had)}s or more, or neither flag, for as much again"
            )
        if n_trials is not None and n_trials < (reached.get("n_trials") or 0):
            raise UsageError(
                f"--n-trials {n_trials} with --repeats {n}, but study '{name}' has a search of "
                f"{reached['n_trials']} trials a family: expected as many or more"
            )

    def is_done(self, stage: str) -> bool:
        done: dict[str, Any] = self.session.ledger.data.get("done", {})
        return bool(done.get(stage) == self._reached_by(stage))

    def _mark_done(self, stage: str) -> None:
        self.session.ledger.data.setdefault("done", {})[stage] = self._reached_by(stage)
        self.session.ledger.save()

    def _reached_by(self, stage: str) -> dict[str, Any]:
        """The goal, and for the stages that read all searches at once how many there are."""
        of_all = self.n_searches > 1 and stage in ("evaluate", "examine")
        return self.goal | {"repeats": self.n_searches} if of_all else self.goal

    @property
    def executor(self) -> Executor:
        if self._lender is not None:
            return self._lender.executor
        if self._executor is None:
            session = self.session
            self._executor = self._workers.enter_context(
                ProcessExecutor(
                    session.n_workers, session.data, device=str(session.device), precision=session.precision, threads=1
                )
            )
        return self._executor

    @property
    def storage(self) -> RDBStorage:
        return self._open_database()[0]

    @property
    def lock(self) -> StorageLock:
        return self._open_database()[1]

    def _open_database(self) -> tuple[RDBStorage, StorageLock]:
        """The storage and the lock on the study in it, held until the command ends."""
        if self._database is None:
            session = self.session
            storage = open_storage(storage_url(session.files, session.request.storage or session.settings.storage))
            self._resources.callback(storage.engine.dispose)
            lock = self._resources.enter_context(StorageLock(storage, session.settings.name, self.progress.say))
            session.keep_storage()
            self._database = storage, lock
        return self._database

    def close_executor(self) -> None:
        """End the workers before stages that measure or need the cores themselves."""
        self._workers.close()
        self._executor = None

    # --- several searches --------------------------------------------------------------------------------------------

    def _in_each_search(self, action: Callable[[Stages], None]) -> None:
        """Do it to this search, then to each repeat. FamilyStoppedError, once all are done, if a family gave up."""
        failures: list[FamilyStoppedError] = []

        def attempt(stages: Stages) -> None:
            try:
                action(stages)
            except FamilyStoppedError as error:
                failures.append(error)

        attempt(self)
        for number in range(2, self.n_searches + 1):
            repeat, goal = self.session.files.repeat(number), self.goal
            watch = shlex.join(["study", "dashboard", "--name", repeat.name, "--results", str(repeat.root.parent)])
            self.progress.say(f"search {number} of {self.n_searches} in {repeat.root}; watch it: {watch}")
            with (
                open_repeat(self.session, number, goal["budget_s"], goal["n_trials"]) as session,
                contextlib.ExitStack() as resources,
            ):
                attempt(Stages(session, self.progress, resources, lender=self))
                if goal["budget_s"] is not None:
                    self._spare += max(0.0, session.ledger.left(goal["budget_s"]))
        if failures:
            raise failures[0]

    def search(self) -> None:
        self._in_each_search(Stages._search)

    def retrain(self) -> None:
        self._in_each_search(Stages._retrain)
        self._ship_over_searches()

    def _search_and_retrain(self) -> None:
        """A family that failed does not keep the others from their finalists."""
        self.progress.stage("search")
        failure: FamilyStoppedError | None = None
        try:
            self._search()
        except FamilyStoppedError as error:
            failure = error
        self.progress.stage("retrain")
        self._retrain()
        if failure is not None:
            raise failure

    def _ship_over_searches(self) -> None:
        """What one search ships with its retraining, several ship once all are there."""
        if self.n_searches > 1:
            with self.session.ledger.stage("retrain"):
                self._write_model()

    # --- search ------------------------------------------------------------------------------------------------------

    def _search(self) -> None:
        """Search every family up to the goal. FamilyStoppedError, once the others are done, if one gave up."""
        if self.is_done("search"):
            return
        session = self.session
        with session.ledger.stage("search"):
            _ = self.storage  # opened while the fork server still loads what the workers need
            self._add_families()
            self._import_trials()
            records = read_jsonl(session.files.trials_jsonl)
            allowance = self._allowance(records)
            search = Search(session.files, session.settings, self.storage, records, self.lock.guarded)
            publisher = Publisher(session.files)
            limits = Limits(allowance, self.goal["n_trials"], self._deadline())

            def observe(search: Search, record: dict[str, Any] | None) -> None:
                session.ledger.tick()
                self.progress.search(search, record)
                publisher.search(search)

            try:
                search.run(self.executor, limits, observe)
            finally:
                self._settle(search, allowance)
            publisher.publish(search, "searched")
        self._mark_done("search")

    def _settle(self, search: Search, allowance: float | None) -> None:
        session = self.session
        records = [record for family in search.families.values() for record in family.records]
        write_trials_csv(session.files, records)
        session.ledger.data["allowance_s"] = allowance
        held = sum(record["seconds"] for record in records if record["role"] != "imported")
        wall = session.ledger.stage_seconds("search") + session.ledger.running_seconds
        session.ledger.data["utilisation"] = round(min(1.0, held / max(1e-3, wall * session.n_workers)), 4)
        session.ledger.data["families"] = {
            name: {
                "spent_s": round(family.spent, 2),
                "training_s": round(sum(record["training_seconds"] for record in family.records), 2),
            }
            for name, family in search.families.items()
        }

    def _deadline(self) -> float | None:
        """When the search must end on the monotonic clock: its share is used up, start-up included."""
        budget = self.goal["budget_s"]
        if budget is None:
            return None
        return time.monotonic() + self._search_wall(budget)

    def _search_wall(self, budget: float) -> float:
        """Seconds of wall-clock that the search may still take: a first trial of each family gets its chance even
        where starting up has used the search's share."""
        ledger = self.session.ledger
        rest = ledger.left(budget) - planner.report_seconds(budget)
        share = planner.search_seconds(budget) - ledger.stage_seconds("search") - ledger.running_seconds
        least = 0.0 if "search" in ledger.data.get("done", {}) else _LEAST_SEARCH
        return max(least, min(share, rest))

    def _allowance(self, records: list[dict[str, Any]]) -> float | None:
        budget = self.goal["budget_s"]
        if budget is None:
            return None
        spent = dict.fromkeys(self.goal["families"], 0.0)
        for record in records:
            spent[record["family"]] += record["seconds"]
        allowance = planner.equal_allowance(spent, self._search_wall(budget) * self.session.n_workers)
        # A repeat has no start-up of its own to pay for, and no more to spend than the search before it.
        first = None if self._lender is None else self._lender.session.ledger.data.get("allowance_s")
        return allowance if first is None else min(allowance, first)

    def _add_families(self) -> None:
        """Give each new family its ladder, measured where a budget decides, and keep it for good."""
        session = self.session
        if not session.new_spaces:
            return
        allowance = self._allowance(read_jsonl(session.files.trials_jsonl))
        imported = self._import_source()
        speeds = {} if allowance is None or imported is not None else measure_speeds(self.executor, session.new_spaces)
        families = {}
        for space in session.new_spaces:
            ladder = planner.choose_ladder(session.settings.dataset.n_train, speeds.get(space.family), allowance)
            if imported is not None and space.family in imported.families:
                ladder = imported.families[space.family].ladder
            families[space.family] = FamilySettings(
                space_file=Path(space.source).name, space=Path(space.source).read_text(encoding="utf-8"), ladder=ladder
            )
        session.save_settings(families)

    def _import_trials(self) -> None:
        """Take over the trials of `--from`, once for each family; a command that was killed halfway is continued."""
        session, done = self.session, set(self.session.ledger.data.get("imported", []))
        families = set(session.settings.families) - done
        old = self._import_source()
        if old is None or not families:
            return
        n = import_trials(session.files, session.settings, self.storage, old, families)
        session.ledger.data["imported"] = sorted(families | done)
        session.ledger.save()
        self.progress.say(f"{n} trials of study '{old.name}' imported and charged")

    def _import_source(self) -> StudySettings | None:
        name = self.session.settings.imported_from
        return load_source(self.session.request.results, name, self.session.settings) if name else None

    # --- retraining --------------------------------------------------------------------------------------------------

    def _retrain(self) -> None:
        """Train candidates and finalists; finalists.json is written whole at the end."""
        if self.is_done("retrain"):
            return
        session = self.session
        with session.ledger.stage("retrain"):
            session.allow_retraining(planner.retrain_settings(self.goal["budget_s"]))
            candidates = self._candidates()
            lengths = self._run_lengths(candidates)
            engine = Engine(str(session.device), session.precision, 1)
            watch = RetrainWatch(session.settings.name, self.storage, self.lock.guarded)
            retraining = Retraining(session.files, session.settings, candidates, lengths, engine, watch)

            def observe(retraining: Retraining, run: str | None) -> None:
                session.ledger.tick()
                self.progress.retrain(retraining, run)

            retraining.run(self.executor, observe)
            found = retraining.save()
            if self._lender is None and self.n_searches == 1:
                self._write_model()
            note_on_retraining(self.storage, session.files, found)
        self._mark_done("retrain")

    def _candidates(self) -> dict[str, list[Mapping[str, Any]]]:
        records = [record for record in read_jsonl(self.session.files.trials_jsonl) if record["counted"]]
        n = self.session.settings.retrain.candidates
        chosen = {
            family: choose_candidates([record for record in records if record["family"] == family], n)
            for family in self.session.settings.families
        }
        chosen = {family: trials for family, trials in chosen.items() if trials}
        if not chosen:
            raise StudyError(
                f"{self.session.files.root}: no trial reached a rung, so there is nothing to retrain; "
                "search longer with a larger --budget, or see the reasons with `study status`"
            )
        return chosen

    def _run_lengths(self, candidates: Mapping[str, list[Mapping[str, Any]]]) -> RunLengths:
        """Examples of each candidate's runs. A killed retraining continues with the lengths that it had."""
        ledger, budget = self.session.ledger, self.goal["budget_s"]
        plan = ledger.data.get("plan")
        if plan and plan["goal"] == self.goal and plan["runs"].keys() == candidates.keys():
            lengths: RunLengths = {family: run.get("examples", ()) for family, run in plan["runs"].items()}
            if fingerprint(candidates, lengths) == plan["runs"]:
                return lengths
        seconds = None if budget is None else self._retrain_seconds(budget)
        lengths = self._timeless_lengths(candidates) if seconds is None else self._planned_lengths(candidates, seconds)
        ledger.data["plan"] = {"goal": self.goal, "runs": fingerprint(candidates, lengths), "seconds": seconds}
        ledger.save()
        return lengths

    def _timeless_lengths(self, candidates: Mapping[str, list[Mapping[str, Any]]]) -> RunLengths:
        """The same for every candidate of a family: nothing may depend on a clock."""
        ladders: dict[str, Ladder] = {name: f.ladder for name, f in self.session.settings.families.items()}
        return {
            family: [_TIMELESS_RUN * ladders[family].examples[-1]] * len(chosen)
            for family, chosen in candidates.items()
        }

    def _retrain_seconds(self, budget: float) -> float:
        """Wall-clock of the runs; for a repeat as much as the first search had, at most."""
        left = self.session.ledger.left(budget) - planner.report_seconds(budget) - planner.examine_seconds(budget)
        first = None if self._lender is None else self._lender.session.ledger.data.get("plan", {}).get("seconds")
        return max(1.0, left if first is None else min(left, first))

    def _planned_lengths(self, candidates: Mapping[str, list[Mapping[str, Any]]], seconds: float) -> RunLengths:
        session, settings = self.session, self.session.settings
        costs = {family: planner.run_cost(chosen, settings.retrain) for family, chosen in candidates.items()}
        return planner.plan_retraining(costs, seconds, session.n_workers, settings.dataset.n_train)

    def finalists(self) -> list[dict[str, Any]]:
        """What each search handed over, the content of its finalists.json."""
        return [read_json(folder.finalists) for folder in self._folders]

    @property
    def _folders(self) -> list[StudyFiles]:
        return [self.session.files, *self.session.files.repeats(self.n_searches)]

    def _write_model(self) -> None:
        """Put the winner's first final run into `model/`, ready to use."""
        from study.shipping import ship

        files, *repeats = self._folders
        ship(files, self.session.settings, self.session.data, repeats)

    # --- the test split and after ------------------------------------------------------------------------------------

    def evaluate(self) -> bool:
        """Open the test split for all runs, once; False if these very runs were evaluated before."""
        from study.evaluation.test_set import open_test

        self.close_executor()
        session = self.session
        folders, found = self._folders, self.finalists()
        chosen = choose_over_searches(found)
        shipped_run = f"{folders[chosen.search].name}/{chosen.run}" if chosen.search else chosen.run
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
        self._mark_done("evaluate")
        return opened

    def examine(self, seconds: float | None) -> None:
        """Baselines, ensembles, latency and robustness within `seconds`; None is as long as they take."""
        from study.evaluation import baselines, ensemble, latency, robustness

        self.close_executor()
        session = self.session
        with session.ledger.stage("examine"):
            ensemble.run(session.files, session.settings)
            if seconds is not None and seconds <= 0:
                return
            total = seconds if seconds is not None else planner.examine_seconds(None)
            latency.run(session.files, session.settings, seconds=0.15 * total)
            baselines.run(session.files, session.settings, seconds=0.35 * total)
            robustness.run(session.files, session.settings, seconds=0.5 * total, device=str(session.device))
        self._mark_done("examine")

    def ablate(self, seconds: float | None) -> dict[str, Any]:
        """Swap the finalists' choices one at a time, within `seconds`; None is as long as it takes."""
        from study.evaluation.ablation import Ablation

        session = self.session
        with session.ledger.stage("ablation"):
            engine = Engine(str(session.device), session.precision, 1)
            ablation = Ablation(session.files, session.settings, engine)
            return ablation.run(self.executor, seconds, session.ledger.tick)

    def audit(self, n: int) -> dict[str, Any]:
        """Run `n` pruned trials to their end."""
        from study.evaluation.audit import Audit

        session = self.session
        with session.ledger.stage("audit"):
            return Audit(session.files, session.settings, n).run(self.executor, session.ledger.tick)

    def report(self) -> None:
        from study.report.page import write_report

        with self.session.ledger.stage("report"):
            write_report(self.session.files)
        self.session.ledger.save()

    # --- all together ------------------------------------------------------------------------------------------------

    def is_complete(self, *, evaluate: bool) -> bool:
        stages = ("search", "retrain", "evaluate") if evaluate else ("search", "retrain")
        if not all(self.is_done(stage) for stage in stages) or not self.session.files.report_html.exists():
            return False
        ledgers = [repeat.ledger for repeat in self._folders[1:]]
        done = [read_json(ledger).get("done", {}) if ledger.exists() else {} for ledger in ledgers]
        return all(of_one.get(stage) == self.goal for of_one in done for stage in ("search", "retrain"))

    def run_all(self, *, evaluate: bool) -> None:
        """Every stage that is not done yet. A family that failed does not keep the others from their report."""
        failure: FamilyStoppedError | None = None
        try:
            self._in_each_search(Stages._search_and_retrain)
        except FamilyStoppedError as error:
            failure = error
        self._ship_over_searches()
        if evaluate:
            self.progress.stage("evaluate")
            self.evaluate()
            self.progress.stage("examine")
            self.examine(self._examine_seconds())
        self.progress.stage("report")
        self.report()
        if failure is not None:
            raise failure

    def _examine_seconds(self) -> float | None:
        budget = self.goal["budget_s"]
        if budget is None:
            return planner.examine_seconds(None)
        total = budget * self.n_searches
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
