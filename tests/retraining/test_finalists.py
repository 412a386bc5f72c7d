"""Retraining for real, on a few hundred digits and a few steps a run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tiny_mlp import CONFIG
from trials import trial

from study.errors import StudyError
from study.execution.executors import InProcessExecutor
from study.execution.jobs import Finished, Job, OnRung, Outcome, RungMetrics
from study.execution.worker import DriverLeftError, Work, train
from study.records.files import read_json
from study.records.finalists import read_finalists
from study.records.paths import StudyFiles, done_runs
from study.records.run import RunMetrics
from study.records.settings import RetrainSettings, StudySettings
from study.records.trial import Trials
from study.retraining.finalists import Retraining
from study.retraining.runs import Engine, RunLengths, plan_run
from study.training.loop import TrainingData

MLP = CONFIG | {"learning_rate": 0.01}


# The other family is the same network, to be quick.
CANDIDATES = {
    "mlp": Trials([trial(4, 0.9, config=MLP), trial(2, 0.8, config=MLP)]),
    "cnn": Trials([trial(7, 0.95, family="cnn", config=MLP)]),
}
LENGTHS = {"mlp": (300, 240), "cnn": (200,)}


class Notes:
    """A watch that writes down what it is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: dict[str, float | None] = {}
        self.abandoned: list[str] = []

    def begin(self, job: Job) -> None:
        self.begun.append(job.id)

    def report(self, job: Job, examples: int, metrics: RungMetrics) -> None:
        assert metrics.train_loss > 0

    def end(self, event: Finished, metrics: RunMetrics | None) -> None:
        self.ended[event.job.id] = None if metrics is None else metrics.train_loss
        final = event.job.run is not None and event.job.run.record.role == "final"
        assert metrics is None or (metrics.accuracy is not None) != final

    def abandon(self, reason: str) -> None:
        self.abandoned.append(reason)


class Bench:
    def __init__(self, files: StudyFiles, settings: StudySettings, data: TrainingData) -> None:
        self.files = files
        self.settings = settings
        self.work: Work = functools.partial(train, data=data, precision="fp32")
        self.notes = Notes()
        self.seen: list[str] = []

    def retrain(
        self,
        candidates: dict[str, Trials] = CANDIDATES,
        lengths: RunLengths | None = None,
        work: Work | None = None,
        *,
        found_only: bool = False,
    ) -> Retraining:
        self.notes, self.seen = Notes(), []
        lengths = lengths or {family: LENGTHS[family][: len(chosen)] for family, chosen in candidates.items()}
        engine = Engine("cpu", "fp32", 1)
        retraining = Retraining(
            self.files, self.settings, candidates, lengths, engine, self.notes, found_only=found_only
        )
        self.left: list[float] = []

        def observe(retraining: Retraining, run: str | None) -> None:
            self.left.append(retraining.seconds_left)
            if run:
                self.seen.append(run)

        with InProcessExecutor(1, work or self.work) as executor:
            retraining.run(executor, observe)
        return retraining


@pytest.fixture
def bench(files: StudyFiles, make_settings: Callable[..., StudySettings], training_data: TrainingData) -> Bench:
    retrain = RetrainSettings(candidates=2, candidate_seeds=2, final_seeds=2)
    return Bench(files, make_settings(retrain=retrain.model_dump()), training_data)


RUNS = {
    "mlp-t4-seed0",
    "mlp-t4-seed1",
    "mlp-t2-seed0",
    "mlp-t2-seed1",
    "mlp-final-seed0",
    "mlp-final-seed1",
    "cnn-t7-seed0",
    "cnn-t7-seed1",
    "cnn-final-seed0",
    "cnn-final-seed1",
}


def test_without_final_seeds_the_finalists_candidate_runs_are_final(
    files: StudyFiles, make_settings: Callable[..., StudySettings], training_data: TrainingData
) -> None:
    retrain = RetrainSettings(candidates=2, candidate_seeds=2, final_seeds=0)
    bench = Bench(files, make_settings(retrain=retrain.model_dump()), training_data)
    retraining = bench.retrain()
    assert set(done_runs(bench.files)) == {run for run in RUNS if "final" not in run}
    assert retraining.n_done == retraining.n_runs == 6
    found = retraining.save()
    for family, result in found.families.items():
        assert result.chosen is not None
        assert result.final_runs == result.chosen.runs == tuple(f"{family}-t{result.finalist}-seed{s}" for s in (0, 1))
    assert sorted(found.runs) == sorted(done_runs(bench.files))  # none twice
    assert len(found.candidate_runs) == 2
    again = bench.retrain().save()
    assert again.final_runs == found.final_runs


