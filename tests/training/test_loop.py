from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from study.errors import TrainingError
from study.training import loop
from study.training.config import TrainingConfig, build_model
from study.training.loop import TrainingData, choose_precision, fit, predict_logits, validate
from study.training.schedule import Schedule

MLP = {"family": "mlp", "depth": 1, "width": [32], "activation": "relu", "normalisation": "none", "dropout": 0.0}
CNN = {
    "family": "cnn",
    "stages": 2,
    "convs_per_stage": 1,
    "width": 8,
    "growth": 1.0,
    "kernel_size": 3,
    "activation": "relu",
    "normalisation": "batch",
    "pooling": "max",
    "residual": False,
    "head": "global",
    "dropout": 0.2,
}


def config(**more: Any) -> TrainingConfig:
    return TrainingConfig.model_validate({"optimizer": "adamw", "learning_rate": 0.01, "batch_size": 50, **more})


def network(family: dict[str, Any] = MLP) -> nn.Module:
    torch.manual_seed(3)
    return build_model(family, 10)


class Rungs:
    """Notes every report; stops after `stop` of them."""

    def __init__(self, stop: int | None = None) -> None:
        self.reports: list[tuple[int, dict[str, Any]]] = []
        self._stop = stop

    def __call__(self, examples: int, metrics: dict[str, Any]) -> bool:
        self.reports.append((examples, metrics))
        return len(self.reports) != self._stop


def train(data: TrainingData, marks: Schedule, model: nn.Module | None = None, **more: Any) -> Rungs:
    rungs = Rungs(more.pop("stop", None))
    about = {key: more.pop(key) for key in ("seed", "part", "precision") if key in more}
    fit(model or network(), data, config(**more), marks, rungs, **{"seed": 0, **about})
    return rungs


def test_rungs_end_a_cycle_each() -> None:
    schedule = Schedule.rungs((1000, 3000, 9000), 100)
    assert (schedule.cycles, schedule.marks) == ((10, 20, 60), (10, 30, 90))
    assert schedule.strides == (9, 3, 1)
    assert Schedule.rungs((1000, 3000, 9000), 100, least_read=True).strides == (9, 9, 1)


@pytest.mark.parametrize("examples", [(1, 2, 3), (1000, 1200, 1400), (100, 300, 900)])
def test_every_rung_reports_however_large_the_batch(examples: tuple[int, ...]) -> None:
    schedule = Schedule.rungs(examples, 512)
    assert len(set(schedule.marks)) == len(examples)
    assert min(schedule.cycles) >= 1
    assert sum(schedule.cycles) == schedule.marks[-1]


@pytest.mark.parametrize(("steps", "every"), [(1, 10), (10, 3), (100, 10), (7, 1), (25, 10)])
def test_a_whole_run_is_one_cycle_and_reports_at_its_end(steps: int, every: int) -> None:
    schedule = Schedule.whole(steps, every)
    assert schedule.cycles == (steps,)
    assert schedule.marks[-1] == steps
    assert len(set(schedule.marks)) == len(schedule.marks) == max(1, round(steps / every))


@pytest.mark.parametrize(("family", "augmentation"), [(MLP, "none"), (MLP, "affine"), (CNN, "none")])
def test_training_learns_digits(training_data: TrainingData, family: dict[str, Any], augmentation: str) -> None:
    about = {"augmentation": augmentation, "learning_rate": 0.03 if family is CNN else 0.01}
    rungs = train(training_data, Schedule.whole(70, 10), network(family), **about)
    losses = [metrics["train_loss"] for _, metrics in rungs.reports]
    assert losses[-1] < 0.8 * losses[0]
    assert rungs.reports[-1][1]["accuracy"] > 0.4


def test_reports_carry_the_validation_figures(training_data: TrainingData) -> None:
    rungs = train(training_data, Schedule.whole(20, 10))
    assert [examples for examples, _ in rungs.reports] == [500, 1000]
    last = rungs.reports[-1][1]
    labels = training_data.labels[training_data.validation].numpy()
    assert last["logits"].shape == (len(labels), 10)
    assert last["accuracy"] == (last["logits"].argmax(1) == labels).mean()
    assert last["nll_scaled"] <= last["nll"] + 1e-9
    assert 0 <= rungs.reports[0][1]["training_seconds"] <= last["training_seconds"]


def test_stopping_trains_no_further(training_data: TrainingData) -> None:
    stopped, short = network(), network()
    rungs = train(training_data, Schedule((10, 10, 10), (10, 20, 30)), stopped, stop=2)
    train(training_data, Schedule((10, 10), (10, 20)), short)
    assert [examples for examples, _ in rungs.reports] == [500, 1000]
    assert all(torch.equal(a, b) for a, b in zip(stopped.parameters(), short.parameters(), strict=True))


def test_training_may_be_stopped_between_marks(training_data: TrainingData) -> None:
    stopped, short, asked = network(), network(), iter([True] * 17 + [False])
    marks, rungs = Schedule((10, 10, 10), (10, 20, 30)), Rungs()
    fit(stopped, training_data, config(), marks, rungs, seed=0, goes_on=lambda: next(asked))
    fit(short, training_data, config(), Schedule(marks.cycles, (17, 20, 30)), Rungs(stop=1), seed=0)
    assert [examples for examples, _ in rungs.reports] == [500]
    assert all(torch.equal(a, b) for a, b in zip(stopped.parameters(), short.parameters(), strict=True))


