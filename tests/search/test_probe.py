"""Speeds are measured on real training."""

import functools

import pytest

from study.errors import StudyError
from study.execution.executors import InProcessExecutor
from study.execution.worker import train
from study.search import probe
from study.space import parse_space
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