def test_what_was_given_is_trained_beside_what_was_found_and_is_no_finalist(
    files: StudyFiles, make_settings: Callable[..., StudySettings], training_data: TrainingData
) -> None:
    retrain = RetrainSettings(candidates=1, candidate_seeds=1, final_seeds=0)
    given = trial(9, 0.99, config=MLP, role="warm_start")
    candidates = {
        "mlp": Trials([CANDIDATES["mlp"][1], given]),
        "cnn": Trials([trial(1, 0.9, family="cnn", config=MLP)]),
    }
    for kept, found_only, finalist in (("apart", True, 2), ("apart", False, 9), (None, False, 9)):
        bench = Bench(files, make_settings(retrain=retrain.model_dump(), given=kept), training_data)
        lengths = {"mlp": (50, 3000), "cnn": (50,)}
        found = bench.retrain(candidates, lengths, found_only=found_only).save()
        mlp = found.of("mlp")
        assert mlp.candidates[0].trial == 9  # it is better
        assert mlp.finalist == finalist
        assert mlp.final_runs == (f"mlp-t{finalist}-seed0",)
        assert (mlp.given is None) == (not found_only)
        assert found.best_trial is not None
        assert found.best_trial.number == (9 if kept is None else 1)


def test_candidates_then_finalists_are_trained_and_the_best_mean_wins(bench: Bench) -> None:
    retraining = bench.retrain()
    assert set(done_runs(bench.files)) == set(bench.seen) == RUNS
    final = ["final" in run for run in bench.seen]
    assert final == sorted(final)  # none before another family's candidates
    assert retraining.n_done == retraining.n_runs == len(RUNS)
    assert bench.left[0] > 0
    assert bench.left[-1] == retraining.seconds_left == 0
    saved = retraining.save()
    assert read_finalists(bench.files.finalists) == saved
    found = read_json(bench.files.finalists)
    for family, row in found["families"].items():
        means = [candidate["mean_accuracy"] for candidate in row["candidates"]]
        assert means == sorted(means, reverse=True)
        assert row["finalist"] == row["candidates"][0]["trial"]
        assert row["final_runs"] == [f"{family}-final-seed0", f"{family}-final-seed1"]
        lengths = {one.number: n for one, n in zip(CANDIDATES[family], LENGTHS[family], strict=True)}
        assert {c["trial"]: c["examples"] for c in row["candidates"]} == lengths
        assert row["schedule"]["examples_per_run"] == lengths[row["finalist"]]
        batch = MLP["batch_size"]
        for run in row["final_runs"]:
            steps = round(lengths[row["finalist"]] / batch)
            assert read_json(bench.files.run(run).metrics)["examples"] == steps * batch
        assert row["failed"] == {}
        for candidate in row["candidates"]:
            metrics = [read_json(bench.files.run(run).metrics) for run in candidate["runs"]]
            assert candidate["accuracies"] == [m["accuracy"] for m in metrics]
            assert candidate["mean_nll"] == pytest.approx(sum(m["nll_scaled"] for m in metrics) / 2)
    leaders = {family: row["candidates"][0]["mean_accuracy"] for family, row in found["families"].items()}
    assert leaders[found["winner"]] == max(leaders.values())
    assert found["shipped_run"] == f"{found['winner']}-final-seed0"
    assert found["best_trial"] == {"family": "cnn", "number": 7, "accuracy": 0.95}
    marked = [(f, c["trial"]) for f, row in found["families"].items() for c in row["candidates"] if c["best_overall"]]
    assert marked == [("cnn", 7)]


def test_final_runs_see_train_and_validation_for_as_many_steps(bench: Bench) -> None:
    bench.retrain({"mlp": CANDIDATES["mlp"][:1]})
    candidate, final = (read_json(bench.files.run(run).metrics) for run in ("mlp-t4-seed0", "mlp-final-seed0"))
    assert candidate["steps"] == final["steps"] == 6
    assert candidate["examples"] == final["examples"] == 300
    assert (final["accuracy"], final["temperature"]) == (None, None)
    assert bench.files.run("mlp-t4-seed0").validation.exists()
    assert not bench.files.run("mlp-final-seed0").validation.exists()
    assert 'data_part = "train+validation"' in bench.files.run("mlp-final-seed0").config.read_text()


def test_every_run_has_a_seed_of_its_own(bench: Bench) -> None:
    seeds = []

    def noting(job: Job, on_rung: OnRung) -> Outcome:
        seeds.append(job.seed)
        return bench.work(job, on_rung)

    bench.retrain(work=noting)
    assert len(set(seeds)) == len(RUNS)


def test_a_rerun_does_nothing_and_says_the_same(bench: Bench) -> None:
    before = bench.retrain().result()
    again = bench.retrain()
    assert bench.seen == bench.notes.begun == []
    assert again.n_done == again.n_runs
    after = again.result()
    families = {family: replace(row, seconds=0.0) for family, row in before.families.items()}
    assert {family: replace(row, seconds=0.0) for family, row in after.families.items()} == families
    assert after.best_trial == before.best_trial


