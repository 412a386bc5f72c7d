"""One search of a study as its stages see it: what it is to reach, the workers, the database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from optuna.storages import RDBStorage

from study.execution.executors import Executor, ProcessExecutor
from study.execution.gpus import in_view, models_of
from study.execution.shares import Share
from study.execution.sharing import shared_gpus
from study.records.ledger import Goal, Reached
from study.records.trial import TrialRecord
from study.retraining.finalists import Retraining
from study.retraining.runs import Engine
from study.search.driver import Search
from study.search.lock import StorageLock
from study.search.opening import Opened, open_for_work
from study.search.storage import storage_url
from study.stages.cores import core_share
from study.stages.goal import note_goal, set_goal
from study.stages.nodes import NodeLog
from study.stages.plan import SearchPlan, Used
from study.stages.session import Session


class Progress(Protocol):
    """Whoever shows the work; every method returns at once.

    A stage takes about `seconds`, if that is known, and what follows it in this command `after`; `share` of a stage is
    done when it goes on to a step. Where searches are side by side, `about` says whose work is shown from then on.
    """

    def say(self, text: str) -> None: ...
    def stage(self, name: str, seconds: float | None = None, after: float | None = 0.0) -> None: ...
    def step(self, text: str, share: float | None = None) -> None: ...
    def about(self, what: str) -> None: ...
    def search(self, search: Search, record: TrialRecord | None) -> None: ...
    def retrain(self, retraining: Retraining, run: str | None) -> None: ...


class Workers:
    """The worker processes of a command, started when first needed; all searches of a study share them."""

    def __init__(self, session: Session, resources: contextlib.ExitStack) -> None:
        self._session = session
        self._running = contextlib.ExitStack()
        self._executor: Executor | None = None
        self._thread = resources.enter_context(ThreadPoolExecutor(1, "workers-end"))
        self._ends: list[Future[None]] = []
        resources.callback(self.close)

    @property
    def n_workers(self) -> int:
        return self._session.n_workers if self._executor is None else self._executor.n_workers

    @property
    def executor(self) -> Executor:
        if self._executor is None:
            self._executor = self._start()
        return self._executor

    def _start(self) -> Executor:
        session = self._session
        if session.cluster is not None:
            from study.execution.cluster import ClusterExecutor  # loads Ray

            return self._running.enter_context(
                ClusterExecutor(
                    session.cluster,
                    session.request.workers,
                    session.data,
                    device=session.device.type,
                    precision=session.precision,
                    alike=session.ledger.budget is not None,
                )
            )
        return self._running.enter_context(
            ProcessExecutor(
                session.n_workers,
                session.data,
                device=in_view(session.device),
                precision=session.precision,
                threads=1,
                environments=self._running.enter_context(shared_gpus(session.device)),
                gpus=models_of(session.device),
            )
        )

    def let_end(self) -> None:
        """End the workers beside whatever follows: sixteen that share a GPU take seconds for it."""
        self._executor = None
        self._ends.append(self._thread.submit(self._running.pop_all().close))

    def close(self) -> None:
        """End the workers before stages that measure or need the cores themselves."""
        self.let_end()
        ended = [self._ends.pop() for _ in list(self._ends)]
        wait(ended)
        for end in ended:
            end.result()


class OneSearch:
    """A search's session, its goal and the stages that have reached it, and its database, opened when first needed.

    The first search of a study is in the study's own session. Each repeat has a session of its own, and in `first` the
    search that bounds what it may spend. Where searches are side by side each has a `share` of the workers.
    """

    def __init__(
        self,
        session: Session,
        progress: Progress,
        resources: contextlib.ExitStack,
        workers: Workers,
        first: OneSearch | None = None,
        number: int = 1,
        share: Share | None = None,
    ) -> None:
        self.session = session
        self.progress = progress
        self.workers = workers
        self.first = first
        self.number = number
        self.share = share
        self.goal = set_goal(session)
        self.nodes = NodeLog(session.ledger, session.ledger.clock)
        self._resources = resources
        self._database: Opened | None = None

    @property
    def plan(self) -> SearchPlan:
        """What the rest of this search's share of the budget buys."""
        study = self if self.first is None else self.first
        return SearchPlan(study.goal, Used.of(self.session.ledger), core_share(), self.session.settings.last_stage)

    @property
    def executor(self) -> Executor:
        return self.workers.executor if self.share is None else self.share

    @property
    def n_workers(self) -> int:
        return self.session.n_workers if self.share is None else self.share.n_workers

    def real_seconds(self, charged: float) -> float:
        """How long it takes until this search is charged with so many seconds, if no other one begins or ends."""
        return charged if self.share is None else charged / self.share.rate

    def let_others_begin(self) -> None:
        """What the searches beside the first need of it is there: ladders and the allowance."""
        if self.share is not None:
            self.share.let_others_begin()

    @contextlib.contextmanager
    def beside_others(self, share: Share, progress: Progress) -> Iterator[OneSearch]:
        """Within the block this first search has a share of the workers and of the seconds."""
        alone, self.progress, self.share = self.progress, progress, share
        self.session.ledger.share_with(share.charged_to_others)
        try:
            yield self
        finally:
            self.progress, self.share = alone, None

    @property
    def engine(self) -> Engine:
        """What trains this search's runs."""
        return Engine(str(self.session.device), self.session.precision, 1, self.session.held_out)

    @property
    def n_searches(self) -> int:
        return self.goal.n_searches

    def is_done(self, stage: Reached) -> bool:
        return self.session.ledger.has_reached(stage, self.goal)

    def mark_done(self, stage: Reached) -> None:
        self.session.ledger.reached[stage] = self.goal
        self.session.ledger.save()

    def reset_goal(self, goal: Goal) -> None:
        """Let another goal be this search's, and all searches' where it is the first."""
        self.goal = goal
        note_goal(self.session.ledger, goal)

    @property
    def storage(self) -> RDBStorage:
        return self._open_database().storage

    @property
    def lock(self) -> StorageLock:
        return self._open_database().lock

    def _open_database(self) -> Opened:
        """The storage and the lock on the study in it, held until the command ends with this search. The session goes
        on under the identity that the study has in it."""
        if self._database is None:
            session = self.session
            url = storage_url(session.files, session.request.storage or session.settings.storage)
            opened = open_for_work(session.files, session.settings, url, self.progress.say, self._resources)
            session.settings = opened.settings
            session.keep_storage()
            self._database = opened
        return self._database