@pytest.mark.parametrize("augmentation", ["none", "elastic"])
def test_the_same_seed_gives_the_same_model_and_another_another(training_data: TrainingData, augmentation: str) -> None:
    models = [network() for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        train(training_data, Schedule.whole(15, 15), model, seed=seed, augmentation=augmentation)
    one, same, other = (torch.cat([p.flatten() for p in model.parameters()]) for model in models)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_rate_follows_its_cycles(training_data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(loop, "set_learning_rate", lambda _, rate: rates.append(rate))
    train(training_data, Schedule((4, 2), (4, 6)), schedule="linear", learning_rate=0.8)
    assert rates == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.8, 0.4])


class Spy(nn.Module):
    """Notes what a model is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(784, 10)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen.append(x.detach().clone())
        out: Tensor = self.inner(x.flatten(1))
        return out


def recognised(data: TrainingData, seen: list[Tensor]) -> list[int]:
    """Indices of the images that a model was shown."""
    known = {image.numpy().tobytes(): number for number, image in enumerate(data.images)}
    pixels = [(batch * data.std + data.mean).mul(255).round().to(torch.uint8) for batch in seen]
    return [known[image[0].numpy().tobytes()] for batch in pixels for image in batch]


@pytest.mark.parametrize(("part", "n"), [("train", 600), ("train+validation", 800)])
def test_an_epoch_shows_every_image_of_its_part_once(training_data: TrainingData, part: Any, n: int) -> None:
    spy = Spy()
    train(training_data, Schedule.whole(n * 2 // 50, 100), spy, part=part)
    shown = recognised(training_data, spy.seen)
    assert sorted(shown[:n]) == sorted(shown[n:]) == list(range(n))
    assert shown[:n] != shown[n:]


def test_a_part_that_no_batch_divides_loses_no_image(training_data: TrainingData) -> None:
    data = replace(training_data, train=torch.arange(70))
    spy = Spy()
    train(data, Schedule.whole(7, 7), spy, batch_size=50)
    shown = recognised(data, spy.seen)
    assert all(sorted(shown[i : i + 70]) == list(range(70)) for i in range(0, 350, 70))


def test_a_batch_may_be_larger_than_the_part(training_data: TrainingData) -> None:
    data = replace(training_data, train=torch.arange(30))
    spy = Spy()
    rungs = train(data, Schedule.whole(4, 2), spy, batch_size=100)
    assert [len(batch) for batch in spy.seen] == [100] * 4
    assert math.isfinite(rungs.reports[-1][1]["train_loss"])


def test_final_runs_see_no_validation_figures(training_data: TrainingData) -> None:
    rungs = train(training_data, Schedule.whole(4, 4), part="train+validation")
    assert "accuracy" not in rungs.reports[0][1]


def test_images_are_normalised_and_data_left_as_it_was(training_data: TrainingData) -> None:
    before = training_data.images.clone()
    spy = Spy()
    train(training_data, Schedule.whole(12, 12), spy, augmentation="shift")
    seen = torch.cat(spy.seen)
    assert float(seen.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(seen.std()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(before, training_data.images)


@pytest.mark.parametrize("rate", [1e30, 1e12])
def test_a_loss_that_is_not_finite_ends_the_run_with_the_step(training_data: TrainingData, rate: float) -> None:
    with pytest.raises(TrainingError, match=r"not finite"):
        train(training_data, Schedule.whole(60, 60), optimizer="sgd", learning_rate=rate)


def test_a_nan_is_noticed_long_before_the_next_report(training_data: TrainingData) -> None:
    with pytest.raises(TrainingError, match="by step 50"):
        train(training_data, Schedule.whole(500, 500), optimizer="sgd", learning_rate=1e30)


def test_a_logit_that_is_not_finite_is_refused(training_data: TrainingData) -> None:
    model = network()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="validation logit"):
        validate(model, training_data, "fp32")


def test_predictions_do_not_depend_on_the_batch_and_disturb_nothing(training_data: TrainingData) -> None:
    model = network(CNN)
    before = copy.deepcopy(model.state_dict())
    index = torch.arange(training_data.n_classes * 20)
    whole = predict_logits(model, training_data, index, "fp32")
    parts = np.concatenate([predict_logits(model, training_data, part, "fp32") for part in torch.split(index, 7)])
    np.testing.assert_allclose(whole, parts, atol=1e-4)
    assert whole.dtype == np.float32
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_bf16_agrees_with_fp32_roughly(training_data: TrainingData) -> None:
    model = network()
    index = training_data.validation
    precise, coarse = (predict_logits(model, training_data, index, p) for p in ("fp32", "bf16"))
    np.testing.assert_allclose(precise, coarse, atol=0.05)
    assert not np.array_equal(precise, coarse)


def test_precision_is_one_that_trains() -> None:
    assert choose_precision(torch.device("cpu")) in ("bf16", "fp32")
    assert choose_precision(torch.device("meta")) == "fp32"


def test_a_part_of_the_training_images_is_the_same_whatever_is_trained(training_data: TrainingData) -> None:
    some = training_data.learning_from(100)
    assert len(some.train) == 100
    assert set(some.train.tolist()) < set(training_data.train.tolist())
    assert some.train.tolist() == training_data.learning_from(100).train.tolist() == sorted(set(some.train.tolist()))
    assert (some.mean, some.std) == (training_data.mean, training_data.std)
    assert some.validation is training_data.validation
    assert len(some.part("train+validation")) == len(training_data.labels)
    for n in (None, len(training_data.train), 10_000):
        assert training_data.learning_from(n) is training_data


def test_data_moves_whole(training_data: TrainingData) -> None:
    moved = training_data.to(torch.device("meta"))
    devices = {t.device.type for t in (moved.images, moved.labels, moved.train, moved.validation)}
    assert devices == {"meta"}
    assert len(training_data.part("train+validation")) == 800