def test_a_killed_retraining_repeats_only_what_was_not_finished(bench: Bench) -> None:
    def killed(job: Job, on_rung: OnRung) -> Outcome:
        if len(done_runs(bench.files)) == 4:
            raise ValueError("killed here")
        return bench.work(job, on_rung)

    bench.retrain(work=killed)
    finished = set(done_runs(bench.files))
    assert len(finished) == 4
    bench.retrain()
    assert not finished & set(bench.seen)
    assert set(done_runs(bench.files)) >= finished


def test_an_interruption_tells_the_watch(bench: Bench) -> None:
    retraining = Retraining(bench.files, bench.settings, CANDIDATES, LENGTHS, Engine("cpu", "fp32", 1), bench.notes)

    def stop(*_: object) -> None:
        raise StudyError("interrupted by SIGTERM")

    with InProcessExecutor(1, bench.work) as executor, pytest.raises(StudyError, match="SIGTERM"):
        retraining.run(executor, stop)
    assert bench.notes.abandoned == ["interrupted: interrupted by SIGTERM"]


def test_another_schedule_is_another_run_and_the_old_one_is_kept(bench: Bench) -> None:
    bench.retrain()
    bench.retrain(lengths=LENGTHS | {"cnn": (400,)})
    assert set(bench.seen) == {run for run in RUNS if run.startswith("cnn")}
    old = {path.name.rsplit("-", 1)[0] for path in (bench.files.runs / "old").iterdir()}
    assert old == set(bench.seen)
    assert read_json(bench.files.run("cnn-final-seed0").metrics)["examples"] == 400
    assert set(done_runs(bench.files)) == RUNS


def test_a_failed_run_is_noted_and_the_others_stand(bench: Bench) -> None:
    def fragile(job: Job, on_rung: OnRung) -> Outcome:
        if job.id in ("mlp-t4-seed1", "mlp-final-seed0"):
            raise MemoryError
        return bench.work(job, on_rung)

    found = bench.retrain(work=fragile).result().of("mlp")
    assert found.failed == {"mlp-t4-seed1": "out of memory", "mlp-final-seed0": "out of memory"}
    assert found.final_runs == ("mlp-final-seed1",)
    assert next(one for one in found.candidates if one.trial == 4).runs == ("mlp-t4-seed0",)
    assert bench.notes.ended["mlp-final-seed0"] is None


def test_a_family_whose_candidates_all_failed_cannot_win(bench: Bench) -> None:
    def fragile(job: Job, on_rung: OnRung) -> Outcome:
        if job.id.startswith("cnn"):
            raise MemoryError
        return bench.work(job, on_rung)

    found = bench.retrain(work=fragile).result()
    assert found.winner == "mlp"
    assert (found.of("cnn").finalist, found.of("cnn").final_runs) == (None, ())


def test_nothing_that_stands_is_an_error(bench: Bench) -> None:
    def failing(job: Job, on_rung: OnRung) -> Outcome:
        raise ValueError("no")

    retraining = bench.retrain(work=failing)
    with pytest.raises(StudyError, match=r"no final run of the retraining ended well; .* failed: ValueError: no; .*"):
        retraining.result()
    assert set(retraining.failed.values()) == {"ValueError: no"}


def test_a_dead_worker_s_run_is_repeated_three_times_at_most(bench: Bench) -> None:
    attempts: list[str] = []

    def fragile(job: Job, on_rung: OnRung) -> Outcome:
        attempts.append(job.id)
        if job.id == "mlp-t4-seed0" or (job.id == "cnn-t7-seed0" and attempts.count(job.id) < 3):
            raise DriverLeftError  # the worker leaves without a word
        return bench.work(job, on_rung)

    found = bench.retrain(work=fragile).result()
    assert attempts.count("mlp-t4-seed0") == attempts.count("cnn-t7-seed0") == 3
    assert "its worker died 3 times" in found.of("mlp").failed["mlp-t4-seed0"]
    assert found.of("cnn").failed == {}
    assert bench.notes.begun.count("cnn-t7-seed0") == 1


def test_a_long_run_reports_fifty_times_at_most(bench: Bench) -> None:
    run, engine, n_train = bench.files.run("long"), Engine("cpu", "fp32", 1), bench.settings.dataset.n_train
    about: dict[str, Any] = {"family": "mlp", "trial": 0, "role": "candidate", "seed": 1, "seed_index": 0}
    epochs = [plan_run(run, bench.settings, engine, MLP, n * n_train, **about) for n in (3, 400)]
    marks = [len(job.schedule.marks) for job in epochs if job is not None]
    assert marks[0] == 3
    assert 45 <= marks[1] <= 50
