from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from runs import history_row
from small_networks import config
from torch import nn

from study.records.paths import RunFiles
from study.records.run import HistoryRow
from study.training.config import OptimizerName, build_model, training_config
from study.training.loop import TrainingData, fit
from study.training.schedule import Schedule
from study.training.state import StateFiles, TrainingState

SCHEDULE = Schedule((30,), (7, 14, 21, 30))


def run(
    data: TrainingData,
    about: dict[str, Any],
    resume: TrainingState | None = None,
    keep: Callable[[TrainingState], None] | None = None,
) -> nn.Module:
    torch.manual_seed(5)
    model = build_model(about, 10).to(memory_format=torch.channels_last)
    fit(
        model,
        data,
        training_config(about),
        SCHEDULE,
        lambda *_: True,
        seed=11,
        resume=resume,
        on_state=None if keep is None else lambda capture: keep(capture()),
    )
    return model


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_continued_run_equals_an_uninterrupted_one_bit_for_bit(
    training_data: TrainingData, tmp_path: Path, network: str, optimizer: str
) -> None:
    about = config(network, optimizer)
    found: list[TrainingState] = []
    whole = run(training_data, about, keep=found.append)
    assert [state.step for state in found] == [7, 14, 21]  # the end of a run is no state
    files = StateFiles(RunFiles(tmp_path), "this run")
    for state in found:
        files.save(state, [])
        read = StateFiles(RunFiles(tmp_path), "this run").load()
        assert read is not None
        torch.manual_seed(99)  # a new process has other streams
        assert same(run(training_data, about, resume=read[0]), whole)
    without_dropout_stream = dict(found[0].tensors)
    without_dropout_stream["random.cpu"] = torch.get_rng_state()
    assert not same(run(training_data, about, TrainingState(7, 0.0, without_dropout_stream)), whole)


@pytest.mark.parametrize("kept", [0, 1])  # a state within a pass over hard images, and one in the last part
def test_hard_images_are_the_same_after_a_stop(training_data: TrainingData, kept: int) -> None:
    about = config("mlp", "adamw") | {"images": "hard", "images_share": 0.3}
    found: list[TrainingState] = []
    whole = run(training_data, about, keep=found.append)
    assert same(run(training_data, about, resume=found[1 + kept]), whole)
    forgotten = dict(found[1].tensors)
    forgotten["images.losses"] = torch.ones_like(forgotten["images.losses"])
    forgotten["images.number"] = torch.tensor(-1)
    assert not same(run(training_data, about, TrainingState(14, 0.0, forgotten)), whole)


def state(step: int) -> TrainingState:
    return TrainingState(step, step / 10, {"model.weight": torch.full((3,), float(step))})


def loaded(folder: Path, digest: str = "a") -> tuple[int, list[HistoryRow]] | None:
    found = StateFiles(RunFiles(folder), digest).load()
    return None if found is None else (found[0].step, found[1])


def test_the_newest_state_is_loaded_with_its_history(tmp_path: Path) -> None:
    assert loaded(tmp_path) is None
    files = StateFiles(RunFiles(tmp_path), "a")
    for step in (1, 2, 3):
        files.save(state(step), [history_row(examples=step)])
        assert loaded(tmp_path) == (step, [history_row(examples=step)])
    assert len(list(tmp_path.glob("state-*.safetensors"))) == 2


@pytest.mark.parametrize("damage", [b"", b"\x00" * 40, None])
def test_a_damaged_state_gives_way_to_the_one_before(tmp_path: Path, damage: bytes | None) -> None:
    files = StateFiles(RunFiles(tmp_path), "a")
    for step in (1, 2, 3):
        files.save(state(step), [])
    newest = tmp_path / json.loads((tmp_path / "state.json").read_text())["states"][0]["file"]
    if damage is None:
        newest.unlink()
    else:
        newest.write_bytes(damage)
    assert loaded(tmp_path) == (2, [])
    again = StateFiles(RunFiles(tmp_path), "a")
    again.load()
    again.save(state(4), [])
    assert loaded(tmp_path) == (4, [])


def test_a_state_half_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = StateFiles(RunFiles(tmp_path), "a")
    files.save(state(1), [])
    files.save(state(2), [])

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("study.training.state.write_json", dies)  # weights renamed, but not named yet
    with pytest.raises(KeyboardInterrupt):
        files.save(state(3), [])
    assert loaded(tmp_path) == (2, [])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hash": "a"}', '{"hash": "a", "states": [{"file": "x"}]}'])
def test_a_list_that_cannot_be_read_means_from_the_beginning(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert loaded(tmp_path) is None


def test_another_run_and_a_finished_one_have_no_state(tmp_path: Path) -> None:
    files = StateFiles(RunFiles(tmp_path), "a")
    files.save(state(1), [])
    assert loaded(tmp_path, "b") is None
    files.remove()
    assert list(tmp_path.iterdir()) == []
