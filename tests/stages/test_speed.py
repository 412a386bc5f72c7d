"""Speeds are measured on real training."""

import functools
import threading
from collections import deque

import pytest
from clusters import machines_are_lost

from study.errors import StudyError
from study.execution.executors import InProcessExecutor
from study.execution.jobs import Event, Finished, Job, OnRung, Outcome, Report, RungMetrics
from study.execution.nodes import Node
from study.execution.worker import DriverLeftError, train
from study.space.grammar import parse_space
from study.stages import speed as probe
from study.training.loop import TrainingData


def test_every_family_gets_a_speed(
    training_data: TrainingData, make_settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_SECONDS", 0.0)  # two looks are enough
    settings = make_settings()  # type: ignore[operator]
    spaces = [parse_space(family.space, name) for name, family in settings.families.items()]
    with InProcessExecutor(2, functools.partial(train, data=training_data, precision="fp32")) as executor:
        speeds = probe.measure_speeds(executor, spaces)
    assert speeds.keys() == settings.families.keys()
    assert all(speed > 0 for speed in speeds.values())


def test_a_family_that_cannot_train_is_named(make_settings: object) -> None:
    def fail(*_: object) -> dict[str, object]:
        raise ValueError("no such kernel")

    settings = make_settings()  # type: ignore[operator]
    space = parse_space(settings.families["mlp"].space, "mlp.toml")
    with InProcessExecutor(1, fail) as executor, pytest.raises(StudyError, match="family mlp cannot train at all"):
        probe.measure_speeds(executor, [space])


def timed(seconds_a_look: float, looks: list[int], job: Job, on_rung: OnRung) -> Outcome:
    """Training whose clock says so; notes after which look each job was stopped."""
    for number, examples in enumerate(job.schedule.marks, 1):
        if not on_rung(examples, RungMetrics(1.0, 0.1, number * seconds_a_look, None)):
            looks.append(number)
            return Outcome()
    return Outcome()


def test_the_first_look_does_not_count_and_looks_grow_apart() -> None:
    looks: list[int] = []
    with InProcessExecutor(1, functools.partial(timed, 0.25, looks)) as executor:
        (speed,) = probe.run_speeds(executor, [{}])
    assert looks == [5]  # four after the first make a second
    assert speed.examples_per_second == 9 + 10 + 11 + 12  # of the marks, as many as there are steps


def test_none_stops_before_all_are_measured() -> None:
    """On a GPU one alone would be faster than beside the others."""
    first_is_measured = threading.Event()

    def work(job: Job, on_rung: OnRung) -> Outcome:
        if job.config["name"] == "second":
            first_is_measured.wait()
        for number, examples in enumerate(job.schedule.marks, 1):
            goes_on = on_rung(examples, RungMetrics(1.0, 0.1, float(number), None))
            if job.config["name"] == "first" and (number == 2 or not goes_on):
                first_is_measured.set()  # a second between its two looks
            if not goes_on:
                break
        return Outcome()

    with InProcessExecutor(2, work) as executor:
        first, second = probe.run_speeds(executor, [{"name": "first"}, {"name": "second"}])
    assert first.seconds > 1.0  # it went on, though it was measured after one
    assert second.seconds >= 1.0


def test_a_training_that_fails_has_a_reason_and_the_others_a_speed() -> None:
    def work(job: Job, on_rung: OnRung) -> Outcome:
        if job.config["bad"]:
            raise ValueError("no such kernel")
        return timed(0.25, [], job, on_rung)

    with InProcessExecutor(2, work) as executor:
        bad, good = probe.run_speeds(executor, [{"bad": True}, {"bad": False}])
    assert (bad.examples_per_second, bad.reason) == (None, "ValueError: no such kernel")
    assert good.examples_per_second


def test_a_training_whose_machine_is_lost_is_measured_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    machines_are_lost(monkeypatch)
    deaths = iter(range(4))

    def work(job: Job, on_rung: OnRung) -> Outcome:
        if next(deaths, None) is not None:
            on_rung(job.schedule.marks[0], RungMetrics(1.0, 0.1, 0.0, None))
            raise DriverLeftError
        return timed(0.25, [], job, on_rung)

    with InProcessExecutor(1, work) as executor:
        (speed,) = probe.run_speeds(executor, [{}])
    assert speed.examples_per_second == 9 + 10 + 11 + 12


def test_every_worker_is_busy_while_families_are_measured(make_settings: object) -> None:
    seen: list[str] = []

    def work(job: Job, on_rung: OnRung) -> Outcome:
        seen.append(job.config["family"])
        return timed(0.25, [], job, on_rung)

    settings = make_settings()  # type: ignore[operator]
    spaces = [parse_space(family.space, name) for name, family in settings.families.items()]
    with InProcessExecutor(2 * len(spaces) + 1, work) as executor:
        probe.measure_speeds(executor, spaces)
    assert sorted(seen) == sorted(2 * list(settings.families))


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_more_trainings_than_workers_are_measured_one_after_the_other(n_workers: int) -> None:
    looks: list[int] = []
    with InProcessExecutor(n_workers, functools.partial(timed, 0.25, looks)) as executor:
        speeds = probe.run_speeds(executor, [{}] * 4)
    assert all(speed.examples_per_second for speed in speeds)
    assert max(looks[: 4 - n_workers]) == 5  # those that another waits for stop as soon as they are measured


class Unlike(InProcessExecutor):
    """Three workers on two machines; `seconds` between the looks of each training say how fast its machine is."""

    def __init__(self, *slower: float) -> None:
        self.n_measured = 0
        self._factors = iter(slower)
        super().__init__(3, lambda job, on_rung: Outcome())

    def nodes(self) -> list[Node]:
        return [Node("c1", "10.0.0.1", (0, 1), "AMD EPYC"), Node("c2", "10.0.0.2", (2,), "AMD EPYC")]

    def submit(self, job: Job) -> None:
        if job.id == "0":
            self.n_measured += 1
            self._slower = next(self._factors)
        self._jobs: deque[tuple[Job, int]] = getattr(self, "_jobs", deque())
        self._jobs.append((job, 0))

    def next_event(self, timeout: float | None = None) -> Event | None:
        job, look = self._jobs.popleft()
        worker = int(job.id)  # as many trainings as workers
        seconds = look * 0.5 * (self._slower if worker == 2 else 1.0)
        if look < 4:
            self._jobs.append((job, look + 1))
            return Report(job, worker, 100 * look, RungMetrics(1.0, 0.1, seconds, None))
        return Finished(job, worker, seconds, None)

    def answer(self, job: Job, go: bool) -> None:
        pass


def test_each_machine_is_measured_and_unlike_ones_are_refused_if_they_stay_so(make_settings: object) -> None:
    settings = make_settings()  # type: ignore[operator]
    spaces = [parse_space(family.space, name) for name, family in settings.families.items()]
    with Unlike(1.0, 1.5) as alike:
        speeds = probe.measure_speeds(alike, spaces)
    assert alike.n_measured == len(spaces)  # each family on all workers
    assert speeds[spaces[0].family] == 200.0
    with Unlike(1.0, 3.0, 1.0, 1.0) as busy_for_a_moment:
        probe.measure_speeds(busy_for_a_moment, spaces)
    said = rf"train {spaces[1].family} at unlike speeds, in examples a second c1 200, c2 67, so .*-machines c1, or"
    with Unlike(1.0, 3.0, 1.0, 3.0) as unlike, pytest.raises(StudyError, match=said):
        probe.measure_speeds(unlike, spaces)
