"""Trainings beside the study's own: what happens to a job whose worker dies."""

from __future__ import annotations

import pytest
from clusters import machines_are_lost

from study.execution.executors import InProcessExecutor
from study.execution.jobs import Finished, Job, OnRung, Outcome, Report, RungMetrics
from study.execution.worker import DriverLeftError
from study.retraining.train_all import MAX_ATTEMPTS, train_all
from study.training.schedule import Schedule


def jobs(n: int) -> list[Job]:
    return [Job(f"job {k}", {}, k, Schedule((1,), (1,))) for k in range(n)]


def test_every_job_is_trained_once_and_told_to_go_on_at_every_report() -> None:
    answers, ended, seen = [], [], list[Report]()

    def work(job: Job, on_rung: OnRung) -> Outcome:
        answers.append(on_rung(job.seed, RungMetrics(1.0, 0.1, 0.1, None)))
        return Outcome()

    left = iter(jobs(5))
    with InProcessExecutor(2, work) as executor:
        train_all(
            executor,
            lambda: next(left, None),
            on_report=seen.append,
            on_end=lambda event: ended.append((event.job.id, event.reason)),
        )
    assert answers == [True] * 5
    assert sorted(ended) == [(f"job {k}", None) for k in range(5)]
    assert sorted(report.examples for report in seen) == list(range(5))


def test_a_job_whose_worker_dies_is_tried_three_times_and_the_others_go_on() -> None:
    begun, ended = [], dict[str, str | None]()

    def work(job: Job, on_rung: OnRung) -> Outcome:
        begun.append(job.id)
        if job.id == "job 1":
            raise DriverLeftError  # the worker ends without a word
        return Outcome()

    left, announced = iter(jobs(3)), list[str]()
    with InProcessExecutor(1, work) as executor:
        train_all(
            executor,
            lambda: next(left, None),
            on_begin=lambda job: announced.append(job.id),
            on_end=lambda event: ended.update({event.job.id: event.reason}),
        )
    assert announced == begun
    assert begun.count("job 1") == MAX_ATTEMPTS
    assert {job for job, reason in ended.items() if reason is None} == {"job 0", "job 2"}
    assert "died 3 times" in str(ended["job 1"])


def test_deaths_with_a_machine_that_is_lost_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    machines_are_lost(monkeypatch)
    deaths, ended = iter(range(2 * MAX_ATTEMPTS)), list[str | None]()

    def work(job: Job, on_rung: OnRung) -> Outcome:
        if next(deaths, None) is not None:
            raise DriverLeftError
        return Outcome()

    left = iter(jobs(1))
    with InProcessExecutor(1, work) as executor:
        train_all(executor, lambda: next(left, None), on_end=lambda event: ended.append(event.reason))
    assert ended == [None]


def test_what_is_handed_out_once_a_job_has_ended_is_trained_too_and_all_in_this_order() -> None:
    waiting, begun, turns = jobs(2), list[str](), list[int]()

    def end(event: Finished) -> None:
        if event.job.id == "job 1":
            waiting.append(Job("last", {}, 0, Schedule((1,), (1,))))

    with InProcessExecutor(1, lambda job, on_rung: Outcome()) as executor:
        train_all(
            executor,
            lambda: waiting.pop(0) if waiting else None,
            on_begin=lambda job: begun.append(job.id),
            on_end=end,
            tick=lambda: turns.append(len(begun)),
        )
    assert begun == ["job 0", "job 1", "last"]
    assert turns[-1] == 3
