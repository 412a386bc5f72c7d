"""Trainings beside the study's own: what happens to a job whose worker dies."""

from __future__ import annotations

from study.execution.executors import InProcessExecutor
from study.execution.jobs import Job, OnRung, Outcome, Report, RungMetrics
from study.execution.worker import DriverLeftError
from study.retraining.finalists import MAX_ATTEMPTS
from study.retraining.train_all import train_all
from study.training.loop import Schedule


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
            on_end=lambda job, reason: ended.append((job.id, reason)),
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

    left = iter(jobs(3))
    with InProcessExecutor(1, work) as executor:
        train_all(executor, lambda: next(left, None), on_end=lambda job, reason: ended.update({job.id: reason}))
    assert begun.count("job 1") == MAX_ATTEMPTS
    assert {job for job, reason in ended.items() if reason is None} == {"job 0", "job 2"}
    assert "died 3 times" in str(ended["job 1"])
